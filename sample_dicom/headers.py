"""What a classic single-frame CT, MR or PET object says beside its pixels: PS3.3 A.3, A.4 and A.21."""

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from sample_dicom.geometry import Geometry, Vector
from sample_dicom.scanners import CTScanner, Device, MRScanner, PETScanner
from sample_dicom.subjects import Subject

F18_HALF_LIFE = 6586.2
"""Seconds."""
UPTAKE_SECONDS = 3600
REMAINING = 0.684637
"""2 ** (-UPTAKE_SECONDS / F18_HALF_LIFE), to six digits: what is left of the dose when the scan starts."""
PRIVATE_CREATOR = "SAMPLE HOSPITAL 1.0"

INJECTED, SCANNED = "091500", "101500"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """A series before its pixels: whose, by which device, where its slices stand."""

    subject: Subject
    device: Device
    modality: str
    number: int
    description: str
    body_part: str
    geometry: Geometry
    thickness: float
    time: str = SCANNED

    @property
    def uid(self) -> str:
        """Name the series."""
        return self.subject.uid("series", self.number)


def number(value: float, digits: int = 4) -> str:
    """Write a decimal string without needless zeros."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def person_and_study(subject: Subject) -> Dataset:
    """Write what all objects of a subject share: Patient, General Study and Patient Study modules."""
    ds = Dataset()
    day = subject.study_date.strftime("%Y%m%d")
    ds.StudyDate = day
    ds.StudyTime = "090000"
    ds.AccessionNumber = f"ACC{subject.task[0].upper()}{subject.number:05}"
    ds.InstitutionName = "Sample Hospital"
    ds.InstitutionAddress = "1 Invented Street, Sampleton"
    ds.ReferringPhysicianName = "Referrer^Sample"
    ds.StudyDescription = "Sample study"
    ds.PatientName = subject.patient_name
    ds.PatientID = subject.patient_id
    ds.PatientBirthDate = subject.birth_date.strftime("%Y%m%d")
    ds.PatientSex = subject.sex
    ds.PatientAge = f"{subject.age:03}Y"
    ds.PatientSize = number(subject.size, 2)
    ds.PatientWeight = number(subject.weight, 1)
    ds.StudyInstanceUID = subject.uid("study")
    ds.StudyID = f"{subject.number}"
    return ds


def equipment(ds: Dataset, device: Device) -> None:
    """Write the General Equipment module, and a private block that says who was scanned, as real ones do."""
    ds.Manufacturer = device.manufacturer
    ds.ManufacturerModelName = device.model
    ds.DeviceSerialNumber = device.serial
    ds.SoftwareVersions = device.software
    ds.StationName = device.serial.replace("-", "")
    block = ds.private_block(0x0009, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", f"booked for {ds.PatientID}")
    block.add_new(0x02, "DA", ds.StudyDate)


def series(plan: SeriesPlan) -> Dataset:
    """Write what all objects of a series share."""
    ds = person_and_study(plan.subject)
    equipment(ds, plan.device)
    ds.Modality = plan.modality
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = ds.StudyDate
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = plan.time
    ds.SeriesDescription = plan.description
    ds.ProtocolName = plan.description
    ds.BodyPartExamined = plan.body_part
    ds.SeriesInstanceUID = plan.uid
    ds.SeriesNumber = f"{plan.number}"
    ds.AcquisitionNumber = "1"
    ds.FrameOfReferenceUID = plan.subject.uid("frame")
    ds.PositionReferenceIndicator = ""
    ds.SliceThickness = number(plan.thickness)
    ds.ImageOrientationPatient = [number(cosine) for axis in plan.geometry.axes for cosine in axis]
    ds.PixelSpacing = [number(plan.geometry.spacing[1]), number(plan.geometry.spacing[2])]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    _, ds.Rows, ds.Columns = plan.geometry.shape
    ds.BitsAllocated = 16
    return ds


def instance(ds: Dataset, plan: SeriesPlan, *, slice_index: int, instance_number: int) -> None:
    """Write what only one slice says: its identity and its place."""
    place = plan.geometry.position(slice_index)
    ds.SOPInstanceUID = plan.subject.uid("instance", plan.number, slice_index)
    ds.InstanceNumber = f"{instance_number}"
    ds.ImagePositionPatient = [number(value) for value in place]
    ds.SliceLocation = number(_along(place, plan.geometry.normal))


def ct(ds: Dataset, scanner: CTScanner) -> None:
    """Add the CT Image module (PS3.3 C.8.2.1)."""
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientPosition = "HFS"
    ds.KVP = f"{scanner.kvp}"
    ds.ExposureTime = "500"
    ds.XRayTubeCurrent = f"{scanner.current}"
    ds.ConvolutionKernel = scanner.kernel
    ds.GantryDetectorTilt = "0"
    ds.RescaleIntercept = f"{scanner.intercept}"
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter = "-500"
    ds.WindowWidth = "1500"
    stored_as(ds, bits=16 if scanner.signed else 12, signed=scanner.signed)
    if scanner.padding is not None:
        ds.PixelPaddingValue = scanner.padding


def mr(ds: Dataset, scanner: MRScanner) -> None:
    """Add the MR Image module (PS3.3 C.8.3.1)."""
    gradient = scanner.sequence == "mprage"
    ds.SOPClassUID = MRImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.PatientPosition = "HFS"
    ds.ScanningSequence = ["GR", "IR"] if gradient else "SE"
    ds.SequenceVariant = "MP" if gradient else "NONE"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "3D" if gradient else "2D"
    ds.SequenceName = scanner.sequence
    ds.RepetitionTime = number(scanner.repetition)
    ds.EchoTime = number(scanner.echo)
    ds.EchoNumbers = "1"
    ds.EchoTrainLength = "1"
    if gradient:
        ds.InversionTime = "1100"
    ds.FlipAngle = "9" if gradient else "90"
    ds.MagneticFieldStrength = number(scanner.field)
    ds.SpacingBetweenSlices = number(scanner.stack.spacing[0])
    ds.ContrastBolusAgent = "GADOLINIUM"
    stored_as(ds, bits=12, signed=False)


def pet(ds: Dataset, scanner: PETScanner, *, dose: float) -> None:
    """Add the PET Series, Isotope and Image modules (PS3.3 C.8.9.1, C.8.9.2, C.8.9.4).

    Codes say how the patient lies; PatientPosition may not stand beside them (C.7.3.1).
    """
    ds.SOPClassUID = PositronEmissionTomographyImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Units = "BQML"
    ds.SUVType = "BW"
    ds.CountsSource = "EMISSION"
    ds.SeriesType = ["STATIC", "IMAGE"]
    ds.NumberOfSlices = scanner.stack.shape[0]
    ds.CorrectedImage = list(scanner.corrected)
    ds.DecayCorrection = "START"
    ds.RandomsCorrectionMethod = "DLYD"
    ds.AttenuationCorrectionMethod = "CT"
    ds.ScatterCorrectionMethod = "SSS"
    ds.ReconstructionMethod = scanner.reconstruction
    ds.CollimatorType = "NONE"
    ds.ActualFrameDuration = "180000"
    ds.FrameReferenceTime = "0"
    ds.DecayFactor = "1"
    ds.RescaleIntercept = "0"
    ds.RadiopharmaceuticalInformationSequence = Items([_isotope(ds.StudyDate, dose)])
    ds.PatientOrientationCodeSequence = Items([_recumbent()])
    ds.PatientGantryRelationshipCodeSequence = Items([_code("102540001", "SCT", "headfirst")])
    stored_as(ds, bits=16, signed=True)


def stored_as(ds: Dataset, *, bits: int, signed: bool) -> None:
    """Say how a pixel is stored."""
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(signed)


def _isotope(day: str, dose: float) -> Dataset:
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadiopharmaceuticalRoute = "Intravenous route"
    item.RadiopharmaceuticalStartTime = INJECTED
    item.RadiopharmaceuticalStartDateTime = day + INJECTED
    item.RadionuclideTotalDose = number(dose, 0)
    item.RadionuclideHalfLife = number(F18_HALF_LIFE)
    item.RadionuclidePositronFraction = "0.967"
    item.RadionuclideCodeSequence = Items([_code("77004003", "SCT", "^18^Fluorine")])
    item.RadiopharmaceuticalCodeSequence = Items([_code("35321007", "SCT", "Fluorodeoxyglucose F^18^")])
    return item


def _recumbent() -> Dataset:
    item = _code("102538003", "SCT", "recumbent")
    item.PatientOrientationModifierCodeSequence = Items([_code("40199007", "SCT", "supine")])
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _along(place: Vector, normal: Vector) -> float:
    return place[0] * normal[0] + place[1] * normal[1] + place[2] * normal[2]
