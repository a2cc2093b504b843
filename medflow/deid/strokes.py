"""A glimpse at a frame: are there small places, dense with sharp steps across and down, as letters make them?

It costs a few tenths of a millisecond of CPU for 512 x 512 pixels, so every frame passes it; `text` and `ocr` look at
what it flags. The edges that a drawing program makes rise in one pixel, a scanner's in two or three: a step between two
neighbours counts where it is half of all that is to be seen around them. Bone, skin and table make such steps one way,
letters both ways.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medflow.deid.text import FARTHEST, Box

CELL = 8
"""Pixels along the side of a cell, in which steps are counted."""
STEP = 0.5
"""Share of the greys around a pixel that a step between neighbours must span."""
LEAST_CONTRAST = 0.12
"""Share of the frame's range of greys within a place below which nothing in it can be read."""
LEAST_OVER_NOISE = 5
"""Times the median step between neighbours of the whole frame by which a place must stand out."""
FEWEST = 21
"""Steps across, and steps down, in a window of six cells that may hold letters: one pixel in 18."""
SAMPLE = 4096
"""Pixels by which a frame's range of greys and its noise are known well enough."""
SHORT = np.iinfo(np.int16)


def may_hold_text(frame: NDArray[Any]) -> bool:
    """Say whether a closer look at `frame` (row, column), of any type, range and polarity of greys, is worth it."""
    return any(_dense(values) is not None for _, values in _scales(frame))


def places(frame: NDArray[Any], *, margin: int) -> tuple[Box, ...]:
    """Give boxes, from the top down, around the places of `frame` that `may_hold_text`, `margin` pixels wider."""
    corners = []
    for scale, values in _scales(frame):
        cells = _dense(values)
        if cells is not None:
            corners += [(*corner, CELL * scale) for corner in np.argwhere(cells) * (CELL * scale)]
    if not corners:
        return ()
    covered = np.zeros(frame.shape, bool)
    for row, column, side in corners:
        top, left = max(0, row - margin), max(0, column - margin)
        covered[top : row + side + margin, left : column + side + margin] = True
    labels, _ = scipy.ndimage.label(covered)
    return tuple(
        (rows.start, columns.start, rows.stop, columns.stop) for rows, columns in scipy.ndimage.find_objects(labels)
    )


def _scales(frame: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give the frame as it is, and thinned out, for the edges of large letters lie further apart.

    To every second pixel at least, and until the longer side is no longer than `FARTHEST`.
    """
    scale, values = 1, np.ascontiguousarray(_narrow(frame))
    while min(values.shape) >= CELL:
        yield scale, values
        if scale > 1 and max(values.shape) <= FARTHEST:
            return
        scale, values = 2 * scale, np.ascontiguousarray(values[::2, ::2])


def _narrow(frame: NDArray[Any]) -> NDArray[Any]:
    """Give the values as 16-bit integers whose differences are such again, where that loses next to nothing."""
    if frame.dtype.itemsize == 1:
        return frame.astype(np.int16)
    if frame.dtype.kind in "iu" and frame.size:
        low, high = int(frame.min()), int(frame.max())
        if high - low <= SHORT.max:
            if not SHORT.min <= low <= high <= SHORT.max:
                frame = frame - frame.dtype.type(low)
            return frame.view(np.int16) if frame.dtype == np.uint16 else frame.astype(np.int16, copy=False)
        if frame.dtype.itemsize == SHORT.bits // 8:
            return (frame >> 1).astype(np.int16) if low < 0 else (frame >> 1).view(np.int16)
    return np.nan_to_num(np.asarray(frame, np.float32), posinf=0.0, neginf=0.0)


def _dense(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Give the cells (down, across) of windows that are dense with steps across and with steps down; None without."""
    rows, columns = (-(-length // CELL) * CELL for length in values.shape)
    if (rows, columns) != values.shape:
        values = np.pad(values, ((0, rows - values.shape[0]), (0, columns - values.shape[1])), mode="edge")
    steps = np.empty_like(values)
    flat = values.ravel()
    np.subtract(flat[1:], flat[:-1], out=steps.ravel()[1:])  # at once: a third of the time of row by row
    steps[:, 0] = 0
    np.abs(steps, out=steps)
    least = _least_steps(values, steps)
    if least is None:
        return None
    across = [(down, right, sums > FEWEST) for down, right, sums in _sums(_counted(steps, least))]
    if not any(dense.any() for _, _, dense in across):
        return None
    steps[0] = 0
    np.subtract(values[1:], values[:-1], out=steps[1:])
    np.abs(steps, out=steps)
    cells = np.zeros((len(least), least.shape[1] // CELL), bool)
    for (down, right, dense), (_, _, sums) in zip(across, _sums(_counted(steps, least)), strict=True):
        both = dense & (sums > FEWEST)
        for row, column in np.argwhere(both) if both.any() else ():
            cells[row : row + down, column : column + right] = True
    return cells if cells.any() else None


def _least_steps(values: NDArray[Any], across: NDArray[Any]) -> NDArray[Any] | None:
    """Give for each row of cells and each column of pixels the step from which it counts there.

    None where nothing stands out anywhere.
    """
    apart = max(1, int((values.size / SAMPLE) ** 0.5))
    some = np.sort(values[::apart, ::apart], axis=None)
    rare = len(some) // 200
    extent = float(some[-1 - rare]) - float(some[rare])
    noise = float(np.sort(across[::apart, 1::apart], axis=None)[len(some) // 2 - 1])
    around = _pooled(values, np.maximum) - _pooled(values, np.minimum)
    stands_out = around > max(LEAST_CONTRAST * extent, LEAST_OVER_NOISE * noise)
    if not stands_out.any():
        return None
    never = SHORT.max if values.dtype == np.int16 else np.inf
    return np.repeat(np.where(stands_out, STEP * around, never).astype(values.dtype), CELL, axis=1)


def _pooled(values: NDArray[Any], pick: np.ufunc) -> NDArray[Any]:
    """Give the largest (or smallest) value of each cell, the one above it and those beside these two."""
    columns = values.shape[1]
    line = pick.reduce(values.reshape(-1, CELL, columns), axis=1).ravel()
    for apart in (4, 2, 1):  # of the eight from each pixel on: a third of the time of looking at every eighth alone
        line = pick(line[:-apart], line[apart:])
    found: NDArray[Any] = line[::CELL].reshape(-1, columns // CELL)
    pooled = found.copy()
    pick(pooled[:, 1:], found[:, :-1], out=pooled[:, 1:])
    pick(pooled[:, :-1], found[:, 1:], out=pooled[:, :-1])
    pick(pooled[1:], pooled[:-1].copy(), out=pooled[1:])
    return np.asarray(pooled)


def _counted(steps: NDArray[Any], least: NDArray[Any]) -> NDArray[np.uint16]:
    """Count for each cell the steps that are large enough."""
    large = steps.reshape(-1, CELL, steps.shape[1]) > least[:, None]
    in_eights = np.bitwise_count(np.packbits(large)).reshape(-1, CELL, steps.shape[1] // 8)
    return np.asarray(np.add.reduce(in_eights, axis=1, dtype=np.uint16))


def _sums(counted: NDArray[np.uint16]) -> Iterator[tuple[int, int, NDArray[np.uint16]]]:
    """Sum up windows of 2 x 3 cells and of 3 x 2: letters in a line or, turned by a quarter, in a column."""
    two = counted[1:] + counted[:-1]
    yield 2, 3, two[:, :-2] + two[:, 1:-1] + two[:, 2:]
    three = two[:-1] + counted[2:]
    yield 3, 2, three[:, :-1] + three[:, 1:]
