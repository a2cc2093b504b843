"""Text burned into pixels: each frame looked at, and what is found blanked, or the series withheld."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

import numpy as np
import scipy
from pydicom import Dataset

from medflow.deid.boxes import MARGIN, band, merged, wider
from medflow.deid.native import Integers
from medflow.deid.ocr import can_read, readable
from medflow.deid.original import text_of
from medflow.deid.profile import Option, Profile, TextPolicy
from medflow.deid.strokes import places
from medflow.deid.text import Box, text_boxes, weighed_lines
from medflow.errors import Reason, SeriesError

IMAGE_TYPE, SOP_CLASS, BURNED_IN = 0x00080008, 0x00080016, 0x00280301
STORAGE = "1.2.840.10008.5.1.4.1.1."
WRITTEN_ON = tuple(STORAGE + kind for kind in ("3", "6", "7", "12", "13.1.1", "13.1.2", "77.1.1", "77.1.4", "481.1"))
"""Classes on which devices write names as a rule, and those below them (PS3.4 B.5).

Ultrasound, captures, angiography and fluoroscopy, endoscopy and photographs, portal images.
"""
PICTURES_OF_SCREENS = ("SCREEN SAVE", "SCREENSHOT", "SCREEN_SAVE", "DOSE_INFO", "DOSE REPORT", "REPORT")
"""Values of ImageType by which scanners mark pictures with text in them."""
LIKELY, SLIGHT = -2.0, -8.0
"""Log odds from which a line is text where a cheaper detector suspected it too, and from which it is worth reading."""
ROOMY = 128
"""Pixels: a frame that is no smaller has room for a name, and whatever is flagged on it is read."""
ROUNDS = 3
"""Times that a frame is blanked and looked at again before it is given up."""


class Look(Enum):
    """How closely the frames of an object are looked at."""

    GLIMPSE = "what a cheap detector flags is looked at closer"
    CLOSE = "each frame whole, by what knows strokes"
    READ = "each frame whole, by what knows strokes, and by reading"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blanked:
    """Frames in which no text is left, and where it was."""

    frames: Integers = field(repr=False)
    """(frame, row, column) or (frame, row, column, sample), the very ones handed in where nothing was blanked."""
    boxes: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)
    """Frame (0-based) -> the boxes that were blanked in it; frames without one are absent."""


def without_text(
    dataset: Dataset,
    frames: Integers,
    profile: Profile,
    *,
    planar: bool,
    known: Collection[Box] | None = None,
    reading: bool = True,
) -> Blanked:
    """Look at every frame of an object and blank the text that is found, as the profile says.

    Nothing is looked at without `Option.CLEAN_PIXELS`. What stands on one frame is blanked on all: those on which
    nobody can read it have it too. `known` are the places found on all objects of the same series (`across`), and then
    none are looked for here. A box is filled with the padding value of the object, else with the frame's lowest; then
    the frame is looked at again. With `reading` False the extra `ocr` counts as absent.

    Raises:
        SeriesError: text is found, and the profile withholds, or it cannot be blanked; or it may well be there, and
            nothing can read it.
    """
    blanking = blanks(profile)
    if not blanking:
        withhold_text(dataset)
    if Option.CLEAN_PIXELS not in profile.options:
        return Blanked(frames=frames)
    found = text_in(dataset, frames, planar=planar, whole=blanking, reading=reading) if known is None else known
    boxes = merged(found if blanking else islice(found, 1))
    if not boxes:
        withhold_text(dataset)  # it says so, and none is found to blank
        return Blanked(frames=frames)
    if not blanking:
        raise SeriesError(Reason.BURNED_IN_TEXT, "PixelData")
    reading = reading and can_read()
    return _blanked(dataset, frames, boxes, _look(dataset, planar=planar, reading=reading), reading=reading)


def text_in(
    dataset: Dataset, frames: Integers, *, planar: bool, whole: bool = True, reading: bool = True
) -> Iterator[Box]:
    """Look at every frame of an object, as `without_text` does, and give boxes around what may be text.

    What has the strokes of text is read too if its `whole` line is wanted, for part of it may be harder to see.

    Raises:
        SeriesError: text may well be there, and nothing can read it.
    """
    reading = reading and can_read()
    look = _look(dataset, planar=planar, reading=reading)
    for frame in frames:
        yield from _found(frame, look, whole=whole, reading=reading)


def blanks(profile: Profile) -> bool:
    """Say whether text that is found is blanked."""
    return Option.CLEAN_PIXELS in profile.options and profile.text is TextPolicy.BLANK


def withhold_text(dataset: Dataset) -> None:
    """Refuse an object that says of itself that text is burned into its pixels.

    Raises:
        SeriesError: it does.
    """
    announced = _announced(dataset)
    if announced:
        raise SeriesError(Reason.BURNED_IN_TEXT, announced)


def _announced(dataset: Dataset) -> str:
    """Name the attribute by which an object says that text is burned into its pixels; empty where none does."""
    if text_of(dataset.get_item(BURNED_IN), ()).upper() == "YES":
        return "BurnedInAnnotation"
    return "" if _image_type(dataset).isdisjoint(PICTURES_OF_SCREENS) else "ImageType"


def _image_type(dataset: Dataset) -> frozenset[str]:
    values = text_of(dataset.get_item(IMAGE_TYPE), ()).upper().split("\\")
    return frozenset(value.strip() for value in values)


def _look(dataset: Dataset, *, planar: bool, reading: bool) -> Look:
    """Choose how closely an object is looked at; BurnedInAnnotation NO proves nothing, and is not asked.

    Raises:
        SeriesError: it must be read, and nothing can read it.
    """
    kind = text_of(dataset.get_item(SOP_CLASS), ())
    if _announced(dataset) or any(kind == each or kind.startswith(f"{each}.") for each in WRITTEN_ON):
        if not reading:
            raise SeriesError(Reason.TEXT_CANNOT_BE_READ)
        return Look.READ
    if _image_type(dataset) & {"DERIVED", "SECONDARY"}:
        return Look.READ if reading else Look.CLOSE
    return Look.CLOSE if planar else Look.GLIMPSE


def _found(frame: Integers, look: Look, *, whole: bool, reading: bool) -> tuple[Box, ...]:
    """Give boxes around what may be text on one frame, (row, column) or (row, column, sample)."""
    colours = [frame] if frame.ndim == 2 else list(np.moveaxis(frame, -1, 0))  # noqa: PLR2004
    found: set[Box] = set()
    if look is Look.READ:
        found.update(readable(frame if len(colours) > 1 else colours[0]))
    for grey in colours:  # each colour by itself: a letter may be as bright as what is around it
        flagged = places(grey, margin=MARGIN)
        if flagged:
            found.update(_closer(grey, flagged, whole=whole, reading=reading and look is not Look.READ))
        elif look is not Look.GLIMPSE:
            found.update(text_boxes(grey))
    return tuple(sorted(found))


def _closer(grey: Integers, flagged: tuple[Box, ...], *, whole: bool, reading: bool) -> Iterator[Box]:
    """Look at the flagged places of a frame, and at all of it; what looks only a little like text is read."""
    lines = [*weighed_lines(grey), *(line for place in flagged for line in _enlarged(grey, place))]
    sure = [box for odds, box in lines if odds > LIKELY]
    yield from sure
    roomy = min(grey.shape) >= ROOMY
    if reading and (whole if sure else roomy or any(odds > SLIGHT for odds, _ in lines)):
        for place in flagged:
            yield from _read(grey, place)


def _read(frame: Integers, place: Box) -> Iterator[Box]:
    """Read one place of a frame."""
    top, left, bottom, right = place
    part = frame[top:bottom, left:right]
    for box in readable(part[..., 0] if part.shape[2:] == (1,) else part):
        yield top + box[0], left + box[1], top + box[2], left + box[3]


def _enlarged(grey: Integers, place: Box) -> Iterator[tuple[float, Box]]:
    """Weigh the lines of one place enlarged twice, for the smallest letters have strokes of a single pixel."""
    top, left, bottom, right = place
    crop = grey[top:bottom, left:right].astype(np.float32)
    for odds, box in weighed_lines(scipy.ndimage.zoom(crop, 2, order=1, grid_mode=True, mode="nearest")):
        yield odds, (top + box[0] // 2, left + box[1] // 2, top - box[2] // -2, left - box[3] // -2)


def _blanked(dataset: Dataset, frames: Integers, boxes: Collection[Box], look: Look, *, reading: bool) -> Blanked:
    """Fill boxes on every frame, and what a second look finds after that, until nothing is found.

    Raises:
        SeriesError: something is still found.
    """
    filled = frames.copy()
    done: dict[int, tuple[Box, ...]] = {}
    for number in range(len(frames)):
        neutral = _neutral(dataset, frames[number])
        left_over, blank = boxes, set[Box]()
        for turn in range(1, ROUNDS + 1):
            now = {wider(box, turn, frames.shape[1:3]) for box in left_over}
            for top, left, bottom, right in now:
                filled[number, top:bottom, left:right] = neutral
            blank |= now
            found = set(_found(filled[number], look, whole=True, reading=reading))
            if reading and look is not Look.READ:  # part of a line may be harder to see, but not to read
                found.update(*(_read(filled[number], band(box, frames.shape[1:3])) for box in now))
            left_over = merged(found)
            if not left_over:
                break
        else:
            raise SeriesError(Reason.BURNED_IN_TEXT, "PixelData")
        done[number] = tuple(sorted(blank))
    return Blanked(frames=filled, boxes=done)


def _neutral(dataset: Dataset, frame: Integers) -> Integers:
    """Give what a blanked pixel holds: PixelPaddingValue (PS3.3 C.7.5.1.1.2) where a grey pixel can, else the lowest.

    Of colours, the lowest of each sample.
    """
    lowest = frame.min(axis=(0, 1))
    padding = dataset.get("PixelPaddingValue")
    bits = int(dataset.BitsStored)
    signed = dataset.PixelRepresentation == 1
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if isinstance(padding, int) and low <= padding <= high and np.size(lowest) == 1:
        return np.asarray(padding, frame.dtype)
    return np.asarray(lowest)
