"""A patient with a name in every script, and clean DICOM files that hold nothing of any of them."""

from medflow.verify.files import opened
from medflow.verify.folder import BUDGET
from medflow.verify.identity import Identity, Kind, Value
from medflow.verify.look import Hit, Looker
from medflow.verify.wanted import wanted
from tests.deid.phantom import ct_slice, file_bytes

VALUES = (
    Value(Kind.NAME, "Müller-Lüdenscheidt^Eva Maria"),
    Value(Kind.NAME, "Жданов^Яков"),
    Value(Kind.NAME, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    Value(Kind.STAFF, "Steinbeisser^Gernot"),
    Value(Kind.PATIENT_ID, "4711-0815"),
    Value(Kind.PATIENT_ID, "48301927"),
    Value(Kind.ORDER, "A7730291"),
    Value(Kind.INSTITUTION, "Klinikum Rechts der Isar"),
    Value(Kind.DEVICE, "AWP45123"),
    Value(Kind.BIRTH_DATE, "19300115"),
    Value(Kind.DATE, "20240229"),
    Value(Kind.UID, "1.2.826.0.1.3680043.8.498.33.1"),
)


def clean_file(*, implicit: bool = False) -> bytes:
    """Write a file that names nobody."""
    ds = ct_slice(0, patient="PQ7XKZ2M4N6ABCDEF", seed=1)
    ds.PatientName, ds.PatientBirthDate = "PQ7XKZ2M4N6ABCDEF", ""
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.17", "2.25.18"
    ds.SOPInstanceUID, ds.FrameOfReferenceUID = "2.25.19", "2.25.20"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20190812"
    return file_bytes(ds, implicit=implicit)


def looker(*values: Value, moments: frozenset[str] = frozenset()) -> Looker:
    """Make ready to look for values."""
    return Looker(wanted=wanted(Identity(values=frozenset(values), moments=moments)))


def found_in(look: Looker, content: bytes, name: str = "") -> dict[Kind, set[str]]:
    """Give the kinds that are found in a file beyond chance, and where."""
    hits: tuple[Hit, ...] = look.look(opened(content), name)
    telling, _ = look.admitted(BUDGET)
    told: dict[Kind, set[str]] = {}
    for hit in hits:
        for kind in look.wanted.kinds(hit.form) if hit.form in telling else ():
            told.setdefault(kind, set()).add(hit.place)
    return told
