"""Facts about the look at a folder: it says what would become of everything, touches nothing and names nobody."""

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from medflow.deid.keys import new_key
from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.progress import Silent
from medflow.errors import ConfigurationError, Reason
from medflow.steps.inspect import inspect
from medflow.steps.pictures import Pictures, check_places, draw
from medflow.steps.seen import InspectReport
from tests.deid.test_text import written
from tests.steps.exports import SLICES, write_series

SAMPLE = Path(__file__).parents[2] / "sample_dicom" / "export"
REAL = Path(os.environ.get("MEDFLOW_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "dicom"


def look(folder: Path) -> InspectReport:
    return inspect(folder, pseudonyms=Pseudonyms(key=new_key()), profile=default_profile())


def pictures(report: InspectReport, out: Path, *, faces: bool = False) -> Pictures:
    return draw(report, out, pseudonyms=Pseudonyms(key=new_key()), profile=default_profile(), faces=faces)


def changed(paths: list[Path], change: Callable[[pydicom.Dataset], None]) -> None:
    for path in paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def tree(*roots: Path) -> dict[str, tuple[int, int, int]]:
    """Name everything below some folders, with its size, mode and time of change."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")]:
            status = path.lstat()
            found[str(path)] = status.st_size, status.st_mode, status.st_mtime_ns
    return found


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A working folder, a home and a place for temporary files of this test's own."""
    places = [tmp_path / name for name in ("cwd", "home", "tmp")]
    for place in places:
        place.mkdir()
    monkeypatch.chdir(places[0])
    monkeypatch.setenv("HOME", str(places[1]))
    monkeypatch.setattr(tempfile, "tempdir", str(places[2]))
    return places


def test_every_file_of_the_awkward_sample_is_accounted_for() -> None:
    report = look(SAMPLE / "awkward")

    assert report.files.add_up
    assert report.files.seen == sum(path.is_file() for path in (SAMPLE / "awkward").rglob("*"))
    assert sum(report.reasons.values()) == report.files.quarantined + report.files.ignored
    assert [seen.state for seen in report.series] == ["accepted"] * len(report.series)
    assert not report.clean


def test_the_geometry_and_the_unit_of_a_series_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    (seen,) = look(tmp_path / "export").record()["series"]

    assert seen["modality"] == "CT"
    assert seen["unit"] == "HU"
    assert seen["body_part"] == seen["description"] == "CHEST"
    assert seen["files"] == SLICES
    assert seen["completeness"]["verdict"] == "quiet-only"
    (volume,) = seen["volumes"]
    assert volume["matrix"] == [32, 32, SLICES]
    assert volume["spacing"] == [4.0, 4.0, 4.0]
    assert (volume["orientation"], volume["tilt"], volume["run"]) == ("axial", 0.0, [1, 1])


def test_missing_slices_are_told_as_runs_and_contradict_completeness(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1", slices=(0, 1, 2, 5, 6, 7))

    (seen,) = look(tmp_path / "export").record()["series"]

    assert [volume["run"] for volume in seen["volumes"]] == [[1, 2], [2, 2]]
    assert seen["completeness"]["verdict"] == "contradicted"


def test_a_tilted_gantry_is_told_in_degrees(tmp_path: Path) -> None:
    def tilt(dataset: pydicom.Dataset) -> None:
        x, y, z = map(float, dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, round(y + z * np.tan(np.radians(15.0)), 3), z]

    changed(write_series(tmp_path / "export", patient="PAT-1"), tilt)

    (seen,) = look(tmp_path / "export").record()["series"]

    assert seen["volumes"][0]["tilt"] == pytest.approx(15.0, abs=0.05)
    assert seen["volumes"][0]["spacing"][2] == pytest.approx(4.0)


def test_a_unit_that_cannot_be_had_is_told_with_the_keyword_in_the_way(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "SAMPLE-PET-001", tmp_path / "export")

    def lighten(dataset: pydicom.Dataset) -> None:
        if "PatientWeight" in dataset:
            del dataset.PatientWeight

    changed([path for path in (tmp_path / "export").rglob("*") if path.is_file()], lighten)

    seen = next(one for one in look(tmp_path / "export").record()["series"] if one["modality"] == "PT")

    assert seen["unit"] == "Bq/ml"
    assert {unit: (one["reason"], one["detail"]) for unit, one in seen["units_missing"].items()} == {
        "SUVbw": ("no-suv", "PatientWeight")
    }


def test_a_ct_without_hounsfield_units_has_none_and_is_not_clean(tmp_path: Path) -> None:
    def forget(dataset: pydicom.Dataset) -> None:
        del dataset.RescaleSlope
        del dataset.RescaleIntercept

    changed(write_series(tmp_path / "export", patient="PAT-1"), forget)

    report = look(tmp_path / "export")
    drawn = pictures(report, tmp_path / "out")

    (seen,) = report.record()["series"]
    assert seen["unit"] is None
    assert seen["units_missing"]["HU"]["reason"] == "no-hounsfield-units"
    assert not report.clean
    assert [one.refusal.reason for one in drawn.missing] == [Reason.NO_HOUNSFIELD_UNITS]


def test_a_series_that_says_it_shows_text_would_be_withheld(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "export", patient="PAT-1")
    changed(paths[3:4], lambda dataset: setattr(dataset, "BurnedInAnnotation", "YES"))

    report = look(tmp_path / "export")
    drawn = pictures(report, tmp_path / "out")

    (seen,) = report.series
    assert seen.state == "withheld"
    assert report.files.quarantined == SLICES
    assert report.record()["series"][0]["refusal"]["detail"] == "BurnedInAnnotation"
    assert not drawn.drawn
    assert [one.refusal.reason for one in drawn.missing] == [Reason.BURNED_IN_TEXT]


def test_what_is_told_does_not_depend_on_the_names_of_files(tmp_path: Path) -> None:
    names = ["SAMPLE-CT-002", "SAMPLE-MR-005", "SAMPLE-PET-002", "awkward"]
    chance = random.Random(3)  # noqa: S311
    for name in names:
        shutil.copytree(SAMPLE / name, tmp_path / "named" / name)
    for number, path in enumerate(sorted((tmp_path / "named").rglob("*"), key=lambda _: chance.random())):
        if path.is_file():
            other = tmp_path / "shuffled" / str(number % 7) / f"{number * 7919 % 100_003:06}"
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, other)

    assert json.dumps(look(tmp_path / "named").record()) == json.dumps(look(tmp_path / "shuffled").record())


@pytest.mark.usefixtures("surroundings")
def test_nothing_is_written_anywhere(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "awkward", tmp_path / "export")
    before = tree(tmp_path)

    look(tmp_path / "export")

    assert tree(tmp_path) == before


def test_pictures_are_the_only_thing_that_is_written(tmp_path: Path, surroundings: list[Path]) -> None:
    shutil.copytree(SAMPLE / "awkward", tmp_path / "export")
    before = tree(tmp_path / "export", *surroundings[:2])

    report = look(tmp_path / "export")
    drawn = pictures(report, tmp_path / "out")

    assert tree(tmp_path / "export", *surroundings[:2]) == before
    assert not list(surroundings[2].iterdir())
    volumes = [(one["number"], volume["number"]) for one in report.record()["series"] for volume in one["volumes"]]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{a}_{b}.png" for a, b in volumes}
    assert drawn.clean
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as image:
            assert image.mode == "L"
            assert not image.info


def test_the_copy_is_removed_when_the_look_is_stopped_in_the_middle(tmp_path: Path, surroundings: list[Path]) -> None:
    write_series(tmp_path / "export" / "1", patient="PAT-1")
    write_series(tmp_path / "export" / "2", patient="PAT-2")
    left: list[list[Path]] = []

    class Stopping(Silent):
        def advance(self, parts: int = 1) -> None:  # noqa: ARG002  (the signature is that of a progress)
            left.append(list(surroundings[2].iterdir()))
            raise KeyboardInterrupt

    report = look(tmp_path / "export")
    with pytest.raises(KeyboardInterrupt):
        draw(
            report,
            tmp_path / "out",
            pseudonyms=Pseudonyms(key=new_key()),
            profile=default_profile(),
            progress=Stopping(),
        )

    assert left == [[]]
    assert not list(surroundings[2].iterdir())


def test_pictures_of_an_earlier_look_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    (tmp_path / "out").mkdir()
    for name in ("7_1.png", "notes.txt", "photo.png"):
        (tmp_path / "out" / name).write_text("x", encoding="utf-8")

    pictures(look(tmp_path / "export"), tmp_path / "out")

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1_1.png", "notes.txt", "photo.png"}


def test_a_volume_with_text_on_its_slices_is_not_drawn(tmp_path: Path) -> None:
    series = next((SAMPLE / "SAMPLE-CT-005").rglob("SE*"))
    shutil.copytree(series, tmp_path / "export")

    def scribble(dataset: pydicom.Dataset) -> None:
        values = dataset.pixel_array.copy()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.PixelData = written(values, "DOE JOHN", size=10, at=(2, 2), grey=2500).tobytes()

    changed([path for path in (tmp_path / "export").iterdir() if path.is_file()], scribble)

    drawn = pictures(look(tmp_path / "export"), tmp_path / "out")

    assert [one.refusal.reason for one in drawn.missing] == [Reason.BURNED_IN_TEXT]
    assert not drawn.drawn
    assert not list((tmp_path / "out").glob("*.png"))


def test_of_a_head_only_the_axial_plane_is_drawn_unless_heads_are_accepted(tmp_path: Path) -> None:
    report = look(SAMPLE / "SAMPLE-MR-001")

    pictures(report, tmp_path / "hidden")
    pictures(report, tmp_path / "accepted", faces=True)

    with Image.open(tmp_path / "hidden" / "1_1.png") as axial, Image.open(tmp_path / "accepted" / "1_1.png") as whole:
        assert whole.width > 2 * axial.width


def test_a_single_sagittal_slice_of_a_head_is_not_drawn(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "export", patient="PAT-1", slices=(3,))

    def turn(dataset: pydicom.Dataset) -> None:
        dataset.BodyPartExamined, dataset.ImageOrientationPatient = "HEAD", [0, 1, 0, 0, 0, -1]

    changed([path], turn)

    drawn = pictures(look(tmp_path / "export"), tmp_path / "out")

    assert [(one.volume, one.refusal.reason) for one in drawn.missing] == [(1, Reason.RECOGNIZABLE_FACE)]
    assert not list((tmp_path / "out").iterdir())


def test_pictures_and_temporary_files_may_not_lie_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "export").mkdir()

    with pytest.raises(ConfigurationError, match="pictures"):
        check_places(tmp_path / "export", tmp_path / "export" / "out")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "export"))
    with pytest.raises(ConfigurationError, match="TMPDIR"):
        check_places(tmp_path / "export", tmp_path / "out")


def test_a_folder_that_is_not_there_is_refused_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        look(tmp_path / "Family^Jane")

    assert "Jane" not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no real data: set MEDFLOW_REAL_DATA to a folder that holds dicom/")
@pytest.mark.parametrize("folder", ["ct_head_tilted_ge", "mr_localizers_ge", "odd_files", "petctmr_cohort/STS_002"])
def test_every_volume_of_the_real_data_has_its_picture_or_a_reason(tmp_path: Path, folder: str) -> None:
    report = look(REAL / folder)
    drawn = pictures(report, tmp_path / "out")

    assert report.files.add_up
    whole = {one.series for one in drawn.missing if one.volume is None}
    images = [
        (one["number"], image["number"])
        for one in report.record()["series"]
        if one["state"] == "accepted" and one["number"] not in whole
        for image in (*one["volumes"], *one["planes"])
    ]
    told = [(one.series, one.volume) for one in drawn.drawn]
    told += [(one.series, one.volume) for one in drawn.missing if one.volume is not None]
    assert sorted(told) == sorted(images)
    assert {one.name for one in drawn.drawn} == {path.name for path in (tmp_path / "out").iterdir()}
    assert not [one for one in drawn.drawn if one.withheld]
