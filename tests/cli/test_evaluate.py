"""The verbs `evaluate` and `cross-validate`: what they print, and what they refuse."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.steps.exports import write_cohort
from tests.steps.test_evaluate import TASK

PATIENTS = 20
PHANTOMS = ("--duplicates", "accept", "--reason", "phantoms are alike")


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task file that is learned in a moment."""
    path = tmp_path / "ball.yaml"
    path.write_text(TASK.replace("epochs: 2", "epochs: 1"))
    return path


@pytest.fixture
def trained(medflow: Verb, task: Path, tmp_path: Path) -> Verb:
    """The command line in a folder whose house holds a model."""
    table = write_cohort(tmp_path / "export", PATIENTS)
    assert medflow("ingest", tmp_path / "export")[0] == 0
    assert medflow("labels", "import", table, "--source", "reader", "--version", "1")[0] == 0
    assert medflow("train", task, *PHANTOMS)[0] == 0
    return medflow


def test_evaluate_prints_figures_and_who_opened_the_test_part(trained: Verb, tmp_path: Path) -> None:
    code, printed, _ = trained("evaluate", "ball", "--prevalence", "0.1", "--out", tmp_path / "out")

    assert code == 0
    assert "balanced accuracy" in printed
    assert "1 model opened this test part" in printed
    assert (tmp_path / "out" / "report.html").is_file()
    code, again, err = trained("evaluate", "ball:1", "--json")
    record = json.loads(again)
    assert (code, record["schema"], record["new"], record["part"]) == (0, "medflow/evaluate/1", False, "test")
    assert record["metrics"]["n"] == record["metrics"]["patients"]
    assert "measured before" in trained("evaluate", "ball")[2]
    assert "PAT-" not in printed + again + err


def test_what_cannot_be_asked_ends_with_2_and_says_why(medflow: Verb, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 1)
    medflow("ingest", tmp_path / "export")

    assert medflow("evaluate", "ball", "--part", "exam")[0] == 2
    assert "share between 0 and 1" in medflow("evaluate", "ball", "--prevalence", "2")[2]
    code, _, err = medflow("evaluate", "ball")
    assert (code, "no model" in err) == (2, True)


def test_cross_validate_shows_each_fold(medflow: Verb, task: Path, tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "export", PATIENTS)
    medflow("ingest", tmp_path / "export")
    medflow("labels", "import", table, "--source", "reader", "--version", "1")

    code, printed, _ = medflow("cross-validate", task, "--folds", "2", *PHANTOMS, "--out", tmp_path / "out")

    assert code == 0
    assert "2 of 2" in printed
    assert (tmp_path / "out" / "report.html").is_file()
    record = json.loads(medflow("cross-validate", task, "--folds", "2", *PHANTOMS, "--json")[1])
    assert (record["schema"], record["new"]) == ("medflow/cross-validate/1", False)
    assert medflow("cross-validate", task)[0] == 2
