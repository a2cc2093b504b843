"""What the numbers of a planar image mean and how it is shown: worked out from headers before they are cleaned."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.digests import digest

INVERTED = ("MONOCHROME1", "INVERSE")
"""PhotometricInterpretation and PresentationLUTShape of an image whose lowest value is shown white."""
TABLE_BITS = 16
"""Stored values of up to so many bits are shown through a table of all of them."""


class Intent(StrEnum):
    """Presentation Intent Type (PS3.3 C.8.11.1): what an X-ray image was stored for."""

    PRESENTATION = "FOR PRESENTATION"
    PROCESSING = "FOR PROCESSING"


class SpacingSource(StrEnum):
    """Where a spacing was read, by keyword; the two mean different things (PS3.3 10.7.1)."""

    PIXEL = "PixelSpacing"
    """In the patient where it was calibrated, else at the detector."""
    IMAGER = "ImagerPixelSpacing"
    """At the front of the detector: what lies in front of it is magnified."""


class WindowShape(StrEnum):
    """VOILUTFunction (0028,1056)."""

    LINEAR = "LINEAR"
    EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Window centre and width in rescaled values, and the function between its ends (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    shape: WindowShape

    def applied(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Show `values` between 0 and 1."""
        if self.shape is WindowShape.SIGMOID:
            power = np.clip(-4.0 * (values - self.center) / self.width, -700.0, 700.0)
            return np.asarray(1.0 / (1.0 + np.exp(power)), np.float64)
        if self.shape is WindowShape.EXACT:
            return np.asarray(np.clip((values - self.center) / self.width + 0.5, 0.0, 1.0), np.float64)
        center, width = self.center - 0.5, self.width - 1.0
        if width == 0.0:  # C.11.2.1.2.1: a step
            return np.asarray(values > center, np.float64)
        return np.asarray(np.clip((values - center) / width + 0.5, 0.0, 1.0), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A look-up table (PS3.3 C.11.1.1, C.11.2.1.1): what stands before the first entry takes the first, and so on."""

    first: int
    """The value that the first entry is for."""
    bits: int
    entries: bytes = field(repr=False)
    """Unsigned, 16 bits each, little endian."""

    @property
    def highest(self) -> int:
        """Give the largest value that an entry of `bits` can have."""
        return (1 << self.bits) - 1

    def applied(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Look `values` up; between two entries the lower one holds."""
        table = np.frombuffer(self.entries, "<u2").astype(np.float64)
        places = np.clip(np.floor(values - self.first), 0, len(table) - 1).astype(np.intp)
        return np.asarray(table[places], np.float64)

    def record(self) -> dict[str, Any]:
        """Write the table as plain values."""
        return {"first": self.first, "bits": self.bits, "entries": self.entries.hex()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Lookup":
        """Read what `record` wrote."""
        return cls(first=record["first"], bits=record["bits"], entries=bytes.fromhex(record["entries"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFacts:
    """One planar image: its size in the world, if the header knows it, and how its stored values are shown."""

    file: int
    """0-based position of the file in its series (`Series.instances`, `DeidentifiedSeries.files`)."""
    frame: int
    rows: int
    columns: int
    samples: int
    """1 for grey, 3 for red, green and blue."""
    bits: int
    """BitsStored"""
    signed: bool
    photometric: str
    """MONOCHROME1, MONOCHROME2, or RGB, into which every other colour space is turned."""
    intent: Intent
    spacing: tuple[float, float] | None
    """mm between rows, between columns; None where the header does not say."""
    spacing_source: SpacingSource | None
    calibration: str | None
    """PixelSpacingCalibrationType: GEOMETRY, FIDUCIAL, or None where `spacing` was not calibrated."""
    slope: float
    intercept: float
    modality_lut: Lookup | None
    """First item of the Modality LUT Sequence; it stands in for slope and intercept."""
    voi_lut: Lookup | None
    """First item of the VOI LUT Sequence."""
    window: Window | None
    """First window of the header."""
    lut_shape: str | None
    """PresentationLUTShape: IDENTITY, INVERSE, or None where absent."""
    padding: tuple[int, int] | None
    """Lowest and highest stored value that mean 'nothing was measured here'."""
    laterality: str | None
    """ImageLaterality or Laterality: L, R or B."""
    view: str | None
    """ViewPosition, or what the view code means: PA, AP, LL, CC, MLO ..."""

    @property
    def inverted(self) -> bool:
        """Tell whether the lowest value is shown white.

        MONOCHROME1 and the shape INVERSE say the same thing (PS3.3 C.8.11.3), so both together invert once.
        """
        return self.photometric == INVERTED[0] or self.lut_shape == INVERTED[1]

    @property
    def digest(self) -> str:
        """Name the facts, whatever order the files were stored in."""
        return digest("plane", {name: value for name, value in self.record().items() if name != "file"})

    def record(self) -> dict[str, Any]:
        """Write the facts as plain values, floats in hex; `from_record` is its inverse."""
        window = self.window
        return {
            "file": self.file,
            "frame": self.frame,
            "rows": self.rows,
            "columns": self.columns,
            "samples": self.samples,
            "bits": self.bits,
            "signed": self.signed,
            "photometric": self.photometric,
            "intent": self.intent.value,
            "spacing": None if self.spacing is None else [value.hex() for value in self.spacing],
            "spacing_source": None if self.spacing_source is None else self.spacing_source.value,
            "calibration": self.calibration,
            "slope": self.slope.hex(),
            "intercept": self.intercept.hex(),
            "modality_lut": None if self.modality_lut is None else self.modality_lut.record(),
            "voi_lut": None if self.voi_lut is None else self.voi_lut.record(),
            "window": None if window is None else [window.center.hex(), window.width.hex(), window.shape.value],
            "lut_shape": self.lut_shape,
            "padding": None if self.padding is None else list(self.padding),
            "laterality": self.laterality,
            "view": self.view,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "PlaneFacts":
        """Read what `record` wrote."""
        read = dict(record)
        spacing, padding, window = record["spacing"], record["padding"], record["window"]
        read["intent"] = Intent(record["intent"])
        read["spacing"] = None if spacing is None else (float.fromhex(spacing[0]), float.fromhex(spacing[1]))
        read["spacing_source"] = SpacingSource(record["spacing_source"]) if record["spacing_source"] else None
        read["slope"], read["intercept"] = float.fromhex(record["slope"]), float.fromhex(record["intercept"])
        for name in ("modality_lut", "voi_lut"):
            read[name] = None if record[name] is None else Lookup.from_record(record[name])
        read["window"] = None if window is None else _window(window)
        read["padding"] = None if padding is None else (padding[0], padding[1])
        return cls(**read)


def _window(record: list[str]) -> Window:
    center, width, shape = record
    return Window(center=float.fromhex(center), width=float.fromhex(width), shape=WindowShape(shape))
