"""Task files: right ones become tasks, and every mistake of a wrong one is named with its line."""

from pathlib import Path

import pytest

from medflow.domain.series import Modality
from medflow.domain.task import SeriesRule, Task
from medflow.domain.volume import Intensity
from medflow.errors import ConfigurationError
from medflow.learning.task_file import parse_task, read_task
from tests.learning.made import TASKS

WRITTEN = (Path(__file__).parent / "tasks" / "written.yaml").read_text()
LINES = WRITTEN.splitlines()


def line_of(start: str) -> int:
    """Find the line that begins with `start`, blanks aside."""
    return next(number for number, line in enumerate(LINES, 1) if line.strip().startswith(start))


def said(text: str) -> str:
    """Give the message that refuses a text."""
    with pytest.raises(ConfigurationError) as refused:
        parse_task(text, "task.yaml")
    return str(refused.value)


@pytest.mark.parametrize("path", sorted(TASKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_tasks_that_come_with_medflow_are_right_and_survive_their_record(path: Path) -> None:
    task = read_task(path)

    assert task.name == path.stem
    assert Task.from_record(task.record()) == task
    assert Task.from_record(task.record()).digest == task.digest


def test_values_arrive_as_they_were_written() -> None:
    task = parse_task(WRITTEN, "task.yaml")

    assert isinstance(task.series, SeriesRule)
    assert task.series.modality is Modality.CT
    assert task.series.body_parts == ("CHEST",)
    assert task.grid.window == (-1000.0, 400.0)
    assert task.grid.intensity is Intensity.WINDOW
    assert task.labels.classes == ("absent", "present")
    assert task.schedule.flips == ("i", "j")


def test_options_of_a_network_survive_the_record() -> None:
    options = "dimensions: 3\n  options: {dropout_prob: 0.25, growth_rate: 16}"

    task = parse_task(WRITTEN.replace("dimensions: 3", options), "task.yaml")

    assert task.network.options == (("dropout_prob", 0.25), ("growth_rate", 16))
    assert Task.from_record(task.record()) == task


@pytest.mark.parametrize(
    ("old", "new", "start", "message"),
    [
        ("spacing:", "spacign:", "spacing", "grid.spacign: nobody knows the key spacign; did you mean spacing?"),
        ("modality: CT", "modality: CTT", "modality", "series.modality: must be one of CT, MR, PT; did you mean CT?"),
        ("epochs: 12", "epochs: twelve", "epochs", 'schedule.epochs: must be a whole number, not "twelve"'),
        (
            "batch_size: 4",
            "batch_size: 1",
            "batch_size",
            "schedule.batch_size: 1 will not do: a whole number from 2 on",
        ),
        ("  interpolation: linear\n", "", "grid", "grid: interpolation is missing"),
        ("name: written", "name: Chest CT", "name", 'name: "Chest CT" will not do: a name is small letters'),
        ("[absent, present]", "[absent, 1]", "classes", "labels.classes.1: must be text, not 1"),
        ("[absent, present]", "[absent, absent]", "classes", "labels.classes:"),
        ("[40, 32, 32]", "[40, 32]", "shape", "grid.shape:"),
        ("padding: -1024", "padding: .nan", "padding", "grid.padding: must be a finite number"),
        ("unit: HU", "unit: SUVbw", "unit", "unit: CT is read in HU"),
        ("axes: LPS", "axes: LPL", "axes", "grid.axes: must name one of R/L"),
        ("[-1000, 400]", "[400, -1000]", "window", "grid.window: the lower end comes first"),
        ("intensity: window", "intensity: zscore", "window", "grid.window: only a window intensity has a window"),
        ("dimensions: 3", "dimensions: 2", "dimensions", "network.dimensions: a grid of one slice goes with 2"),
        ("[40, 32, 32]", "[40, 32, 31]", "shape", "grid.shape: densenet121 needs at least 32 voxels along each axis"),
        ("train: 0.6", "train: 0.7", "split", "split: train, select, test make 1.1, not 1"),
        ("shift: 2", "shift: 32", "shift", "schedule.shift: would move everything out of the grid"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, start: str, message: str) -> None:
    assert WRITTEN.count(old) == 1

    refused = said(WRITTEN.replace(old, new))

    assert f"line {line_of(start)}: {message}" in refused
    assert refused.startswith("task.yaml has 1 mistake:")


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines() -> None:
    refused = said(WRITTEN.replace("epochs: 12", "epochs: 0").replace("crop: center", "crop: middle") + "colour: red\n")

    lines = refused.splitlines()
    assert lines[0] == "task.yaml has 3 mistakes:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        f"line {line_of('crop')}",
        f"line {line_of('epochs')}",
        f"line {len(LINES) + 1}",
    ]


def test_a_key_that_stands_twice_is_a_mistake() -> None:
    refused = said(WRITTEN.replace("  shift: 2\n", "  shift: 2\n  shift: 3\n"))

    assert (
        f"line {line_of('shift') + 1}: schedule.shift: shift stands here twice; first on line {line_of('shift')}"
        in refused
    )


def test_yamls_traps_are_closed() -> None:
    task = parse_task(
        WRITTEN.replace("learning_rate: 0.001", "learning_rate: 1e-3").replace("[absent, present]", "[no, yes]"), "t"
    )

    assert task.schedule.learning_rate == 0.001
    assert task.labels.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a: [1,", "is no YAML: line 1"),
        ("- 1\n", "must be a set of keys"),
        ("a: 1\nb: *nowhere\n", "is no YAML: line 2"),
    ],
)
def test_what_is_no_task_file_at_all_is_refused(text: str, message: str) -> None:
    assert message in said(text)


def test_an_absent_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_task(tmp_path / "gone.yaml")

    assert "gone.yaml" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
