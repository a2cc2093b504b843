"""A tiny export full of canaries: tokens wherever a patient's datum may stand, in series that are good and bad."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

CANARY = "Qzxcanary"
"""Stands in names, descriptions, free text, invalid values, file names and folders."""
DIGITS = "7713177713"
"""Stands in UIDs and numbers."""
SIDE, SLICES = 32, 8


def write_export(root: Path, *, patients: int) -> Path:
    """Write `patients` CT series, half of them with a bright ball, beside files and series that get turned away.

    Gives the CSV file of their labels.
    """
    root.mkdir(parents=True)
    lines = ["PatientID,ball"]
    for number in range(patients):
        folder = root / f"{CANARY}^{number}"
        folder.mkdir()
        for index, image in enumerate(_ball(number)):
            _slice(number, index, image).save_as(folder / f"{CANARY}_{index}.dcm", enforce_file_format=True)
        lines.append(f"{CANARY}{DIGITS}{number},{'yes' if number % 2 else 'no'}")
    _add_what_is_turned_away(root, patients)
    _add_other_objects(root)
    labels = root.parent / f"{CANARY}.csv"
    labels.write_text("\n".join([*lines, f"{CANARY}-nobody,yes"]) + "\n")
    return labels


def _ball(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    chance = np.random.default_rng(number)
    coarse = chance.normal(0, 150, (-(-SLICES // 2), -(-SIDE // 4), -(-SIDE // 4)))  # no two patients are alike inside
    voxels = np.kron(coarse, np.ones((2, 4, 4)))[:SLICES, :SIDE, :SIDE] + chance.normal(0, 20, (SLICES, SIDE, SIDE))
    if number % 2:
        k, j, i = np.ogrid[:SLICES, :SIDE, :SIDE]
        voxels[(k - 4) ** 2 + ((j - 16) / 3) ** 2 + ((i - 16) / 3) ** 2 < 9] += 400
    return voxels.astype(np.int16)


def _slice(number: int, index: int, image: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> Dataset:
    original = Dataset()
    original.file_meta = FileMetaDataset()
    original.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    original.file_meta.PrivateInformationCreatorUID = UID(f"1.2.{DIGITS}.1")
    original.file_meta.PrivateInformation = CANARY.encode() + b"\0"
    original.SOPClassUID = CTImageStorage
    original.StudyInstanceUID = UID(f"1.2.{DIGITS}.{number}")
    original.SeriesInstanceUID = UID(f"1.2.{DIGITS}.{number}.1")
    original.SOPInstanceUID = UID(f"1.2.{DIGITS}.{number}.1.{index}")
    original.FrameOfReferenceUID = UID(f"1.2.{DIGITS}.{number}.9")
    original.PatientName = f"{CANARY}^Patient"
    original.PatientID = f"{CANARY}{DIGITS}{number}"
    for keyword in ("InstitutionName", "StudyDescription", "SeriesDescription", "ImageComments", "PatientComments"):
        setattr(original, keyword, f"CHEST {CANARY} {keyword}")
    original.AccessionNumber = f"{CANARY}{number}"
    original.ReferringPhysicianName = f"{CANARY}^Doctor"
    original.StudyDate, original.StudyTime = "20240103", "101112"
    original.SeriesDate = original.AcquisitionDate = original.ContentDate = "20240103"
    original.Modality, original.Manufacturer = "CT", "Phantom Works"
    original.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    original.BodyPartExamined = "CHEST"
    original.Rows = original.Columns = SIDE
    original.PixelSpacing, original.SliceThickness = [4.0, 4.0], 4.0
    original.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    original.ImagePositionPatient = [-64.0, -64.0, 4.0 * index]
    original.InstanceNumber = SLICES - index
    original.SamplesPerPixel, original.PhotometricInterpretation = 1, "MONOCHROME2"
    original.BitsAllocated = original.BitsStored = 16
    original.HighBit, original.PixelRepresentation = 15, 1
    original.RescaleSlope, original.RescaleIntercept, original.RescaleType = 1, 0, "HU"
    original.PixelData = image.tobytes()
    block = original.private_block(0x0029, f"{CANARY} PRIVATE", create=True)
    block.add_new(0x01, "LO", f"{CANARY} secret")
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = f"{CANARY}-other", CANARY
    original.OtherPatientIDsSequence = [item]
    return original


def _add_what_is_turned_away(root: Path, number: int) -> None:
    """Add what no rule lets through, each kind with the canary in the very value that is wrong."""
    image = np.zeros((SIDE, SIDE), np.int16)
    odd = {
        "rescale": ("RescaleSlope", "DS", f"{CANARY}1"),
        "position": ("ImagePositionPatient", "DS", f"{CANARY}\\0\\0"),
        "rows": ("Rows", "LO", CANARY),
        "date": ("StudyDate", "DA", CANARY),
        "patient": ("PatientID", "LO", ""),
    }
    for offset, (name, (keyword, vr, value)) in enumerate(odd.items()):
        folder = root / f"{CANARY}-{name}"
        folder.mkdir()
        for index in range(3):
            original = _slice(number + offset, index, image)
            element = pydicom.DataElement(pydicom.datadict.tag_for_keyword(keyword) or 0, vr, "", validation_mode=0)
            element._value = value  # noqa: SLF001  (an invalid value, which pydicom would refuse to write)
            original[keyword] = element
            original.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    broken = root / f"{CANARY}-0"
    broken.mkdir()
    whole = (root / f"{CANARY}^0" / f"{CANARY}_0.dcm").read_bytes()
    (broken / f"{CANARY}.dcm").write_bytes(whole[:600])
    (broken / "short.dcm").write_bytes(whole.replace(f"{DIGITS}.0.1".encode(), f"{DIGITS}.7.7".encode())[:-900])
    (root / f"{CANARY}.txt").write_text(f"{CANARY} is no DICOM")
    (root / f"{CANARY}.empty").touch()


def _add_other_objects(root: Path) -> None:
    """Add a radiograph that is taken in, one with a name burned into it, what is no image, and an archive of slices."""
    for number, sop_class in enumerate((ComputedRadiographyImageStorage, SecondaryCaptureImageStorage), 40):
        original = _picture(number, sop_class)
        original.save_as(root / f"{CANARY}_{number}.dcm", enforce_file_format=True)
    burned = _picture(42, ComputedRadiographyImageStorage)
    picture = Image.fromarray(np.frombuffer(burned.PixelData, np.int16).reshape(256, 256).astype(np.float32))
    ImageDraw.Draw(picture).text((20, 40), f"{CANARY} {DIGITS}", fill=1000, font_size=20)
    burned.PixelData = np.asarray(picture).astype(np.int16).tobytes()
    burned.save_as(root / f"{CANARY}_42.dcm", enforce_file_format=True)
    for number, sop_class in ((50, EncapsulatedPDFStorage), (51, BasicTextSRStorage)):
        document = _slice(number, 0, np.zeros((SIDE, SIDE), np.int16))
        document.SOPClassUID, document.Modality = sop_class, "SR"
        document.TextValue, document.DocumentTitle = CANARY, CANARY
        document.EncapsulatedDocument = f"%PDF {CANARY}{DIGITS}".encode() + b"\0"
        del document.PixelData
        document.save_as(root / f"{CANARY}_{number}.dcm", enforce_file_format=True)
    with zipfile.ZipFile(root / f"{CANARY}.zip", "w") as archive:
        for index, image in enumerate(_ball(60)):
            held = BytesIO()
            _slice(60, index, image).save_as(held, enforce_file_format=True)
            archive.writestr(f"{CANARY}/{DIGITS}_{index}.dcm", held.getvalue())


def _picture(number: int, sop_class: UID) -> Dataset:
    chance = np.random.default_rng(number)
    smooth = np.outer(np.hanning(256), np.hanning(256)) * 600 + chance.normal(100, 3, (256, 256))
    original = _slice(number, 0, smooth.astype(np.int16))
    original.SOPClassUID = sop_class
    original.Modality = "CR" if sop_class == ComputedRadiographyImageStorage else "OT"
    original.Rows = original.Columns = 256
    original.BodyPartExamined, original.ViewPosition = "CHEST", "PA"
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleType"):
        del original[keyword]
    return original
