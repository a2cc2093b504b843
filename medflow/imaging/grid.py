"""A volume on the grid a network was trained on: orientation, spacing, crop and intensity in one transform."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray

from medflow.domain.plane import PlanarGrid
from medflow.domain.volume import Grid, Intensity, Scaled, Unit, Volume
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
        channels = _plain(source)
        affine = np.asarray(source.affine.cpu(), np.float64)
        shape = tuple(channels.shape[1:])
        check_slices(shape, self.grid)
        target = laid_on(affine, shape, self.grid, middle_of(channels[0].cpu().numpy(), self.grid.crop))
        moved = torch.stack([_sampled(channel, affine, target, self.grid) for channel in channels])
        placed = _like(source, moved, target)
        extra = {"affine": torch.from_numpy(affine), "shape": shape}
        self.push_transform(placed, orig_size=shape, extra_info=extra)
        return placed

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Sample (channel, i, j, k) on the grid at the voxels of the volume that came in; 0 outside the grid."""
        before = self.pop_transform(data)["extra_info"]
        affine, shape = np.asarray(before["affine"], np.float64), tuple(int(size) for size in before["shape"])
        mapping = index_map(np.asarray(data.affine.cpu(), np.float64), affine, shape[2])
        sampling = Sampling(padding=0.0, linear=self.grid.interpolation == "linear")
        channels = _plain(data)
        back = [resample(channel, mapping, shape, sampling) for channel in channels]
        filled = [channels.new_zeros(shape) if channel is None else channel for channel in back]
        return _like(data, torch.stack(filled), affine)


class ToGridd(MapTransform, InvertibleTransform):  # type: ignore[misc]  # as above
    """Bring the MetaTensors under `keys` of a dictionary onto `grid`, each laid by itself; see `ToGrid`."""

    def __init__(self, keys: KeysCollection, grid: Grid, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ToGrid(grid)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample and scale what stands under each key."""
        return {**data, **{key: self.transform(data[key]) for key in self.key_iterator(data)}}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring what stands under each key back to the volume's own voxels."""
        return {**data, **{key: self.transform.inverse(data[key]) for key in self.key_iterator(data)}}


def _plain(data: MetaTensor) -> torch.Tensor:
    """Take the voxels (channel, i, j, k) as float32, without what hangs on them."""
    voxels: torch.Tensor = data.as_tensor().detach().float()
    return voxels


def _like(source: MetaTensor, voxels: torch.Tensor, affine: NDArray[np.float64]) -> MetaTensor:
    """Give new voxels the history and the other metadata of `source`."""
    meta = {name: value for name, value in source.meta.items() if name != "affine"}
    history = list(source.applied_operations)
    return MetaTensor(voxels, meta=meta, affine=torch.from_numpy(affine), applied_operations=history)


def on_grid(volume: Volume[Unit], grid: Grid) -> Volume[Scaled]:
    """Bring `volume` onto `grid` as ToGrid does; its unit is then `Unit.SCALED`.

    Raises:
        SeriesError: one slice for a grid of many or many for one, a box that misses the volume, a voxel that is no
            number, or an affine that cannot be.
    """
    check_slices(volume.voxels.shape, grid)
    target = laid_on(volume.affine, volume.voxels.shape, grid, middle_of(volume.voxels, grid.crop))
    moved = _sampled(_tensor(volume.voxels), volume.affine, target, grid)
    return Volume(
        voxels=moved.numpy(),
        affine=target,
        unit=Unit.SCALED,
        modality=volume.modality,
        series_digest=volume.series_digest,
        layout_digest=volume.layout_digest,
    )


def _tensor(voxels: NDArray[np.float32]) -> torch.Tensor:
    """Share the memory of `voxels` with torch, which reads neither backwards nor what is read-only."""
    shared = voxels.flags.writeable and min(voxels.strides) >= 0
    return torch.from_numpy(voxels if shared else voxels.copy(order="K"))


def _sampled(
    voxels: torch.Tensor, affine: NDArray[np.float64], target: NDArray[np.float64], grid: Grid
) -> torch.Tensor:
    sampling = Sampling(padding=grid.padding, linear=grid.interpolation == "linear", antialias=grid.antialias)
    moved = resample(voxels, index_map(affine, target, voxels.shape[2]), grid.shape, sampling)
    if moved is None or bool((moved == grid.padding).all()):
        raise SeriesError(Reason.OUTSIDE_GRID, "no voxel of the volume lies in the grid")
    if not bool(moved.isfinite().all()):
        raise SeriesError(Reason.NON_FINITE_VOXELS)
    return scaled(moved, grid)


def scaled(voxels: torch.Tensor, grid: Grid | PlanarGrid) -> torch.Tensor:
    """Apply the grid's intensity rule to voxels in the volume's unit, in place.

    `Intensity.WINDOW` takes [low, high] to [0, 1] and clips. `Intensity.ZSCORE` subtracts the mean and divides by the
    standard deviation of what is no background: brighter than a tenth of the way from padding to the 99th percentile.
    """
    if grid.intensity is Intensity.WINDOW:
        if grid.window is None:
            raise ValueError("a window intensity needs a window")
        low, high = grid.window
        return voxels.sub_(low).div_(high - low).clamp_(0.0, 1.0)
    values = voxels.cpu().numpy()  # numpy adds up in an order that no number of threads changes
    bright = float(np.percentile(values, BRIGHT))
    tissue = values[values > grid.padding + BACKGROUND * (bright - grid.padding)].astype(np.float64)
    if tissue.size == 0 or tissue.std() == 0.0:
        return voxels.zero_()
    return voxels.sub_(float(tissue.mean())).div_(float(tissue.std()))
