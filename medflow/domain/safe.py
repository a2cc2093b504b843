"""A series that names nobody, and the identity that stays behind in the vault."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NewType

from medflow.domain.digests import canonical, digest, natural_id
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.series import Modality

Pseudonym = NewType("Pseudonym", str)
StudyUID = NewType("StudyUID", str)
"""A pseudonymous Study Instance UID."""
SeriesUID = NewType("SeriesUID", str)
"""A pseudonymous Series Instance UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One de-identified file: its name inside the series' folder and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """What research needs to know of a series, cleaned: every text is an enumeration's value or an allowed word."""

    sex: str | None
    """PatientSex: M, F or O."""
    age: int | None
    """Years; 90 stands for 90 and over."""
    body_part: str | None
    head: bool
    """True where the images may show a face."""
    description: str
    """SeriesDescription, allowed words only."""
    image_type: tuple[str, ...]
    site: str
    """The source's configured code."""
    scanner: str
    """Manufacturer, model and the keyed code of the serial number."""
    slice_thickness: float | None
    """mm"""
    contrast: bool
    kernel: str | None = None
    """ConvolutionKernel of a CT, reconstruction method of a PET: allowed words only."""
    laterality: str | None = None
    """ImageLaterality or Laterality: L, R or B."""
    view: str | None = None
    """ViewPosition of a projection: PA, AP, LL, CC, MLO ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifiedSeries:
    """One series that names nobody. Only `medflow.deid` makes one, and `medflow.store` loads what deid wrote."""

    patient: Pseudonym
    barred: bool
    """True where the patient's ID was a placeholder: the pseudonym stands for one study, and cohorts refuse it."""
    study: StudyUID
    uid: SeriesUID
    modality: Modality
    layouts: tuple[Layout, ...]
    """Its volumes; none in a series of planar images."""
    facts: IntensityFacts
    descriptors: Descriptors
    files: tuple[StoredFile, ...]
    series_digest: str
    source_digest: str
    profile_digest: str
    folder: Path = field(compare=False)
    planes: tuple[PlaneFacts, ...] = ()
    """Its planar images; none in a series of volumes."""

    def __post_init__(self) -> None:
        if bool(self.layouts) == bool(self.planes):
            raise ValueError("a series holds volumes or planar images, and not both")

    @property
    def id(self) -> str:
        """Name the row: a function of what was taken in and the profile it was taken in under."""
        return series_id(self.source_digest, self.profile_digest)

    @property
    def relative_folder(self) -> str:
        """Place of the folder below the safe store's root: another revision, or another profile, is another folder."""
        return f"{self.study}/{self.uid}/{self.series_digest[:16]}-{self.id[4:12]}"

    def record(self) -> dict[str, Any]:
        """Write everything but the folder as plain values; `read_record` is its inverse."""
        thickness = self.descriptors.slice_thickness
        planes = {"planes": [plane.record() for plane in self.planes]} if self.planes else {}
        return {
            "schema": "medflow/series/1",
            "patient": self.patient,
            "barred": self.barred,
            "study": self.study,
            "uid": self.uid,
            "modality": self.modality.value,
            "layouts": [layout.record() for layout in self.layouts],
            **planes,
            "facts": self.facts.record(),
            "descriptors": {
                "sex": self.descriptors.sex,
                "age": self.descriptors.age,
                "body_part": self.descriptors.body_part,
                "head": self.descriptors.head,
                "description": self.descriptors.description,
                "image_type": list(self.descriptors.image_type),
                "site": self.descriptors.site,
                "scanner": self.descriptors.scanner,
                "slice_thickness": None if thickness is None else thickness.hex(),
                "contrast": self.descriptors.contrast,
                "kernel": self.descriptors.kernel,
                "laterality": self.descriptors.laterality,
                "view": self.descriptors.view,
            },
            "files": [[file.name, file.sha256] for file in self.files],
            "series_digest": self.series_digest,
            "source_digest": self.source_digest,
            "profile_digest": self.profile_digest,
        }

    def written(self) -> str:
        """Spell `series.json`: the canonical record and a newline."""
        return canonical(self.record()) + "\n"


def read_record(text: str, folder: Path) -> DeidentifiedSeries:
    """Read what `DeidentifiedSeries.written` spelled. The caller checks the digests of the files."""
    record = json.loads(text)
    described = record["descriptors"]
    thickness = described["slice_thickness"]
    return DeidentifiedSeries(
        patient=Pseudonym(record["patient"]),
        barred=record["barred"],
        study=StudyUID(record["study"]),
        uid=SeriesUID(record["uid"]),
        modality=Modality(record["modality"]),
        layouts=tuple(map(Layout.from_record, record["layouts"])),
        facts=IntensityFacts.from_record(record["facts"]),
        descriptors=Descriptors(
            sex=described["sex"],
            age=described["age"],
            body_part=described["body_part"],
            head=described["head"],
            description=described["description"],
            image_type=tuple(described["image_type"]),
            site=described["site"],
            scanner=described["scanner"],
            slice_thickness=None if thickness is None else float.fromhex(thickness),
            contrast=described["contrast"],
            kernel=described.get("kernel"),
            laterality=described.get("laterality"),
            view=described.get("view"),
        ),
        files=tuple(StoredFile(name=name, sha256=sha256) for name, sha256 in record["files"]),
        series_digest=record["series_digest"],
        source_digest=record["source_digest"],
        profile_digest=record["profile_digest"],
        folder=folder,
        planes=tuple(map(PlaneFacts.from_record, record.get("planes", ()))),
    )


def series_id(source_digest: str, profile_digest: str) -> str:
    """Name a series row by its natural key."""
    return natural_id("ser_", "series", [source_digest, profile_digest])


def series_digest(layouts: tuple[Layout, ...], frames: tuple[tuple[str, ...], ...], facts: IntensityFacts) -> str:
    """Name a series by what a network could see of it.

    `frames` holds, for each layout and slice, the SHA-256 of the frame's decoded stored values. Pseudonyms, dates,
    keys and the transfer syntax leave no trace.
    """
    volumes = [[layout.digest, list(hashes)] for layout, hashes in zip(layouts, frames, strict=True)]
    return digest("series", [volumes, facts.record()])


def planar_series_digest(planes: tuple[PlaneFacts, ...], frames: tuple[str, ...]) -> str:
    """Name a series of planar images by what a network could see of it; `frames` holds a SHA-256 for each plane."""
    return digest("planar-series", [[plane.digest, name] for plane, name in zip(planes, frames, strict=True)])


def input_digest(volumes: tuple[tuple[str, str], ...]) -> str:
    """Name a network's input: (series digest, layout digest) of each volume in the task's channel order."""
    return digest("input", [list(volume) for volume in volumes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a de-identified series belongs to: what delivery will need. It goes to the vault and nowhere else."""

    patient: Pseudonym
    study: StudyUID
    series: SeriesUID
    source_digest: str
    modules: Mapping[str, Any] = field(repr=False)
    """Patient, study and series modules of the original, as a DICOM JSON model (PS3.18 F.2)."""
    sop_instance_uids: tuple[str, ...] = field(repr=False)
    """Original SOP Instance UIDs, in the order of the stored files."""
    sop_class_uids: tuple[str, ...] = field(repr=False)
