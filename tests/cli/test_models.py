"""Facts about the registry's verbs: what they print, and what their exit codes mean."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from medflow.domain.task import Task
from medflow.learning.task_file import read_task
from medflow.settings import open_house, read_settings
from medflow.steps.house import House
from tests.cli.conftest import Verb
from tests.steps.conftest import TASK
from tests.steps.enrolled import enrolled, measured, tiny
from tests.steps.exports import write_series

SERIES = 2


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """The balls, scored at once."""
    path = tmp_path / "ball.yaml"
    path.write_text(TASK, encoding="utf-8")
    return tiny(read_task(path))


@pytest.fixture
def house(medflow: Verb, tmp_path: Path, task: Task) -> Iterator[House]:
    """A data folder with two series and three versions, of which two were measured."""
    for number in range(SERIES):
        write_series(tmp_path / "export" / str(number), patient=f"PAT-{number}")
    assert medflow("ingest", tmp_path / "export")[0] == 0
    opened = open_house(read_settings(data_dir=None))
    for seed in (1, 2, 3):
        model = enrolled(opened, task, seed=seed)
        if seed < 3:
            measured(opened, model)
    yield opened
    opened.close()


def test_a_promotion_without_an_evaluation_ends_with_2_and_says_what_to_do(medflow: Verb, house: House) -> None:
    assert house.models.is_dir()

    code, out, err = medflow("models", "promote", "ball:3", "--reason", "good")

    assert (code, out) == (2, "")
    assert "medflow evaluate ball:3" in err
    assert medflow("models", "promote", "ball:1", "--reason", " ")[0] == 2
    assert medflow("models", "promote", "ball", "--reason", "good")[0] == 2
    assert medflow("models", "promote", "ball:1", "--reason", "good", "--to", "retired")[0] == 2


def test_promote_rollback_and_at_tell_who_speaks(medflow: Verb, house: House) -> None:
    assert house.models.is_dir()

    first = medflow("models", "promote", "ball:1", "--reason", "first")
    second = medflow("models", "promote", "ball:2", "--reason", "better", "--json")
    back = medflow("models", "rollback", "ball", "--reason", "worse")
    then = medflow("models", "at", "2999-01-01T00:00:00Z", "ball", "--json")

    assert "ball:1 is active, was candidate" in first[1]
    assert [one["to"] for one in json.loads(second[1])["changes"]] == ["retired", "active"]
    assert "ball:1 is active, was retired" in back[1]
    assert [one["model"] for one in json.loads(then[1])["active"]] == ["ball:1"]
    assert medflow("models", "at", "2026-01-01")[0] == 2
    assert "no version was active then" in medflow("models", "at", "1999-01-01T00:00:00Z")[1]


def test_a_shadow_is_listed_where_it_is_asked_for(medflow: Verb, house: House) -> None:
    assert house.models.is_dir()
    medflow("models", "promote", "ball:1", "--reason", "first")
    medflow("models", "promote", "ball:2", "--reason", "trial", "--to", "shadow")

    code, out, _ = medflow("score", "--json")
    plain, whole = (
        json.loads(medflow("predictions", "--json", *more)[1])["predictions"] for more in ((), ("--shadow",))
    )

    report = json.loads(out)
    assert (code, report["scored"], report["shadow"]["scored"]) == (0, SERIES, SERIES)
    assert [one["stage"] for one in plain] == ["active"] * SERIES
    assert sorted(one["stage"] for one in whole) == ["active"] * SERIES + ["shadow"] * SERIES
    assert "not delivered" in medflow("score")[1]
    assert "shadow" in medflow("predictions", "--shadow")[1]


def test_list_and_show_give_the_figures_of_the_test_part(medflow: Verb, house: House) -> None:
    assert house.models.is_dir()

    listed, shown = medflow("models", "list"), medflow("models", "show", "ball:2")
    record = json.loads(medflow("models", "show", "ball:2", "--json")[1])
    rows = json.loads(medflow("models", "list", "--json")[1])["models"]

    assert all(figure in listed[1] for figure in ("AUC", "0.900", "0.850", "0.950"))  # a narrow table folds them
    assert "not measured" in listed[1]
    assert "AUC 0.900" in shown[1]
    assert (record["name"], record["version"], record["evaluations"][0]["part"]) == ("ball", 2, "test")
    assert [row["test"] is None for row in rows] == [False, False, True]


def test_verify_ends_with_1_and_lists_what_differs(medflow: Verb, house: House) -> None:
    clean = medflow("models", "verify")
    path = house.models / "ball" / "1" / "models" / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\7")

    code, out, _ = medflow("models", "verify", "--json")

    assert (clean[0], code) == (0, 1)
    faults = {one["model"]: one["faults"] for one in json.loads(out)["models"]}
    assert faults == {
        "ball:1": ["models/model.safetensors is not what its digest says"],
        "ball:2": [],
        "ball:3": [],
    }
    assert medflow("models", "verify", "ball:2")[0] == 0
    assert "model.safetensors" in medflow("models", "verify", "ball")[1]


def test_compare_prints_pairs_and_export_writes_a_bundle(medflow: Verb, house: House, tmp_path: Path) -> None:
    assert house.models.is_dir()
    for version in ("ball:1", "ball:2"):
        medflow("score", "--model", version)

    code, out, _ = medflow("models", "compare", "ball:1", "ball:2", "--json")
    shown = medflow("models", "compare", "ball:1", "ball:2", "--since", "2020-01-01T00:00:00Z")
    exported = medflow("models", "export", "ball:1", tmp_path / "out", "--monai")

    assert (code, json.loads(out)["pairs"]) == (0, SERIES)
    assert "the same answer in" in shown[1]
    assert exported[0] == 0
    assert (tmp_path / "out" / "configs" / "metadata.json").is_file()
    assert medflow("models", "export", "ball:1", tmp_path / "other")[0] == 2


def test_retire_takes_a_candidate_out_of_use(medflow: Verb, house: House) -> None:
    assert house.models.is_dir()

    code, out, _ = medflow("models", "retire", "ball:3", "--reason", "a mistake")

    assert (code, out) == (0, "ball:3 is retired, was candidate\n")
