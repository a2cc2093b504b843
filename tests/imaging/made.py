"""Small de-identified series made by hand, so that reading can be tried without the steps before it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medflow.domain.layout import IntensityFacts, Layout, PetFacts, Place
from medflow.domain.safe import DeidentifiedSeries, Descriptors, Pseudonym, SeriesUID, StoredFile, StudyUID
from medflow.domain.series import Modality
from medflow.domain.volume import Grid, Intensity, Unit, Volume

STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])


def facts(**changes: object) -> IntensityFacts:
    """Make the facts of an ordinary CT, with changes."""
    known = {"photometric": "MONOCHROME2", "rescale_type": "HU", "rescaled": True, "padding": None, "pet": None}
    return IntensityFacts(**known | changes)  # type: ignore[arg-type]  # a test names the fields it means


def pet(**changes: object) -> PetFacts:
    """Make the facts of an ordinary FDG PET, with changes: 70 kg, 300 MBq, one hour of F-18."""
    known = {
        "units": "BQML",
        "suv_type": None,
        "decay_correction": "START",
        "corrected": ("ATTN", "DECY", "SCAT"),
        "weight": 70.0,
        "height": 1.75,
        "sex": "M",
        "dose": 3.0e8,
        "half_life": 6586.2,
        "decay_seconds": 3600.0,
        "philips_suv_factor": None,
        "philips_activity_factor": None,
    }
    return PetFacts(**known | changes)  # type: ignore[arg-type]  # a test names the fields it means


def write_stored(path: Path, stored: NDArray[np.int16] | NDArray[np.uint16]) -> None:
    """Write stored values (frame, row, column) of 16 bits as one DICOM file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=[path.name])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
    dataset.Modality, dataset.PatientID = "CT", "PAAAAAAAAAAAAAAAA"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(stored.dtype == np.int16)
    dataset.PixelData = stored.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def layout(rows: int, columns: int, places: Sequence[Place], affine: NDArray[np.float64] = STRAIGHT) -> Layout:
    """Make the layout of a stack."""
    return Layout(
        rows=rows,
        columns=columns,
        affine=tuple(tuple(map(float, row)) for row in affine),
        places=tuple(places),
        labels=(),
        run=(1, 1),
        residual=0.0,
        sheared=False,
    )


def place(file: int, frame: int = 0, *, slope: float = 1.0, intercept: float = 0.0) -> Place:
    """Name a frame that fills its plane."""
    return Place(file=file, frame=frame, corner=(0, 0), slope=slope, intercept=intercept)


def series(
    folder: Path,
    files: Sequence[str],
    layouts: Sequence[Layout],
    known: IntensityFacts,
    modality: Modality = Modality.CT,
) -> DeidentifiedSeries:
    """Make the de-identified series of files that lie in `folder`."""
    return DeidentifiedSeries(
        patient=Pseudonym("PAAAAAAAAAAAAAAAA"),
        barred=False,
        study=StudyUID("2.25.1"),
        uid=SeriesUID("2.25.2"),
        modality=modality,
        layouts=tuple(layouts),
        facts=known,
        descriptors=Descriptors(
            sex=None,
            age=None,
            body_part=None,
            head=False,
            description="",
            image_type=(),
            site="",
            scanner="",
            slice_thickness=None,
            contrast=False,
        ),
        files=tuple(StoredFile(name=name, sha256="0" * 64) for name in files),
        series_digest="1" * 64,
        source_digest="2" * 64,
        profile_digest="3" * 64,
        folder=folder,
    )


def volume(voxels: NDArray[np.floating], affine: NDArray[np.float64] = STRAIGHT, unit: Unit = Unit.HU) -> Volume[Unit]:
    """Make a CT volume of voxels (i, j, k)."""
    return Volume(
        voxels=np.asarray(voxels, np.float32),
        affine=np.asarray(affine, np.float64),
        unit=unit,
        modality=Modality.CT,
        series_digest="1" * 64,
        layout_digest="4" * 64,
    )


def grid(**changes: object) -> Grid:
    """Make a grid that leaves values between -2000 and 2000 in place, up to scale, with changes."""
    known = {
        "axes": "RAS",
        "spacing": (1.0, 1.0, 1.0),
        "shape": (12, 12, 12),
        "crop": "center",
        "intensity": Intensity.WINDOW,
        "window": (-2000.0, 2000.0),
        "padding": -2000.0,
        "interpolation": "linear",
        "antialias": False,
    }
    return Grid(**known | changes)  # type: ignore[arg-type]  # a test names the fields it means


def unscaled(voxels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Undo the window of `grid`."""
    return voxels.astype(np.float64) * 4000.0 - 2000.0
