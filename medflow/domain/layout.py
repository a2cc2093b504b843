"""Where every frame of a volume stands, and what its numbers mean: worked out from headers before they are cleaned."""

from dataclasses import dataclass
from typing import Any

from medflow.domain.digests import digest

Affine = tuple[tuple[float, ...], ...]
"""4 x 4, voxel (i, j, k) to RAS+ millimetres. i is the column index, j the row index, k the slice index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One slice of a volume: which frame of which file, and its own rescale."""

    file: int
    """0-based position of the file in its series (`Series.instances`, `DeidentifiedSeries.files`)."""
    frame: int
    corner: tuple[int, int]
    slope: float
    intercept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One uniform run of slices: its grid in patient space, and the frame behind each slice in order of k."""

    rows: int
    columns: int
    affine: Affine
    places: tuple[Place, ...]
    labels: tuple[tuple[str, float], ...]
    """What tells this volume from the others of its series (EchoTime, TemporalPositionIndex ...)."""
    run: tuple[int, int]
    """(which, of how many) uniform runs the stack fell into; (1, 1) where no slice is missing."""
    residual: float
    """Largest distance (mm) between a frame's own position and where the affine puts it."""
    sheared: bool
    """True where the slices are stacked aslant (gantry tilt): the third axis is not normal to the slices."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (i, j, k)."""
        return self.columns, self.rows, len(self.places)

    @property
    def digest(self) -> str:
        """Name the geometry and the rescale, whatever order the files were stored in."""
        record = self.record()
        record["places"] = [[p["frame"], p["corner"], p["slope"], p["intercept"]] for p in record["places"]]
        return digest("layout", record)

    def record(self) -> dict[str, Any]:
        """Write the layout as plain values, floats in hex; `from_record` is its inverse."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "affine": [[value.hex() for value in row] for row in self.affine],
            "places": [
                {
                    "file": place.file,
                    "frame": place.frame,
                    "corner": list(place.corner),
                    "slope": place.slope.hex(),
                    "intercept": place.intercept.hex(),
                }
                for place in self.places
            ],
            "labels": [[keyword, value.hex()] for keyword, value in self.labels],
            "run": list(self.run),
            "residual": self.residual.hex(),
            "sheared": self.sheared,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Layout":
        """Read what `record` wrote."""
        return cls(
            rows=record["rows"],
            columns=record["columns"],
            affine=tuple(tuple(map(float.fromhex, row)) for row in record["affine"]),
            places=tuple(
                Place(
                    file=place["file"],
                    frame=place["frame"],
                    corner=(place["corner"][0], place["corner"][1]),
                    slope=float.fromhex(place["slope"]),
                    intercept=float.fromhex(place["intercept"]),
                )
                for place in record["places"]
            ),
            labels=tuple((keyword, float.fromhex(value)) for keyword, value in record["labels"]),
            run=(record["run"][0], record["run"][1]),
            residual=float.fromhex(record["residual"]),
            sheared=record["sheared"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PetFacts:
    """What SUV is computed from (PS3.3 C.8.9.1 and C.8.9.2); None where the header does not say."""

    units: str | None
    """Units (0054,1001): BQML, CNTS, GML ..."""
    suv_type: str | None
    decay_correction: str | None
    """DecayCorrection (0054,1102): START, ADMIN or NONE."""
    corrected: tuple[str, ...]
    """CorrectedImage (0028,0051)."""
    weight: float | None
    """kg"""
    height: float | None
    """m"""
    sex: str | None
    """PatientSex: M or F; None where it is another or absent."""
    dose: float | None
    """Bq"""
    half_life: float | None
    """s"""
    decay_seconds: float | None
    """Seconds from the injection to the instant that the images are decay-corrected to, across midnight."""
    philips_suv_factor: float | None
    philips_activity_factor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntensityFacts:
    """What the stored numbers of a series mean, beside each frame's own rescale."""

    photometric: str
    """MONOCHROME1 or MONOCHROME2."""
    rescale_type: str | None
    """RescaleType (0028,1054); None where absent."""
    rescaled: bool
    """True where every frame states its slope and intercept."""
    padding: tuple[int, int] | None
    """Lowest and highest stored value that mean 'nothing was measured here' (PixelPaddingValue and its RangeLimit)."""
    pet: PetFacts | None = None

    def record(self) -> dict[str, Any]:
        """Write the facts as plain values, floats in hex; `from_record` is its inverse."""
        pet = None
        if self.pet is not None:
            pet = {name: _written(getattr(self.pet, name)) for name in PetFacts.__slots__}
        return {
            "photometric": self.photometric,
            "rescale_type": self.rescale_type,
            "rescaled": self.rescaled,
            "padding": None if self.padding is None else list(self.padding),
            "pet": pet,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IntensityFacts":
        """Read what `record` wrote."""
        pet = record["pet"]
        return cls(
            photometric=record["photometric"],
            rescale_type=record["rescale_type"],
            rescaled=record["rescaled"],
            padding=None if record["padding"] is None else (record["padding"][0], record["padding"][1]),
            pet=None if pet is None else PetFacts(**{name: _read(pet.get(name)) for name in PetFacts.__slots__}),
        )


def _written(value: float | str | tuple[str, ...] | None) -> Any:  # noqa: ANN401
    """Wrap a float so that it can be told from text when read again."""
    if isinstance(value, float):
        return {"hex": value.hex()}
    return list(value) if isinstance(value, tuple) else value


def _read(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return float.fromhex(value["hex"])
    return tuple(value) if isinstance(value, list) else value
