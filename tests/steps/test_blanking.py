"""Facts about text that is blanked: on all slices or pictures of a series, and drawn for who wants to see."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from scipy import ndimage

from medflow.deid.profile import DEFAULT, Choices, TextPolicy, profile_of
from medflow.deid.pseudonyms import Pseudonyms
from medflow.errors import ConfigurationError, Reason
from medflow.steps.audit import events
from medflow.steps.deidentify import DeidentifyReport, deidentify
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.inspect import inspect
from tests.deid import others
from tests.dicom.drawn import written
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_series

HOUSE = Pseudonyms(key=bytes(range(32)))
BLANKING = profile_of(Choices(name="blank", options=DEFAULT.options, text=TextPolicy.BLANK))
WITHHOLDING = profile_of(Choices(name="withhold", options=DEFAULT.options))
NAME, CORNER, SIDE = "DOE JANE", (10, 60), 160
Words = NDArray[np.floating]


def words(side: tuple[int, int] = (SIDE, SIDE), corner: tuple[int, int] = CORNER) -> Words:
    """Draw the name, (row, column): 1 on letters, 0 elsewhere."""
    image = Image.new("L", side[::-1])
    ImageDraw.Draw(image).text(corner[::-1], NAME, fill=255, font=ImageFont.load_default(14))
    return np.asarray(image) / 255


def write_on(paths: list[Path], values: tuple[int, ...]) -> dict[str, NDArray[np.int16]]:
    """Make slices of a series larger and write the name on each in a grey of `values`: patient UID -> clean pixels."""
    clean = {}
    for path, value in zip(paths, values, strict=True):
        dataset = dcmread(path)
        pixels = ndimage.zoom(dataset.pixel_array.astype(np.float32), SIDE / dataset.Rows, order=1).astype(np.int16)
        drawn = np.rint(pixels * (1 - words()) + words() * value).astype(np.int16)
        dataset.Rows = dataset.Columns = SIDE
        dataset.PixelData = drawn.tobytes()
        dataset.save_as(path)
        clean[HOUSE.uid(dataset.SOPInstanceUID)] = pixels
    return clean


def run(tmp_path: Path, *, withholding: bool = False, pictures: Path | None = None) -> DeidentifyReport:
    profile = WITHHOLDING if withholding else BLANKING
    return deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=HOUSE, profile=profile, pictures=pictures)


def test_a_name_that_is_hard_to_see_on_one_slice_is_blanked_where_it_is_plain_on_another(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", patient="PAT-1", bright=True)
    hidden = -895  # among noise of 30 around -900
    clean = write_on(paths, (1200,) * 2 + (hidden,) * (SLICES - 2))

    report = run(tmp_path, pictures=tmp_path / "pictures")

    places = [np.argwhere(words() > 0.1)[index] for index in (0, -1)]
    for file in (tmp_path / "out").rglob("*.dcm"):
        dataset = dcmread(file)
        left, before = dataset.pixel_array, clean[dataset.SOPInstanceUID]
        assert np.ptp(left[words() > 0]) == 0
        assert all(left[row, column] == left.min() for row, column in places)
        assert np.array_equal(left[60:], before[60:])
        assert dataset.BurnedInAnnotation == "NO"
        assert "113101" in {code.CodeValue for code in dataset.DeidentificationMethodCodeSequence}
    assert report.files.accepted == report.ledger.pixels["blanked"] == SLICES
    assert report.record()["pixels"]["boxes"] >= SLICES
    [picture] = (tmp_path / "pictures").iterdir()
    assert picture.name == f"{HOUSE.uid(dcmread(paths[0]).SeriesInstanceUID)}.png"
    assert Image.open(BytesIO(picture.read_bytes())).size[0] > SIDE


def test_a_name_on_one_slice_withholds_its_series_and_no_other(tmp_path: Path) -> None:
    write_on(write_series(tmp_path / "in" / "1", patient="PAT-1"), (-900,) * (SLICES - 1) + (1200,))
    write_series(tmp_path / "in" / "2", patient="PAT-2")

    report = run(tmp_path, withholding=True)

    assert report.reasons == {Reason.BURNED_IN_TEXT: SLICES}
    assert report.files.accepted == SLICES


def test_a_name_on_one_picture_is_blanked_on_all_pictures_of_its_series(tmp_path: Path) -> None:
    pictures = [others.with_palette(number) for number in (1, 2)]
    shade = words((others.ROWS, others.COLUMNS), (4, 4)) > 0.5
    indices = np.frombuffer(pictures[0].PixelData, np.uint8)[: shade.size].reshape(shade.shape).copy()
    indices[shade] = indices.max()
    pictures[0].PixelData = indices.tobytes()
    (tmp_path / "in").mkdir()
    for number, picture in enumerate(pictures):
        picture.SeriesInstanceUID = pictures[0].SeriesInstanceUID
        (tmp_path / "in" / f"{number}.dcm").write_bytes(written(picture))

    report = run(tmp_path, pictures=tmp_path / "pictures")

    names = {HOUSE.uid(picture.SOPInstanceUID) for picture in pictures}
    assert report.ledger.pixels["blanked"] == 2
    assert {file.stem for file in (tmp_path / "out").rglob("*.dcm")} == names
    assert {file.stem for file in (tmp_path / "pictures").iterdir()} == names
    for file in (tmp_path / "out").rglob("*.dcm"):
        assert np.ptp(dcmread(file).pixel_array[shade]) == 0


def test_pictures_are_not_drawn_into_the_export(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    with pytest.raises(ConfigurationError):
        run(tmp_path, pictures=tmp_path / "in" / "pictures")


def test_what_a_header_says_of_text_withholds_nothing_where_text_is_blanked(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", patient="PAT-1", slices=(3, 4))
    write_on(paths, (1200, 1200))
    for path in paths:
        dataset = dcmread(path)
        dataset.BurnedInAnnotation = "YES"
        dataset.save_as(path)

    by_policy = {
        profile.text: inspect(tmp_path / "in", pseudonyms=HOUSE, profile=profile).series[0].state
        for profile in (BLANKING, WITHHOLDING)
    }

    assert by_policy == {TextPolicy.BLANK: "accepted", TextPolicy.WITHHOLD: "withheld"}
    assert run(tmp_path).files.accepted == 2


def test_a_broken_frame_costs_its_series_and_no_other(tmp_path: Path) -> None:
    one, other = (write_series(tmp_path / "in" / name, patient=name) for name in ("PAT-1", "PAT-2"))
    for path in (*one, *other):
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.PlanarConfiguration = 1  # it says nothing of grey pixels
        dataset.save_as(path)
    frame = dcmread(other[3])
    frame.PixelData = encapsulate([bytes(64)])
    frame.save_as(other[3])

    report = run(tmp_path)

    assert report.reasons == {Reason.DAMAGED_PIXELS: SLICES}
    assert report.files.accepted == SLICES


def test_the_house_writes_down_how_many_frames_it_blanked(house: House, tmp_path: Path) -> None:
    write_on(write_series(tmp_path / "in", patient="PAT-1", slices=(3, 4)), (1200, 1200))

    ingest(replace(house, profile=BLANKING), tmp_path / "in", source=EXPORT)

    told = [event for event in events(house, subject=None, run=None, limit=100) if event["kind"] == "series-accepted"]
    assert [event["detail"]["text-blanked"] for event in told] == [2]
