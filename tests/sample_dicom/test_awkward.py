"""The sample is valid DICOM where it means to be, and awkward exactly where the README says so."""

import shutil
import subprocess
import sysconfig
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest

from sample_dicom.awkward import MISSING, SCANNER
from sample_dicom.generate import EXPORT
from sample_dicom.subjects import TaskName, subject
from tests.sample_dicom.reading import ONE_OF_EACH, SAMPLE, study

AWKWARD = SAMPLE / EXPORT / "awkward"
NO_DICOM = {"README.TXT", "DICOMDIR", "EMPTY.dcm"}


def errors(path: Path) -> list[str]:
    """Let dciodvfy judge one file; its warnings are no verdict."""
    program = shutil.which("dciodvfy", path=sysconfig.get_path("scripts"))
    assert program, "install the development extra: dicom3tools carries dciodvfy"
    judged = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    return [line for line in (judged.stdout + judged.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize(("task", "number"), ONE_OF_EACH)
def test_the_verifier_finds_no_error_in_any_kind_of_slice(task: TaskName, number: int) -> None:
    for folder in study(subject(task, number)).iterdir():
        assert errors(min(folder.iterdir())) == []


@pytest.mark.parametrize("path", ["SE001/IM00001.dcm", "SE002/IM09999.dcm", "SE099/IM00001.dcm"])
def test_the_verifier_finds_no_error_in_scout_and_screenshots(path: str) -> None:
    assert errors(study(subject("awkward", 3)) / path) == []


@pytest.mark.slow
def test_the_verifier_finds_no_error_in_a_slice_of_any_series() -> None:
    broken = study(subject("awkward", 4)) / "SE002"
    series = {path.parent for path in (SAMPLE / EXPORT).rglob("IM*")} - {broken}

    assert len(series) > 100
    assert [folder for folder in series if errors(min(folder.iterdir()))] == []


def test_the_first_awkward_series_lacks_one_slice() -> None:
    places = sorted(_height(path) for path in (study(subject("awkward", 1)) / "SE002").iterdir())

    steps = [round(after - before, 3) for before, after in pairwise(places)]
    step = SCANNER.stack.spacing[0]
    assert steps == [step] * (MISSING - 1) + [2 * step] + [step] * (len(steps) - MISSING)


def test_the_second_holds_one_file_twice() -> None:
    contents = [path.read_bytes() for path in (study(subject("awkward", 2)) / "SE002").iterdir()]

    assert len(contents) == len(set(contents)) + 1


def test_the_third_holds_a_scout_and_two_screenshots_in_the_study_one_of_them_in_the_series() -> None:
    home = study(subject("awkward", 3))
    chest, scout, inside, beside = (
        pydicom.dcmread(home / path)
        for path in ("SE002/IM00001.dcm", "SE001/IM00001.dcm", "SE002/IM09999.dcm", "SE099/IM00001.dcm")
    )

    assert {ds.StudyInstanceUID for ds in (scout, inside, beside)} == {chest.StudyInstanceUID}
    assert inside.SeriesInstanceUID == chest.SeriesInstanceUID != beside.SeriesInstanceUID
    assert inside.SOPClassUID == beside.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert "LOCALIZER" in scout.ImageType


def test_what_is_no_dicom_cannot_be_read() -> None:
    whole = len((study(subject("awkward", 1)) / "SE002" / "IM00001.dcm").read_bytes())
    broken = next(path for path in study(subject("awkward", 4)).rglob("*") if path.is_file())

    assert {path.name for path in AWKWARD.iterdir() if path.is_file()} == NO_DICOM
    assert (AWKWARD / "EMPTY.dcm").stat().st_size == 0
    assert (AWKWARD / "DICOMDIR").read_bytes()[128:132] == b"DICM"
    assert broken.stat().st_size < whole


def test_awkward_patients_have_no_label() -> None:
    assert all("ODD" not in path.read_text("ascii") for path in (SAMPLE / "labels").iterdir())


def _height(path: Path) -> float:
    return float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])
