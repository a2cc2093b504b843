"""Boxes around lines of text: joined where they are of one line, made larger, and lengthened to where it may go on."""

from collections.abc import Iterable

from medflow.deid.text import Box

MARGIN = 32
"""Pixels around a suspicious place that are read with it."""
BESIDE = 6
"""Times a line's height beside it that is read with it."""
LEAST_PAD = 3
"""Pixels by which a box is made larger on each side; tall letters, and later rounds, take more."""


def merged(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Join the boxes of which one holds most of the other: the same line, seen twice."""
    joined: list[Box] = []
    for box in sorted(set(boxes), key=lambda one: (-_area(one), one)):
        for number, other in enumerate(joined):
            top, left = max(box[0], other[0]), max(box[1], other[1])
            bottom, right = min(box[2], other[2]), min(box[3], other[3])
            if bottom > top and right > left and 2 * _area((top, left, bottom, right)) > _area(box):
                corner = min(box[0], other[0]), min(box[1], other[1])
                joined[number] = *corner, max(box[2], other[2]), max(box[3], other[3])
                break
        else:
            joined.append(box)
    return tuple(sorted(joined))


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def wider(box: Box, turn: int, shape: tuple[int, ...]) -> Box:
    """Make a box larger on each side: by a quarter of its letters' height, the more the more often it was tried.

    At the ends of the line by a whole letter.
    """
    height = min(box[2] - box[0], box[3] - box[1])
    return _padded(box, turn * max(LEAST_PAD, height // 4), turn * max(LEAST_PAD, height), shape)


def band(box: Box, shape: tuple[int, ...]) -> Box:
    """Give the part of a frame on which the rest of a line would stand."""
    height = min(box[2] - box[0], box[3] - box[1])
    return _padded(box, height, MARGIN + BESIDE * height, shape)


def _padded(box: Box, across: int, along: int, shape: tuple[int, ...]) -> Box:
    """Make a box larger across and along its longer side, in pixels, as far as the frame goes."""
    top, left, bottom, right = box
    down, beside = (across, along) if right - left >= bottom - top else (along, across)
    return max(0, top - down), max(0, left - beside), min(shape[0], bottom + down), min(shape[1], right + beside)
