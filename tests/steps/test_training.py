"""Facts about train: what it reads and writes, how it goes on, and that it never opens the test part."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medflow.domain.cohort import Duplicates
from medflow.domain.task import NetworkRule, Task
from medflow.errors import ConfigurationError
from medflow.learning.checkpoints import FILE
from medflow.learning.live import SilentLive
from medflow.steps.cohort import Dealing
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.models import listed
from medflow.steps.train import train
from tests.steps.conftest import EXPORT, PATIENTS
from tests.steps.exports import write_cohort


class Unplugged(Exception):
    """Somebody pulled the plug."""


class Unplugging(SilentLive):
    """Pulls the plug after an epoch."""

    def epoch(self, **_: object) -> None:
        """Pull it."""
        raise Unplugged


def _other(task: Task, **schedule: object) -> Task:
    return replace(task, schedule=replace(task.schedule, **schedule))  # type: ignore[arg-type]


ALIKE = Dealing(duplicates=Duplicates.ACCEPT, reason="they are drawn to look alike")


@pytest.fixture
def ready(house: House, tmp_path: Path) -> House:
    """A house with labelled patients."""
    table = write_cohort(tmp_path / "export", PATIENTS)
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    return house


@pytest.fixture
def task(ball_task: Task) -> Task:
    """The balls' task, for the network that is trained soonest."""
    return replace(ball_task, network=NetworkRule(name="sequential_cnn", dimensions=3, options=(("init_features", 2),)))


def test_once_is_enough_another_task_takes_the_same_cohort_and_the_test_part_stays_shut(
    ready: House, task: Task
) -> None:
    first = train(ready, task, dealing=ALIKE)
    again = train(ready, task, cohort=first.cohort)
    other = train(ready, _other(task, seed=2), cohort=first.cohort)

    assert (first.new, again.new, other.new) == (True, False, True)
    assert again.model == first.model
    assert (other.cohort, other.model.version) == (first.cohort, 2)
    assert other.model.cohort_digest == first.model.cohort_digest
    assert {frozenset(one.model.metrics) for one in listed(ready)} == {frozenset({"select", "training"})}


def test_a_frozen_cohort_is_not_dealt_again(house: House, task: Task) -> None:
    with pytest.raises(ConfigurationError, match="dealt already"):
        train(house, task, cohort="coh_", dealing=Dealing())


def test_a_training_that_was_cut_off_goes_on_and_its_state_goes_when_the_model_stands(
    ready: House, open_again: Callable[[], House], task: Task
) -> None:
    task = _other(task, epochs=2)
    with pytest.raises(Unplugged):
        train(ready, task, dealing=ALIKE, shown=Unplugging())
    (folder,) = ready.training.iterdir()

    report = train(open_again(), task, dealing=ALIKE, resume=True)

    assert report.new
    assert folder.name == report.model.id
    assert not (folder / FILE).exists()
    assert (folder / "metrics.jsonl").read_text("ascii").count('"kind": "epoch"') == 2
