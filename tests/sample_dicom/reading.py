"""The shipped sample as these tests read it: straight from its files, by pydicom and numpy alone."""

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from sample_dicom import torso
from sample_dicom.generate import EXPORT, MANIFEST
from sample_dicom.scanners import CT_SCANNERS, MR_SCANNERS, PET_SCANNERS
from sample_dicom.shapes import Ellipsoid, Part
from sample_dicom.subjects import Subject, TaskName, subject

SAMPLE = Path(__file__).parents[2] / "sample_dicom"
TASKS: tuple[TaskName, ...] = ("chest_ct", "brain_mr", "pet_ct")
SCANNERS: dict[TaskName, int] = {
    "chest_ct": len(CT_SCANNERS),
    "brain_mr": len(MR_SCANNERS),
    "pet_ct": len(PET_SCANNERS),
}
ONE_OF_EACH = [(task, 1 + 2 * scanner) for task in TASKS for scanner in range(SCANNERS[task])]
"""A task and the number of the first subject that each of its scanners meets."""

Voxels = NDArray[np.float64]


def manifest(folder: Path = SAMPLE) -> dict[str, str]:
    """Give the noted digest of each file of a sample."""
    lines = (folder / MANIFEST).read_text("ascii").splitlines()
    return {path: digest for digest, path in (line.split("  ") for line in lines)}


def study(person: Subject) -> Path:
    """Find the folder of a person's only study."""
    home = SAMPLE / EXPORT / ("awkward" if person.task == "awkward" else "") / person.patient_id
    return next(home.iterdir())


def shipped(task: TaskName, number: int, series: int) -> list[pydicom.Dataset]:
    """Read a series' slices in the order of their positions along the normal."""
    slices = [pydicom.dcmread(path) for path in (study(subject(task, number)) / f"SE{series:03}").iterdir()]
    cosines = np.array(slices[0].ImageOrientationPatient, np.float64)
    normal = np.cross(cosines[:3], cosines[3:])
    return sorted(slices, key=lambda ds: float(np.dot(np.array(ds.ImagePositionPatient, np.float64), normal)))


def rescaled(slices: list[pydicom.Dataset]) -> Voxels:
    """Apply each slice's own slope and intercept; ordered (slice, row, column)."""
    return np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])


def around(slices: list[pydicom.Dataset], voxels: Voxels, place: tuple[float, float, float]) -> Voxels:
    """Cut 3 x 3 x 3 voxels out of an axial stack around a place (LPS, mm)."""
    first, step = slices[0], float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
    x, y, z = (p - float(o) for p, o in zip(place, first.ImagePositionPatient, strict=True))
    k, j, i = (round(n) for n in (z / step, y / float(first.PixelSpacing[0]), x / float(first.PixelSpacing[1])))
    return voxels[max(k - 1, 0) : k + 2, j - 1 : j + 2, i - 1 : i + 2]


def heart_and_liver(person: Subject) -> tuple[Part, Part]:
    """Draw the person's anatomy again, to know where two organs lie."""
    parts = torso.torso(person.chance("anatomy"), woman=person.sex == "F").parts
    heart = next(part for part in parts if part.tissue == torso.BLOOD)
    liver = next(part for part in parts if part.tissue.suv >= 1.8 and part.tissue.hu > 50)
    return heart, liver


def inside(part: Part, *, above: float = 0.0) -> tuple[float, float, float]:
    """Give the centre of an organ, or a place so many mm nearer to the head."""
    assert isinstance(part.shape, Ellipsoid)
    x, y, z = part.shape.centre
    return (x, y, z + above)
