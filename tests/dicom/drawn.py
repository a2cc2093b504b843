"""Small DICOM objects for the tests, drawn with pydicom. `others` and `values` are attributes of any type."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Vector = tuple[float, ...] | NDArray[np.float64] | list[float]


def uid(*words: object) -> str:
    """Draw a UID that depends on `words` only."""
    return generate_uid(entropy_srcs=[str(word) for word in ("medflow tests", *words)])


def one_slice(number: int = 1, *, modality: str = "CT", position: Vector = (0, 0, 0), **others: Any) -> Dataset:  # noqa: ANN401
    """Draw one slice of 4 rows and 3 columns; `others` are attributes by keyword, None takes one away."""
    dataset = Dataset()
    dataset.SOPClassUID = CLASSES.get(modality, CTImageStorage)
    dataset.SOPInstanceUID = uid("object", number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series")
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "P1", "Canary^Yellow"
    dataset.InstanceNumber = str(number)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient = [spelled(value) for value in position]
    dataset.ImageOrientationPatient = [spelled(value) for value in AXIAL]
    dataset.PixelSpacing, dataset.SliceThickness = ["0.7", "0.5"], "2.5"
    dataset.Rows, dataset.Columns = 4, 3
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    if modality != "MR":
        dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    dataset.PixelData = (np.arange(12, dtype="<i2") + number).tobytes()
    return changed(dataset, others)


def changed(dataset: Dataset, others: dict[str, Any]) -> Dataset:
    for keyword, value in others.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def spelled(value: float) -> str:
    """Write a decimal string (DS) as finely as its 16 characters allow."""
    return next(text for digits in range(16, 0, -1) if len(text := f"{float(value):.{digits}g}") <= 16)


def enhanced(positions: list[Vector], **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an enhanced MR whose frames stand at `positions`."""
    dataset = one_slice(modality="MR", **{"SOPClassUID": EnhancedMRImageStorage, **others})
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = str(len(positions))
    shared = Dataset()
    shared.PlaneOrientationSequence = [attributes(ImageOrientationPatient=[spelled(v) for v in AXIAL])]
    shared.PixelMeasuresSequence = [attributes(PixelSpacing=["0.7", "0.5"], SliceThickness="2.5")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number, position in enumerate(positions):
        group = Dataset()
        group.PlanePositionSequence = [attributes(ImagePositionPatient=[spelled(v) for v in position])]
        group.PixelValueTransformationSequence = [attributes(RescaleSlope=str(number + 1), RescaleIntercept="0")]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.PixelData = np.arange(12 * len(positions), dtype="<i2").tobytes()
    return dataset


def attributes(**values: Any) -> Dataset:  # noqa: ANN401
    """Draw a data set of the attributes named."""
    return changed(Dataset(), values)


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Write a data set as a DICOM file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def save(folder: Path, *datasets: Dataset) -> Path:
    """Write data sets into `folder` as numbered files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        (folder / f"{number:04}.dcm").write_bytes(written(dataset))
    return folder


def stack(heights: list[float], **others: Any) -> list[Dataset]:  # noqa: ANN401
    """Draw axial slices at `heights` (mm)."""
    return [one_slice(number, position=(-10, 20, height), **others) for number, height in enumerate(heights, 1)]
