"""Colours of a palette (PS3.3 C.7.9): the picture that they make, and whether they are colours and no message."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from medflow.deid.native import Integers
from medflow.deid.original import Original, text_of
from medflow.deid.text import Box
from medflow.dicom.pixels import stored_samples
from medflow.errors import Reason, SeriesError

PALETTE = "PALETTE COLOR"
PHOTOMETRIC = 0x00280004
PIXEL_DATA = 0x7FE00010
TABLES = (0x00281201, 0x00281202, 0x00281203)
DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)
SHORTEST_MESSAGE = 4
"""Letters or digits in a row that could be a word."""
BETWEEN = b" .,-/:_^"
TURNS = 2
"""A row of letters that rises and falls so often is no ramp of colours."""


def colours_of(element: Original) -> bytes | None:
    """Give the entries of one colour's table in little endian bytes; None where some of them spell something.

    Colours rise and fall slowly; letters do not. They are looked for in the bytes, and in the low and the high bytes.
    """
    value = element.value
    if not isinstance(value, bytes) or not value:
        return None
    if not getattr(element, "is_little_endian", True):
        value = np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
    return None if any(_spells(part) for part in (value, value[::2], value[1::2])) else value


def has_palette(dataset: Dataset) -> bool:
    """Say whether the pixels of an image are indices into a palette."""
    return text_of(dataset.get_item(PHOTOMETRIC) if PHOTOMETRIC in dataset else None, ()) == PALETTE


def indices_of(dataset: Dataset) -> Integers:
    """Read the pixels of an image with a palette: (frame, row, column, 1), each the index of its colour.

    Raises:
        SeriesError: they are damaged or packed in a way that is not read; an entry of the palette spells something.
    """
    if any(tag not in dataset or colours_of(dataset.get_item(tag)) is None for tag in TABLES):
        raise SeriesError(Reason.COLOUR_IMAGE, PALETTE)
    grey = dataset.group_dataset(0x0028)
    grey.file_meta = dataset.file_meta
    grey.PhotometricInterpretation = "MONOCHROME2"
    grey.PixelData = dataset.get_item(PIXEL_DATA).value
    return stored_samples(grey)


def read_as_seen(path: Path) -> Integers:
    """Read the frames of a file of ours (frame, row, column, sample), the colours of a palette looked up.

    Raises:
        SeriesError: it is not there, or damaged.
    """
    try:
        dataset = dcmread(path)
    except (OSError, InvalidDicomError):
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    return coloured(dataset, indices_of(dataset)[..., 0]) if has_palette(dataset) else stored_samples(dataset)


def darkened(indices: Integers, colours: Integers, boxes: Mapping[int, Iterable[Box]]) -> Integers:
    """Fill boxes of frames of `indices` (frame, row, column, 1) with the index of the frame's darkest colour."""
    filled = indices.copy()
    for number, found in boxes.items():
        darkest = indices[number].flat[int(colours[number].sum(axis=-1).argmin())]
        for top, left, bottom, right in found:
            filled[number, top:bottom, left:right] = darkest
    return filled


def coloured(dataset: Dataset, indices: Integers) -> Integers:
    """Look the colours of a palette up for `indices` (frame, row, column): (frame, row, column, 3), 8 bits.

    Raises:
        SeriesError: the palette is damaged, or written in segments.
    """
    try:
        tables = [_table(dataset, *tags) for tags in zip(DESCRIPTORS, TABLES, strict=True)]
        return np.stack(
            [table[np.clip(indices.astype(np.int64) - first, 0, len(table) - 1)] for table, first in tables], -1
        )
    except (IndexError, KeyError, TypeError, ValueError):
        raise SeriesError(Reason.COLOUR_IMAGE, PALETTE) from None


def _table(dataset: Dataset, descriptor: int, data: int) -> tuple[Integers, int]:
    """Read one colour: its entries in 8 bits, and the index of the first."""
    count, first, bits = (int(each) for each in dataset[descriptor].value)
    value = bytes(dataset[data].value)
    count = count or 1 << 16
    if bits == 8 and len(value) in {count, count + 1}:  # noqa: PLR2004
        return np.frombuffer(value, np.uint8, count), first
    entries = np.frombuffer(value, "<u2", count)
    return (entries >> max(bits - 8, 0)).astype(np.uint8), first


def _spells(value: bytes) -> bool:
    """Say whether letters or digits, and what people write between them, stand in a row that goes up and down."""
    row = bytearray()
    for byte in value + b"\0":
        if chr(byte).isalnum() and byte < 128:  # noqa: PLR2004
            row.append(byte)
            continue
        if byte in BETWEEN:
            continue
        if len(row) >= SHORTEST_MESSAGE and _turns(row) >= TURNS:
            return True
        row.clear()
    return False


def _turns(row: bytearray) -> int:
    steps = [later - earlier for earlier, later in pairwise(row) if later != earlier]
    return sum(one * other < 0 for one, other in pairwise(steps))
