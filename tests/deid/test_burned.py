"""Facts about text burned into pixels: every frame is looked at, and what is found is blanked or withheld."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from scipy import ndimage

from medflow.deid.burned import Blanked, without_text
from medflow.deid.profile import DEFAULT, Choices, Option, Profile, TextPolicy, profile_of
from medflow.deid.strokes import may_hold_text
from medflow.deid.text import suspected_text
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder
from medflow.errors import Reason, SeriesError

EXPORT = Path(__file__).parents[2] / "sample_dicom" / "export"
WITHHOLDING = profile_of(Choices(name="withhold", options=DEFAULT.options | {Option.CLEAN_PIXELS}))
BLANKING = profile_of(Choices(name="blank", options=WITHHOLDING.options, text=TextPolicy.BLANK))
UNSEEN = profile_of(Choices(name="unseen", options=DEFAULT.options - {Option.CLEAN_PIXELS}))
CT, CAPTURE, ULTRASOUND = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "7", "6.1"))
PADDING = -2000
Frames = NDArray[np.integer]


@lru_cache
def volume() -> Frames:
    """Some slices of a sample CT, smoothly enlarged to a size on which words fit."""
    series = next(iter(scan_folder(EXPORT / "SAMPLE-CT-005").series))
    slices = [read_stored_values(file.path)[0] for file in list(series.files())[8:12]]
    return np.stack([ndimage.zoom(each.astype(np.float32), 4, order=1) for each in slices]).astype(np.int16)


def said(frames: Frames, text: str, *, frame: int = 0, size: int = 14, at: tuple[int, int] = (6, 8)) -> Frames:
    """Draw `text` in the brightest grey into one frame, its corner `at` (row, column)."""
    image = Image.new("L", frames.shape[2:0:-1])
    ImageDraw.Draw(image).text(at[::-1], text, fill=255, font=ImageFont.load_default(size))
    shade = np.asarray(image) / 255
    shade = shade if frames.ndim == 3 else shade[..., None]
    drawn = frames.copy()
    drawn[frame] = np.rint(frames[frame] * (1 - shade) + shade * frames.max())
    return drawn


def header(sop_class: str = CT, **attributes: Any) -> Dataset:  # noqa: ANN401
    """Make as much of a header as is asked."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.BitsStored, dataset.PixelRepresentation = (8, 0) if sop_class != CT else (16, 1)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def looked_at(
    frames: Frames, profile: Profile = BLANKING, dataset: Dataset | None = None, *, reading: bool = True
) -> Blanked:
    return without_text(header() if dataset is None else dataset, frames, profile, planar=False, reading=reading)


def reason(frames: Frames, profile: Profile, dataset: Dataset | None = None, *, reading: bool = True) -> Reason:
    with pytest.raises(SeriesError) as caught:
        looked_at(frames, profile, dataset, reading=reading)
    return caught.value.reason


@lru_cache
def scan_converted() -> Frames:
    """Two frames in colour, a sector with speckle as of an ultrasound."""
    rows, columns = np.indices((160, 200))
    sector = (np.hypot(rows, columns - 100) < 150) & (np.abs(columns - 100) < rows)
    speckle = ndimage.gaussian_filter(np.random.default_rng(5).normal(0, 1, (2, 160, 200)), (0, 1.5, 1.5))
    grey = np.clip(60 + 160 * speckle, 0, 200) * sector
    return np.repeat(grey[..., None], 3, axis=3).astype(np.uint8)


@pytest.mark.parametrize("reading", [True, False])
def test_frames_without_text_are_the_very_ones_handed_in(*, reading: bool) -> None:
    frames = volume()

    done = looked_at(frames, WITHHOLDING, reading=reading)

    assert done.frames is frames
    assert not done.boxes


@pytest.mark.parametrize("reading", [True, False])
def test_a_name_on_one_frame_is_blanked_at_its_place_on_all_and_nothing_else_is_touched(*, reading: bool) -> None:
    frames = volume()
    written = said(frames, "DOE JANE", frame=2)

    done = looked_at(written, dataset=header(PixelPaddingValue=PADDING), reading=reading)

    outside = np.ones(frames.shape, bool)
    for top, left, bottom, right in done.boxes[2]:
        outside[:, top:bottom, left:right] = False
    assert set(done.boxes) == {0, 1, 2, 3}
    assert (done.frames[~outside] == PADDING).all()
    assert (~outside).sum() < 4 * 4000
    assert np.array_equal(done.frames[outside], frames[outside])
    assert done.frames.dtype == frames.dtype
    assert np.array_equal(looked_at(done.frames, reading=reading).frames, done.frames)


def test_without_a_padding_value_a_box_takes_the_lowest_grey_of_its_frame() -> None:
    written = said(volume(), "DOE JANE", frame=1)

    done = looked_at(written, reading=False)

    assert {int(done.frames[1][top, left]) for top, left, _, _ in done.boxes[1]} == {int(written[1].min())}


def test_two_looks_give_the_same_bytes() -> None:
    written = said(said(volume(), "DOE JANE"), "12.03.1950", frame=3, at=(200, 60))

    first, second = looked_at(written), looked_at(written)

    assert first.frames.tobytes() == second.frames.tobytes()
    assert first.boxes == second.boxes


def test_the_profile_withholds_instead_and_without_the_option_nothing_is_looked_at() -> None:
    written = said(volume(), "DOE JANE")

    assert reason(written, WITHHOLDING) is Reason.BURNED_IN_TEXT
    assert looked_at(written, UNSEEN).frames is written


@pytest.mark.parametrize(
    "attributes", [{"BurnedInAnnotation": "YES"}, {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}]
)
def test_an_object_that_says_it_shows_text_is_withheld_unless_that_is_found_and_blanked(
    attributes: dict[str, Any],
) -> None:
    frames = volume()[:1]
    told = header(**attributes)

    assert {reason(frames, profile, told) for profile in (UNSEEN, WITHHOLDING, BLANKING)} == {Reason.BURNED_IN_TEXT}
    assert looked_at(said(frames, "DOE JANE"), BLANKING, told).boxes
    assert reason(frames, BLANKING, told, reading=False) is Reason.TEXT_CANNOT_BE_READ


@pytest.mark.parametrize("sop_class", [CAPTURE, ULTRASOUND])
def test_what_devices_write_on_is_read_frame_by_frame_or_not_let_through(sop_class: str) -> None:
    frames = scan_converted()
    dataset = header(sop_class, BurnedInAnnotation="NO")
    written = said(frames, "DOE JANE", frame=1, size=12, at=(4, 110))

    clean, done = looked_at(frames, WITHHOLDING, dataset), looked_at(written, BLANKING, dataset)

    assert clean.frames is frames
    assert set(done.boxes) == {0, 1}  # the same place in every frame of a film
    assert done.frames[:, 4:16, 112:160].max() < 100
    assert reason(written, WITHHOLDING, dataset) is Reason.BURNED_IN_TEXT
    assert reason(frames, BLANKING, dataset, reading=False) is Reason.TEXT_CANNOT_BE_READ


@pytest.mark.parametrize("reading", [True, False])
def test_derived_images_are_let_through_where_they_show_no_text(*, reading: bool) -> None:
    frames = volume()[:2]
    dataset = header(ImageType=["DERIVED", "SECONDARY", "MPR"])

    assert looked_at(frames, WITHHOLDING, dataset, reading=reading).frames is frames
    assert reason(said(frames, "DOE JANE"), WITHHOLDING, dataset, reading=reading) is Reason.BURNED_IN_TEXT


def test_text_all_over_a_frame_is_blanked_or_withheld_and_never_left() -> None:
    frames = volume()[:1]
    for row in range(2, 230, 24):
        frames = said(frames, "MEYER ANNA 12.03.1950 HOSP 77", at=(row, 1))

    done = looked_at(frames, reading=False)

    assert not suspected_text(done.frames[0])
    assert np.median(np.abs(done.frames[0].astype(int) - frames[0])) > 0


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32])
def test_a_glimpse_sees_letters_of_every_type_polarity_and_size_and_leaves_anatomy(kind: type[np.generic]) -> None:
    low, high = (
        (0, 120) if np.dtype(kind).itemsize == 1 else (-500, 3000) if np.dtype(kind).kind in "if" else (0, 65535)
    )
    clean = np.interp(volume()[0], (-1024, 1500), (low, low + 0.7 * (high - low)))
    for size in (8, 14, 40):
        written = said(np.stack([clean]), "DOE JANE", size=size)[0]
        written = np.where(written == clean, clean, np.interp(written, (low, clean.max()), (low, high)))
        for frame in (written, low + high - written, np.rot90(written)):
            assert may_hold_text(frame.astype(kind))
    assert not may_hold_text(clean.astype(kind))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 700), (7, 7), (8, 8), (9, 200), (64, 64)])
def test_a_glimpse_at_nothing_sees_nothing(shape: tuple[int, int]) -> None:
    assert not may_hold_text(np.full(shape, -5, np.int16))
    assert not may_hold_text(np.full(shape, np.nan, np.float32))
