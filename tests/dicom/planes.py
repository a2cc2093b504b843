"""Small planar images for the tests: a radiograph, a plate, a mammogram, a fundus; drawn with pydicom."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    OphthalmicPhotography8BitImageStorage,
)

from tests.dicom.drawn import attributes, changed, uid

CLASSES = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "MG": DigitalMammographyXRayImageStorageForPresentation,
    "OP": OphthalmicPhotography8BitImageStorage,
}
ROWS, COLUMNS = 40, 32
REGIONS = {"DX": ("43799004", "Chest"), "MG": ("76752008", "Breast"), "OP": ("81745001", "Eye")}


def radiograph(number: int = 1, *, modality: str = "DX", **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a grey image of 40 rows and 32 columns, 12 bits, with a soft ball; `others` are attributes by keyword."""
    dataset = _object(number, modality)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "0", "US"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.ImagerPixelSpacing = ["0.2", "0.1"]
    if modality == "CR":
        dataset.ViewPosition, dataset.BodyPartExamined = "PA", "CHEST"
        dataset.KVP = "120"
    else:
        _as_digital(dataset, modality)
    dataset.PixelData = ball(number).tobytes()
    return changed(dataset, others)


def photograph(number: int = 1, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a fundus in colour, 40 rows and 32 columns of 8 bits."""
    dataset = _object(number, "OP")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = ROWS, COLUMNS, "1"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PresentationLUTShape, dataset.BurnedInAnnotation = "IDENTITY", "NO"
    dataset.ImageLaterality, dataset.LossyImageCompression = "R", "00"
    dataset.AnatomicRegionSequence = [_code(*REGIONS["OP"])]
    for keyword in ("PatientEyeMovementCommanded", "HorizontalFieldOfView", "PupilDilated", "IntraOcularPressure"):
        setattr(dataset, keyword, None)
    dataset.EmmetropicMagnification, dataset.DetectorType, dataset.FrameIncrementPointer = None, None, 0x00181063
    dataset.FrameTime = "1"
    dataset.AcquisitionDeviceTypeCodeSequence = [_code("409898007", "Fundus Camera")]
    for keyword in ("Illumination", "LightPathFilter", "ImagePathFilter"):
        name = f"{keyword}TypeCodeSequence" if keyword == "Illumination" else f"{keyword}TypeStackCodeSequence"
        setattr(dataset, name, [])
    dataset.LensesCodeSequence = dataset.RefractiveStateSequence = dataset.AcquisitionContextSequence = []
    grey = ball(number) >> 4
    dataset.PixelData = np.stack([grey, grey // 2, 255 - grey], axis=-1).astype(np.uint8).tobytes()
    return changed(dataset, others)


def ball(seed: int, *, brightness: int = 1500) -> NDArray[np.uint16]:
    """Draw a soft ball on noise, 12 bits (row, column)."""
    chance = np.random.default_rng(seed)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    hill = brightness * np.exp(-((row - 20) ** 2 + (column - 14) ** 2) / 120.0)
    return np.asarray(1000 + hill + chance.normal(0, 20, (ROWS, COLUMNS)), np.uint16)


def table(entries: list[int], *, first: int = 0, bits: int = 8) -> Dataset:
    """Draw one item of a look-up table sequence."""
    item = attributes(LUTDescriptor=[len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", np.array(entries, "<u2").tobytes())
    return item


def _object(number: int, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CLASSES[modality], uid("plane", modality, number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("planes", modality)
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "P1", "Canary^Yellow"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19500101", "F", "074Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240103"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101112"
    dataset.AcquisitionDateTime = "20240103101112"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A1", "S1", "Doctor^Some"
    dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "Ysio"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1234", "VB10"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", str(number)
    dataset.ImageType, dataset.PatientOrientation = ["ORIGINAL", "PRIMARY", ""], ["L", "F"]
    return dataset


def _as_digital(dataset: Dataset, modality: str) -> None:
    """Add what a DX or MG image must say."""
    dataset.PresentationIntentType, dataset.PresentationLUTShape = "FOR PRESENTATION", "IDENTITY"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    dataset.ImageLaterality, dataset.DetectorType, dataset.PositionerType = "U", "DIRECT", ""
    dataset.AnatomicRegionSequence = [_code(*REGIONS[modality])]
    dataset.AcquisitionContextSequence = []
    dataset.ViewCodeSequence = [_code("272479007", "postero-anterior")]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    if modality == "MG":
        dataset.ImageLaterality, dataset.PositionerType, dataset.OrganExposed = "L", "MAMMOGRAPHIC", "BREAST"
        dataset.ViewCodeSequence = [_code("399368009", "medio-lateral oblique")]
        dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []


def _code(value: str, meaning: str) -> Dataset:
    return attributes(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
