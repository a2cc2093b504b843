"""A planar image on the grid a network was trained on: size, crop, side and brightness in one transform."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from numpy.typing import NDArray

from medflow.domain.plane import PlanarGrid, Plane
from medflow.domain.volume import Intensity, Unit
from medflow.errors import Reason, SeriesError
from medflow.imaging.grid import scaled
from medflow.imaging.placement import middle_of
from medflow.imaging.resample import Sampling, resample

Matrix = NDArray[np.float64]
Pair = tuple[float, float]

SIDES = frozenset({"L", "R"})
LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in how bright a colour looks (ITU-R BT.601)."""
COLOURS = 3
DECIMALS = 10
"""A map between pixels is rounded here, as one between voxels is."""


class ToPlanarGrid(InvertibleTransform):  # type: ignore[misc]  # MONAI's classes come without types
    """Bring a MetaTensor (channel, i, j) onto `grid`: usable in any MONAI Compose, and invertible.

    Its affine (4 x 4) carries the distance between pixels; a grid with a spacing takes it for millimetres. Where the
    grid mirrors, `meta["laterality"]` says which side is shown. There is one interpolation, and the affine that comes
    out is exact. `inverse` brings pixels on the grid (a mask, a heat map) back to the image's own; it undoes neither
    the intensity rule nor a change of channels.
    """

    def __init__(self, grid: PlanarGrid) -> None:
        self.grid = grid

    def __call__(self, data: torch.Tensor) -> MetaTensor:
        """Resample and scale an image of one channel or three."""
        source = data if isinstance(data, MetaTensor) else MetaTensor(data)
        pixels = _in_channels(source.as_tensor().detach().float(), self.grid.channels)
        affine = np.asarray(source.affine, np.float64)
        steps = np.linalg.norm(affine[:3, :2], axis=0)
        image = _Image(size=_size(pixels), spacing=(float(steps[0]), float(steps[1])))
        mapping = mapping_of(pixels, image, self.grid, mirrored=_mirrored(source.meta.get("laterality"), self.grid))
        placed = _like(source, _sampled(pixels, mapping, self.grid), affine @ mapping)
        self.push_transform(
            placed,
            orig_size=image.size,
            extra_info={"affine": torch.from_numpy(affine), "mapping": torch.from_numpy(mapping), "shape": image.size},
        )
        return placed

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Sample (channel, i, j) on the grid at the pixels of the image that came in; 0 outside the grid."""
        before = self.pop_transform(data)["extra_info"]
        width, height = (int(size) for size in before["shape"])
        mapping = np.linalg.inv(np.asarray(before["mapping"], np.float64))
        sampling = Sampling(padding=0.0, linear=self.grid.interpolation == "linear")
        pixels = data.as_tensor().detach().float()
        back = [resample(channel[..., None], mapping, (width, height, 1), sampling) for channel in pixels]
        blank = pixels.new_zeros(width, height)
        found = torch.stack([blank if channel is None else channel[..., 0] for channel in back])
        return _like(data, found, np.asarray(before["affine"], np.float64))


def on_planar_grid(plane: Plane, grid: PlanarGrid) -> Plane:
    """Bring `plane` onto `grid` as ToPlanarGrid does; its unit is then `Unit.SCALED`.

    Raises:
        SeriesError: the grid is in millimetres and the plane has no spacing, the grid mirrors and nobody knows the
            side, the box misses the image, or a pixel is no number.
    """
    if grid.spacing is not None and plane.spacing is None:
        raise SeriesError(Reason.NO_PIXEL_SPACING)
    mirrored = _mirrored(plane.laterality, grid)
    pixels = _in_channels(torch.from_numpy(np.array(plane.pixels, np.float32)), grid.channels)
    image = _Image(size=_size(pixels), spacing=plane.spacing or (1.0, 1.0))
    mapping = mapping_of(pixels, image, grid, mirrored=mirrored)
    spacing = None if plane.spacing is None else _steps(image, grid)
    return replace(plane, pixels=_sampled(pixels, mapping, grid).numpy(), spacing=spacing, unit=Unit.SCALED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """Pixels along (i, j), and the distance between them: mm, or 1 where nobody knows."""

    size: tuple[int, int]
    spacing: Pair


def mapping_of(pixels: torch.Tensor, image: _Image, grid: PlanarGrid, *, mirrored: bool) -> Matrix:
    """Give the 4 x 4 map from indices (i, j, 0, 1) of the grid to indices of the image (channel, i, j)."""
    brightness = pixels.mean(dim=0)[..., None].cpu().numpy()
    middle = middle_of(brightness, grid.crop)
    steps = _steps(image, grid)
    mapping = np.eye(4)
    for axis in range(2):
        scale = steps[axis] / image.spacing[axis] * (-1.0 if mirrored and axis == 0 else 1.0)
        mapping[axis, axis] = scale
        mapping[axis, 3] = middle[axis] - scale * (grid.shape[axis] - 1) / 2
    return np.asarray(mapping.round(DECIMALS), np.float64)


def _steps(image: _Image, grid: PlanarGrid) -> Pair:
    """Give the distance between the grid's pixels; without a spacing, the smallest under which the image fits."""
    if grid.spacing is not None:
        return grid.spacing
    extents = (size * step for size, step in zip(image.size, image.spacing, strict=True))
    fitting = max(extent / size for extent, size in zip(extents, grid.shape, strict=True))
    return fitting, fitting


def _mirrored(laterality: str | None, grid: PlanarGrid) -> bool:
    if grid.mirror == "none":
        return False
    if laterality not in SIDES:
        raise SeriesError(Reason.NO_LATERALITY)
    return laterality == "R"


def _in_channels(pixels: torch.Tensor, channels: int) -> torch.Tensor:
    if len(pixels) == channels:
        return pixels
    if channels == COLOURS:
        return pixels.expand(COLOURS, -1, -1)
    weights = torch.tensor(LUMINANCE, device=pixels.device).view(-1, 1, 1)
    return (pixels * weights).sum(dim=0, keepdim=True)


def _sampled(pixels: torch.Tensor, mapping: Matrix, grid: PlanarGrid) -> torch.Tensor:
    sampling = Sampling(padding=grid.padding, linear=grid.interpolation == "linear", antialias=grid.antialias)
    drawn = [resample(channel[..., None], mapping, (*grid.shape, 1), sampling) for channel in pixels]
    found = [channel[..., 0] for channel in drawn if channel is not None]
    if len(found) < len(drawn):
        raise SeriesError(Reason.OUTSIDE_GRID, "no pixel of the image lies in the grid")
    moved = torch.stack(found)
    if not bool(moved.isfinite().all()):
        raise SeriesError(Reason.NON_FINITE_VOXELS)
    return moved if grid.intensity is Intensity.DISPLAY else scaled(moved, grid)


def _size(pixels: torch.Tensor) -> tuple[int, int]:
    return int(pixels.shape[1]), int(pixels.shape[2])


def _like(source: MetaTensor, pixels: torch.Tensor, affine: Matrix) -> MetaTensor:
    """Give new pixels the history and the other metadata of `source`."""
    meta = {name: value for name, value in source.meta.items() if name != "affine"}
    history = list(source.applied_operations)
    return MetaTensor(pixels, meta=meta, affine=torch.from_numpy(affine), applied_operations=history)
