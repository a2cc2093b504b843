"""A volume as a picture to look at: its three middle planes side by side, as a radiologist sees them.

The patient's right is on the left, anterior and superior are up. The planes are those of the acquisition (its rows, its
columns, its slices), each named by the plane of the body that it comes closest to, in millimetres: a tilted stack is
straightened, voxels that are no cubes keep their proportions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import permutations, product

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medflow.domain.plane import Plane
from medflow.domain.series import Modality
from medflow.domain.volume import Unit, Volume
from medflow.errors import Reason, SeriesError
from medflow.imaging.placement import AS_SEEN, DIRECTIONS

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Vectors = NDArray[np.float64]

PLANES = ("axial", "coronal", "sagittal")
NORMALS = {"axial": 2, "coronal": 1, "sagittal": 0}
"""Which axis of RAS+ a plane is seen along."""
SOFT_TISSUE = (-160.0, 240.0)
"""HU"""
LARGEST, SMALLEST = 512, 256
"""Pixels: no plane is longer than the first; what is shorter than the second is enlarged a whole number of times."""
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GAP = 4
"""Pixels between planes."""
GREY = 96
"""Of what is withheld."""
WORD = "WITHHELD"
SLACK = 1e-6
"""Pixels: rounding does not lose the last row."""
DECIMALS = 6
"""Voxels: a plane through the middle of voxels shows them as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One middle plane of a volume: its values (row, column) in the volume's unit, one pixel as long as it is wide."""

    plane: str
    values: Floats


def sections(volume: Volume[Unit], planes: Sequence[str] = PLANES) -> tuple[Section, ...]:
    """Cut the middle planes of `volume`; a single slice has one only, which is cut if it is among `planes`."""
    frame = _frame(volume)
    named = _named(frame)
    single = volume.voxels.shape[2] == 1
    return tuple(
        Section(plane=plane, values=_cut(volume, frame, named, NORMALS[plane]))
        for plane in planes
        if not single or named[NORMALS[plane]] == 2  # noqa: PLR2004  (the slice's own normal)
    )


def window_of(volume: Volume[Unit]) -> tuple[float, float]:
    """Choose which values are drawn black and white: soft tissue in CT, all but the brightest uptake in PET, else most.

    A CT that is no HU, and signal, are drawn from their 1st to their 99.5th percentile.
    """
    if volume.unit is Unit.HU:
        return SOFT_TISSUE
    some = volume.voxels[tuple(slice(None, None, max(1, length // 64)) for length in volume.voxels.shape)]
    low, high = (float(value) for value in np.percentile(some, (1.0, 99.5)))
    if volume.modality is Modality.PT:
        low = 0.0
    return (low, high) if high > low else (low, low + 1.0)


def montage(cut: Sequence[Section], window: tuple[float, float], *, withheld: Collection[str] = ()) -> Picture:
    """Draw sections side by side, `window` from black to white; planes that are `withheld` are grey, with the word."""
    times = max(1, SMALLEST // max(max(section.values.shape) for section in cut))
    pictures = [
        _withheld(section.values.shape, times) if section.plane in withheld else _greys(section.values, window, times)
        for section in cut
    ]
    return _side_by_side(pictures)


def plane_picture(plane: Plane) -> Picture:
    """Draw a planar image in its own proportions, no larger than `LARGEST`; colour as its luminance (ITU-R BT.601)."""
    channels = plane.pixels.transpose(0, 2, 1)
    grey = np.tensordot(LUMINANCE, channels, axes=1) if len(channels) > 1 else channels[0]
    wide, tall = plane.spacing or (1.0, 1.0)
    pixel = max(wide, tall, max(grey.shape[0] * tall, grey.shape[1] * wide) / LARGEST)
    shrunk = scipy.ndimage.zoom(grey, (tall / pixel, wide / pixel), order=1, grid_mode=True, mode="nearest")
    low, high = (0.0, 1.0) if plane.unit is Unit.DISPLAY else map(float, np.percentile(grey, (1.0, 99.5)))
    return _greys(shrunk, (low, high if high > low else low + 1.0))


def png(picture: Picture) -> bytes:
    """Write a picture as PNG: pixels, and not one word beside them."""
    stream = BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def _frame(volume: Volume[Unit]) -> Vectors:
    """Give the unit vectors (columns of the matrix, RAS+) along which i and j grow, and the normal on k's side."""
    along_i, along_j, along_k = (volume.affine[:3, axis] for axis in range(3))
    i, j = along_i / np.linalg.norm(along_i), along_j / np.linalg.norm(along_j)
    normal = np.cross(i, j)
    normal = normal / np.linalg.norm(normal)
    return np.array([i, j, normal if normal @ along_k >= 0 else -normal]).T


def _named(frame: Vectors) -> tuple[int, ...]:
    """Find for each axis of RAS+ the axis of the acquisition that runs most along it, each once."""
    return max(permutations(range(3)), key=lambda axes: sum(abs(frame[axis, axes[axis]]) for axis in range(3)))


def _cut(volume: Volume[Unit], frame: Vectors, named: tuple[int, ...], plane: int) -> Floats:
    """Sample the plane through the middle voxel that is seen along the axis `plane` of RAS+; its pixels are squares."""
    across, down = (_towards(frame, named, DIRECTIONS[letter]) for letter in AS_SEEN[plane])
    steps, shape = volume.affine[:3, :3], np.array(volume.voxels.shape)
    middle = steps @ (shape // 2)
    corners = np.array(list(product((0, 1), repeat=3))) * (shape - 1) @ steps.T - middle
    longest = max(float(np.ptp(corners @ direction)) for direction in frame.T)
    pixel = max(float(np.linalg.norm(steps[:, :2], axis=0).min()), longest / (LARGEST - 1))
    rows, columns = (
        pixel * np.arange(np.ceil(reach.min() / pixel - SLACK), np.floor(reach.max() / pixel + SLACK) + 1)
        for reach in (corners @ down, corners @ across)
    )
    points = middle + rows[:, None, None] * down + columns[None, :, None] * across
    try:
        indices = np.linalg.solve(steps, points.reshape(-1, 3).T).reshape(3, len(rows), len(columns)).round(DECIMALS)
    except np.linalg.LinAlgError:
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "affine") from None
    outside = float(volume.voxels.min())
    return np.asarray(scipy.ndimage.map_coordinates(volume.voxels, indices, order=1, cval=outside), np.float32)


def _towards(frame: Vectors, named: tuple[int, ...], wanted: tuple[float, ...]) -> Vectors:
    """Give the axis of the acquisition that stands for `wanted`, a direction of RAS+, pointing its way."""
    direction = frame[:, named[int(np.abs(wanted).argmax())]]
    return np.asarray(direction if direction @ np.array(wanted) >= 0 else -direction)


def _greys(values: Floats, window: tuple[float, float], times: int = 1) -> Picture:
    """Turn values into greys, each pixel `times` as wide and as high."""
    low, high = window
    greys = np.rint(np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.asarray(greys.repeat(times, axis=0).repeat(times, axis=1))


def _withheld(shape: tuple[int, ...], times: int) -> Picture:
    """Draw a grey frame in the place of a picture, at least large enough for the word."""
    rows, columns = (max(length * times, SMALLEST // 2) for length in shape)
    image = Image.new("L", (columns, rows), GREY)
    font = ImageFont.load_default(SMALLEST // 16)
    ImageDraw.Draw(image).text((columns / 2, rows / 2), WORD, fill=255, font=font, anchor="mm")
    return np.asarray(image)


def _side_by_side(pictures: Sequence[Picture]) -> Picture:
    tallest = max(picture.shape[0] for picture in pictures)
    wide = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    whole = np.zeros((tallest, wide), np.uint8)
    left = 0
    for picture in pictures:
        top = (tallest - picture.shape[0]) // 2
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return whole
