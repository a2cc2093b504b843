"""Which frames of a series may stand in one volume: same grid, orientation, echo, kind of image and kernel."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.domain.series import Frame, Series

SAME_SPACING = 1e-4
"""mm"""
SAME_ORIENTATION = 1e-3
SAME_ECHO = 1e-2
"""ms"""
SAME_PLACE = 0.01
"""mm"""
SAME_COLUMN = 0.05
"""mm that slices of one upright stack may be off sideways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A frame, and the index of its object in the series."""

    file: int
    frame: Frame
    number: int | None = None
    """InstanceNumber of its object."""

    @property
    def labels(self) -> dict[str, float]:
        """What tells it from others at its place."""
        return dict(self.frame.labels)


Values = tuple[float, ...]


def slices_of(series: Series) -> list[Slice]:
    """List every frame that says where it lies."""
    return [
        Slice(file=number, frame=frame, number=instance.instance_number)
        for number, instance in enumerate(series.instances)
        for frame in instance.frames
        if frame.position and frame.orientation and frame.spacing
    ]


def grouped(series: Series, slices: list[Slice]) -> list[list[Slice]]:
    """Part `slices` into groups whose frames can be stacked, in an order that follows from their geometry alone."""
    spacings = _classes(((s.frame.spacing or ()) for s in slices), SAME_SPACING)
    orientations = _classes((_cosines(s.frame) for s in slices), SAME_ORIENTATION)
    echoes = _classes((_echo(s.frame) for s in slices), SAME_ECHO)
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    for one in slices:
        frame = one.frame
        key = (
            series.instances[one.file].frame_of_reference,
            frame.rows,
            frame.columns,
            spacings[frame.spacing or ()],
            orientations[_cosines(frame)],
            echoes[_echo(frame)],
            frame.image_type[2:],
            frame.kernel,
        )
        groups[key].append(one)
    keyed = sorted(groups.items(), key=lambda item: item[0][1:] + item[0][:1])
    return [side for _, group in keyed for side in _side_by_side(group)]


def has_several_echoes(slices: Iterable[Slice]) -> bool:
    """Tell whether EchoTime is among what tells the volumes of a series apart."""
    return len(set(_classes((_echo(s.frame) for s in slices), SAME_ECHO).values())) > 1


def normal_of(group: list[Slice]) -> NDArray[np.float64]:
    """Point along the stack: column direction crossed into row direction, LPS+."""
    row, column = np.asarray(min(_cosines(s.frame) for s in group)).reshape(2, 3)
    return np.asarray(np.cross(row, column), np.float64)


def positions_of(group: list[Slice]) -> NDArray[np.float64]:
    """Give the position of each frame, (n, 3), mm, LPS+."""
    return np.asarray([s.frame.position for s in group], np.float64)


def clusters(values: NDArray[np.float64], gap: float) -> NDArray[np.int64]:
    """Number the clusters of `values` in ascending order; neighbours further apart than `gap` are in different ones."""
    order = np.argsort(values, kind="stable")
    numbers = np.empty(len(values), np.int64)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(values[order]) > gap)])
    return numbers


def _side_by_side(group: list[Slice]) -> list[list[Slice]]:
    """Part stacks that lie beside each other at the same heights; a tilted stack is no such thing, nor a mosaic."""
    if any(s.frame.corner != (0, 0) for s in group):
        return [group]
    normal, positions = normal_of(group), positions_of(group)
    heights = positions @ normal
    height = clusters(heights, SAME_PLACE)
    sideways = positions - np.outer(heights, normal)
    column = np.stack([clusters(axis, SAME_COLUMN) for axis in sideways.T], axis=1)
    if len({(h, *c) for h, c in zip(height, map(tuple, column), strict=True)}) == len(set(height)):
        return [group]
    parts: dict[tuple[int, ...], list[Slice]] = defaultdict(list)
    for one, where in zip(group, map(tuple, column), strict=True):
        parts[where].append(one)
    return [parts[where] for where in sorted(parts)]


def _classes(values: Iterable[Values], tolerance: float) -> dict[Values, Values]:
    """Map each value to the first of its class; classes follow from the values alone, not from their order."""
    firsts: list[Values] = []
    classes = {}
    for value in sorted(set(values)):
        near = (f for f in reversed(firsts) if len(f) == len(value) and _distance(f, value) <= tolerance)
        first = next(near, None)
        if first is None:
            firsts.append(value)
        classes[value] = first or value
    return classes


def _distance(one: Values, other: Values) -> float:
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)


def _cosines(frame: Frame) -> Values:
    return (*frame.orientation[0], *frame.orientation[1]) if frame.orientation else ()


def _echo(frame: Frame) -> Values:
    return tuple(value for keyword, value in frame.labels if keyword == "EchoTime")
