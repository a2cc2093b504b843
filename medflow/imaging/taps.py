"""What each voxel of a target draws from along one axis of the source, and how much of it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ive

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
class Taps:
    """For each target index of one axis: the source indices that it draws from, and their weights."""

    inside: slice
    """Target indices that lie within the source; the others are padding."""
    indices: NDArray[np.int64]
    """(target index within `inside`, tap)"""
    weights: NDArray[np.float32]


def taps_of(scale: float, offset: float, sizes: tuple[int, int], variance: float, sampling: Sampling) -> Taps:
    """Work out what each of `sizes[0]` target indices, at `scale` x index + `offset`, draws from `sizes[1]` voxels."""
    count, size = sizes
    places = scale * np.arange(count) + offset
    within = np.flatnonzero((places >= -0.5 - EDGE) & (places <= size - 0.5 + EDGE))
    if within.size == 0:
        return Taps(inside=slice(0, 0), indices=np.empty((0, 1), np.int64), weights=np.empty((0, 1), np.float32))
    places = np.clip(places[within], 0.0, size - 1.0)
    lower = np.floor(places if sampling.linear else places + 0.5)
    part = (places - lower)[:, None] if sampling.linear else np.zeros((places.size, 1))
    kernel = kernel_of(variance)
    reach = len(kernel) // 2
    weights = (1.0 - part) * np.append(kernel, 0.0) + part * np.append(0.0, kernel)
    indices = lower.astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    used = np.flatnonzero(weights.any(axis=0))
    return Taps(
        inside=slice(int(within[0]), int(within[-1]) + 1),
        indices=np.clip(indices[:, used], 0, size - 1),
        weights=weights[:, used].astype(np.float32),
    )


def kernel_of(variance: float) -> NDArray[np.float64]:
    """Sample a Gaussian for a lattice: exp(-t) I_n(t), of odd length, summing up to one."""
    if variance == 0.0:
        return np.ones(1)
    reach = 1
    while ive(np.arange(-reach, reach + 1), variance).sum() < 1.0 - TAIL:
        reach += 1
    kernel = np.asarray(ive(np.arange(-reach, reach + 1), variance), np.float64)
    return np.asarray(kernel / kernel.sum(), np.float64)


def weigh(source: torch.Tensor, indices: NDArray[np.int64], weights: NDArray[np.float32], plane: torch.Tensor) -> None:
    """Add up the planes that one target plane draws from."""
    torch.mul(source[int(indices[0])], float(weights[0]), out=plane)
    for index, weight in zip(indices[1:].tolist(), weights[1:].tolist(), strict=True):
        if weight:
            plane.add_(source[index], alpha=weight)


def laid_out(
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


def draw_along(slab: torch.Tensor, taps: list[tuple[torch.Tensor, torch.Tensor]], axis: int) -> torch.Tensor:
    """Weigh and add what each target index draws from along one axis."""
    spread = [1, 1, 1]
    spread[axis] = -1
    index, weight = taps[0]
    total = slab.index_select(axis, index).mul_(weight.view(spread))
    for index, weight in taps[1:]:
        total.addcmul_(slab.index_select(axis, index), weight.view(spread))
    return total
