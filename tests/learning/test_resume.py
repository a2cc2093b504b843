"""A training that is killed goes on as if nothing had been, and never from what is not its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medflow.domain.task import Task
from medflow.errors import BatchError
from medflow.learning import checkpoints
from medflow.learning.checkpoints import FILE, Checkpoints
from medflow.learning.live import SilentLive
from medflow.learning.train import train
from medflow.learning.trained import Trained
from tests.learning.made import plain_task, samples


def test_a_training_that_was_killed_at_any_moment_comes_to_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    told = subprocess.run(  # noqa: S603  (our own interpreter)
        [sys.executable, "-m", "tests.learning.killed", str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    lines = [json.loads(line) for line in told.splitlines()]

    whole = {line["task"]: line["digest"] for line in lines if line["moment"] is None}
    again = [line for line in lines if line["moment"] is not None]
    assert len(again) == 8
    assert [line["digest"] for line in again] == [whole[line["task"]] for line in again]
    assert [line["from"] for line in again] == [None, 3, 5, 2, 4, 1, 5, 3]


class Unplugged(Exception):
    """Somebody pulled the plug."""


class Unplugging(SilentLive):
    """Pulls the plug after so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def epoch(self, **_: object) -> None:
        """Count down."""
        self.epochs -= 1
        if self.epochs == 0:
            raise Unplugged


def _interrupted(folder: Path, task: Task) -> None:
    with pytest.raises(Unplugged):
        train(task, samples(10), threads=1, device="cpu", folder=folder, live=Unplugging(2))


def _on(folder: Path, task: Task, *, threads: int = 1, resume: bool = True) -> Trained:
    return train(task, samples(10), threads=threads, device="cpu", folder=folder, resume=resume)


def test_without_asking_for_it_nothing_is_gone_on_with(tmp_path: Path) -> None:
    _interrupted(tmp_path, plain_task())

    assert _on(tmp_path, plain_task(), resume=False).resumed_from is None


def test_where_nothing_was_left_training_begins(tmp_path: Path) -> None:
    assert _on(tmp_path / "new", plain_task()).resumed_from is None


def test_another_tasks_or_another_number_of_threads_state_is_refused(tmp_path: Path) -> None:
    _interrupted(tmp_path, plain_task())

    with pytest.raises(BatchError, match="a training with other task; train without --resume"):
        _on(tmp_path, plain_task(seed=9))
    with pytest.raises(BatchError, match="a training with other threads"):
        _on(tmp_path, plain_task(), threads=2)
    assert _on(tmp_path, plain_task()).resumed_from == 2


@pytest.mark.parametrize("harm", [b"", b"medflow checkpoint 1\n", b"something else"])
def test_a_damaged_state_is_refused(tmp_path: Path, harm: bytes) -> None:
    _interrupted(tmp_path, plain_task())
    (tmp_path / FILE).write_bytes(harm)

    with pytest.raises(BatchError, match="damaged; train without --resume to begin anew"):
        _on(tmp_path, plain_task())


def test_a_state_of_which_one_bit_turned_is_refused(tmp_path: Path) -> None:
    _interrupted(tmp_path, plain_task())
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(BatchError, match="damaged"):
        _on(tmp_path, plain_task())


def test_writing_takes_no_more_than_its_share_of_the_time(tmp_path: Path) -> None:
    now = [0.0]
    place = Checkpoints(folder=tmp_path, about={}, clock=lambda: now[0])

    assert place.due(within=False)
    assert not place.due(within=True)
    place.save({})
    assert place.due(within=False)  # it took no time
    now[0] = checkpoints.PATIENCE
    assert place.due(within=True)
