"""The invented scanners: each draws the same anatomy with its own matrix, slices, noise and habits."""

from dataclasses import dataclass
from typing import Literal

from sample_dicom.geometry import AXIAL, OBLIQUE, SAGITTAL, Vector

Numbering = Literal["up", "down", "shuffled"]
"""Whether instance numbers grow towards the end of the stack, towards its start, or say nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How a scanner cuts the body; `shape` and `spacing` (mm) are ordered (slice, row, column)."""

    shape: tuple[int, int, int]
    spacing: Vector
    thickness: float
    axes: tuple[Vector, Vector] = AXIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a scanner says of itself, and how it writes."""

    name: str
    manufacturer: str
    model: str
    serial: str
    software: str
    numbering: Numbering = "up"
    suffix: str = ".dcm"
    compressed: bool = False
    """RLE Lossless instead of plain Explicit VR Little Endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CTScanner:
    """A CT: `noise` is the deviation in HU where half of the slice is water."""

    device: Device
    stack: Stack
    noise: float
    kernel: str
    smooth: bool
    """A soft kernel: noise of neighbouring pixels hangs together."""
    intercept: int = -1024
    signed: bool = False
    padding: int | None = None
    """The stored value outside the circular field of view, if the scanner marks it."""
    kvp: int = 120
    current: int = 180
    body_part: str = "CHEST"
    description: str = "Chest 5.0 Soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class MRScanner:
    """An MR: `gain` turns signal into stored numbers, `noise` is a fraction of white matter's signal."""

    device: Device
    stack: Stack
    noise: float
    gain: float
    field: float
    sequence: str
    repetition: float
    echo: float
    body_part: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PETScanner:
    """A PET/CT: `noise` is the deviation in SUV where the SUV is 1; it grows with the root of the uptake."""

    device: Device
    stack: Stack
    noise: float
    ct: CTScanner
    reconstruction: str
    corrected: tuple[str, ...]


CT_SCANNERS = (
    CTScanner(
        device=Device(
            name="ct-alpha",
            manufacturer="Invented Imaging",
            model="Alpha 64",
            serial="A-1001",
            software="A 4.1",
            compressed=True,
        ),
        stack=Stack(shape=(20, 60, 60), spacing=(12.0, 5.6, 5.6), thickness=12.0),
        noise=14,
        kernel="B30",
        smooth=True,
        description="Chest Routine 12.0 B30",
    ),
    CTScanner(
        device=Device(
            name="ct-beta",
            manufacturer="Phantom Works",
            model="Beta CT",
            serial="B-2002",
            software="B 11",
            numbering="shuffled",
            suffix="",
            compressed=True,
        ),
        stack=Stack(shape=(24, 64, 64), spacing=(10.0, 5.25, 5.25), thickness=10.0),
        noise=24,
        kernel="LUNG",
        smooth=False,
        intercept=0,
        signed=True,
        kvp=100,
        current=140,
        description="CT Chest Lung 10mm",
    ),
    CTScanner(
        device=Device(
            name="ct-gamma",
            manufacturer="Sample Systems",
            model="Gamma Speed",
            serial="G-3003",
            software="G.2.7",
            numbering="down",
            compressed=True,
        ),
        stack=Stack(shape=(22, 64, 64), spacing=(11.0, 5.4, 5.4), thickness=10.0),
        noise=18,
        kernel="STANDARD",
        smooth=True,
        signed=True,
        padding=-2000,
        current=220,
        description="Thorax Standard 10mm",
    ),
    CTScanner(
        device=Device(
            name="ct-delta", manufacturer="Invented Imaging", model="Delta One", serial="D-4004", software="D 1.0"
        ),
        stack=Stack(shape=(18, 56, 56), spacing=(13.5, 6.0, 6.0), thickness=13.5),
        noise=10,
        kernel="FC03",
        smooth=True,
        kvp=130,
        current=90,
        description="Chest 13.5 FC03",
    ),
)

MR_SCANNERS = (
    MRScanner(
        device=Device(
            name="mr-rho", manufacturer="Invented Imaging", model="Rho 1.5T", serial="R-5005", software="R 8"
        ),
        stack=Stack(shape=(20, 56, 56), spacing=(8.0, 4.25, 4.25), thickness=7.0),
        noise=0.04,
        gain=0.9,
        field=1.5,
        sequence="se",
        repetition=520,
        echo=12,
        body_part="BRAIN",
        description="T1 SE AX POST GD",
    ),
    MRScanner(
        device=Device(
            name="mr-sigma",
            manufacturer="Phantom Works",
            model="Sigma 3.0T",
            serial="S-6006",
            software="S 20",
            suffix="",
            compressed=True,
        ),
        stack=Stack(shape=(22, 56, 56), spacing=(7.5, 4.25, 4.25), thickness=7.5, axes=SAGITTAL),
        noise=0.025,
        gain=2.4,
        field=3.0,
        sequence="mprage",
        repetition=2100,
        echo=2.9,
        body_part="HEAD",
        description="T1 MPRAGE SAG +C",
    ),
    MRScanner(
        device=Device(
            name="mr-tau",
            manufacturer="Sample Systems",
            model="Tau 1.0T",
            serial="T-7007",
            software="T 2.2",
            numbering="down",
            compressed=True,
        ),
        stack=Stack(shape=(18, 52, 48), spacing=(9.0, 4.75, 4.75), thickness=8.0, axes=OBLIQUE),
        noise=0.06,
        gain=0.5,
        field=1.0,
        sequence="se",
        repetition=600,
        echo=15,
        body_part="BRAIN",
        description="T1 TSE OBL POST",
    ),
)

PET_SCANNERS = (
    PETScanner(
        device=Device(
            name="pet-phi",
            manufacturer="Sample Systems",
            model="Phi PET/CT",
            serial="P-8008",
            software="P 6",
            numbering="shuffled",
            compressed=True,
        ),
        stack=Stack(shape=(24, 48, 48), spacing=(10.0, 7.5, 7.5), thickness=10.0),
        noise=0.10,
        ct=CTScanner(
            device=Device(
                name="pet-phi-ct",
                manufacturer="Sample Systems",
                model="Phi PET/CT",
                serial="P-8008",
                software="P 6",
                compressed=True,
            ),
            stack=Stack(shape=(20, 56, 56), spacing=(12.0, 6.25, 6.25), thickness=12.0),
            noise=34,
            kernel="AC",
            smooth=True,
            current=40,
            body_part="CHESTABDOMEN",
            description="AC CT Low Dose",
        ),
        reconstruction="OSEM 3i21s",
        corrected=("DECY", "RADL", "ATTN", "SCAT", "DTIM", "RAN", "NORM"),
    ),
    PETScanner(
        device=Device(
            name="pet-psi",
            manufacturer="Invented Imaging",
            model="Psi TOF",
            serial="Q-9009",
            software="Q 3.3",
            numbering="down",
            suffix="",
        ),
        stack=Stack(shape=(20, 44, 44), spacing=(12.0, 8.0, 8.0), thickness=12.0),
        noise=0.16,
        ct=CTScanner(
            device=Device(
                name="pet-psi-ct",
                manufacturer="Invented Imaging",
                model="Psi TOF",
                serial="Q-9009",
                software="Q 3.3",
                suffix="",
                compressed=True,
            ),
            stack=Stack(shape=(18, 56, 56), spacing=(13.5, 6.25, 6.25), thickness=13.5),
            noise=28,
            kernel="SOFT",
            smooth=True,
            signed=True,
            current=50,
            body_part="CHESTABDOMEN",
            description="CT WB Low Dose",
        ),
        reconstruction="TOF-OSEM 2i",
        corrected=("ATTN", "DECY", "SCAT", "DTIM", "RAN", "NORM"),
    ),
)
