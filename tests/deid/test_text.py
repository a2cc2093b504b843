"""Facts about the suspicion of burned-in text: what is written is found, what is scanned is left alone."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from scipy import ndimage

from medflow.deid.text import suspected_text, text_boxes
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder

EXPORT = Path(__file__).parents[2] / "sample_dicom" / "export"
SIDE = 160
Frame = NDArray[np.integer]


@lru_cache
def anatomy(patient: str) -> Frame:
    """A middle slice of a sample series, enlarged smoothly to a size on which words fit."""
    series = next(iter(scan_folder(EXPORT / patient).series))
    file = list(series.files())[len(series.instances) // 2]
    values = read_stored_values(file.path)[0]
    return np.asarray(ndimage.zoom(values.astype(np.int32), SIDE / min(values.shape), order=1))


PATIENTS = ("SAMPLE-CT-005", "SAMPLE-MR-003", "SAMPLE-PET-004")


def written(frame: Frame, text: str, *, size: int, at: tuple[int, int] = (6, 8), grey: float | None = None) -> Frame:
    """Draw `text` in antialiased letters, `grey` or as bright as the brightest pixel, its corner `at` (row, column)."""
    image = Image.new("L", frame.shape[::-1])
    ImageDraw.Draw(image).text((at[1], at[0]), text, fill=255, font=ImageFont.load_default(size))
    shade = np.asarray(image) / 255.0
    level = float(frame.max()) if grey is None else grey
    return np.rint(frame * (1 - shade) + shade * level).astype(frame.dtype)


@pytest.mark.parametrize("where", ["SAMPLE-ODD-003/ST20210311/SE002/IM09999.dcm", "SAMPLE-ODD-003/ST20210311/SE099"])
def test_the_screenshots_of_the_sample_are_suspected(where: str) -> None:
    place = EXPORT / "awkward" / where
    (path,) = [place] if place.is_file() else place.iterdir()

    assert suspected_text(dcmread(path).pixel_array)


def test_no_frame_of_the_ordinary_sample_is_suspected() -> None:
    files = [file for series in scan_folder(EXPORT).series for file in series.files()][::12]
    frames = [frame for file in files for frame in read_stored_values(file.path)]

    assert len(frames) > 150
    assert not [number for number, frame in enumerate(frames) if suspected_text(frame)]


@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("size", [10, 14, 24])
def test_a_name_on_anatomy_is_suspected_white_or_black(patient: str, size: int) -> None:
    frame = anatomy(patient)
    bright = np.full_like(frame, frame.max())
    bright[40:] = frame[40:]

    assert suspected_text(written(frame, "DOE JOHN", size=size))
    assert suspected_text(written(bright, "DOE JOHN", size=size, grey=float(frame.min())))
    assert not suspected_text(frame)


def test_most_texts_anywhere_on_anatomy_are_suspected() -> None:
    chance = np.random.default_rng(1)
    hits = []
    for _ in range(120):
        frame = anatomy(PATIENTS[chance.integers(3)])
        at = int(chance.integers(2, 120)), int(chance.integers(2, 50))
        size = int(chance.choice([10, 12, 14, 16, 20]))
        hits.append(suspected_text(written(frame, "MEYER^ANNA 1950"[: 160 // size], size=size, at=at)))

    assert np.mean(hits) >= 0.9


@given(
    size=st.integers(10, 40),
    text=st.sampled_from(["DOE JOHN", "12.03.1950", "ID 0012345", "Kowalski"]),
    low=st.integers(-2000, 1000),
    extent=st.integers(60, 60000),
    white=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_text_on_a_flat_ground_is_suspected_whatever_its_size_and_the_range_of_greys(
    *, size: int, text: str, low: int, extent: int, white: bool
) -> None:
    ground, ink = (low, low + extent) if white else (low + extent, low)
    frame = np.full((64, 300), ground, np.int32)

    assert suspected_text(written(frame, text, size=size, grey=ink))


@given(kind=st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]), flipped=st.booleans())
@settings(max_examples=12, deadline=None)
def test_neither_type_nor_polarity_of_the_stored_values_matters(*, kind: type[np.generic], flipped: bool) -> None:
    frame = np.asarray(np.interp(anatomy("SAMPLE-CT-005"), (-1024, 1000), (20, 220)))
    clean, said = frame.astype(kind), written(frame.astype(np.int32), "DOE JOHN", size=14, grey=250).astype(kind)
    if flipped:
        clean, said = (np.subtract(255, values).astype(kind) for values in (clean, said))

    assert suspected_text(said)
    assert not suspected_text(clean)


@pytest.mark.parametrize("marker", ["L", "R", "AP", "PA"])
@pytest.mark.parametrize("size", [12, 24, 40])
def test_a_side_marker_passes(marker: str, size: int) -> None:
    assert not suspected_text(written(anatomy("SAMPLE-CT-005"), marker, size=size, at=(20, 20)))


def test_text_turned_by_a_quarter_is_suspected() -> None:
    frame = anatomy("SAMPLE-MR-003")[:SIDE, :SIDE]

    assert suspected_text(np.rot90(written(frame, "DOE JOHN 1950", size=14, grey=1.5 * frame.max())))


def test_the_box_lies_around_the_words() -> None:
    frame = written(np.zeros((200, 400), np.uint8), "KOWALSKI", size=20, at=(90, 100), grey=255)
    rows, columns = np.nonzero(frame)

    boxes = text_boxes(frame)

    assert boxes
    assert min(box[0] for box in boxes) <= rows.min() + 2
    assert max(box[2] for box in boxes) >= rows.max() - 2
    assert min(box[1] for box in boxes) <= columns.min() + 2
    assert max(box[3] for box in boxes) >= columns.max() - 2
    assert all(80 <= top < bottom <= 125 for top, _, bottom, _ in boxes)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((0, 0), np.int16),
        np.zeros((1, 1), np.uint8),
        np.zeros((3, 700), np.uint16),
        np.full((64, 64), 7, np.int32),
        np.full((64, 64), np.nan, np.float32),
        np.full((64, 64), np.inf, np.float64),
        np.random.default_rng(1).normal(0, 100, (256, 256)),
        np.random.default_rng(1).integers(0, 2, (128, 128), np.uint8),
    ],
    ids=["empty", "a pixel", "a strip", "flat", "not a number", "infinite", "noise", "black and white noise"],
)
def test_what_shows_nothing_is_not_suspected(frame: NDArray[np.generic]) -> None:
    assert not suspected_text(frame)


@pytest.mark.parametrize("size", [32, 128, 512])
def test_a_chequer_a_grid_and_the_ticks_of_a_scale_are_no_writing(size: int) -> None:
    y, x = np.mgrid[:size, :size]
    chequer, grid = (x // 4 + y // 4) % 2 * 1000, ((y % 8 == 0) | (x % 8 == 0)) * 1000
    ticks = ((x % 10 < 2) & (y > size // 2) & (y < size // 2 + 8)) * 1000

    assert not any(suspected_text(drawn) for drawn in (chequer, grid, ticks))
