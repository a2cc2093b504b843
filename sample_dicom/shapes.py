"""Solid shapes in millimetres, and how they become voxels.

A shape says how deep inside it a point lies (mm, negative outside); a part gives a shape a tissue; `render` paints
parts one over the other with soft edges, which stand for partial volume and the scanner's point spread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sample_dicom.geometry import Geometry, Points, Vector

Depth = NDArray[np.float64]


class Shape(Protocol):
    """Anything that knows how deep inside it a point lies."""

    def depth(self, points: Points) -> Depth:
        """Return millimetres under the surface, negative outside; broadcastable to the grid."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid, turned about z by the angle whose half has the tangent `turn` (rational: no sine needed)."""

    centre: Vector
    semi: Vector
    turn: float = 0.0

    def depth(self, points: Points) -> Depth:
        """Return the depth, exact on the surface and at the centre of a sphere, approximate elsewhere."""
        x, y, z = (p - c for p, c in zip(points, self.centre, strict=True))
        if self.turn:
            square = self.turn * self.turn
            cos, sin = (1 - square) / (1 + square), 2 * self.turn / (1 + square)
            x, y = cos * x + sin * y, cos * y - sin * x
        a, b, c = self.semi
        u, v, w = x / a, y / b, z / c
        return (1 - np.sqrt(u * u + v * v + w * w)) * min(a, b, c)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An elliptic cylinder along z, from `low` to `high`."""

    centre: tuple[float, float]
    semi: tuple[float, float]
    low: float = -1000.0
    high: float = 1000.0

    def depth(self, points: Points) -> Depth:
        """Return the depth below the mantle or the nearer end."""
        x, y, z = points
        u, v = (x - self.centre[0]) / self.semi[0], (y - self.centre[1]) / self.semi[1]
        mantle = (1 - np.sqrt(u * u + v * v)) * min(self.semi)
        return np.minimum(mantle, np.minimum(z - self.low, self.high - z))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """What lies between two planes y, within a half width of x: the couch."""

    y: tuple[float, float]
    half_width: float

    def depth(self, points: Points) -> Depth:
        """Return the depth below the nearest face."""
        x, y, _ = points
        return np.minimum(np.minimum(y - self.y[0], self.y[1] - y), self.half_width - np.abs(x))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A round tube from `start` to `end`: a vessel, a bronchus."""

    start: Vector
    end: Vector
    radius: float

    def depth(self, points: Points) -> Depth:
        """Return the radius less the distance from the tube's axis."""
        along = [e - s for s, e in zip(self.start, self.end, strict=True)]
        x, y, z = (p - s for p, s in zip(points, self.start, strict=True))
        length = along[0] * along[0] + along[1] * along[1] + along[2] * along[2]
        t = np.clip((x * along[0] + y * along[1] + z * along[2]) / length, 0.0, 1.0)
        x, y, z = x - t * along[0], y - t * along[1], z - t * along[2]
        return self.radius - np.sqrt(x * x + y * y + z * z)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Sloping bands, one every `period` mm of z: what cuts a rib cage out of a shell."""

    period: float
    half_width: float
    slope: float
    phase: float

    def depth(self, points: Points) -> Depth:
        """Return the depth below the nearest edge of a band."""
        _, y, z = points
        turns = (z + self.slope * y + self.phase) / self.period
        return self.half_width - np.abs(turns - np.floor(turns) - 0.5) * self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What several shapes have in common."""

    shapes: tuple[Shape, ...]

    def depth(self, points: Points) -> Depth:
        """Return the least depth of all."""
        least = self.shapes[0].depth(points)
        for shape in self.shapes[1:]:
            least = np.minimum(least, shape.depth(points))
        return least


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """All that a shape is not."""

    shape: Shape

    def depth(self, points: Points) -> Depth:
        """Return the height above the shape's surface."""
        return -self.shape.depth(points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """What a tissue looks like: CT number (HU), uptake of F-18 FDG (SUVbw), T1-weighted MR signal (no unit)."""

    hu: float = 0.0
    suv: float = 0.0
    t1: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A shape filled with a tissue; `cover` below 1 is for what is thinner than a voxel."""

    shape: Shape
    tissue: Tissue
    cover: float = 1.0


def render(
    parts: Sequence[Part], geometry: Geometry, quantity: Callable[[Tissue], float], *, air: float, edge: float
) -> NDArray[np.float64]:
    """Paint `parts` in their order over `air`; an edge rises linearly over `edge` mm. Ordered (slice, row, column)."""
    points = geometry.points()
    image = np.full(geometry.shape, air, np.float64)
    for part in parts:
        cover = np.clip(part.shape.depth(points) / edge + 0.5, 0.0, 1.0) * part.cover
        image += (quantity(part.tissue) - image) * cover
    return image


def depth_at(shape: Shape, point: Vector) -> float:
    """Return how deep inside `shape` one point (LPS, mm) lies."""
    x, y, z = (np.full((1, 1, 1), value) for value in point)
    return float(shape.depth((x, y, z)).item())
