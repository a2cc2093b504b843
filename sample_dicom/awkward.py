"""What a real export also holds: series with faults, pictures that are no slices, and files that are no DICOM."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import SecondaryCaptureImageStorage

from sample_dicom import headers, images, studies
from sample_dicom.geometry import Vector, centred
from sample_dicom.scanners import CT_SCANNERS
from sample_dicom.shapes import Part, render
from sample_dicom.studies import File
from sample_dicom.subjects import Subject, subject
from sample_dicom.writing import dicom_bytes

FOLDER = "awkward"
CORONAL: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SCANNER = CT_SCANNERS[3]
MISSING = 8
"""Which slice the first series lacks."""
PICTURE = (48, 96)

_LETTERS = {
    "A": ("010", "101", "111", "101", "101"),
    "D": ("110", "101", "101", "101", "110"),
    "E": ("111", "100", "110", "100", "111"),
    "L": ("100", "100", "100", "100", "111"),
    "M": ("101", "111", "111", "101", "101"),
    "O": ("111", "101", "101", "101", "111"),
    "P": ("110", "101", "110", "100", "100"),
    "S": ("111", "100", "111", "001", "111"),
}


def awkward_files() -> Iterator[File]:
    """Draw them all; their patients carry no label."""
    for file in (*_missing_slice(), *_sent_twice(), *_with_pictures(), *_no_images()):
        yield replace(file, path=f"{FOLDER}/{file.path}")


def _missing_slice() -> Iterator[File]:
    """A chest CT that lacks one slice in the middle."""
    files = _chest(subject("awkward", 1))
    yield from files[:MISSING] + files[MISSING + 1 :]


def _sent_twice() -> Iterator[File]:
    """A chest CT with one file twice: same bytes, other name."""
    files = _chest(subject("awkward", 2))
    yield from files
    yield replace(files[4], path=files[4].path.replace(".dcm", "_copy.dcm"))


def _with_pictures() -> Iterator[File]:
    """A chest CT with a scout, a screenshot in its study, and another that claims to belong to the series itself."""
    patient = subject("awkward", 3)
    parts = studies.chest(patient)
    yield _scout(patient, parts)
    yield from _chest(patient)
    series_uid = studies.ct_plan(patient, SCANNER, number=2).uid
    folder = f"{patient.patient_id}/ST{patient.study_date:%Y%m%d}"
    yield File(path=f"{folder}/SE002/IM09999.dcm", content=_screenshot(patient, 2, series_uid, "CT"))
    yield File(path=f"{folder}/SE099/IM00001.dcm", content=_screenshot(patient, 99, patient.uid("series", 99), "OT"))


def _no_images() -> Iterator[File]:
    """A text file, a DICOMDIR that holds no directory, an empty file and one whose copying broke off."""
    whole = _chest(subject("awkward", 4))[0]
    yield File(path="README.TXT", content=b"Exported for the sample. This file is no DICOM.\n")
    yield File(path="DICOMDIR", content=bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + b"\xff" * 200)
    yield File(path="EMPTY.dcm", content=b"")
    yield File(path=whole.path, content=whole.content[: len(whole.content) // 2])


def _chest(patient: Subject) -> list[File]:
    return list(studies.ct_files(patient, SCANNER, studies.chest(patient), number=2))


def _scout(patient: Subject, parts: tuple[Part, ...]) -> File:
    """Draw a frontal scout: CT Image Storage, yet no slice through the body."""
    plan = replace(
        studies.ct_plan(patient, SCANNER, number=1, time="100500"),
        description="Scout",
        geometry=centred((1, 56, 64), (1.0, 5.0, 5.0), axes=CORONAL),
        thickness=1.0,
    )
    deep = centred((8, 56, 64), (20.0, 5.0, 5.0), axes=CORONAL)
    through = np.floor(render(parts, deep, lambda tissue: tissue.hu, air=images.AIR_HU, edge=5.0)).astype(np.int64)
    pixels = np.clip(through.sum(axis=0) // len(through) + 1024, 0, 4095).astype(np.uint16)
    ds = headers.series(plan)
    headers.ct(ds, SCANNER)
    ds.RescaleType = "US"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    headers.instance(ds, plan, slice_index=0, instance_number=1)
    return File(path=f"{studies.series_folder(plan)}/IM00001.dcm", content=dicom_bytes(ds, pixels))


def _screenshot(patient: Subject, number: int, series_uid: str, modality: str) -> bytes:
    """Write a Secondary Capture with the patient's name burned into it (PS3.3 A.8.1)."""
    ds = headers.person_and_study(patient)
    headers.equipment(ds, SCANNER.device)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = patient.uid("screenshot", number)
    ds.Modality = modality
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.SeriesInstanceUID = series_uid
    ds.SeriesNumber = f"{number}"
    ds.InstanceNumber = "9999"
    ds.SeriesDescription = "Screen Save"
    ds.BurnedInAnnotation = "YES"
    ds.PatientOrientation = ""
    ds.BodyPartExamined = "CHEST"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = PICTURE
    ds.BitsAllocated = 8
    headers.stored_as(ds, bits=8, signed=False)
    return dicom_bytes(ds, _picture())


def _picture() -> NDArray[np.uint8]:
    """Paint a dark screen with letters on it."""
    screen = np.full(PICTURE, 40, np.uint8)
    screen[20:, ::2] = 90
    for place, letter in enumerate("SAMPLE ODD"):
        rows = _LETTERS.get(letter, ("000",) * 5)
        glyph = np.array([[int(dot) for dot in row] for row in rows], np.uint8).repeat(2, 0).repeat(2, 1)
        left = 6 + 8 * place
        screen[4:14, left : left + 6] = 40 + 200 * glyph
    return screen
