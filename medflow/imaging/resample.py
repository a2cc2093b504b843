"""One interpolation from a volume's voxels to a grid's, in index space: no direction matrix that could drop a shear.

Everything is torch, and the same on a CPU and on a GPU. On the CPU no bit depends on the number of threads.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from medflow.imaging.aslant import aslant
from medflow.imaging.taps import SLAB, Sampling, Taps, draw_along, laid_out, taps_of, weigh

Matrix = NDArray[np.float64]

FULL_WIDTH = 8.0 * math.log(2.0)
"""(full width at half maximum / standard deviation)^2 of a Gaussian."""
SHRINKS = 1.001
"""An axis is smoothed when its voxels grow by more than this."""

__all__ = ["Sampling", "resample"]


def resample(voxels: torch.Tensor, mapping: Matrix, shape: tuple[int, ...], sampling: Sampling) -> torch.Tensor | None:
    """Sample float32 `voxels` (i, j, k) at `mapping` (target index to source index, 4 x 4) of each voxel of `shape`.

    A voxel reaches half a step beyond its centre; further out everything is padding. Antialiasing smooths each axis
    that shrinks by the Gaussian that widens a source voxel to a target voxel (Cardoso et al., 2015: variance
    (f^2 - 1) / (8 ln 2) source voxels for a factor f), sampled so that it keeps its variance on a lattice (Lindeberg,
    1990). Axes that stay parallel are interpolated one after the other, which is the same and faster. None where no
    target voxel lies inside the source.
    """
    factors = np.linalg.norm(mapping[:3, :3], axis=1)
    variances = np.where(factors > SHRINKS, (factors**2 - 1.0) / FULL_WIDTH, 0.0) if sampling.antialias else np.zeros(3)
    variances[np.array(voxels.shape) == 1] = 0.0
    order = _parallel(mapping)
    if order is None:
        return aslant(voxels, mapping, shape, sampling, variances)
    taps = [
        taps_of(mapping[axis, order[axis]], mapping[axis, 3], (shape[order[axis]], size), variances[axis], sampling)
        for axis, size in enumerate(voxels.shape)
    ]
    if any(tap.inside.stop <= tap.inside.start for tap in taps):
        return None
    sampled = voxels.new_full([shape[order[axis]] for axis in range(3)], sampling.padding)
    _by_axes(voxels, taps, sampled[taps[0].inside, taps[1].inside, taps[2].inside])
    return sampled.permute([order.index(axis) for axis in range(3)])


def _parallel(mapping: Matrix) -> list[int] | None:
    """Say which target axis each source axis runs along; None where one of them runs aslant."""
    along = mapping[:3, :3] != 0.0
    blank = ~along.any(axis=1)  # a single slice: all of the target lies in its plane
    free = [axis for axis in range(3) if not along[:, axis].any()]
    if (along.sum(axis=1) > 1).any() or (along.sum(axis=0) > 1).any() or blank.sum() != len(free):
        return None
    return [free.pop(0) if blank[axis] else int(along[axis].argmax()) for axis in range(3)]


def _by_axes(voxels: torch.Tensor, taps: list[Taps], made: torch.Tensor) -> None:
    """Interpolate along each axis in turn, the one that lies widest apart in memory first, into `made`."""
    order = sorted(range(3), key=lambda axis: -voxels.stride()[axis])
    outer, middle, inner = (taps[axis] for axis in order)
    low, high = int(middle.indices.min()), int(middle.indices.max()) + 1
    source, made = voxels.permute(order)[:, low:high], made.permute(order)
    across = laid_out(middle.indices - low, middle.weights, voxels.device)
    along = laid_out(inner.indices, inner.weights, voxels.device)
    step = SLAB if voxels.device.type == "cpu" else len(outer.weights)
    slab = voxels.new_empty(step, *source.shape[1:])
    for start in range(0, len(outer.weights), step):
        rows = range(start, min(start + step, len(outer.weights)))
        for plane, row in zip(slab, rows, strict=False):
            weigh(source, outer.indices[row], outer.weights[row], plane)
        made[rows.start : rows.stop] = draw_along(draw_along(slab[: len(rows)], across, 1), along, 2)
