"""One interpolation from a volume's voxels to a grid's, in index space: no direction matrix that could drop a shear."""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

FULL_WIDTH = 8.0 * math.log(2.0)
"""(full width at half maximum / standard deviation)^2 of a Gaussian."""
SHRINKS = 1.001
"""An axis is smoothed when its voxels grow by more than this."""
WIDEST, TAIL = 64, 0.01
"""Most voxels that a smoothing kernel may span, and the share of the Gaussian that it may cut off (then normalised)."""
REACH = 4.0
"""Standard deviations of the smoothing that a crop must leave around what is sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How voxels are drawn: the value outside the source, linear or nearest, and whether shrinking smooths first."""

    padding: float
    linear: bool = True
    antialias: bool = False


def resample(
    voxels: NDArray[np.float32], mapping: NDArray[np.float64], shape: tuple[int, ...], sampling: Sampling
) -> NDArray[np.float32] | None:
    """Sample `voxels` (i, j, k) at `mapping` (target index to source index, 4 x 4) of each voxel of `shape`.

    A voxel reaches half a step beyond its centre; further out everything is padding. Antialiasing smooths each axis
    that shrinks by the Gaussian that widens a source voxel to a target voxel (Cardoso et al., 2015: variance
    (f^2 - 1) / (8 ln 2) source voxels for a factor f). None where no target voxel lies inside the source.
    """
    factors = np.linalg.norm(mapping[:3, :3], axis=1)
    variances = np.where(factors > SHRINKS, (factors**2 - 1.0) / FULL_WIDTH, 0.0) if sampling.antialias else np.zeros(3)
    variances[np.array(voxels.shape) == 1] = 0.0
    box = _box(voxels.shape, mapping, shape, margin=REACH * np.sqrt(variances) + 2.0)
    if box is None:
        return None
    part = voxels[tuple(slice(low, high) for low, high in box)]
    image = sitk.GetImageFromArray(np.ascontiguousarray(part.transpose(2, 1, 0)))
    if variances.any():
        image = sitk.DiscreteGaussian(image, variances.tolist(), WIDEST, TAIL, useImageSpacing=False)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(mapping[:3, :3].ravel().tolist())
    transform.SetTranslation((mapping[:3, 3] - [low for low, _ in box]).tolist())
    sampler = sitk.ResampleImageFilter()
    sampler.SetSize(shape)
    sampler.SetTransform(transform)
    sampler.SetInterpolator(sitk.sitkLinear if sampling.linear else sitk.sitkNearestNeighbor)
    sampler.SetDefaultPixelValue(sampling.padding)
    sampled: NDArray[np.float32] = sitk.GetArrayFromImage(sampler.Execute(image))
    return np.ascontiguousarray(sampled.transpose(2, 1, 0))


def _box(
    extent: tuple[int, ...], mapping: NDArray[np.float64], shape: tuple[int, ...], margin: NDArray[np.float64]
) -> list[tuple[int, int]] | None:
    """Find the part of the source (half-open, per axis) that any target voxel can draw from."""
    corners = np.array(np.meshgrid(*((0, n - 1) for n in shape), indexing="ij"), np.float64).reshape(3, -1)
    reached = mapping[:3, :3] @ corners + mapping[:3, 3:]
    low = np.floor(reached.min(axis=1) - margin).astype(int)
    high = np.ceil(reached.max(axis=1) + margin).astype(int) + 1
    box = [(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, extent, strict=True)]
    return box if all(a < b for a, b in box) else None
