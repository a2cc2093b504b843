"""Volumes seen from afar: shrunk to steps of 2.5 mm as their slices arrive, and laid over one another in place."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy
from numpy.typing import NDArray

from medflow.domain.layout import Affine

Floats = NDArray[np.float32]
Measures = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP = 2.5
"""mm between the points of the grid on which faces are looked for."""
EDGE = 2
"""Points of the grid beyond the outermost voxel."""
THICK = 1.5 * STEP
"""mm. Longer voxels are believed a whole step beyond the outermost one, which bridges uneven gaps; others half."""


class Shrunk:
    """One volume made small while its slices arrive; repeats of the same place are averaged."""

    def __init__(self, shape: tuple[int, int, int], affine: Affine) -> None:
        fine = np.array(affine, np.float64)
        spacing = np.linalg.norm(fine[:3, :3], axis=0)
        self._weights = [_weights(size, step) for size, step in zip(shape, spacing, strict=True)]
        self._sum = np.zeros([len(each) for each in self._weights])
        self._count = 0.0
        factors = [size / len(each) for size, each in zip(shape, self._weights, strict=True)]
        self._step = np.eye(4)
        self._step[:3, :3] = np.diag(factors)
        self._step[:3, 3] = [(factor - 1.0) / 2.0 for factor in factors]
        self.affine: Measures = fine @ self._step
        """Index of a shrunk voxel (i, j, k) to RAS+ mm."""

    def add(self, slice_index: int, plane: NDArray[np.generic]) -> None:
        """Take in one slice (row, column) at its place along k."""
        across, down, through = self._weights
        small = across @ np.asarray(plane, np.float64).T @ down.T
        for place in np.flatnonzero(through[:, slice_index]):
            self._sum[:, :, place] += through[place, slice_index] * small
        self._count += 1.0 / through.shape[1]

    @property
    def voxels(self) -> Measures:
        """Mean values (i, j, k) of what was taken in."""
        return self._sum / max(self._count, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """Volumes of one series laid over one another on a grid whose axes are RAS+."""

    values: Measures
    """(x, y, z), the mean of the volumes that reach a point; 0 where none does."""
    known: Mask
    """Points that some volume reaches."""
    origin: Measures
    """RAS+ mm of point (0, 0, 0); the next ones lie `STEP` apart."""

    @property
    def axes(self) -> tuple[Measures, Measures, Measures]:
        """Give the places (RAS+ mm) of the points along each axis."""
        x, y, z = (start + STEP * np.arange(size) for start, size in zip(self.origin, self.values.shape, strict=True))
        return x, y, z

    def along(self, direction: Measures) -> Measures:
        """Give how far (mm) every point lies along a unit vector."""
        x, y, z = self.axes
        return outer(x * direction[0], y * direction[1], z * direction[2])


def overlaid(volumes: Iterable[tuple[Measures, Measures]]) -> Sight:
    """Lay volumes, each with its affine, over one another; none weighs more than another."""
    volumes = [_canonical(voxels, affine) for voxels, affine in volumes]
    low, high = _bounds(volumes)
    origin = low + (0.5 - EDGE) * STEP
    shape = tuple(int(points) + 2 * EDGE for points in np.ceil((high - low) / STEP - 1e-6))
    total, count = np.zeros(shape), np.zeros(shape)
    for voxels, affine in volumes:
        sampled, inside = _sampled(voxels, affine, origin, shape)
        total += np.where(inside, sampled, 0.0)
        count += inside
    return Sight(values=total / np.maximum(count, 1.0), known=count > 0, origin=origin)


def sampled_plane(field: Floats, origin: Measures, affine: Measures, plane: tuple[int, int, int]) -> Floats:
    """Sample a field of the grid, as (row, column), at the voxels of one slice: (rows, columns, k)."""
    rows, columns, k = plane
    to_grid = affine[:3] / STEP
    offset = to_grid[:, 3] + to_grid[:, 2] * k - origin / STEP
    down = offset[:, None, None] + to_grid[:, 1, None, None] * np.arange(rows)[:, None]
    return np.asarray(
        scipy.ndimage.map_coordinates(
            field, down + to_grid[:, 0, None, None] * np.arange(columns), order=1, mode="nearest"
        )
    )


def outer(x: Measures, y: Measures, z: Measures) -> Measures:
    """Add a number of each axis to every point of a box."""
    return np.asarray(x[:, None, None] + y[:, None] + z)


def _weights(size: int, spacing: float) -> Measures:
    """Give the share of each voxel (second axis) in each of fewer, larger ones; all of one size, nothing left over."""
    larger = min(size, max(1, round(size * spacing / STEP)))
    edges = np.arange(larger + 1) * size / larger
    low = np.maximum(edges[:-1, None], np.arange(size))
    high = np.minimum(edges[1:, None], np.arange(size) + 1)
    return np.asarray(np.maximum(high - low, 0.0) * larger / size)


def _canonical(voxels: Measures, affine: Measures) -> tuple[Measures, Measures]:
    """Turn and flip a volume so that its axes are as near to RAS+ as they can be; no voxel changes."""
    along = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    order = max(orders, key=lambda axes: along[0, axes[0]] + along[1, axes[1]] + along[2, axes[2]])
    turned = np.eye(4)
    turned[:3, :3] = affine[:3, order]
    turned[:3, 3] = affine[:3, 3]
    voxels = voxels.transpose(order)
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (voxels.shape[axis] - 1)
            turned[:3, axis] *= -1.0
            voxels = np.flip(voxels, axis)
    return voxels, turned


def _bounds(volumes: list[tuple[Measures, Measures]]) -> tuple[Measures, Measures]:
    """Give the corners of the box (RAS+ mm) around all voxels, to a hundredth of a millimetre."""
    corners = [
        affine[:3, :3] @ [end * size - 0.5 for end, size in zip(ends, voxels.shape, strict=True)] + affine[:3, 3]
        for voxels, affine in volumes
        for ends in product((0, 1), repeat=3)
    ]
    return np.round(np.min(corners, axis=0), 2), np.round(np.max(corners, axis=0), 2)


def _sampled(voxels: Measures, affine: Measures, origin: Measures, shape: tuple[int, ...]) -> tuple[Measures, Mask]:
    """Sample a volume at the points of the grid; say which of them it reaches."""
    inverse = np.linalg.inv(affine)
    matrix, offset = inverse[:3, :3] * STEP, inverse[:3, :3] @ origin + inverse[:3, 3]
    sampled = scipy.ndimage.affine_transform(voxels, matrix, offset, shape, order=1, mode="nearest")
    inside = np.ones(shape, bool)
    axes = [np.arange(size) for size in shape]
    reaches = np.where(np.linalg.norm(affine[:3, :3], axis=0) > THICK, 1.0, 0.5)
    for row, start, size, reach in zip(matrix, offset, voxels.shape, reaches, strict=True):
        index = start + outer(row[0] * axes[0], row[1] * axes[1], row[2] * axes[2])
        inside &= (index > -reach - 1e-3) & (index < size - 1 + reach + 1e-3)
    return sampled, inside
