"""One interpolation from a volume's voxels to a grid's, in index space: no direction matrix that could drop a shear.

Everything is torch, and the same on a CPU and on a GPU. On the CPU no bit depends on the number of threads.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ive

Matrix = NDArray[np.float64]

FULL_WIDTH = 8.0 * math.log(2.0)
"""(full width at half maximum / standard deviation)^2 of a Gaussian."""
SHRINKS = 1.001
"""An axis is smoothed when its voxels grow by more than this."""
TAIL = 1e-4
"""Share of the smoothing kernel that may be cut off (the rest is made to sum up to one)."""
EDGE = 1e-4
"""Voxels: a position that rounding puts this little beyond the border still lies on it."""
SLAB = 2
"""Slices that are worked on together on a CPU, so that what lies between the axes stays in its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How voxels are drawn: the value outside the source, linear or nearest, and whether shrinking smooths first."""

    padding: float
    linear: bool = True
    antialias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taps:
    """For each target index of one axis: the source indices that it draws from, and their weights."""

    inside: slice
    """Target indices that lie within the source; the others are padding."""
    indices: NDArray[np.int64]
    """(target index within `inside`, tap)"""
    weights: NDArray[np.float32]


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
        return _anyhow(voxels, mapping, shape, sampling, variances)
    taps = [
        _taps(mapping[axis, order[axis]], mapping[axis, 3], (shape[order[axis]], size), variances[axis], sampling)
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


def _taps(scale: float, offset: float, sizes: tuple[int, int], variance: float, sampling: Sampling) -> _Taps:
    """Work out what each of `sizes[0]` target indices, at `scale` x index + `offset`, draws from `sizes[1]` voxels."""
    count, size = sizes
    places = scale * np.arange(count) + offset
    within = np.flatnonzero((places >= -0.5 - EDGE) & (places <= size - 0.5 + EDGE))
    if within.size == 0:
        return _Taps(inside=slice(0, 0), indices=np.empty((0, 1), np.int64), weights=np.empty((0, 1), np.float32))
    places = np.clip(places[within], 0.0, size - 1.0)
    lower = np.floor(places if sampling.linear else places + 0.5)
    part = (places - lower)[:, None] if sampling.linear else np.zeros((places.size, 1))
    kernel = _kernel(variance)
    reach = len(kernel) // 2
    weights = (1.0 - part) * np.append(kernel, 0.0) + part * np.append(0.0, kernel)
    indices = lower.astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    used = np.flatnonzero(weights.any(axis=0))
    return _Taps(
        inside=slice(int(within[0]), int(within[-1]) + 1),
        indices=np.clip(indices[:, used], 0, size - 1),
        weights=weights[:, used].astype(np.float32),
    )


def _kernel(variance: float) -> NDArray[np.float64]:
    """Sample a Gaussian for a lattice: exp(-t) I_n(t), of odd length, summing up to one."""
    if variance == 0.0:
        return np.ones(1)
    reach = 1
    while ive(np.arange(-reach, reach + 1), variance).sum() < 1.0 - TAIL:
        reach += 1
    kernel = np.asarray(ive(np.arange(-reach, reach + 1), variance), np.float64)
    return kernel / kernel.sum()


def _by_axes(voxels: torch.Tensor, taps: list[_Taps], made: torch.Tensor) -> None:
    """Interpolate along each axis in turn, the one that lies widest apart in memory first, into `made`."""
    order = sorted(range(3), key=lambda axis: -voxels.stride(axis))
    outer, middle, inner = (taps[axis] for axis in order)
    low, high = int(middle.indices.min()), int(middle.indices.max()) + 1
    source, made = voxels.permute(order)[:, low:high], made.permute(order)
    across = _laid(middle.indices - low, middle.weights, voxels.device)
    along = _laid(inner.indices, inner.weights, voxels.device)
    step = SLAB if voxels.device.type == "cpu" else len(outer.weights)
    slab = voxels.new_empty(step, *source.shape[1:])
    for start in range(0, len(outer.weights), step):
        rows = range(start, min(start + step, len(outer.weights)))
        for plane, row in zip(slab, rows, strict=False):
            _weighed(source, outer.indices[row], outer.weights[row], plane)
        made[rows.start : rows.stop] = _drawn(_drawn(slab[: len(rows)], across, 1), along, 2)


def _weighed(
    source: torch.Tensor, indices: NDArray[np.int64], weights: NDArray[np.float32], plane: torch.Tensor
) -> None:
    """Add up the planes that one target plane draws from."""
    torch.mul(source[int(indices[0])], float(weights[0]), out=plane)
    for index, weight in zip(indices[1:].tolist(), weights[1:].tolist(), strict=True):
        if weight:
            plane.add_(source[index], alpha=weight)


def _laid(
    indices: NDArray[np.int64], weights: NDArray[np.float32], device: torch.device
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Lay out the taps of an axis as tensors: for each tap, where every target index draws from and how much of it."""
    return [
        (
            torch.from_numpy(np.ascontiguousarray(index)).to(device),
            torch.from_numpy(np.ascontiguousarray(weight)).to(device),
        )
        for index, weight in zip(indices.T, weights.T, strict=True)
    ]


def _drawn(slab: torch.Tensor, taps: list[tuple[torch.Tensor, torch.Tensor]], axis: int) -> torch.Tensor:
    """Weigh and add what each target index draws from along one axis."""
    spread = [1, 1, 1]
    spread[axis] = -1
    index, weight = taps[0]
    total = slab.index_select(axis, index).mul_(weight.view(spread))
    for index, weight in taps[1:]:
        total.addcmul_(slab.index_select(axis, index), weight.view(spread))
    return total


def _smoothed(voxels: torch.Tensor, variances: NDArray[np.float64], box: tuple[slice, slice, slice]) -> torch.Tensor:
    """Smooth what lies in `box`; beyond the border of the volume its last voxel goes on."""
    order = sorted(range(3), key=lambda axis: -voxels.stride(axis))
    kernels = [_kernel(variances[axis]) for axis in order]
    wide = [
        _widened(box[axis], len(kernel) // 2, voxels.shape[axis]) for axis, kernel in zip(order, kernels, strict=True)
    ]
    rows, columns = (index.to(voxels.device) for index in wide[1:])
    source = voxels.permute(order)
    smooth = voxels.new_empty([box[axis].stop - box[axis].start for axis in order])
    weights = kernels[0].astype(np.float32)
    plane = torch.empty_like(source[0])
    for number, target in enumerate(smooth):
        _weighed(source, wide[0][number : number + len(weights)].numpy(), weights, plane)
        spread = (
            plane if len(kernels[1]) == len(kernels[2]) == 1 else plane.index_select(0, rows).index_select(1, columns)
        )
        target.copy_(_swept(_swept(spread, kernels[1], 0), kernels[2], 1))
    return smooth.permute([order.index(axis) for axis in range(3)])


def _widened(side: slice, reach: int, size: int) -> torch.Tensor:
    """Name the source indices of `side` and `reach` more at each end."""
    return torch.arange(side.start - reach, side.stop + reach).clamp_(0, size - 1)


def _swept(plane: torch.Tensor, kernel: NDArray[np.float64], axis: int) -> torch.Tensor:
    """Convolve a plane along one axis, where the kernel fits."""
    length = plane.shape[axis] - len(kernel) + 1
    total = plane.narrow(axis, 0, length) * float(kernel[0])
    for tap, weight in enumerate(kernel[1:].tolist(), 1):
        total.add_(plane.narrow(axis, tap, length), alpha=weight)
    return total


def _anyhow(
    voxels: torch.Tensor, mapping: Matrix, shape: tuple[int, ...], sampling: Sampling, variances: NDArray[np.float64]
) -> torch.Tensor | None:
    """Interpolate at positions that run through the source aslant."""
    box = _box(voxels.shape, mapping, shape)
    if box is None:
        return None
    part = _smoothed(voxels, variances, box) if variances.any() else voxels[box]
    inward = mapping.copy()
    inward[:3, 3] -= [side.start for side in box]
    sampled = voxels.new_empty(shape[2], shape[1], shape[0])
    for start in range(0, shape[2], SLAB):
        slab = sampled[start : start + SLAB]
        places = _places(inward @ _shift(start), slab.shape, voxels.device)
        slab.copy_(_drawn_at(part, places, linear=sampling.linear))
        outside = _outside(places, part.shape)
        if outside is not None:
            slab.masked_fill_(outside, sampling.padding)
    return sampled.permute(2, 1, 0)


def _shift(slices: int) -> Matrix:
    """Give the map that counts the slices of a target from `slices` on."""
    shift = np.eye(4)
    shift[2, 3] = slices
    return shift


def _places(mapping: Matrix, extent: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Give the source index (last axis: i, j, k) of each voxel (k, j, i) of a target of `extent`."""
    k, j, i = (torch.arange(size, dtype=torch.float64, device=device) for size in extent)
    places = torch.empty(*extent, 3, device=device)
    for axis in range(3):
        a, b, c, origin = mapping[axis].tolist()
        slow = (c * k + origin)[:, None] + b * j
        torch.add(slow.float()[:, :, None], (a * i).float(), out=places[..., axis])
    return places


def _outside(places: torch.Tensor, extent: torch.Size) -> torch.Tensor | None:
    """Tell which places lie beyond half a step from the border voxels' centres; None where none does."""
    corners = places[:: max(len(places) - 1, 1), :: places.shape[1] - 1 or 1, :: places.shape[2] - 1 or 1]
    highest = torch.tensor(extent, device=places.device) - 0.5 + EDGE
    if bool(((corners >= -0.5 - EDGE) & (corners <= highest)).all()):
        return None  # a box is convex: its corners speak for it
    return ((places < -0.5 - EDGE) | (places > highest)).any(dim=-1)


def _drawn_at(part: torch.Tensor, places: torch.Tensor, *, linear: bool) -> torch.Tensor:
    """Draw from `part` (i, j, k) at `places`; beyond its border its last voxel goes on."""
    wide = torch.tensor([2.0 / max(size - 1, 1) for size in part.shape], device=part.device)
    source = part.permute(2, 1, 0)[None, None].expand(len(places), -1, -1, -1, -1)
    return torch.nn.functional.grid_sample(
        source,
        ((places if linear else (places + 0.5).floor()) * wide - 1.0)[:, None],
        mode="bilinear" if linear else "nearest",
        padding_mode="border",
        align_corners=True,
    )[:, 0, 0]


def _box(extent: tuple[int, ...], mapping: Matrix, shape: tuple[int, ...]) -> tuple[slice, slice, slice] | None:
    """Find the part of the source, per axis, that any target voxel can draw from."""
    corners = np.array(np.meshgrid(*((0, n - 1) for n in shape), indexing="ij"), np.float64).reshape(3, -1)
    reached = mapping[:3, :3] @ corners + mapping[:3, 3:]
    low = np.maximum(np.floor(reached.min(axis=1) - 1.0).astype(int), 0)
    high = np.minimum(np.ceil(reached.max(axis=1) + 1.0).astype(int) + 1, extent)
    if (low >= high).any():
        return None
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third
