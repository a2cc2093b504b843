"""Facts about cross-validation: each is judged once by a network that never saw them, and no model is registered."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from sklearn.metrics import roc_auc_score

from medflow.documents import packaged_schema
from medflow.domain.cohort import Duplicates
from medflow.domain.task import Task
from medflow.errors import ConfigurationError
from medflow.learning import train as training
from medflow.learning.task_file import read_task
from medflow.steps import cross_validate as crossing
from medflow.steps.audit import events
from medflow.steps.cross_validate import cross_validate
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.models import listed
from tests.steps.conftest import EXPORT
from tests.steps.exports import write_cohort
from tests.steps.test_evaluate import TASK

PATIENTS, FOLDS = 18, 3
crossed = partial(cross_validate, duplicates=Duplicates.ACCEPT, reason="phantoms are alike")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task whose training takes a moment."""
    (tmp_path / "ball.yaml").write_text(TASK.replace("epochs: 2", "epochs: 1"))
    return read_task(tmp_path / "ball.yaml")


@pytest.fixture
def labelled(house: House, tmp_path: Path) -> House:
    """A house with labelled patients and no model."""
    table = write_cohort(tmp_path / "export", PATIENTS)
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    return house


def test_everyone_is_judged_once_and_other_code_finds_the_pooled_figures(labelled: House, task: Task) -> None:
    report = crossed(labelled, task, folds=FOLDS)

    with (report.folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    metrics = json.loads((report.folder / "metrics.json").read_text("utf-8"))
    assert len({line["pseudonym"] for line in lines}) == len(lines) == PATIENTS
    assert {line["fold"] for line in lines} == {f"{number} of {FOLDS}" for number in range(1, FOLDS + 1)}
    true = [line["label"] == "bright" for line in lines]
    found = roc_auc_score(true, [float(line["probability:bright"]) for line in lines])
    assert metrics["roc_auc"]["value"] == pytest.approx(found)
    assert sum(of["n"] for of in metrics["folds"].values()) == PATIENTS
    assert Draft202012Validator(packaged_schema("metrics.schema.json")).is_valid(metrics)
    assert "Each fold" in (report.folder / "report.html").read_text("utf-8")
    assert listed(labelled) == ()
    (event,) = [one for one in events(labelled, subject=None, run=None, limit=999) if one["kind"] == "cross-validated"]
    assert event["detail"]["folds"] == FOLDS


def test_folds_that_were_finished_are_not_trained_again(
    labelled: House, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = iter([True, False])

    def interrupted(*arguments: object, **options: object) -> object:
        if not next(runs):
            raise KeyboardInterrupt
        return training.train(*arguments, **options)  # type: ignore[arg-type]  # handed on as they came

    with monkeypatch.context() as patch:
        patch.setattr(crossing, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crossed(labelled, task, folds=FOLDS)

    report = crossed(labelled, task, folds=FOLDS)
    again = crossed(labelled, task, folds=FOLDS)

    assert (report.new, report.trained) == (True, FOLDS - 1)
    assert (again.new, again.trained, again.metrics) == (False, 0, report.metrics)


def test_how_to_divide_must_be_said_once(labelled: House, task: Task) -> None:
    with pytest.raises(ConfigurationError, match="--leave-one-site-out"):
        cross_validate(labelled, task)
    with pytest.raises(ConfigurationError, match="--folds"):
        cross_validate(labelled, task, folds=2, sites=True)
