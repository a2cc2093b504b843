"""A head that never lived, drawn from ellipsoids: brain in skull in skin, with nose, eyes, ears, jaw and neck."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.layout import Affine
from medflow.domain.series import Modality

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
AIR, SOFT, FAT, BONE, FLUID, BRAIN = range(6)
VALUES = {
    Modality.CT: np.array([-1000.0, 50.0, -90.0, 900.0, 5.0, 35.0]),
    Modality.MR: np.array([0.0, 330.0, 800.0, 50.0, 130.0, 450.0]),
}
"""HU, and signal of a T1-weighted MR, of each tissue."""
NOISE = {Modality.CT: 12.0, Modality.MR: 10.0}
NOSE, CHIN, EYES = (0.0, 108.0, -62.0), (0.0, 96.0, -122.0), ((-32.0, 94.0, -34.0), (32.0, 94.0, -34.0))
"""RAS+ mm; the middle of the brain is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A scan of the head, and what of it is brain."""

    voxels: Floats = field(repr=False)
    affine: Affine
    modality: Modality
    brain: Mask = field(repr=False)
    body: Mask = field(repr=False)

    def at(self, place: tuple[float, float, float]) -> tuple[int, ...]:
        """Give the index of the voxel at a place (RAS+ mm)."""
        index = np.linalg.inv(np.array(self.affine)) @ (*place, 1.0)
        return tuple(int(each) for each in np.round(index[:3]))

    @property
    def points(self) -> NDArray[np.float64]:
        """Give the place (RAS+ mm) of every voxel (i, j, k)."""
        return places(np.array(self.affine), self.voxels.shape)


def places(affine: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the place (RAS+ mm) of every voxel (i, j, k)."""
    index = np.moveaxis(np.indices(shape), 0, -1).astype(np.float64)
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def head(  # noqa: PLR0913  (what may differ between scans)
    modality: Modality,
    *,
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
    low: tuple[float, float, float] = (-105.0, -125.0, -165.0),
    high: tuple[float, float, float] = (105.0, 140.0, 95.0),
    tilt: float = 0.0,
    size: float = 1.0,
    turned: tuple[float, float] = (0.0, 0.0),
    bias: float = 0.0,
    seed: int = 0,
) -> Head:
    """Scan the head between two corners (RAS+ mm).

    `tilt` moves each slice backwards by so many mm per mm of height. The head is `size` times an adult's, `turned`
    to a side and down by degrees, and an MR grows brighter by `bias` of itself from 100 mm before to 100 mm behind.
    """
    shape = tuple(round((top - bottom) / step) for bottom, top, step in zip(low, high, spacing, strict=True))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    affine[1, 2] = -tilt * spacing[2]
    affine[1, 3] += tilt * (NOSE[2] - low[2])
    points = places(affine, shape)
    tissue = tissues(points @ _turn(*turned) / size)
    noise = np.random.default_rng(seed).normal(0.0, NOISE[modality], (2, *shape))
    clean = VALUES[modality][tissue]
    if modality is Modality.MR:
        clean = clean * (1.0 - bias * points[..., 1] / 200.0)
    voxels = clean + noise[0] if modality is Modality.CT else np.hypot(clean + noise[0], noise[1])
    return Head(
        voxels=np.round(voxels).astype(np.float32),
        affine=tuple(tuple(float(each) for each in row) for row in affine),
        modality=modality,
        brain=tissue == BRAIN,
        body=tissue != AIR,
    )


def tissues(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Say what stands at each point (..., 3) in RAS+ mm."""
    found = np.full(points.shape[:-1], AIR)

    def paint(tissue: int, centre: tuple[float, ...], semi: tuple[float, ...]) -> None:
        found[_inside(points, centre, semi)] = tissue

    y, z = points[..., 1], points[..., 2]
    paint(SOFT, (0, 45, -75), (60, 55, 72))  # the face
    paint(SOFT, NOSE, (13, 20, 22))
    paint(SOFT, CHIN, (18, 14, 15))
    for side in (-1, 1):
        paint(SOFT, (side * 87, -5, -40), (8, 20, 30))  # an ear
    found[(_inside(points[..., :2], (0, -15), (60, 62))) & (z < -50)] = SOFT  # the neck
    jaw = _inside(points, (0, 50, -112), (46, 46, 14)) & ~_inside(points, (0, 48, -112), (38, 38, 30))
    found[jaw & (y > 20)] = BONE
    paint(FAT, (0, 0, 0), (84, 100, 78))  # the scalp
    paint(FAT, (0, -42, -42), (62, 48, 42))
    paint(BONE, (0, 0, 0), (79, 95, 73))
    paint(BONE, (0, -42, -42), (57, 43, 37))
    spine = _inside(points[..., :2], (0, -40), (22, 22)) & (z < -85)
    found[spine] = BONE
    paint(AIR, (0, 70, -68), (9, 24, 14))  # the nasal cavity
    for side in (-1, 1):
        paint(AIR, (side * 26, 66, -66), (12, 16, 14))  # a sinus
        paint(FAT, (side * 32, 80, -36), (18, 22, 16))  # an orbit
        paint(FLUID, (side * 32, 88, -34), (12, 12, 12))  # an eye
    paint(FLUID, (0, 0, 0), (72, 88, 66))
    paint(FLUID, (0, -44, -44), (48, 33, 27))
    found[_inside(points[..., :2], (0, -40), (9, 9)) & (z < -40)] = BRAIN  # the stem and the cord
    paint(BRAIN, (0, 0, 0), (69, 85, 63))
    paint(BRAIN, (0, -44, -44), (45, 30, 24))
    for side in (-1, 1):
        paint(FLUID, (side * 14, 0, 8), (9, 34, 12))  # a ventricle
    return found


def _turn(side: float, down: float) -> NDArray[np.float64]:
    a, b = np.radians([side, down])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    return np.asarray(about_z @ about_x)


def _inside(points: NDArray[np.float64], centre: tuple[float, ...], semi: tuple[float, ...]) -> Mask:
    return np.asarray((((points - centre) / semi) ** 2).sum(axis=-1) <= 1)
