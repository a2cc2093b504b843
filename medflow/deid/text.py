"""Suspicion of text burned into a frame: small sharp marks of one grey level that stand in a line.

Writing is told from anatomy by what a drawing program does and a scanner does not: strokes have edges one pixel wide
and one grey value, letters have few heights and share a line above or below. No letter is read. A lone side marker
("L", "R") passes, four characters in a line do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the frame, the last two exclusive."""
Floats = NDArray[np.float32]
Measures = NDArray[np.float64]

STROKE = 7
"""Pixels of a scale: a stroke is thinner than this; what is wider is anatomy, until it is seen from further off."""
SMALLEST, LARGEST = 4, 36
"""Pixels of a scale: height of a character."""
FARTHEST = 512
"""A frame is halved at least once, and until its longer side is no longer than this."""
LEAST_CONTRAST = 0.15
"""Share of the frame's range of greys by which a mark must stand out from what is around it."""
OUTERMOST = 0.2
"""Share of the way from the brightest (or darkest) grey of a frame to its median within which greys are as extreme."""
LEAST_SHARP, LEAST_PLATEAU = 0.3, 0.25
"""No stroke is as soft, or as uneven, as this."""
MOST_MARKS = 500
"""More marks than this on a frame are texture; they are weighed by the sharpest of them."""
LEAST_FILL = 0.12
"""Share of its box that a character covers."""
ALIKE = 0.12
"""Share of a mark's height within which greys count as the same."""
MOST_THAT_COUNT, SHARPEST = 8, 0.85
"""More marks, or sharper ones, say no more than these."""
FEWEST = 4
"""Characters in a line that are suspected."""
MANY, MOST_ALIKE = 4, 0.8
"""Of so many marks, no word has a larger share of one character."""
WEIGHTS = {
    "marks": 1.9,
    "plateau": 5.8,
    "spread": -9.5,
    "contrast": 4.3,
    "sharp": 15.6,
    "aligned": 4.5,
    "both": 3.2,
}
"""What speaks for writing, weighed: a logistic model of lines drawn into, and found in, frames of CT, MR and PET."""
BIAS = -31.6


def suspected_text(frame: NDArray[np.generic], *, threshold: float = 0.0) -> bool:
    """Say whether text may be burned into `frame` (row, column), of any type, range and polarity of greys.

    `threshold` (log odds) above 0 asks for more certainty, below 0 for less.
    """
    return any(odds > threshold for odds, _ in weighed_lines(frame))


def text_boxes(frame: NDArray[np.generic], *, threshold: float = 0.0) -> tuple[Box, ...]:
    """Give a box around each line of `frame` (row, column) that may be text, from the top down, as `suspected_text`."""
    return tuple(sorted({box for odds, box in weighed_lines(frame) if odds > threshold}))


def weighed_lines(frame: NDArray[np.generic]) -> Iterator[tuple[float, Box]]:
    """Weigh whatever stands in a line on `frame` (row, column): log odds that it is text, and a box around it."""
    for described, box in described_lines(frame):
        yield BIAS + sum(weight * described[name] for name, weight in WEIGHTS.items()), box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Marks:
    """Connected marks of one polarity on one scale, and what tells strokes from anatomy; one entry for each."""

    boxes: NDArray[np.int64]
    """(mark, 4): top, left, bottom, right."""
    area: NDArray[np.int64]
    """Pixels of the mark."""
    level: Measures
    """Grey of the mark's core."""
    height: Measures
    """How far it stands out from what is around it, in greys."""
    contrast: Measures
    """How far it stands out from what is around it, as a share of the frame's range."""
    plateau: Measures
    """Share of its pixels that have the core's grey."""
    sharp: Measures
    """Mean step to a neighbour pixel, as a share of the contrast."""


NO_MARKS = _Marks(
    boxes=np.zeros((0, 4), np.int64),
    area=np.zeros(0, np.int64),
    level=np.zeros(0),
    height=np.zeros(0),
    contrast=np.zeros(0),
    plateau=np.zeros(0),
    sharp=np.zeros(0),
)


def described_lines(frame: NDArray[np.generic]) -> Iterator[tuple[dict[str, float], Box]]:
    """Describe, in the terms of `WEIGHTS`, whatever stands in a line on `frame` (row, column), with a box around it."""
    grey = np.asarray(frame, np.float32)
    if grey.size and not np.isfinite(np.sum(grey)):
        grey = np.nan_to_num(grey, posinf=0.0, neginf=0.0)
    for scale, values in _scales(grey):
        low, high = np.percentile(values[::3, ::3], (0.5, 99.5))
        extent = float(high - low) or float(np.ptp(values))
        for bright in (True, False) if extent > 0 else ():
            for marks, turned in product(_marks(values, extent, bright=bright), (False, True)):
                for described, (top, left, bottom, right) in _lines(marks, turned=turned):
                    yield described, (top * scale, left * scale, bottom * scale, right * scale)


def _scales(grey: Floats) -> Iterator[tuple[int, Floats]]:
    """Give the frame as it is, and halved until the largest letters have thin strokes."""
    scale = 1
    while min(grey.shape) >= 3 * SMALLEST:
        yield scale, grey
        if scale > 1 and max(grey.shape) <= FARTHEST:
            return
        rows, columns = (length // 2 * 2 for length in grey.shape)
        pairs = grey[:rows:2, :columns] + grey[1:rows:2, :columns]
        grey = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
        scale *= 2


def _marks(values: Floats, extent: float, *, bright: bool) -> Iterator[_Marks]:
    """Find what is brighter (or darker) than its surroundings, and thin; then the brightest (or darkest) of that alone.

    The second look parts letters from bright anatomy that they touch.
    """
    if bright:
        hat = values - _over(_over(values, np.minimum), np.maximum)
    else:
        hat = _over(_over(values, np.maximum), np.minimum) - values
    noise = float(np.median(np.abs(np.diff(values[::2, ::2], axis=1))))
    least = max(LEAST_CONTRAST * extent, 5.0 * noise)
    peak = _over(hat, np.maximum)
    strokes = (hat > 0.6 * peak) & (peak > least)
    end = values.max() if bright else values.min()
    outermost = np.abs(values - end) < OUTERMOST * abs(end - np.median(values[::3, ::3]))
    for mask in (strokes, strokes & outermost):
        yield _measured(values, hat, mask, extent, bright=bright)


def _over(values: Floats, pick: np.ufunc) -> Floats:
    """Give the largest (or smallest) value of each pixel's surroundings of 7 x 7, in steps of 2, 4 and 7."""
    padded = np.pad(values, STROKE // 2, mode="edge")
    for step in (1, 2, 3):
        padded = pick(padded[:-step], padded[step:])
    for step in (1, 2, 3):
        padded = pick(padded[:, :-step], padded[:, step:])
    return padded


def _measured(values: Floats, hat: Floats, mask: NDArray[np.bool_], extent: float, *, bright: bool) -> _Marks:
    """Measure the connected parts of `mask`, but for specks of a few pixels."""
    labels, _ = scipy.ndimage.label(mask, np.ones((3, 3), bool))
    places = np.flatnonzero(mask)
    mark = labels.ravel()[places]
    large = np.bincount(mark)[mark] >= SMALLEST
    places, mark = places[large], mark[large]
    if not len(places):
        return NO_MARKS
    grey = values.ravel()[places]
    order = np.lexsort((grey, mark))
    places, grey = places[order], grey[order]
    _, first, area = np.unique(mark[order], return_index=True, return_counts=True)
    rows, columns = np.divmod(places, values.shape[1])
    edges = [np.minimum.reduceat(axis, first) for axis in (rows, columns)]
    edges += [np.maximum.reduceat(axis, first) + 1 for axis in (rows, columns)]
    height = np.maximum.reduceat(hat.ravel()[places], first).astype(np.float64)
    core = 0.85 if bright else 0.15
    level = grey[first + (core * (area - 1)).astype(int)].astype(np.float64)
    alike = np.abs(grey - np.repeat(level, area)) < ALIKE * np.repeat(height, area)
    step = np.zeros(len(grey))
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        y, x = (rows + down).clip(0, values.shape[0] - 1), (columns + right).clip(0, values.shape[1] - 1)
        np.maximum(step, np.abs(grey - values[y, x]), out=step)
    return _Marks(
        boxes=np.stack(edges, axis=1),
        area=area,
        level=level,
        height=height,
        contrast=height / extent,
        plateau=np.add.reduceat(alike, first, dtype=np.float64) / area,
        sharp=np.add.reduceat(step, first) / area / height,
    )


def _lines(marks: _Marks, *, turned: bool) -> Iterator[tuple[dict[str, float], Box]]:
    """Join marks that stand in a line (`turned`: a column, as writing turned by a quarter) and describe each line."""
    boxes = marks.boxes[:, [1, 0, 3, 2]] if turned else marks.boxes
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    fits = (height >= SMALLEST) & (height <= LARGEST) & (width <= 6 * height)
    fits &= marks.area > LEAST_FILL * height * width
    chosen = np.flatnonzero(fits & (marks.sharp > LEAST_SHARP) & (marks.plateau > LEAST_PLATEAU))
    if len(chosen) > MOST_MARKS:
        chosen = np.sort(chosen[np.argsort(marks.sharp[chosen])[-MOST_MARKS:]])
    if len(chosen) < FEWEST - 1:
        return
    _, which = scipy.sparse.csgraph.connected_components(
        scipy.sparse.coo_array(_neighbours(marks, boxes, chosen)), directed=False
    )
    for line in np.flatnonzero(np.bincount(which) >= FEWEST - 1):
        members = chosen[which == line]
        typical = float(np.median(height[members]))
        characters = np.maximum(1, np.round(width[members] / (0.75 * typical))).sum()
        fewest = FEWEST if turned or characters < FEWEST + 2 else FEWEST - 1
        if len(members) >= fewest and characters >= FEWEST and not _is_pattern(marks, members):
            yield _line(marks, boxes, members), _around(marks.boxes[members])


def _is_pattern(marks: _Marks, members: NDArray[np.int64]) -> bool:
    """Say whether the marks of a line are one and the same over and over: the ticks of a scale, a grid, a chequer."""
    boxes = marks.boxes[members]
    drawn = np.column_stack((boxes[:, 2:] - boxes[:, :2], marks.area[members]))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    return len(members) >= MANY and bool(counts.max() > MOST_ALIKE * len(members))


def _neighbours(marks: _Marks, boxes: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which two of the chosen marks may be letters of one word: grey, height, line and gap are alike."""
    top, left, bottom, right = boxes[chosen].T.astype(np.float32)
    height = bottom - top
    taller, smaller = np.maximum.outer(height, height), np.minimum.outer(height, height)
    gap = np.maximum(np.subtract.outer(left, right), np.subtract.outer(left, right).T)
    slack = np.maximum(1.0, 0.12 * taller)
    shared = (np.abs(np.subtract.outer(bottom, bottom)) <= slack) | (np.abs(np.subtract.outer(top, top)) <= slack)
    level, contrast = marks.level[chosen], marks.height[chosen]
    alike = np.abs(np.subtract.outer(level, level)) <= 0.2 * np.minimum.outer(contrast, contrast)
    near = (gap <= taller) & (gap >= -0.3 * taller) & (taller <= 1.8 * smaller)
    return np.asarray(shared & alike & near)


def _line(marks: _Marks, boxes: NDArray[np.int64], members: NDArray[np.int64]) -> dict[str, float]:
    """Describe the marks of a line in the terms of `WEIGHTS`."""
    top, bottom = boxes[members, 0], boxes[members, 2]
    slack = max(1.0, 0.08 * float(np.median(bottom - top)))
    at_top, at_bottom = np.abs(top - np.median(top)) <= slack, np.abs(bottom - np.median(bottom)) <= slack
    return {
        "marks": min(len(members), MOST_THAT_COUNT),
        "plateau": float(marks.plateau[members].mean()),
        "spread": float(marks.level[members].std() / marks.height[members].mean()),
        "contrast": min(float(marks.contrast[members].mean()), 1.0),
        "sharp": min(float(marks.sharp[members].mean()), SHARPEST),
        "aligned": float((at_top | at_bottom).mean()),
        "both": float((at_top & at_bottom).mean()),
    }


def _around(boxes: NDArray[np.int64]) -> Box:
    top, left = boxes[:, :2].min(axis=0)
    bottom, right = boxes[:, 2:].max(axis=0)
    return int(top), int(left), int(bottom), int(right)
