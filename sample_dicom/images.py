"""From anatomy to stored numbers: what each kind of scanner makes of it, noise included.

Every array is ordered (slice, row, column). Sums that could be rounded differently on another machine are taken over
whole numbers, so the same pixels come out everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_dicom.chance import Chance
from sample_dicom.geometry import Geometry
from sample_dicom.scanners import CTScanner, MRScanner, PETScanner
from sample_dicom.shapes import Part, render

AIR_HU = -1000.0
WHITE_MATTER = 600.0
LEAST_HU, MOST_HU = -1024, 3071

Voxels = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Pixels as a file holds them, and the slope of each slice (the intercept is the scanner's)."""

    pixels: NDArray[np.int16] | NDArray[np.uint16]
    slopes: tuple[str, ...] = ()


def ct_image(parts: Sequence[Part], geometry: Geometry, scanner: CTScanner, chance: Chance) -> Stored:
    """Scan with X-rays: the more there is in a slice, the fewer photons arrive and the stronger the noise."""
    clean = render(parts, geometry, lambda tissue: tissue.hu, air=AIR_HU, edge=geometry.spacing[1])
    water = np.clip(_whole(clean) + 1000, 0, None).sum(axis=(1, 2), dtype=np.int64) / (clean[0].size * 500)
    noise = chance.noise(geometry.shape)
    if scanner.smooth:
        noise = _smoothed(noise)
    hu = np.clip(_whole(clean + noise * (scanner.noise * np.sqrt(water))[:, None, None]), LEAST_HU, MOST_HU)
    stored = hu - scanner.intercept
    if scanner.padding is not None:
        stored = np.where(_outside_circle(geometry), scanner.padding, stored)
    return Stored(pixels=stored.astype(np.int16) if scanner.signed else stored.astype(np.uint16))


def mr_image(parts: Sequence[Part], geometry: Geometry, scanner: MRScanner, chance: Chance) -> Stored:
    """Scan with radio waves: the coil sees one side better, and the magnitude of noise is never negative (Rice)."""
    clean = render(parts, geometry, lambda tissue: tissue.t1, air=0.0, edge=geometry.spacing[1])
    x, y, z = geometry.points()
    tilt = [chance.uniform(-0.0012, 0.0012) for _ in range(3)]
    seen = clean * (1 + tilt[0] * x + tilt[1] * y + tilt[2] * z) * chance.uniform(0.85, 1.15)
    deviation = scanner.noise * WHITE_MATTER
    real, imaginary = (deviation * chance.noise(geometry.shape) for _ in range(2))
    magnitude = np.sqrt((seen + real) * (seen + real) + imaginary * imaginary)
    return Stored(pixels=np.clip(_whole(magnitude * scanner.gain), 0, 4095).astype(np.uint16))


def pet_image(
    parts: Sequence[Part], geometry: Geometry, scanner: PETScanner, chance: Chance, *, bqml_per_suv: float
) -> Stored:
    """Count positrons: noise grows with the root of the activity; each slice is scaled to its own greatest value."""
    clean = render(parts, geometry, lambda tissue: tissue.suv, air=0.0, edge=1.25 * geometry.spacing[1])
    noise = _smoothed(chance.noise(geometry.shape)) * np.sqrt(clean + 0.02) * scanner.noise
    activity = np.clip(clean + noise, 0.0, None) * bqml_per_suv
    slopes = tuple(f"{max(float(plane.max()), 1.0) / 32000:.6g}" for plane in activity)
    scale = np.array([float(slope) for slope in slopes])[:, None, None]
    return Stored(pixels=_whole(activity / scale).astype(np.int16), slopes=slopes)


def _smoothed(noise: Voxels) -> Voxels:
    """Blur within each slice, and bring the deviation back to about 1."""
    across = noise + 0.5 * (np.roll(noise, 1, axis=2) + np.roll(noise, -1, axis=2))
    both = across + 0.5 * (np.roll(across, 1, axis=1) + np.roll(across, -1, axis=1))
    return both / 1.5


def _outside_circle(geometry: Geometry) -> NDArray[np.bool_]:
    """Mark what lies outside the round field of view of a slice."""
    _, rows, columns = geometry.shape
    j, i = np.arange(rows)[:, None] - (rows - 1) / 2, np.arange(columns)[None, :] - (columns - 1) / 2
    outside: NDArray[np.bool_] = 4 * (i * i + j * j) > min(rows, columns) ** 2
    return outside[None]


def _whole(values: Voxels) -> NDArray[np.int64]:
    """Round half up."""
    return np.floor(values + 0.5).astype(np.int64)
