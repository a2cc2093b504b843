"""Voxels in patient space, and the grid a network wants them on."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from medflow.domain.digests import digest
from medflow.domain.series import Modality

Number = TypeVar("Number", int, float)


class Unit(StrEnum):
    """What a voxel's number means."""

    HU = "HU"
    SUVBW = "SUVbw"
    SUVLBM = "SUVlbm"
    """By lean body mass as James (1976) is usually quoted, with 120: DICOM's SUVType LBM."""
    SUVLBM_JAMES128 = "SUVlbm-James128"
    """By lean body mass as James (1976) meant it, with 128: SUVType LBMJAMES128."""
    SUVLBM_JANMA = "SUVlbm-Janma"
    """By lean body mass of Janmahasatian et al. (2005): SUVType LBMJANMA."""
    SUVBSA = "SUVbsa"
    """By body surface area, cm2/ml: SUVType BSA."""
    BQML = "Bq/ml"
    ARBITRARY = "arbitrary"
    """MR signal, PET counts without a unit, or an X-ray for processing: comparable within one image only."""
    DISPLAY = "display"
    """A planar image as it is shown: 0 is black, 1 is white."""
    SCALED = "scaled"
    """After a grid's intensity rule: what the network eats."""


Hounsfield = Literal[Unit.HU]
Uptake = Literal[Unit.SUVBW]
Scaled = Literal[Unit.SCALED]
UnitT_co = TypeVar("UnitT_co", bound=Unit, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume(Generic[UnitT_co]):
    """Voxels (i, j, k), float32, and where they stand: `affine` takes (i, j, k, 1) to RAS+ millimetres, float64.

    The unit is part of the type: what wants a `Volume[Uptake]` is refused a `Volume[Hounsfield]` by the type checker.
    `Volume[Unit]` is one of any unit.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    unit: UnitT_co
    modality: Modality
    series_digest: str
    layout_digest: str

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or self.voxels.dtype != np.float32:  # noqa: PLR2004
            raise ValueError("voxels are a float32 array of (i, j, k)")
        if self.affine.shape != (4, 4) or self.affine.dtype != np.float64:
            raise ValueError("the affine is a float64 array of 4 x 4")


class Intensity(StrEnum):
    """How a grid scales voxels."""

    WINDOW = "window"
    """[low, high] to [0, 1], clipped."""
    ZSCORE = "zscore"
    """Zero mean and unit variance over the voxels above the background."""
    DISPLAY = "display"
    """As it is: planar images for display lie between 0 and 1 already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The sampling that a network was trained on. Two-dimensional grids have one slice: shape (i, j, 1)."""

    axes: str
    """Directions in which i, j, k grow, for example "RAS" or "LPS"."""
    spacing: tuple[float, float, float]
    """mm along (i, j, k)"""
    shape: tuple[int, int, int]
    crop: str
    """Where the box of `shape` is laid: "center" of the volume, or of its "foreground"."""
    intensity: Intensity
    window: tuple[float, float] | None
    """In the volume's unit; with `Intensity.WINDOW` only."""
    padding: float
    """Value outside the volume, in the volume's unit."""
    interpolation: str
    """"linear" or "nearest"."""
    antialias: bool
    """Smooth along an axis before shrinking it."""

    RULES: ClassVar[int] = 2
    """Version of the resampling rules; a change in any voxel takes a new number."""

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Give the shape of what a network is shown: (i, j, k), in one channel."""
        return self.shape

    @property
    def digest(self) -> str:
        """Name the grid and the version of the rules behind it."""
        return digest("grid", self.record())

    def record(self) -> dict[str, Any]:
        """Write the grid as plain values, floats in hex."""
        return {
            "axes": self.axes,
            "spacing": [value.hex() for value in self.spacing],
            "shape": list(self.shape),
            "crop": self.crop,
            "intensity": self.intensity.value,
            "window": None if self.window is None else [value.hex() for value in self.window],
            "padding": self.padding.hex(),
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "rules": self.RULES,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Grid":
        """Read what `record` wrote; a grid of other rules than these is refused, for its voxels would differ."""
        if record["rules"] != cls.RULES:
            raise ValueError(f"the grid follows resampling rules {record['rules']}; this code knows {cls.RULES}")
        window = record["window"]
        return cls(
            axes=record["axes"],
            spacing=_three(map(float.fromhex, record["spacing"])),
            shape=_three(record["shape"]),
            crop=record["crop"],
            intensity=Intensity(record["intensity"]),
            window=None if window is None else (float.fromhex(window[0]), float.fromhex(window[1])),
            padding=float.fromhex(record["padding"]),
            interpolation=record["interpolation"],
            antialias=record["antialias"],
        )


def _three(values: Iterable[Number]) -> tuple[Number, Number, Number]:
    first, second, third = values
    return first, second, third
