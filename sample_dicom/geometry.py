"""Where the voxels of a series stand in the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Points = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

AXIAL: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL: tuple[Vector, Vector] = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
OBLIQUE: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 0.96, 0.28))
"""Axial, tipped by 16 degrees about the left-right axis; the cosines are exact in decimals (7-24-25)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A stack of parallel slices, in DICOM's patient axes (LPS, mm).

    `shape` and `spacing` are ordered (slice, row, column); `spacing[0]` is the step between slices along the normal.
    `origin` is the centre of the first slice's first pixel; `axes` are the direction of a row and of a column
    (Image Orientation (Patient), PS3.3 C.7.6.2.1.1).
    """

    shape: tuple[int, int, int]
    spacing: Vector
    origin: Vector
    axes: tuple[Vector, Vector] = AXIAL

    @property
    def normal(self) -> Vector:
        """The direction in which the slices follow each other: row x column."""
        (a, b, c), (d, e, f) = self.axes
        return (b * f - c * e, c * d - a * f, a * e - b * d)

    def position(self, slice_index: int) -> Vector:
        """Return the centre of a slice's first pixel (Image Position (Patient))."""
        step = slice_index * self.spacing[0]
        x, y, z = (o + step * n for o, n in zip(self.origin, self.normal, strict=True))
        return (x, y, z)

    def points(self) -> Points:
        """Return x, y, z of every voxel centre, shaped so that together they broadcast to `shape`."""
        steps = [np.arange(n, dtype=np.float64) * s for n, s in zip(self.shape, self.spacing, strict=True)]
        k, j, i = steps[0][:, None, None], steps[1][None, :, None], steps[2][None, None, :]
        row, column = self.axes
        x, y, z = (
            self.origin[axis] + _along(k, self.normal[axis]) + _along(j, column[axis]) + _along(i, row[axis])
            for axis in range(3)
        )
        return (x, y, z)


def centred(
    shape: tuple[int, int, int],
    spacing: Vector,
    centre: Vector = (0.0, 0.0, 0.0),
    axes: tuple[Vector, Vector] = AXIAL,
) -> Geometry:
    """Place a stack so that its middle is at `centre` (LPS, mm), its origin rounded to a thousandth of a millimetre."""
    corner = Geometry(shape=shape, spacing=spacing, origin=(0.0, 0.0, 0.0), axes=axes)
    half = [(n - 1) * s / 2 for n, s in zip(shape, spacing, strict=True)]
    row, column = axes
    x, y, z = (
        round(centre[a] - half[0] * corner.normal[a] - half[1] * column[a] - half[2] * row[a], 3) for a in range(3)
    )
    return Geometry(shape=shape, spacing=spacing, origin=(x, y, z), axes=axes)


def _along(steps: NDArray[np.float64], cosine: float) -> NDArray[np.float64]:
    """Scale `steps`, or add no axis at all where the direction does not move: axial stacks stay cheap to evaluate."""
    return steps * cosine if cosine else np.zeros((1, 1, 1))
