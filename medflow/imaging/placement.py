"""Where a grid's box is laid in a patient: its axes, its centre, and the map from its voxels to the volume's."""

import numpy as np
from numpy.typing import NDArray

from medflow.domain.volume import Grid
from medflow.errors import Reason, SeriesError

Matrix = NDArray[np.float64]

DIRECTIONS = {
    "R": (1.0, 0.0, 0.0),
    "L": (-1.0, 0.0, 0.0),
    "A": (0.0, 1.0, 0.0),
    "P": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}
"""Unit vectors of the patient's directions in RAS+."""
AS_SEEN = {0: "PI", 1: "LI", 2: "LP"}
"""How a radiologist sees a sagittal, coronal and axial slice: where columns grow, and where rows grow."""
SLIM = 0.01
"""Share of the foreground beyond each end of its extent: a few stray bright voxels do not move a box."""
DECIMALS = 10
"""A map between voxels is rounded here: far finer than any header, coarser than float64's noise."""


def check_slices(shape: tuple[int, ...], grid: Grid) -> None:
    """Refuse a stack for a grid of one slice, and one slice for a grid of many."""
    if grid.shape[2] == 1 and shape[2] > 1:
        raise SeriesError(Reason.SEVERAL_SLICES, f"{shape[2]} slices")
    if grid.shape[2] > 1 and shape[2] == 1:
        raise SeriesError(Reason.OUTSIDE_GRID, "1 slice")


def laid_on(affine: Matrix, shape: tuple[int, ...], grid: Grid, centre: NDArray[np.float64]) -> Matrix:
    """Give the affine of `grid` (its voxels to RAS+ mm) when the middle of its box lies at the source index `centre`.

    The grid's axes are the patient's: however oblique a stack was taken, `axes` "LPS" means left, posterior,
    superior. A single slice on a grid of one slice keeps its own plane, because resampling out of it would invent
    voxels: the grid lies along the slice's rows and columns, permuted and flipped to come closest to `axes`.
    """
    if shape[2] == 1:
        directions = _in_plane(affine, grid.axes)
    else:
        directions = np.array([DIRECTIONS[letter] for letter in grid.axes]).T
    steps = directions * np.array(grid.spacing)
    middle = affine[:3, :3] @ centre + affine[:3, 3]
    placed = np.eye(4)
    placed[:3, :3] = steps
    placed[:3, 3] = middle - steps @ ((np.array(grid.shape) - 1) / 2)
    return placed


def _in_plane(affine: Matrix, axes: str) -> Matrix:
    """Name the directions of a single slice's grid.

    A slice in the plane of `axes` follows it; in another plane it lies as a radiologist sees it. The third direction
    is the slice's normal, on the side that keeps the handedness of `axes`.
    """
    columns, rows = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (0, 1))
    normal = np.cross(columns, rows)
    plane = int(np.abs(normal).argmax())
    follows = plane == int(np.abs(DIRECTIONS[axes[2]]).argmax())
    wanted = np.array([DIRECTIONS[letter] for letter in (axes[:2] if follows else AS_SEEN[plane])])
    found = wanted @ np.array([columns, rows]).T
    crossed = abs(found[0, 1]) + abs(found[1, 0]) > abs(found[0, 0]) + abs(found[1, 1])
    first, second = (rows, columns) if crossed else (columns, rows)
    first = first * (1.0 if first @ wanted[0] >= 0 else -1.0)
    second = second * (1.0 if second @ wanted[1] >= 0 else -1.0)
    hand = np.linalg.det(np.array([DIRECTIONS[letter] for letter in axes]))
    return np.array([first, second, np.cross(first, second) * hand]).T


def middle_of(voxels: NDArray[np.float32], crop: str) -> NDArray[np.float64]:
    """Find the source index where the middle of the box belongs.

    "center" is the middle of the volume; "foreground" the middle of what is brighter than the volume's mean, which
    parts a patient from the air around in CT, MR and PET alike. A volume of one value has no foreground.
    """
    middle = (np.array(voxels.shape, np.float64) - 1) / 2
    if crop == "center":
        return middle
    bright = voxels > voxels.mean(dtype=np.float64)
    if not bright.any():
        return middle
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        reached = np.cumsum(bright.sum(axis=others)) / bright.sum()
        first = int(np.searchsorted(reached, SLIM, side="right"))
        last = int(np.searchsorted(reached, 1.0 - SLIM, side="left"))
        middle[axis] = (first + last) / 2
    return middle


def index_map(source: Matrix, target: Matrix, slices: int) -> Matrix:
    """Give the 4 x 4 map from indices of `target` to indices of `source`: exact, shear included.

    Where source or target is a single slice, every voxel of the other lies in that slice's plane.
    """
    try:
        mapping = np.linalg.solve(source, target)
    except np.linalg.LinAlgError:
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "affine") from None
    if slices == 1:
        mapping[2] = mapping[:3, 2] = 0.0
    if not np.isfinite(mapping).all():
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "affine")
    return np.asarray(mapping.round(DECIMALS), np.float64)
