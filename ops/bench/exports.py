"""A CT as a scanner would write it, large enough to time: air, a body, organs that vary smoothly, and noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1.77"


def write_ct(
    folder: Path,
    *,
    slices: int = 300,
    side: int = 512,
    tilt: float = 0.0,
    dress: Callable[[Dataset, int], object] = lambda _, __: None,
) -> Path:
    """Write one chest-sized CT series of `slices` x `side` x `side` int16; `tilt` shifts each slice along y (mm).

    `dress` adds to the data set of each slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(20260101)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    body = (x / 0.85) ** 2 + (y / 0.65) ** 2 < 1
    for number in range(slices):
        lungs = ((np.abs(x) - 0.38) / 0.28) ** 2 + (y / 0.45) ** 2 < np.sin(np.pi * number / slices)
        values = np.where(body, np.where(lungs, -850.0, 40.0), -1000.0) + 60 * body * np.sin(5 * x + number / 20)
        values += chance.normal(0.0, 15.0, values.shape)
        ds = _slice(number, np.rint(values + 1024).clip(0, 4095).astype(np.int16), tilt)
        dress(ds, number)
        ds.save_as(folder / f"IM{number:05}", enforce_file_format=True)
    return folder


def _slice(number: int, stored: np.ndarray, tilt: float) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.ImageType, ds.SOPClassUID = ["ORIGINAL", "PRIMARY", "AXIAL"], CTImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.3.{number}", f"{ROOT}.1", f"{ROOT}.2"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20250102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "081500"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "SAMPLE", "Bench"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Bench^Sample", "BENCH-1", "19600101", "O"
    ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = "B1", "1", "Referrer^Sample"
    ds.SeriesDescription, ds.BodyPartExamined, ds.PatientPosition = "CHEST", "CHEST", "HFS"
    ds.SliceThickness, ds.KVP, ds.ConvolutionKernel = "1", "120", "B30f"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 1, 1, number + 1
    ds.ImagePositionPatient = ["-178.85", f"{-178.85 + tilt * number:.4f}", f"{-300 + number}"]
    ds.ImageOrientationPatient, ds.FrameOfReferenceUID = [1, 0, 0, 0, 1, 0], f"{ROOT}.4"
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.PixelSpacing = ["0.7", "0.7"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelData = stored.tobytes()
    return ds
