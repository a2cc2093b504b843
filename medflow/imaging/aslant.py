"""Interpolation where axes of the target run aslant through the source: a tilted gantry, an oblique stack."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medflow.imaging.taps import EDGE, SLAB, Sampling, draw_along, kernel_of, laid_out, taps_of, weigh

Matrix = NDArray[np.float64]


def aslant(
    voxels: torch.Tensor, mapping: Matrix, shape: tuple[int, ...], sampling: Sampling, variances: NDArray[np.float64]
) -> torch.Tensor | None:
    """Interpolate where axes of the target run aslant through the source."""
    box = _box(voxels.shape, mapping, shape)
    if box is None:
        return None
    part = _smoothed(voxels, variances, box) if variances.any() else voxels[box]
    inward = mapping.copy()
    inward[:3, 3] -= [side.start for side in box]
    inner = min(range(3), key=lambda axis: part.stride()[axis])
    along = _only(inward, inner)
    if along is not None:
        return _by_rows(part, inward, shape, sampling, (inner, along))
    return _at_points(part, inward, shape, sampling)


def _only(mapping: Matrix, axis: int) -> int | None:
    """Name the target axis that source `axis` runs along, if no other axis has to do with either."""
    targets, others = np.flatnonzero(mapping[axis, :3]), np.delete(mapping[:3, :3], axis, axis=0)
    return int(targets[0]) if len(targets) == 1 and not others[:, targets[0]].any() else None


def _by_rows(
    part: torch.Tensor, mapping: Matrix, shape: tuple[int, ...], sampling: Sampling, inner: tuple[int, int]
) -> torch.Tensor | None:
    """Interpolate whole rows between rows, then along them: a tilted gantry leaves the rows parallel.

    `inner` names the axis that rows run along, in the source and in the target.
    """
    taps = taps_of(
        mapping[inner[0], inner[1]], mapping[inner[0], 3], (shape[inner[1]], part.shape[inner[0]]), 0.0, sampling
    )
    if taps.inside.stop <= taps.inside.start:
        return None
    across = sorted({0, 1, 2} - {inner[0]}, key=lambda axis: -part.stride()[axis])
    slow, fast = sorted({0, 1, 2} - {inner[1]}, reverse=True)
    rows = part.permute(*across, inner[0]).contiguous()
    extent, rows = rows.shape[:2], rows.flatten(0, 1)
    sampled = part.new_full((shape[slow], shape[fast], shape[inner[1]]), sampling.padding)
    laid = laid_out(taps.indices, taps.weights, part.device)
    for start in range(0, shape[slow], SLAB):
        slab = sampled[start : start + SLAB, :, taps.inside]
        first, second = np.meshgrid(np.arange(start, start + len(slab)), np.arange(shape[fast]), indexing="ij")
        places = [mapping[axis, slow] * first + mapping[axis, fast] * second + mapping[axis, 3] for axis in across]
        drawn = draw_along(_between(rows, extent, places, linear=sampling.linear).view(*slab.shape[:2], -1), laid, 2)
        limits = zip(places, extent, strict=True)
        within = np.logical_and.reduce([(p >= -0.5 - EDGE) & (p <= size - 0.5 + EDGE) for p, size in limits])
        slab.copy_(torch.where(torch.from_numpy(within).to(part.device)[..., None], drawn, slab))
    return sampled.permute([(slow, fast, inner[1]).index(axis) for axis in range(3)])


def _between(rows: torch.Tensor, extent: Sequence[int], places: list[Matrix], *, linear: bool) -> torch.Tensor:
    """Weigh and add the four rows around each place; beyond the border its last row goes on."""
    numbers, weights = [], []
    for place, size in zip(places, extent, strict=True):
        held = np.clip(place.ravel(), 0.0, size - 1.0)
        low = np.floor(held if linear else held + 0.5)
        numbers.append([np.clip(low + tap, 0, size - 1).astype(np.int64) for tap in (0, 1)])
        weights.append([1.0 - (held - low), held - low] if linear else [np.ones_like(held), np.zeros_like(held)])
    corners = [(a, b) for a in (0, 1) for b in (0, 1)]
    indices = np.stack([numbers[0][a] * extent[1] + numbers[1][b] for a, b in corners], axis=-1)
    shares = np.stack([weights[0][a] * weights[1][b] for a, b in corners], axis=-1).astype(np.float32)
    (index, share), *others = laid_out(indices, shares, rows.device)
    total = rows.index_select(0, index).mul_(share[:, None])
    for index, share in others:
        total.addcmul_(rows.index_select(0, index), share[:, None])
    return total


def _at_points(part: torch.Tensor, mapping: Matrix, shape: tuple[int, ...], sampling: Sampling) -> torch.Tensor:
    """Interpolate at each point by itself."""
    sampled = part.new_empty(shape[2], shape[1], shape[0])
    inward = _centred(part.shape) @ mapping
    limits = torch.tensor([(size + 2 * EDGE) / max(size - 1, 1) for size in part.shape], device=part.device)
    for start in range(0, shape[2], SLAB):
        slab = sampled[start : start + SLAB]
        places = _places(inward @ _shift(start), slab.shape, part.device)
        slab.copy_(_drawn_at(part, places, linear=sampling.linear))
        corners = places[:: max(len(places) - 1, 1), :: shape[1] - 1 or 1, :: shape[0] - 1 or 1]
        if bool((corners.abs() > limits).any()):  # a box is convex: where its corners lie inside, so does all of it
            slab.masked_fill_((places.abs() > limits).any(dim=-1), sampling.padding)
    return sampled.permute(2, 1, 0)


def _centred(extent: Sequence[int]) -> Matrix:
    """Give the map from voxels to where the middle of each axis is 0, and its first and last voxel are -1 and 1."""
    centred = np.eye(4)
    for axis, size in enumerate(extent):
        centred[axis, axis] = 2.0 / max(size - 1, 1)
        centred[axis, 3] = -1.0 if size > 1 else 0.0
    return centred


def _shift(slices: int) -> Matrix:
    """Give the map that counts the slices of a target from `slices` on."""
    shift = np.eye(4)
    shift[2, 3] = slices
    return shift


def _places(mapping: Matrix, extent: Sequence[int], device: torch.device) -> torch.Tensor:
    """Map each voxel (k, j, i) of a target of `extent`; the last axis of what comes out is i, j, k of the source."""
    k, j, i = (torch.arange(size, dtype=torch.float64, device=device) for size in extent)
    places = torch.empty(*extent, 3, device=device)
    for axis in range(3):
        a, b, c, origin = mapping[axis].tolist()
        slow = (c * k + origin)[:, None] + b * j
        torch.add(slow.float()[:, :, None], (a * i).float(), out=places[..., axis])
    return places


def _drawn_at(part: torch.Tensor, places: torch.Tensor, *, linear: bool) -> torch.Tensor:
    """Draw from `part` (i, j, k) at `places` from -1 to 1; beyond its border its last voxel goes on."""
    return torch.nn.functional.grid_sample(
        part.permute(2, 1, 0)[None, None].expand(len(places), -1, -1, -1, -1),
        places[:, None],
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


def _smoothed(voxels: torch.Tensor, variances: NDArray[np.float64], box: tuple[slice, slice, slice]) -> torch.Tensor:
    """Smooth what lies in `box`; beyond the border of the volume its last voxel goes on."""
    order = sorted(range(3), key=lambda axis: -voxels.stride()[axis])
    kernels = [kernel_of(variances[axis]) for axis in order]
    wide = [
        _widened(box[axis], len(kernel) // 2, voxels.shape[axis]) for axis, kernel in zip(order, kernels, strict=True)
    ]
    rows, columns = (index.to(voxels.device) for index in wide[1:])
    source = voxels.permute(order)
    smooth = voxels.new_empty([box[axis].stop - box[axis].start for axis in order])
    weights = kernels[0].astype(np.float32)
    plane = torch.empty_like(source[0])
    for number, target in enumerate(smooth):
        weigh(source, wide[0][number : number + len(weights)].numpy(), weights, plane)
        spread = plane.index_select(0, rows).index_select(1, columns)
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
