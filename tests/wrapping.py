"""Public labelled pictures wrapped as DICOM series with a spreadsheet of labels: the whole journey on real pictures.

    python tests/wrapping.py mednist OUT        single-slice MR, one patient for each picture, label `kind`
    python tests/wrapping.py adrenal OUT        CT of 28 slices, one patient for each volume, label `adrenal`

The pictures are looked for in MEDFLOW_REAL_DATA, else in ../shared/data. OUT gets `dicom/` and `labels.csv`, and of
AdrenalMNIST3D `split.csv`: its official test part is the part `test`, its validation part is `select`, and of its
training part every tenth volume of each class is kept back as `calibrate`. (Halving its validation part instead would
leave 11 patients with the finding to choose an epoch by, and 11 to calibrate on.)
"""

import argparse
import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

REAL_DATA = Path(os.environ.get("MEDFLOW_REAL_DATA", Path(__file__).parents[1] / "../shared/data"))
CLASSES = {0: "normal", 1: "hyperplasia"}
INSIDE, AIR = 40, -1000
"""HU of a mask's voxels, and of what lies around."""
OFFICIAL = {"train": "train", "val": "select", "test": "test"}
"""The part of a cohort that each part of a published split is."""
KEPT_BACK = 10
"""Of each class of a published training part, one in so many is for calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """One patient's series: stored values (slice, row, column) with their intercept, and the label it bears."""

    patient: str
    label: str
    modality: str
    body_part: str
    values: NDArray[np.uint16]
    intercept: int
    part: str = ""
    """Of a cohort, where the set has a published split."""


def mednist(data: Path, limit: int | None) -> Iterator[Wrapped]:
    """Wrap the pictures of MedNIST (64 x 64, 8 bits), up to `limit` of each class."""
    for folder in sorted(path for path in (data / "labelled/mednist_150").iterdir() if path.is_dir()):
        for number, path in enumerate(sorted(folder.glob("*.jp*g"))[:limit]):
            with Image.open(path) as picture:
                values = np.asarray(picture.convert("L"), np.uint16)[None]
            yield Wrapped(
                patient=f"{folder.name.upper()}-{number:04}",
                label=folder.name,
                modality="MR",
                body_part="",
                values=values,
                intercept=0,
            )


def adrenal(data: Path, limit: int | None) -> Iterator[Wrapped]:
    """Wrap the masks of AdrenalMNIST3D (28^3), up to `limit` of each of its three parts."""
    with np.load(data / "labelled/adrenalmnist3d_28/adrenalmnist3d.npz") as arrays:
        for part in ("train", "val", "test"):
            masks, labels = arrays[f"{part}_images"][:limit], arrays[f"{part}_labels"][:limit]
            of_class: Counter[int] = Counter()
            for number, (mask, label) in enumerate(zip(masks, labels, strict=True)):
                of_class[label.item()] += 1
                kept_back = part == "train" and of_class[label.item()] % KEPT_BACK == 0
                yield Wrapped(
                    patient=f"ADRENAL-{part.upper()}-{number:04}",
                    label=CLASSES[int(label.item())],
                    part="calibrate" if kept_back else OFFICIAL[part],
                    modality="CT",
                    body_part="ABDOMEN",
                    values=np.where(mask > 0, INSIDE - AIR, 0).astype(np.uint16),
                    intercept=AIR,
                )


def write(series: Iterator[Wrapped], out: Path, label: str) -> int:
    """Write each series and its line of the spreadsheets; give the number of patients.

    Public sets hold some pictures more than once; medflow refuses a cohort in which two patients have the same
    images, so the second one is left out here.
    """
    lines, parts, seen = [], [], set()
    for one in series:
        if (content := one.values.tobytes()) in seen:
            continue
        seen.add(content)
        for number, dataset in enumerate(datasets(one)):
            path = out / "dicom" / one.patient / f"{number:03}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(path, enforce_file_format=True)
        lines.append([one.patient, one.label])
        if one.part:
            parts.append([one.patient, one.part])
    write_table(out / "labels.csv", ["PatientID", label], lines)
    if parts:
        write_table(out / "split.csv", ["PatientID", "part"], parts)
    return len(lines)


def write_table(path: Path, columns: list[str], lines: list[list[str]]) -> None:
    """Write a spreadsheet."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *lines])


def datasets(one: Wrapped) -> Iterator[Dataset]:
    """Make the DICOM objects of a series: axial, 1 mm voxels, the first slice lowest."""
    study, series = (generate_uid(entropy_srcs=[one.patient, kind]) for kind in ("study", "series"))
    for number, frame in enumerate(one.values):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = CTImageStorage if one.modality == "CT" else MRImageStorage
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[one.patient, str(number)])
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[one.patient, "frame"])
        dataset.PatientID, dataset.PatientName = one.patient, f"Wrapped^{one.patient}"
        dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20200102", "090000", "1", ""
        dataset.ReferringPhysicianName, dataset.Manufacturer = "", "Wrapped"
        dataset.Modality, dataset.BodyPartExamined = one.modality, one.body_part
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if one.modality == "CT" else "M"]
        dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 1, number + 1, 1
        dataset.ImagePositionPatient = [0, 0, number]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = frame.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        if one.modality == "CT":
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = one.intercept, 1, "HU"
        dataset.BurnedInAnnotation = "NO"
        dataset.PixelData = frame.tobytes()
        yield dataset


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["mednist", "adrenal"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=REAL_DATA)
    parser.add_argument("--limit", type=int, default=None)
    chosen = parser.parse_args()
    made, label = (mednist, "kind") if chosen.kind == "mednist" else (adrenal, "adrenal")
    patients = write(made(chosen.data, chosen.limit), chosen.out, label)
    print(f"{patients} patients, labels.csv with the column {label}")  # noqa: T201  (a program's answer)


if __name__ == "__main__":
    main()
