"""Facts about `medflow inspect` as a shell sees it."""

import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from medflow.cli import main
from medflow.cli.look import _terminated_as_interrupted
from tests.steps.exports import SLICES, write_series

Verb = Callable[..., tuple[int, str, str]]
CANARY = "ZEBULONCANARY"

TASK = """\
name: ball
series: {modality: CT, body_parts: [HEAD], minimum_slices: 100}
unit: HU
grid: {axes: RAS, spacing: [4, 4, 1], shape: [32, 32, 32], crop: center, intensity: window,
       window: [-1000, 1000], padding: -1000, interpolation: linear, antialias: true}
network: {name: densenet121, dimensions: 3}
labels: {name: ball, level: patient, classes: [dull, bright]}
split: {train: 0.5, validation: 0.25, test: 0.25, seed: 1}
schedule: {seed: 1, epochs: 1, batch_size: 4, learning_rate: 0.001}
"""


@pytest.fixture
def medflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs `medflow inspect` in an empty folder, as a shell would; gives exit code, stdout and stderr."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medflow", "inspect", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_json_is_one_object_and_a_clean_folder_ends_with_0(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, out, err = medflow(tmp_path / "export", "--json")

    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["schema"] == "medflow/inspect/1"
    assert report["files"] == {"seen": SLICES, "accepted": SLICES, "quarantined": 0, "ignored": 0}
    assert report["members"]["seen"] == 0
    assert [series["state"] for series in report["series"]] == ["accepted"]
    assert not list((tmp_path / "cwd").iterdir())


def test_tables_say_what_is_there_and_why_something_would_be_refused(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1", slices=(0, 1, 2, 5, 6, 7))
    (tmp_path / "export" / "empty").touch()

    code, out, _ = medflow(tmp_path / "export")

    assert code == 1
    assert "empty-file" in out
    assert "axial" in out
    assert "1 of 2" in out
    assert "2 of 2" in out


def test_pictures_are_written_and_listed(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, out, _ = medflow(tmp_path / "export", "--png", tmp_path / "out", "--json")

    assert code == 0
    assert json.loads(out)["pictures"] == {"drawn": [{"file": "1_1.png", "withheld": []}], "not_drawn": []}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1_1.png"]


def test_a_series_that_would_be_withheld_is_listed_and_has_no_picture(medflow: Verb, tmp_path: Path) -> None:
    for path in write_series(tmp_path / "export", patient="PAT-1"):
        dataset = pydicom.dcmread(path)
        dataset.BurnedInAnnotation = "YES"
        dataset.save_as(path)

    code, out, _ = medflow(tmp_path / "export", "--png", tmp_path / "out")

    assert code == 1
    assert "burned-in-text" in out
    assert "withheld" in out
    assert not list((tmp_path / "out").iterdir())


def test_pictures_inside_the_folder_end_with_2_and_are_not_written(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, out, err = medflow(tmp_path / "export", "--png", tmp_path / "export" / "out")

    assert (code, out) == (2, "")
    assert "not done" in err
    assert not (tmp_path / "export" / "out").exists()


def test_a_place_for_pictures_that_is_a_file_ends_with_2(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    (tmp_path / "out").touch()

    code, out, err = medflow(tmp_path / "export", "--png", tmp_path / "out")

    assert (code, out) == (2, "")
    assert "not done" in err


def test_a_folder_that_is_not_there_ends_with_2_and_is_not_named(medflow: Verb, tmp_path: Path) -> None:
    code, out, err = medflow(tmp_path / CANARY, "--json")

    assert (code, out) == (2, "")
    assert CANARY not in err


def test_a_task_says_which_series_it_would_take_and_what_the_others_fail(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    wishes = {"wants": TASK.replace("HEAD", "CHEST").replace("100", "4"), "fails": TASK}
    for name, text in wishes.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")

    found = {
        name: json.loads(medflow(tmp_path / "export", "--task", tmp_path / f"{name}.yaml", "--json")[1])
        for name in wishes
    }

    assert found["wants"]["series"][0]["task"] == {"wanted": True, "failed": []}
    assert found["fails"]["series"][0]["task"] == {"wanted": False, "failed": ["body_parts", "minimum_slices"]}


def test_members_of_an_archive_are_counted_by_themselves(medflow: Verb, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "loose", patient="PAT-1")
    (tmp_path / "export").mkdir()
    with zipfile.ZipFile(tmp_path / "export" / "all.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)

    code, out, _ = medflow(tmp_path / "export", "--json", "--png", tmp_path / "out")

    report = json.loads(out)
    assert code == 0
    assert report["files"] == {"seen": 1, "accepted": 1, "quarantined": 0, "ignored": 0}
    assert report["members"] == {"seen": SLICES, "accepted": SLICES, "quarantined": 0, "ignored": 0}
    assert len(report["pictures"]["drawn"]) == 1


def test_nothing_that_is_printed_or_drawn_names_a_patient(medflow: Verb, tmp_path: Path) -> None:
    export = tmp_path / f"{CANARY}^JANE"
    paths = write_series(export, patient="PAT-1")
    keywords = (
        "PatientName", "PatientID", "InstitutionName", "SeriesDescription", "StudyDescription", "ProtocolName",
        "StationName", "DeviceSerialNumber", "AccessionNumber", "ManufacturerModelName", "Manufacturer", "StudyID",
        "OperatorsName", "RequestedProcedureDescription", "ConvolutionKernel", "ScanOptions", "ContrastBolusAgent",
    )  # fmt: skip
    for path in paths:
        dataset = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            for keyword in keywords:
                setattr(dataset, keyword, CANARY)
            dataset.BodyPartExamined, dataset.ImageComments = CANARY, f"seen {CANARY} 19500101"
            dataset.add_new(0x00091010, "LO", CANARY)
        dataset.save_as(path)
    shutil.copy(paths[0], export / f"{CANARY}.dcm")
    with paths[1].open("ab") as file:
        file.write(CANARY.encode())
    paths[2].write_bytes(paths[2].read_bytes()[:400])
    (export / "notes.txt").write_text(CANARY, encoding="utf-8")

    printed = [
        text
        for words in ((), ("--json",), ("--png", tmp_path / "out"), ("--png", tmp_path / "out", "--json"))
        for text in medflow(export, *words)[1:]
    ]

    drawn = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    assert drawn
    identity = [CANARY, "PAT-1", "1950", "1.2.826", "20240103", str(tmp_path)]
    assert not [token for token in identity for text in printed if token in text]
    assert not [token for token in identity for content in drawn if token.encode() in content]


def test_sigterm_ends_the_verb_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), _terminated_as_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is before
