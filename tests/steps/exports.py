"""Small real exports: CT series of a ball in air, written as a scanner would."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SIDE, SLICES, MILLIMETRES = 32, 8, 4.0
ROOT = "1.2.826.0.1.3680043.10.1"


def write_series(
    folder: Path, *, patient: str, bright: bool = False, slices: tuple[int, ...] = tuple(range(SLICES)), number: int = 1
) -> list[Path]:
    """Write the slices of one CT series of `patient`, named in no order; `bright` balls differ from dull ones."""
    folder.mkdir(parents=True, exist_ok=True)
    voxels = _ball(patient, bright=bright)
    paths = []
    for index in slices:
        path = folder / f"{(index * 7919) % 1000:03d}.dcm"
        _slice(patient, number, index, voxels[index]).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_cohort(folder: Path, patients: int) -> Path:
    """Write one series for each patient, every other one bright, and the CSV of their labels beside the folder."""
    lines = ["PatientID,ball"]
    for number in range(patients):
        name = f"PAT-{number:03d}"
        write_series(folder / f"{number:03d}", patient=name, bright=bool(number % 2))
        lines.append(f"{name},{'bright' if number % 2 else 'dull'}")
    labels = folder.parent / "labels.csv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return labels


def _ball(patient: str, *, bright: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    chance = np.random.default_rng(list(patient.encode()))
    coarse = chance.normal(-500, 300, (SLICES // 2, SIDE // 4, SIDE // 4))  # no two patients are alike inside
    voxels = np.kron(coarse, np.ones((2, 4, 4))) + chance.normal(0, 30, (SLICES, SIDE, SIDE))
    k, j, i = np.ogrid[:SLICES, :SIDE, :SIDE]
    voxels[((k - 3.5) * 2) ** 2 + (j - 16) ** 2 + (i - 16) ** 2 < 80] = 600 if bright else 0
    return voxels.astype(np.int16)


def _slice(patient: str, number: int, index: int, image: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> Dataset:
    study = f"{ROOT}.{int.from_bytes(patient.encode()[-4:], 'big')}"
    original = Dataset()
    original.file_meta = FileMetaDataset()
    original.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    original.SOPClassUID = CTImageStorage
    original.StudyInstanceUID, original.SeriesInstanceUID = study, f"{study}.{number}"
    original.SOPInstanceUID = f"{study}.{number}.{index + 1}"
    original.FrameOfReferenceUID = f"{study}.9"
    original.PatientName, original.PatientID = f"Family^{patient}", patient
    original.PatientBirthDate, original.PatientSex, original.PatientAge = "19500101", "F", "074Y"
    original.StudyDate = original.SeriesDate = original.AcquisitionDate = original.ContentDate = "20240103"
    original.StudyTime = original.SeriesTime = original.AcquisitionTime = original.ContentTime = "101112"
    original.AccessionNumber, original.StudyID, original.ReferringPhysicianName = "A1", "S1", "Doctor^Some"
    original.Modality, original.Manufacturer, original.ManufacturerModelName = "CT", "ACME", "One"
    original.SeriesDescription, original.BodyPartExamined = "CHEST", "CHEST"
    original.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    original.Rows = original.Columns = SIDE
    original.PixelSpacing, original.SliceThickness = [MILLIMETRES, MILLIMETRES], MILLIMETRES
    original.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    original.ImagePositionPatient = [-62.0, -62.0, MILLIMETRES * index]
    original.PatientPosition, original.PositionReferenceIndicator = "HFS", ""
    original.SeriesNumber, original.AcquisitionNumber, original.InstanceNumber = number, 1, SLICES - index
    original.KVP = 120
    original.SamplesPerPixel, original.PhotometricInterpretation = 1, "MONOCHROME2"
    original.BitsAllocated = original.BitsStored = 16
    original.HighBit, original.PixelRepresentation = 15, 1
    original.RescaleSlope, original.RescaleIntercept, original.RescaleType = 1, 0, "HU"
    original.PixelData = image.tobytes()
    return original
