"""Task files: right ones become tasks, and every mistake of a wrong one is named with its line."""

from hashlib import sha256
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
        ("shift: 2", "crop: 16", "shift", "schedule.crop: would blank everything"),
        ("shift: 2", "loss: hinge", "shift", "schedule.loss: must be one of cross-entropy, bce, focal"),
        ("shift: 2", "warmup: 12", "shift", "schedule.warmup: would last for all the epochs"),
        ("shift: 2", "ema: 1.0", "shift", "schedule.ema: 1.0 will not do: a decay between 0 and 1, or null"),
        (
            "[absent, present]",
            "[left, right]",
            "flips",
            "schedule.flips: mirroring along i makes left right, which the labels tell apart; if not, lateral: false",
        ),
        ("[absent, present]", "[absent, present]\n  kind: ordinal", "classes", "labels.classes: an order takes three"),
        ("test: 0.2", "tests: 0.2", "split", "split.tests: nobody knows the key tests; did you mean test?"),
        (
            "name: densenet121",
            "name: efficientnet-b0",
            "dimensions",
            "network.dimensions: efficientnet-b0 is defined in 2",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, start: str, message: str) -> None:
    assert WRITTEN.count(old) == 1

    refused = said(WRITTEN.replace(old, new))

    assert f"line {line_of(start)}: {message}" in refused
    assert refused.startswith("task.yaml has 1 mistake:")


def test_a_claim_needs_the_part_that_it_is_proved_on() -> None:
    refused = said(WRITTEN + "calibration: {sensitivity: 0.95, coverage: 0.9}\n")

    assert "calibration.sensitivity: is found on the part calibrate; give it a share in split" in refused
    assert "calibration.coverage: is found on the part calibrate" in refused


def test_the_select_part_may_bear_its_older_name_and_never_both() -> None:
    older = parse_task(WRITTEN.replace("select: 0.2", "validation: 0.2"), "t")

    assert older == parse_task(WRITTEN, "t")
    assert "once" in said(WRITTEN.replace("select: 0.2", "select: 0.1, validation: 0.1"))
    assert "once" in said(WRITTEN.replace("select: 0.2, ", ""))


def test_findings_that_come_together_are_read_as_labels_of_their_own() -> None:
    several = WRITTEN.replace("  name: nodule\n", "  kind: multi-label\n  findings: [effusion, mass]\n")

    task = parse_task(several, "t")

    assert (task.labels.outputs, task.labels.names) == (("effusion", "mass"), ("effusion", "mass"))
    assert task.labels.truth("mass") == (0, 1)
    assert task.labels.truth("effusion+mass") == (1, 1)
    assert task.labels.truth("none") == (0, 0)
    assert Task.from_record(task.record()) == task
    refused = said(several.replace("[absent, present]", "[absent, present, unsure]") + "abstain_below: 0.6\n")
    assert "labels.classes: each finding is absent or present" in refused
    assert "abstain_below: findings that do not exclude each other have no highest one" in refused


def test_a_label_that_tells_sides_apart_may_say_that_it_does_not() -> None:
    sided = WRITTEN.replace("[absent, present]", "[left, right]\n  lateral: %s")

    assert "makes left right" in said(sided % "true")
    assert parse_task(sided % "false", "t").schedule.flips == ("i", "j")


def test_a_file_of_weights_is_named_by_its_bytes_and_never_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    path = tmp_path / "task.yaml"
    path.write_text(WRITTEN.replace("name: densenet121\n", "name: densenet121\n  pretrained: {file: weights.pt}\n"))

    task = read_task(path)

    assert task.network.pretrained is not None
    assert task.network.pretrained.sha256 == sha256(b"weights").hexdigest()
    assert task.network.pretrained.path == tmp_path / "weights.pt"
    assert Task.from_record(task.record()) == task
    assert str(tmp_path) not in str(task.record())
    (tmp_path / "weights.pt").write_bytes(b"others")
    assert read_task(path).digest != task.digest
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(ConfigurationError, match=r"weights\.pt.* cannot be read"):
        read_task(path)


def test_weights_that_are_not_what_the_task_says_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    path = tmp_path / "task.yaml"
    named = "name: densenet121\n  pretrained: {file: weights.pt, sha256: %s}\n"
    path.write_text(WRITTEN.replace("name: densenet121\n", named % ("ab" * 32)))

    with pytest.raises(ConfigurationError, match="is not what network"):
        read_task(path)


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
