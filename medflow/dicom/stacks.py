"""Slices of one volume, one at each place, become uniform runs: an affine that no frame's own header contradicts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.grouping import Slice, normal_of, positions_of
from medflow.domain.layout import Affine

TOLERANCE = 0.05
"""mm that a frame may be away from where the affine puts it, or 1.5 units of the last digit that was written."""
DIGITS = 1.5
WHOLE = 1.0
"""mm. Positions written in whole millimetres are taken as exact: uneven gaps are likelier than such a rounding."""
PART_OF_STEP = 0.25
"""Never more than this part of the distance between slices: a missing slice shows as a third of it at least."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A uniform run of slices in ascending order along the normal."""

    slices: list[Slice]
    affine: Affine
    residual: float
    sheared: bool
    step: float
    """mm from one slice to the next; the depth of a slice that stands alone."""


def uniform_runs(slices: list[Slice]) -> list[Run]:
    """Part `slices`, one at each place, into as few uniform runs as there can be, none of them left out."""
    stack = _Stack(slices)
    runs = [piece for start, stop in _ranges(stack) for piece in _checked(stack, start, stop)]
    return [stack.run(start, stop) for start, stop in runs]


class _Stack:
    """Corners of every slice in order along the normal, (n, 4, 3), mm, LPS+."""

    def __init__(self, slices: list[Slice]) -> None:
        self.normal = normal_of(slices)
        order = np.argsort(positions_of(slices) @ self.normal, kind="stable")
        self.slices = [slices[number] for number in order]
        self.positions = positions_of(self.slices)
        self.across = np.asarray([_across(s) for s in self.slices])
        self.down = np.asarray([_down(s) for s in self.slices])
        unit = min(s.frame.unit_of_last_digit for s in slices)
        self.tolerance = max(TOLERANCE, DIGITS * unit if unit < WHOLE else 0.0)

    def residual(self, start: int, stop: int) -> float:
        """Give the largest distance (mm) of a corner of the slices [start, stop) from where their affine puts it."""
        across, down, step = self._axes(start, stop)
        frame = self.slices[start].frame
        numbers = np.arange(stop - start)[:, None]
        off = self.positions[start:stop] - (self.positions[start] + numbers * step)
        tilt_across = (self.across[start:stop] - across) * (frame.columns - 1)
        tilt_down = (self.down[start:stop] - down) * (frame.rows - 1)
        corners = np.stack([off, off + tilt_across, off + tilt_down, off + tilt_across + tilt_down])
        return float(np.sqrt((corners**2).sum(axis=-1)).max())

    def uniform(self, start: int, stop: int) -> bool:
        """Tell whether the slices [start, stop) lie on one affine."""
        if stop - start == 1:
            return True
        step = float(np.linalg.norm(self._axes(start, stop)[2]))
        return self.residual(start, stop) <= max(TOLERANCE, min(self.tolerance, PART_OF_STEP * step))

    def run(self, start: int, stop: int) -> Run:
        """Describe the slices [start, stop)."""
        across, down, step = self._axes(start, stop)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([across, down, step], axis=1)
        affine[:3, 3] = self.positions[start]
        drift = (step - (step @ self.normal) * self.normal) * (stop - start - 1)
        return Run(
            slices=self.slices[start:stop],
            affine=tuple(tuple(float(value) + 0.0 for value in row) for row in LPS_TO_RAS @ affine),
            residual=self.residual(start, stop),
            step=float(np.linalg.norm(step)),
            sheared=bool(np.linalg.norm(drift) > self.tolerance),
        )

    def _axes(self, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        across = self.across[start:stop].mean(axis=0)
        down = self.down[start:stop].mean(axis=0)
        if stop - start == 1:
            normal = np.cross(across, down)
            depth = self.slices[start].frame.thickness or 1.0
            return across, down, np.asarray(depth * normal / np.linalg.norm(normal), np.float64)
        return across, down, (self.positions[stop - 1] - self.positions[start]) / (stop - start - 1)


def _ranges(stack: _Stack) -> list[tuple[int, int]]:
    """Cut where the step changes; the slice between two steps goes where it makes fewer and longer runs."""
    count = len(stack.slices)
    if stack.uniform(0, count):
        return [(0, count)]
    cuts = [0]
    while cuts[-1] < count - 1:
        cuts.append(_reach(stack, cuts[-1]) - 1)
        if cuts[-1] == cuts[-2]:
            cuts[-1] += 1
    return _dealt(cuts, [float(height) for height in stack.positions @ stack.normal])


def _reach(stack: _Stack, start: int) -> int:
    """Find how far a uniform run from `start` goes: doubling, then halving."""
    count, stride, good = len(stack.slices), 1, start + 1
    while good < count and stack.uniform(start, min(good + stride, count)):
        good, stride = min(good + stride, count), stride * 2
    while stride > 1:
        stride //= 2
        if good + stride <= count and stack.uniform(start, good + stride):
            good += stride
    return good


def _dealt(cuts: list[int], heights: list[float]) -> list[tuple[int, int]]:
    """Deal the slice at each inner cut to the run on its left or on its right.

    Each state says where the next run starts (at the cut or behind it) and holds the best ranges so far: fewest
    first, then those with the largest sum of squared lengths, then those that reach over the least space.
    """

    def worth(ranges: list[tuple[int, int]]) -> tuple[int, int, float]:
        lengths = [stop - start for start, stop in ranges]
        reach = sum(heights[stop - 1] - heights[start] for start, stop in ranges)
        return -len(ranges), sum(length**2 for length in lengths), -reach

    states: dict[int, list[tuple[int, int]]] = {cuts[0]: []}
    for number, cut in enumerate(cuts[1:], 1):
        last = number == len(cuts) - 1
        following: dict[int, list[tuple[int, int]]] = {}
        for start, ranges in states.items():
            for stop in (cut + 1,) if last else (cut + 1, cut):
                grown = [*ranges, (start, stop)] if stop > start else ranges
                if stop not in following or worth(grown) > worth(following[stop]):
                    following[stop] = grown
        states = following
    return max(states.values(), key=worth)


def _checked(stack: _Stack, start: int, stop: int) -> list[tuple[int, int]]:
    """Make sure of a run: a part of a uniform run lies on a line of its own, which may be a little off."""
    pieces = []
    while start < stop:
        end = stop if stack.uniform(start, stop) else min(_reach(stack, start), stop)
        pieces.append((start, end))
        start = end
    return pieces


def _across(one: Slice) -> tuple[float, ...]:
    """Give the step (mm, LPS+) from one column to the next."""
    frame = one.frame
    assert frame.orientation and frame.spacing  # noqa: S101, PT018  (`slices_of` lets no other frame through)
    return tuple(frame.spacing[1] * value for value in frame.orientation[0])


def _down(one: Slice) -> tuple[float, ...]:
    """Give the step (mm, LPS+) from one row to the next."""
    frame = one.frame
    assert frame.orientation and frame.spacing  # noqa: S101, PT018
    return tuple(frame.spacing[0] * value for value in frame.orientation[1])
