"""Each frame named by its decoded values."""

import hashlib
from collections.abc import Iterable

import numpy as np

from medflow.deid.native import Integers
from medflow.domain.layout import Layout
from medflow.domain.planefacts import PlaneFacts


def frame_digests(layouts: Iterable[Layout], file: int, frames: Integers) -> dict[tuple[int, int], str]:
    """Name the decoded values behind each slice that `file` holds: (layout, slice) -> SHA-256."""
    found = {}
    for which, layout in enumerate(layouts):
        for place_number, place in enumerate(layout.places):
            if place.file == file:
                row, column = place.corner
                tile = frames[place.frame, row : row + layout.rows, column : column + layout.columns]
                found[which, place_number] = frame_digest(tile)
    return found


def plane_digests(planes: Iterable[PlaneFacts], file: int, frames: Integers) -> dict[int, str]:
    """Name the decoded values (frame, row, column, sample) behind each plane that `file` holds: plane -> SHA-256."""
    return {
        which: frame_digest(frames[plane.frame] if plane.samples > 1 else frames[plane.frame, :, :, 0])
        for which, plane in enumerate(planes)
        if plane.file == file
    }


def frame_digest(values: Integers) -> str:
    """Name stored values (row, column) or (row, column, sample) by SHA-256, whatever type holds them.

    Canonical bytes: a line "medflow/frame/1 <rows> <columns> <bytes of a value>", with the samples of a pixel behind
    the columns where there are several; then the values row by row as signed little endian integers of the smallest
    of 2, 4 and 8 bytes that holds them all.
    """
    size = _bytes_of_a_value(values)
    shape = " ".join(map(str, values.shape))
    name = hashlib.sha256(f"medflow/frame/1 {shape} {size}\n".encode("ascii"))
    signed = np.dtype(f"<i{size}")
    as_written = values.view(signed) if values.dtype == np.dtype(f"<u{size}") else values  # none is that large
    name.update(np.ascontiguousarray(as_written, signed).data)
    return name.hexdigest()


def _bytes_of_a_value(values: Integers) -> int:
    """Give the smallest of 2, 4 and 8 bytes that hold all values; small types need no look at them."""
    if values.dtype in (np.int16, np.int8, np.uint8) or not values.size:
        return 2
    low, high = (0 if values.dtype.kind == "u" else int(values.min())), int(values.max())
    return next(size for size in (2, 4, 8) if -(1 << 8 * size - 1) <= low and high < 1 << 8 * size - 1)
