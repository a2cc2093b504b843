"""Facts about evaluation: a test part is opened once, on record, and nobody is shown who asked to be forgotten."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from sklearn.metrics import roc_auc_score

from medflow.documents import packaged_schema
from medflow.domain.cohort import Duplicates, FrozenCohort
from medflow.domain.task import Part, Task
from medflow.errors import BatchError, ConfigurationError, IntegrityError, StateError
from medflow.learning.task_file import read_task
from medflow.steps.audit import events
from medflow.steps.beside import Asked
from medflow.steps.cohort import Dealing
from medflow.steps.erase import erase
from medflow.steps.evaluate import evaluate
from medflow.steps.house import House, open_house
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.rights import person_of
from medflow.steps.run import opened
from medflow.steps.train import train
from medflow.store import evaluations as rows
from medflow.store.cohorts import cohorts, save_cohort
from medflow.store.engine import reading, writing
from tests.conftest import Database
from tests.steps.conftest import EXPORT, outside, places
from tests.steps.exports import write_cohort

PATIENTS = 24
PHANTOMS = Dealing(duplicates=Duplicates.ACCEPT, reason="phantoms are alike")
TASK = """\
name: ball
series: {modality: CT, body_parts: [CHEST], minimum_slices: 4}
unit: HU
grid: {axes: RAS, spacing: [8, 8, 4], shape: [16, 16, 8], crop: center, intensity: window,
       window: [-1000, 1000], padding: -1000, interpolation: linear, antialias: true}
network: {name: sequential_cnn, dimensions: 3, options: {init_features: 4, hidden_size: 8}}
labels: {name: ball, level: patient, classes: [dull, bright]}
split: {train: 0.4, select: 0.2, calibrate: 0.2, test: 0.2, seed: 1}
schedule: {seed: 1, epochs: 2, batch_size: 4, learning_rate: 0.001}
calibration: {coverage: 0.8}
"""


@pytest.fixture(scope="session")
def measured_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task with all four parts, learned in a second."""
    path = tmp_path_factory.mktemp("task") / "ball.yaml"
    path.write_text(TASK, encoding="utf-8")
    return read_task(path)


@pytest.fixture(scope="session")
def measured_folder(
    tmp_path_factory: pytest.TempPathFactory, sqlite_templates: tuple[Path, Path], measured_task: Task
) -> Path:
    """A house that holds a model nobody has measured: made once, to be copied."""
    folder = tmp_path_factory.mktemp("measured")
    table = write_cohort(folder / "export", PATIENTS)
    for template in sqlite_templates:
        shutil.copy(template, folder / template.name)
    house = opened_in(folder)
    ingest(house, folder / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    train(house, measured_task, dealing=PHANTOMS)
    house.close()
    return folder


@pytest.fixture
def house_again(measured_folder: Path, tmp_path: Path) -> Iterator[Callable[[], House]]:
    """Opens a copy of the house that holds a model, as another process would."""
    shutil.copytree(measured_folder, tmp_path, dirs_exist_ok=True)
    opened_ones: list[House] = []

    def another() -> House:
        opened_ones.append(opened_in(tmp_path))
        return opened_ones[-1]

    yield another
    for house in opened_ones:
        house.close()


@pytest.fixture
def house(house_again: Callable[[], House]) -> House:
    """A house that holds a model nobody has measured."""
    return house_again()


def opened_in(folder: Path) -> House:
    database = Database("sqlite", f"sqlite:///{folder}/main.db", f"sqlite:///{folder}/vault.db")
    return open_house(places(folder / "data", database), outside())


def told(house: House, kind: str) -> list[dict[str, Any]]:
    return [one for one in events(house, subject=None, run=None, limit=9999) if one["kind"] == kind]


def openings(house: House) -> int:
    with reading(house.engine) as connection:
        return len(rows.openings(connection))


def own_cohort(house: House) -> FrozenCohort:
    with reading(house.engine) as connection:
        return next(cohorts(connection))


def test_figures_of_the_test_part_are_those_that_other_code_finds_in_the_predictions(house: House) -> None:
    report = evaluate(house, "ball")

    with (report.folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    metrics = json.loads((report.folder / "metrics.json").read_text("utf-8"))
    expected = [member for member in own_cohort(house).members if member.part == "test"]
    true = [line["label"] == "bright" for line in lines]
    assert [line["series"] for line in lines] == [member.series_id for member in expected]
    assert {line["pseudonym"] for line in lines} == {member.patient for member in expected}
    likely = [float(line["probability:bright"]) for line in lines]
    assert metrics["roc_auc"]["value"] == pytest.approx(roc_auc_score(true, likely))
    logits = np.array([[float(line[f"logit:{name}"]) for name in ("dull", "bright")] for line in lines])
    temperature = report_temperature(report.folder)
    assert np.allclose(1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]) / temperature)), likely)
    assert metrics == report.evaluation.metrics
    assert Draft202012Validator(packaged_schema("metrics.schema.json")).is_valid(metrics)


def report_temperature(folder: Path) -> float:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    return float.fromhex(card["answers_by"]["temperature"])


def test_the_test_part_is_opened_once_and_the_second_look_finds_what_was_measured(house: House) -> None:
    first = evaluate(house, "ball")
    pages = {path.name: path.read_bytes() for path in first.folder.iterdir() if path.is_file()}

    second = evaluate(house, "ball")

    assert (first.new, second.new) == (True, False)
    assert openings(house) == 1
    assert (len(told(house, "test-opened")), len(told(house, "model-evaluated"))) == (1, 1)
    assert second.evaluation == first.evaluation
    assert {path.name: path.read_bytes() for path in first.folder.iterdir() if path.is_file()} == pages
    assert "1 model opened" in second.openings[0]


def test_the_opening_stands_before_anything_is_scored_and_is_completed_later(
    house: House, house_again: Callable[[], House]
) -> None:
    member = next(member for member in own_cohort(house).members if member.part == "test")
    away = house.data / "away"
    (stored,) = [path.parent for path in house.safe.rglob("series.json") if member.subject in path.as_posix()]
    shutil.rmtree(house.volumes)
    stored.rename(away)

    with pytest.raises(BatchError):
        evaluate(house, "ball")

    with reading(house.engine) as connection:
        assert rows.evaluations(connection) == ()
    assert openings(house) == len(told(house, "test-opened")) == 1
    away.rename(stored)
    assert evaluate(house_again(), "ball").new
    assert openings(house) == len(told(house, "test-opened")) == 1


DYING = """
import os, signal, sys
from pathlib import Path
from medflow.steps.evaluate import evaluate
from tests.steps.test_evaluate import opened_in

def hook(event, arguments):
    if event == "os.rename" and "evaluations" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
evaluate(opened_in(Path(sys.argv[1])), "ball")
"""


def test_an_evaluation_that_was_killed_is_completed_under_the_same_opening(
    house_again: Callable[[], House], tmp_path: Path
) -> None:
    died = subprocess.run(  # noqa: S603  (ours)
        [sys.executable, "-c", DYING, str(tmp_path)], cwd=Path(__file__).parents[2], check=False, capture_output=True
    )
    house = house_again()
    assert died.returncode == -signal.SIGKILL
    assert openings(house) == 1
    with reading(house.engine) as connection:
        assert rows.evaluations(connection) == ()

    report = evaluate(house, "ball")

    assert report.new
    assert (openings(house), len(told(house, "test-opened"))) == (1, 1)
    assert "1 model opened" in report.openings[0]


def test_parts_that_the_model_was_made_from_are_no_opening_and_the_report_says_that_they_flatter(house: House) -> None:
    report = evaluate(house, "ball", part=Part.CALIBRATE)

    assert openings(house) == 0
    assert report.openings == ()
    page = (report.folder / "report.html").read_text("utf-8")
    assert "These figures flatter" in page
    assert "temperature and threshold were found on it" in page


def test_a_card_says_how_many_models_opened_the_test_part(house: House, measured_task: Task) -> None:
    other = replace(measured_task, schedule=replace(measured_task.schedule, seed=2))
    train(house, other, dealing=PHANTOMS)
    evaluate(house, "ball:1")

    report = evaluate(house, "ball:2")

    card = (report.folder / "model_card.md").read_text("utf-8")
    assert "2 models opened this test part" in card
    assert "1 model opened" in (evaluate(house, "ball:1").folder / "model_card.md").read_text("utf-8")
    assert "2 models opened" in (evaluate(house, "ball:1").folder / "report.html").read_text("utf-8")


def test_files_that_are_gone_come_back_as_they_were_and_changed_ones_are_refused(house: House) -> None:
    first = evaluate(house, "ball")
    before = {path.name: path.read_bytes() for path in first.folder.iterdir() if path.is_file()}
    shutil.rmtree(first.folder)

    assert not evaluate(house, "ball").new

    assert {path.name: path.read_bytes() for path in first.folder.iterdir() if path.is_file()} == before
    (first.folder / "report.html").unlink()
    evaluate(house, "ball")
    assert (first.folder / "report.html").read_bytes() == before["report.html"]
    (first.folder / "predictions.csv").write_bytes(before["predictions.csv"] + b"\n")
    with pytest.raises(IntegrityError, match=r"predictions\.csv"):
        evaluate(house, "ball")
    assert openings(house) == 1


def test_another_cohort_that_shares_patients_with_what_the_model_was_made_from_is_refused(house: House) -> None:
    own = own_cohort(house)
    moved = {"train": "test", "test": "train"}
    other = replace(own, members=tuple(replace(one, part=moved.get(one.part, one.part)) for one in own.members))
    shared = sum(one.part == "train" for one in own.members)
    save(house, other)

    with pytest.raises(ConfigurationError, match=rf"^{shared} of the {shared} patients"):
        evaluate(house, "ball", cohort=other.id)
    assert openings(house) == 0


def test_another_cohort_of_other_patients_is_an_external_test_with_an_opening_of_its_own(house: House) -> None:
    own = own_cohort(house)
    half = [one for one in own.members if one.part == "test"]
    other = replace(own, members=tuple(half[:-1]))
    save(house, other)
    evaluate(house, "ball")

    report = evaluate(house, "ball", cohort=other.id)

    assert report.evaluation.examples == len(half) - 1
    assert openings(house) == 2
    assert "share patients with it were opened 1 time" in report.openings[1]
    assert "external test" in (report.folder / "report.html").read_text("utf-8")


def save(house: House, cohort: FrozenCohort) -> None:
    with opened(house, "cohort") as run, writing(house.engine) as connection:
        save_cohort(connection, cohort, run_id=run.id)


def test_an_erasure_takes_the_pictures_of_the_person_out_of_every_report(house: House) -> None:
    report = evaluate(house, "ball")
    shown = sorted((report.folder / "pictures").iterdir())
    patient = {m.series_id: m.patient for m in own_cohort(house).members}[shown[0].name.rpartition("-")[0]]
    theirs = [one for one in shown if one.name.rpartition("-")[0] == shown[0].name.rpartition("-")[0]]
    before = (report.folder / "report.html").read_text("utf-8").count("data:image/png")

    erased = erase(house, person_of(house, patient))

    assert erased.pictures == len(theirs)
    assert not any(one.exists() for one in theirs)
    page = (report.folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png") == before - len(theirs)
    assert not evaluate(house, "ball").new
    assert (report.folder / "report.html").read_text("utf-8").count("data:image/png") == before - len(theirs)


def test_a_copy_is_written_where_it_is_asked_for_and_goes_with_the_person_it_shows(
    house: House, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    report = evaluate(house, "ball", asked=Asked(out=out))

    assert (out / "report.html").read_bytes() == (report.folder / "report.html").read_bytes()
    shown = next((report.folder / "pictures").iterdir()).name.rpartition("-")[0]
    patient = {member.series_id: member.patient for member in own_cohort(house).members}[shown]
    erase(house, person_of(house, patient))
    assert not out.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigurationError, match="other files"):
        evaluate(house, "ball", asked=Asked(out=tmp_path / "mine"))


def test_two_models_are_compared_on_the_same_examples(house: House, measured_task: Task) -> None:
    train(house, replace(measured_task, schedule=replace(measured_task.schedule, seed=2)), dealing=PHANTOMS)
    with pytest.raises(StateError, match="medflow evaluate ball:2"):
        evaluate(house, "ball:1", asked=Asked(against="ball:2"))
    evaluate(house, "ball:2")

    report = evaluate(house, "ball:1", asked=Asked(against="ball:2"))

    assert report.comparison is not None
    assert report.comparison["against"] == "ball:2"
    page = (report.folder / "report.html").read_text("utf-8")
    assert "Both models on the same examples" in page
    assert "McNemar" in page or "mcnemar" in page


def test_ppv_and_npv_at_another_prevalence_come_from_the_stored_predictions(house: House) -> None:
    evaluate(house, "ball")

    report = evaluate(house, "ball", asked=Asked(prevalence=0.02))

    assert not report.new
    assert "prevalence of 2.0%" in (report.folder / "report.html").read_text("utf-8")


def test_a_cohort_without_the_part_says_so(house: House) -> None:
    own = own_cohort(house)
    save(house, replace(own, members=tuple(one for one in own.members if one.part == "train")))
    with pytest.raises((StateError, ConfigurationError)):
        evaluate(house, "ball", cohort=next(c for c in listed(house) if len(c.members) < PATIENTS).id)


def listed(house: House) -> list[FrozenCohort]:
    with reading(house.engine) as connection:
        return list(cohorts(connection))
