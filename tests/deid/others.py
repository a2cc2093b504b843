"""Small objects that are no CT, MR, PET or X-ray series: pictures and structured reports, drawn with pydicom."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComprehensiveSRStorage,
    JPEGBaseline8Bit,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    NuclearMedicineImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLPhotographicImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiationDoseSRStorage,
)

from tests.dicom.drawn import attributes, changed, uid

ROWS, COLUMNS = 96, 128
Pixels = NDArray[np.uint8]


def capture(number: int = 1, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a secondary capture in colour."""
    dataset = _object(SecondaryCaptureImageStorage, "OT", number, "capture")
    dataset.ConversionType, dataset.SecondaryCaptureDeviceManufacturer = "WSD", "ACME"
    _in_colour(dataset, scene(number)[None])
    return changed(dataset, others)


def captures(**others: Any) -> Dataset:  # noqa: ANN401
    """Draw a multi-frame secondary capture in colour, two frames."""
    dataset = _object(MultiFrameTrueColorSecondaryCaptureImageStorage, "OT", 1, "captures")
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = "2", "40", 0x00181063
    _in_colour(dataset, np.stack([scene(1), scene(2)]))
    return changed(dataset, others)


def ultrasound(number: int = 1, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an ultrasound image in colour, with its region calibrated."""
    dataset = _object(UltrasoundImageStorage, "US", number, "ultrasound")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
    dataset.TransducerType, dataset.MechanicalIndex = "CURVED LINEAR", "1.1"
    dataset.SequenceOfUltrasoundRegions = [region()]
    _in_colour(dataset, scene(number)[None])
    return changed(dataset, others)


def region() -> Dataset:
    """Draw the calibration of an ultrasound picture."""
    return attributes(
        RegionSpatialFormat=1,
        RegionDataType=1,
        RegionFlags=0,
        RegionLocationMinX0=8,
        RegionLocationMinY0=8,
        RegionLocationMaxX1=COLUMNS - 8,
        RegionLocationMaxY1=ROWS - 8,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.05,
        PhysicalDeltaY=0.05,
        TransducerFrequency=3500,
    )


def loop(frames: int = 3, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an ultrasound loop, JPEG baseline; it is written with that transfer syntax."""
    dataset = _object(UltrasoundMultiFrameImageStorage, "US", 1, "loop")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
    dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = str(frames), "40", 0x00181063
    dataset.SequenceOfUltrasoundRegions = [region()]
    _in_colour(dataset, np.stack([scene(number) for number in range(frames)]))
    streams = []
    for frame in (scene(number) for number in range(frames)):
        stream = BytesIO()
        Image.fromarray(frame).save(stream, "JPEG", quality=95)
        streams.append(stream.getvalue())
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].is_undefined_length = True
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "8"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    return changed(dataset, others)


LOOP_SYNTAX = JPEGBaseline8Bit


def angiogram(frames: int = 3, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an angiographic run of 12 bits."""
    dataset = _object(XRayAngiographicImageStorage, "XA", 1, "angiogram")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.KVP, dataset.RadiationSetting, dataset.ExposureTime, dataset.XRayTubeCurrent = "80", "GR", "10", "400"
    dataset.PositionerPrimaryAngle, dataset.PositionerSecondaryAngle = "-30.5", "20"
    dataset.PositionerMotion, dataset.TableMotion = "STATIC", "STATIC"
    dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = str(frames), "66.7", 0x00181063
    dataset.PixelIntensityRelationship, dataset.ImagerPixelSpacing = "LIN", ["0.2", "0.2"]
    dataset.MaskSubtractionSequence = [attributes(MaskOperation="AVG_SUB", MaskFrameNumbers=[1])]
    dataset.RecommendedViewingMode = "SUB"
    _in_grey(dataset, np.stack([scene(number)[..., 0].astype(np.uint16) << 4 for number in range(frames)]), 12)
    return changed(dataset, others)


def scintigram(**others: Any) -> Dataset:  # noqa: ANN401
    """Draw a static scintigram of two detectors."""
    dataset = _object(NuclearMedicineImageStorage, "NM", 1, "scintigram")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    dataset.NumberOfFrames, dataset.FrameIncrementPointer = "2", [0x00540010, 0x00540020]
    dataset.EnergyWindowVector, dataset.NumberOfEnergyWindows = [1, 1], 1
    dataset.DetectorVector, dataset.NumberOfDetectors = [1, 2], 2
    window = attributes(EnergyWindowLowerLimit="126", EnergyWindowUpperLimit="154")
    dataset.EnergyWindowInformationSequence = [attributes(EnergyWindowRangeSequence=[window])]
    dataset.RadiopharmaceuticalInformationSequence = []
    placed = {"CollimatorType": "PARA", "ImagePositionPatient": [], "ImageOrientationPatient": []}
    dataset.DetectorInformationSequence = [attributes(**placed), attributes(**placed)]
    dataset.PatientOrientationCodeSequence = dataset.PatientGantryRelationshipCodeSequence = []
    dataset.PixelSpacing, dataset.CountsAccumulated, dataset.ActualFrameDuration = ["2", "2"], "90000", "60000"
    _in_grey(dataset, np.stack([scene(number)[..., 0].astype(np.uint16) for number in (1, 2)]), 16)
    return changed(dataset, others)


def photograph(**others: Any) -> Dataset:  # noqa: ANN401
    """Draw a photograph of skin."""
    dataset = _object(VLPhotographicImageStorage, "XC", 1, "photograph")
    dataset.LossyImageCompression, dataset.AcquisitionContextSequence = "00", []
    _in_colour(dataset, scene(4)[None])
    return changed(dataset, others)


def with_palette(number: int = 1, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an ultrasound image whose colours stand in a palette."""
    dataset = ultrasound(number, SOPInstanceUID=uid("palette", number))
    del dataset.PlanarConfiguration, dataset.UltrasoundColorDataPresent
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "PALETTE COLOR"
    ramp = np.arange(256, dtype=np.uint16)
    for colour, entries in {"Red": ramp, "Green": np.abs(2 * ramp.astype(int) - 255), "Blue": 255 - ramp}.items():
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        name = f"{colour}PaletteColorLookupTableData"
        setattr(dataset, name, (entries.astype("<u2") * 257).astype("<u2").tobytes())
    dataset.PixelData = scene(number)[..., 0].tobytes()
    return changed(dataset, others)


def scene(seed: int, text: str = "") -> Pixels:
    """Draw soft hills in colour (row, column, 3), and `text` over them."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    hill = np.exp(-((row - 40 - seed) ** 2 + (column - 60) ** 2) / 900.0)
    grey = 40 + 120 * hill
    pixels = np.stack([grey, grey * 0.8, grey * 0.6], axis=-1).astype(np.uint8)
    if not text:
        return pixels
    picture = Image.fromarray(pixels)
    ImageDraw.Draw(picture).text((6, 76), text, fill=(255, 255, 255))
    return np.asarray(picture)


def report(*items: Dataset, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a Comprehensive SR with a measurement report's title; `items` stand below its root."""
    dataset = _document(ComprehensiveSRStorage, "SR", "126000", "Imaging Measurement Report", items)
    dataset.CompletionFlag, dataset.VerificationFlag = "PARTIAL", "UNVERIFIED"
    dataset.PerformedProcedureCodeSequence = []
    return changed(dataset, others)


def dose_report(*items: Dataset, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw an X-Ray Radiation Dose SR."""
    dataset = _document(XRayRadiationDoseSRStorage, "SR", "113701", "X-Ray Radiation Dose Report", items)
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.PerformedProcedureCodeSequence = []
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "77", "VB10"
    dataset.ContentTemplateSequence = [attributes(MappingResource="DCMR", TemplateIdentifier="10011")]
    return changed(dataset, others)


def key_objects(*items: Dataset, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a key object selection."""
    dataset = _document(KeyObjectSelectionDocumentStorage, "KO", "113000", "Of Interest", items)
    dataset.ContentTemplateSequence = [attributes(MappingResource="DCMR", TemplateIdentifier="2010")]
    return changed(dataset, others)


def item(value_type: str, concept: Dataset | None, relation: str = "CONTAINS", **values: Any) -> Dataset:  # noqa: ANN401
    """Draw a content item."""
    drawn = attributes(RelationshipType=relation, ValueType=value_type)
    if concept is not None:
        drawn.ConceptNameCodeSequence = [concept]
    return changed(drawn, values)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Draw a coded entry."""
    return attributes(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def measured(value: str, unit: str) -> Dataset:
    """Draw a measured value."""
    return attributes(NumericValue=value, MeasurementUnitsCodeSequence=[code(unit, "UCUM", unit)])


def image_reference(dataset: Dataset) -> Dataset:
    """Draw a reference to an object."""
    return attributes(ReferencedSOPClassUID=dataset.SOPClassUID, ReferencedSOPInstanceUID=dataset.SOPInstanceUID)


def evidence(dataset: Dataset) -> Dataset:
    """Draw an item of the evidence of a report: where the object that it speaks of belongs."""
    series = attributes(SeriesInstanceUID=dataset.SeriesInstanceUID, ReferencedSOPSequence=[image_reference(dataset)])
    return attributes(StudyInstanceUID=dataset.StudyInstanceUID, ReferencedSeriesSequence=[series])


def _object(sop_class: str, modality: str, number: int, name: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid("other", name, number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("others", name)
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "P1", "Canary^Yellow"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19500101", "F", "074Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240103"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101112"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A1", "S1", "Doctor^Some"
    dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "ACUSON"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", str(number)
    if name != "document":
        dataset.ImageType, dataset.PatientOrientation = ["DERIVED", "SECONDARY"], ""
        dataset.Laterality = ""
    return dataset


def _in_colour(dataset: Dataset, frames: Pixels) -> None:
    """Give a data set frames of red, green and blue (frame, row, column, 3)."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if dataset.Modality == "US":
        dataset.UltrasoundColorDataPresent = 1
    dataset.PixelData = np.ascontiguousarray(frames).tobytes()


def _in_grey(dataset: Dataset, frames: NDArray[np.uint16], bits: int) -> None:
    """Give a data set grey frames (frame, row, column) of 16 bits."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation, dataset.PixelData = 0, frames.astype("<u2").tobytes()


def _document(sop_class: str, modality: str, title: str, meaning: str, items: tuple[Dataset, ...]) -> Dataset:
    dataset = _object(sop_class, modality, 1, "document")
    dataset.SeriesInstanceUID = uid("others", sop_class)
    dataset.SOPInstanceUID = uid("document", sop_class)
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code(title, "DCM", meaning)]
    if items:
        dataset.ContentSequence = list(items)
    return dataset
