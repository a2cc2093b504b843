"""A volume on the grid a network was trained on: orientation, spacing, crop and intensity in one transform."""

from dataclasses import replace

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from numpy.typing import NDArray

from medflow.domain.volume import Grid, Intensity, Unit, Volume
from medflow.errors import Reason, SeriesError
from medflow.imaging.placement import check_slices, index_map, laid_on, middle_of
from medflow.imaging.resample import Sampling, resample

BRIGHT = 99.0
"""Percentile that stands for the brightest tissue, a few hot voxels aside."""
BACKGROUND = 0.1
"""Share of the way from padding to the brightest tissue below which a voxel is background: noise, not anatomy."""


class ToGrid(InvertibleTransform):  # type: ignore[misc]  # MONAI's classes come without types
    """Bring a MetaTensor (channel, i, j, k) onto `grid`: usable in any MONAI Compose, and invertible.

    There is one interpolation, through the full affine, so a sheared stack lands where it was. The affine that comes
    out (RAS+ mm) is exact: a point keeps its millimetres. `inverse` brings voxels on the grid (a mask, a heat map)
    back to the volume's own voxels; it does not undo the intensity rule, whose clipping cannot be undone.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __call__(self, data: torch.Tensor) -> MetaTensor:
        """Resample and scale every channel; all of them lie where the first one's box is laid."""
        source = data if isinstance(data, MetaTensor) else MetaTensor(data)
        channels = source.detach().cpu().numpy().astype(np.float32, copy=False)
        affine = np.asarray(source.affine, np.float64)
        check_slices(channels.shape[1:], self.grid)
        target = laid_on(affine, channels.shape[1:], self.grid, middle_of(channels[0], self.grid.crop))
        moved = np.stack([_sampled(channel, affine, target, self.grid) for channel in channels])
        placed = _like(source, moved, target)
        self.push_transform(
            placed,
            orig_size=channels.shape[1:],
            extra_info={"affine": torch.from_numpy(affine), "shape": channels.shape[1:]},
        )
        return placed

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Sample (channel, i, j, k) on the grid at the voxels of the volume that came in; 0 outside the grid."""
        before = self.pop_transform(data)["extra_info"]
        affine, shape = np.asarray(before["affine"], np.float64), tuple(int(size) for size in before["shape"])
        mapping = index_map(np.asarray(data.affine, np.float64), affine, shape[2])
        back = [
            resample(channel, mapping, shape, Sampling(padding=0.0, linear=self.grid.interpolation == "linear"))
            for channel in data.detach().cpu().numpy().astype(np.float32, copy=False)
        ]
        filled = [np.zeros(shape, np.float32) if channel is None else channel for channel in back]
        return _like(data, np.stack(filled), affine)


def _like(source: MetaTensor, voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> MetaTensor:
    """Give new voxels the history and the other metadata of `source`."""
    meta = {name: value for name, value in source.meta.items() if name != "affine"}
    history = list(source.applied_operations)
    return MetaTensor(torch.from_numpy(voxels), meta=meta, affine=torch.from_numpy(affine), applied_operations=history)


def on_grid(volume: Volume, grid: Grid) -> Volume:
    """Bring `volume` onto `grid` as ToGrid does; its unit is then `Unit.SCALED`.

    Raises:
        SeriesError: one slice for a grid of many or many for one, a box that misses the volume, a voxel that is no
            number, or an affine that cannot be.
    """
    check_slices(volume.voxels.shape, grid)
    target = laid_on(volume.affine, volume.voxels.shape, grid, middle_of(volume.voxels, grid.crop))
    return replace(volume, voxels=_sampled(volume.voxels, volume.affine, target, grid), affine=target, unit=Unit.SCALED)


def _sampled(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], target: NDArray[np.float64], grid: Grid
) -> NDArray[np.float32]:
    sampling = Sampling(padding=grid.padding, linear=grid.interpolation == "linear", antialias=grid.antialias)
    moved = resample(voxels, index_map(affine, target, voxels.shape[2]), grid.shape, sampling)
    if moved is None or np.all(moved == np.float32(grid.padding)):
        raise SeriesError(Reason.OUTSIDE_GRID, "no voxel of the volume lies in the grid")
    if not np.isfinite(moved).all():
        raise SeriesError(Reason.NON_FINITE_VOXELS)
    return scaled(moved, grid)


def scaled(voxels: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Apply the grid's intensity rule to voxels in the volume's unit.

    `Intensity.WINDOW` takes [low, high] to [0, 1] and clips. `Intensity.ZSCORE` subtracts the mean and divides by the
    standard deviation of what is no background: brighter than a tenth of the way from padding to the 99th percentile.
    """
    if grid.intensity is Intensity.WINDOW:
        if grid.window is None:
            raise ValueError("a window intensity needs a window")
        low, high = grid.window
        return np.asarray(np.clip((voxels - np.float32(low)) / np.float32(high - low), 0.0, 1.0), np.float32)
    bright = float(np.percentile(voxels, BRIGHT))
    tissue = voxels[voxels > grid.padding + BACKGROUND * (bright - grid.padding)].astype(np.float64)
    if tissue.size == 0 or tissue.std() == 0.0:
        return np.zeros_like(voxels)
    return np.asarray((voxels - tissue.mean()) / tissue.std(), np.float32)
