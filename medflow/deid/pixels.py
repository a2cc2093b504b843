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
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    size = next(size for size in (2, 4, 8) if -(1 << 8 * size - 1) <= low and high < 1 << 8 * size - 1)
    shape = " ".join(map(str, values.shape))
    name = hashlib.sha256(f"medflow/frame/1 {shape} {size}\n".encode("ascii"))
    name.update(np.ascontiguousarray(values, f"<i{size}").data)
    return name.hexdigest()
