"""Pixels of a planar image, and the grid a network wants them on. A plane never is a slice of a volume."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medflow.domain.digests import digest
from medflow.domain.series import Modality
from medflow.domain.volume import Intensity, Unit

CHANNELS = frozenset({1, 3})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """Pixels (channel, i, j), float32: i along columns, j along rows; one channel of grey, or red, green and blue."""

    pixels: NDArray[np.float32]
    spacing: tuple[float, float] | None
    """mm along (i, j), at the detector or calibrated (`PlaneFacts.spacing_source`); None where nobody knows."""
    unit: Unit
    """`Unit.DISPLAY`: 0 is shown black and 1 white. `Unit.ARBITRARY`: rescaled values of an image for processing."""
    modality: Modality
    laterality: str | None
    series_digest: str
    plane_digest: str

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.dtype != np.float32:  # noqa: PLR2004
            raise ValueError("pixels are a float32 array of (channel, i, j)")
        if self.pixels.shape[0] not in CHANNELS:
            raise ValueError("a plane has one channel or three")
        if self.spacing is not None and not all(0.0 < step < float("inf") for step in self.spacing):
            raise ValueError("a spacing is two positive numbers, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanarGrid:
    """The sampling of planar images that a network was trained on."""

    shape: tuple[int, int]
    """Pixels along (i, j)."""
    channels: int
    """1 or 3; grey images fill three channels alike, and colour makes one of its luminance (ITU-R BT.601)."""
    spacing: tuple[float, float] | None
    """mm along (i, j). None: the whole image is fitted into `shape`, in its own proportions."""
    crop: str
    """Where a box of `spacing` is laid: "center" of the image, or of its "foreground"."""
    intensity: Intensity
    window: tuple[float, float] | None
    """In the plane's unit; with `Intensity.WINDOW` only."""
    padding: float
    """Value outside the image, in the plane's unit."""
    interpolation: str
    """"linear" or "nearest"."""
    antialias: bool
    """Smooth along an axis before shrinking it."""
    mirror: str = "none"
    """"left": images of right sides are mirrored along i, so that every one looks like a left side."""

    RULES: ClassVar[int] = 1
    """Version of the resampling rules; a change in any pixel takes a new number."""

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Give the shape of what a network is shown: (channel, i, j, 1), which no volume has."""
        return self.channels, *self.shape, 1

    @property
    def digest(self) -> str:
        """Name the grid and the version of the rules behind it."""
        return digest("planar-grid", self.record())

    def record(self) -> dict[str, Any]:
        """Write the grid as plain values, floats in hex."""
        return {
            "shape": list(self.shape),
            "channels": self.channels,
            "spacing": None if self.spacing is None else [value.hex() for value in self.spacing],
            "crop": self.crop,
            "intensity": self.intensity.value,
            "window": None if self.window is None else [value.hex() for value in self.window],
            "padding": self.padding.hex(),
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "mirror": self.mirror,
            "rules": self.RULES,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "PlanarGrid":
        """Read what `record` wrote; a grid of other rules than these is refused, for its pixels would differ."""
        if record["rules"] != cls.RULES:
            raise ValueError(f"the grid follows resampling rules {record['rules']}; this code knows {cls.RULES}")
        spacing, window = record["spacing"], record["window"]
        return cls(
            shape=(record["shape"][0], record["shape"][1]),
            channels=record["channels"],
            spacing=None if spacing is None else (float.fromhex(spacing[0]), float.fromhex(spacing[1])),
            crop=record["crop"],
            intensity=Intensity(record["intensity"]),
            window=None if window is None else (float.fromhex(window[0]), float.fromhex(window[1])),
            padding=float.fromhex(record["padding"]),
            interpolation=record["interpolation"],
            antialias=record["antialias"],
            mirror=record["mirror"],
        )
