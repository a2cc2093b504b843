"""A series as the PACS exported it. It names a patient: it lives in memory only and becomes nothing but safe."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from pathlib import Path

from medflow.domain.planefacts import PlaneFacts
from medflow.errors import Reason

Triple = tuple[float, float, float]


class Modality(StrEnum):
    """The modalities that are read, by their DICOM code (0008,0060)."""

    CT = "CT"
    MR = "MR"
    PT = "PT"
    CR = "CR"
    DX = "DX"
    MG = "MG"
    OP = "OP"

    @property
    def planar(self) -> bool:
        """True where its images are planes, and never slices of a volume."""
        return self not in VOLUMES


VOLUMES = (Modality.CT, Modality.MR, Modality.PT)
"""The modalities that become volumes."""


class FileState(StrEnum):
    """What became of a file that was seen: exactly one of these."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of an export. Its path may name a patient, so it never prints."""

    path: Path = field(repr=False)
    relative: str = field(repr=False)
    """POSIX path below the folder that was scanned."""
    size: int
    mtime_ns: int
    member: str = field(default="", repr=False)
    """Path inside the archive that `path` names; empty for a file of its own. `size` is then the member's."""

    @property
    def name(self) -> tuple[str, str]:
        """Tell the file from every other one of its export."""
        return self.relative, self.member


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A file that does not go on, and why. Every file of a scan is either in a series or here."""

    file: SourceFile
    state: FileState
    reason: Reason
    detail: str = ""
    owner: "Owner | None" = field(default=None, repr=False, compare=False)
    """None where no header could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose an object is, as its own header has it."""

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    study_instance_uid: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame as its own header describes it: millimetres, DICOM patient axes (LPS+), PS3.3 C.7.6.2.1.1.

    An attribute that the header lacks is None. A mosaic's tiles are frames of their own, told apart by `corner`.
    """

    number: int
    """0-based frame number within its object."""
    rows: int
    columns: int
    position: Triple | None
    """ImagePositionPatient: centre of the first voxel."""
    orientation: tuple[Triple, Triple] | None
    """ImageOrientationPatient: direction in which the column index grows, then the row index."""
    spacing: tuple[float, float] | None
    """PixelSpacing: between rows, between columns."""
    slope: float
    intercept: float
    unit_of_last_digit: float
    """Value (mm) of the last digit that the header wrote for the position: how exactly it can be known."""
    image_type: tuple[str, ...] = ()
    labels: tuple[tuple[str, float], ...] = ()
    """What tells frames at one place apart (EchoTime, DiffusionBValue, TriggerTime ...), sorted by keyword."""
    corner: tuple[int, int] = (0, 0)
    """(row, column) of the frame's first pixel within its stored plane; other than (0, 0) only in a mosaic."""
    thickness: float | None = None
    """SliceThickness (mm): the depth of a slice that stands alone."""
    kernel: tuple[str, ...] = ()
    """ConvolutionKernel: one scan may be reconstructed twice, sharp and soft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PetHeader:
    """What one PET object says of its dose and its clock (PS3.3 C.8.9.1, C.8.9.2, C.8.9.4); None: it does not say.

    Instants are local, without a zone. They tell when a patient was here: they end in `medflow.dicom.facts`.
    """

    units: str | None
    suv_type: str | None
    decay_correction: str | None
    corrected: tuple[str, ...]
    weight: float | None
    height: float | None
    sex: str | None
    dose: float | None
    half_life: float | None
    injected: datetime | None = field(repr=False)
    """RadiopharmaceuticalStartDateTime, with its date."""
    injected_at: time | None = field(repr=False)
    """RadiopharmaceuticalStartTime, which has no date."""
    series: datetime | None = field(repr=False)
    acquired: datetime | None = field(repr=False)
    scanned: datetime | None = field(repr=False)
    """GE's scan date and time, the instant its images are decay-corrected to."""
    corrected_to: datetime | None = field(repr=False)
    """DecayCorrectionDateTime of an enhanced PET."""
    philips_suv_factor: float | None
    philips_activity_factor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One DICOM image object, by what its header says."""

    file: SourceFile = field(repr=False)
    sop_instance_uid: str = field(repr=False)
    sop_class_uid: str
    transfer_syntax_uid: str
    instance_number: int | None
    frames: tuple[Frame, ...] = field(repr=False)
    frame_of_reference: str = field(default="", repr=False)
    """FrameOfReferenceUID: positions of two objects can be compared where it is the same."""
    photometric: str = "MONOCHROME2"
    rescale_type: str | None = None
    rescaled: bool = False
    """True where every frame states its slope and intercept."""
    padding: tuple[int, int] | None = None
    """Lowest and highest padding value, as stored."""
    pet: PetHeader | None = field(default=None, repr=False)
    planes: tuple[PlaneFacts, ...] = field(default=(), repr=False)
    """One for each frame of a planar image, which has no `frames`; `PlaneFacts.file` is 0 here."""
    counts: tuple[tuple[str, int], ...] = ()
    """How many images, slices or time points the header announces, sorted by keyword."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Objects of one Series Instance UID, ordered by instance number and then SOP Instance UID.

    It names a patient. `medflow.deid` is the only way on.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    """IssuerOfPatientID, or empty where the header has none."""
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    modality: Modality
    instances: tuple[Instance, ...] = field(repr=False)

    def files(self) -> Iterable[SourceFile]:
        """Name the files behind the objects, in their order."""
        return (instance.file for instance in self.instances)
