"""One object by itself -> its de-identified file: a picture that words may be written on, or a structured report."""

import os
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from medflow.deid.bodies import Bodies
from medflow.deid.burned import without_text
from medflow.deid.cleaner import DAMAGE
from medflow.deid.dataset import cleaner_of
from medflow.deid.folder import FOLDER_MODE, ONE_INSTANT, being_written, flush, write_file
from medflow.deid.iods import REPORTS, SOP_CLASSES
from medflow.deid.ledger import Ledger
from medflow.deid.marks import Done, Person
from medflow.deid.object import deidentified_file, deidentified_report, opened, read_bytes
from medflow.deid.original import text_of
from medflow.deid.palette import coloured, has_palette
from medflow.deid.profile import Option, Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.report import is_titled
from medflow.dicom.hush import hushed
from medflow.dicom.singles import Single
from medflow.errors import Reason, SeriesError

CLASSES: Mapping[str, str] = SOP_CLASSES
"""SOP classes whose objects are cleaned one by one, where they belong to no series that is read."""
PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"
"""What a camera takes may show a face whatever its header says."""
OBJECTS = "objects"
"""Folder of such objects, beside those of the volumes of their series."""


def deidentify_single(
    single: Single, *, pseudonyms: Pseudonyms, profile: Profile, root: Path, ledger: Ledger | None = None
) -> Path:
    """Write the de-identified copy of one object below `root` and name the file; the same again leaves it as it is.

    `ledger` counts what is done, if all goes well.

    Raises:
        SeriesError: the profile does not clean such objects, or this one is damaged, or text in it cannot be blanked.
    """
    clean = _report if single.sop_class_uid in REPORTS else _picture
    _check_option(profile, report=clean is _report)
    patient, _ = pseudonyms.patient(single.patient_id, single.issuer, single.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    counted = Ledger()
    bodies = Bodies(pseudonyms=pseudonyms, profile=profile, person=person, ledger=counted)
    written = clean(read_bytes(single.file), bodies, person)
    study, series, name = map(
        pseudonyms.uid, (single.study_instance_uid, single.series_instance_uid, single.sop_instance_uid)
    )
    final = _placed(root / study / series, f"{name}.dcm", written)
    if ledger is not None:
        ledger.add(counted)
    return final


def _check_option(profile: Profile, *, report: bool) -> None:
    """Withhold what the profile chose no option for (PS3.15 E.3.1, E.3.4)."""
    if report and Option.CLEAN_STRUCTURED_CONTENT not in profile.options:
        raise SeriesError(Reason.REPORT_WITHHELD)
    if not report and Option.CLEAN_PIXELS not in profile.options:
        raise SeriesError(Reason.PICTURE_WITHHELD)


def _picture(content: bytes, bodies: Bodies, _: Person) -> bytes:
    """Clean a picture: every frame of it is looked at, in its colours."""
    original = opened(content, planar=True, palette=True)
    bodies.start(original.dataset)
    bodies.head = bodies.head or text_of(original.dataset.get_item(0x00080016), ()) == PHOTOGRAPH
    if bodies.head and Option.CLEAN_FACES in bodies.profile.options:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE)  # a face is found in a volume, and not in a picture of one
    indexed = has_palette(original.dataset)
    frames = coloured(original.dataset, original.frames[..., 0]) if indexed else original.frames
    blanked = without_text(original.dataset, frames, bodies.profile, planar=True)
    boxes = sum(map(len, blanked.boxes.values()))
    bodies.ledger.pixels.update(frames=len(frames), blanked=len(blanked.boxes), boxes=boxes)
    if not boxes:
        return deidentified_file(original, bodies)
    if indexed:
        raise SeriesError(Reason.BURNED_IN_TEXT, "PALETTE COLOR")  # which index is black is nobody's to say
    original = replace(original, frames=blanked.frames, changed=frozenset(blanked.boxes))
    return deidentified_file(original, bodies, done=Done(blanked=True))


def _report(content: bytes, bodies: Bodies, person: Person) -> bytes:
    """Clean a structured report: its header and, at any depth, its content."""
    try:
        with hushed():
            dataset = dcmread(BytesIO(content), force=True)
            cleaner = cleaner_of(dataset, pseudonyms=bodies.pseudonyms, profile=bodies.profile, person=person)
            titled = is_titled(cleaner, dataset)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    if not titled:
        raise SeriesError(Reason.REPORT_WITHHELD, "ConceptNameCodeSequence")
    return deidentified_report(dataset, bodies)


def _placed(series: Path, name: str, content: bytes) -> Path:
    """Write a file into the folder of single objects below `series`: beside its place, flushed, renamed."""
    final = series / OBJECTS / name
    with being_written(series) as folder:
        final.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        if not (final.is_file() and final.read_bytes() == content):
            write_file(folder / name, content)
            (folder / name).replace(final)
            flush(final.parent)
        os.utime(final.parent, (ONE_INSTANT, ONE_INSTANT))
    return final
