"""One object by itself -> its de-identified file: a picture that words may be written on, or a structured report."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from medflow.deid.across import Places, places_by
from medflow.deid.bodies import Bodies
from medflow.deid.burned import without_text
from medflow.deid.cleaner import DAMAGE
from medflow.deid.dataset import cleaner_of
from medflow.deid.folder import FOLDER_MODE, ONE_INSTANT, being_written, write_file
from medflow.deid.iods import REPORTS, SOP_CLASSES
from medflow.deid.ledger import Ledger
from medflow.deid.marks import Done, Person
from medflow.deid.native import Integers
from medflow.deid.object import Opened, deidentified_file, deidentified_report, opened, read_bytes
from medflow.deid.original import text_of
from medflow.deid.palette import coloured, darkened, has_palette
from medflow.deid.profile import Option, Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.report import is_titled
from medflow.dicom.hush import hushed
from medflow.dicom.singles import Single
from medflow.domain.durable import flush
from medflow.errors import Reason, SeriesError

CLASSES: Mapping[str, str] = SOP_CLASSES
"""SOP classes whose objects are cleaned one by one, where they belong to no series that is read."""
PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"
"""What a camera takes may show a face whatever its header says."""
OBJECTS = "objects"
"""Folder of such objects, beside those of the volumes of their series."""


def places_in(singles: Sequence[Single], profile: Profile) -> Places | None:
    """Look for text on all pictures of one series, if the profile blanks text; None where each is judged by itself.

    What cannot be opened here is refused when its turn comes.
    """
    if len(singles) < 2:  # noqa: PLR2004
        return None
    try:
        return places_by(profile, _pictures(singles), planar=True)
    except SeriesError:
        return None


def _pictures(singles: Sequence[Single]) -> Iterator[Opened]:
    for single in singles:
        if single.sop_class_uid not in REPORTS:
            with suppress(SeriesError):
                original = opened(read_bytes(single.file), planar=True, palette=True)
                yield replace(original, frames=_in_colours(original))


def deidentify_single(
    single: Single,
    *,
    pseudonyms: Pseudonyms,
    profile: Profile,
    root: Path,
    ledger: Ledger | None = None,
    places: Places | None = None,
) -> Path:
    """Write the de-identified copy of one object below `root` and name the file; the same again leaves it as it is.

    `ledger` counts what is done, if all goes well; `places` are those of the text on all pictures of its series.

    Raises:
        SeriesError: the profile does not clean such objects, or this one is damaged, or text in it cannot be blanked.
    """
    report = single.sop_class_uid in REPORTS
    _check_option(profile, report=report)
    patient, _ = pseudonyms.patient(single.patient_id, single.issuer, single.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    counted = Ledger()
    bodies = Bodies(pseudonyms=pseudonyms, profile=profile, person=person, ledger=counted)
    study, series, name = map(
        pseudonyms.uid, (single.study_instance_uid, single.series_instance_uid, single.sop_instance_uid)
    )
    content, name = read_bytes(single.file), f"{name}.dcm"
    written = _report(content, bodies, person) if report else _picture(content, bodies, name, places)
    final = _placed(root / study / series, name, written)
    if ledger is not None:
        ledger.add(counted)
    return final


def _check_option(profile: Profile, *, report: bool) -> None:
    """Withhold what the profile chose no option for (PS3.15 E.3.1, E.3.4)."""
    if report and Option.CLEAN_STRUCTURED_CONTENT not in profile.options:
        raise SeriesError(Reason.REPORT_WITHHELD)
    if not report and Option.CLEAN_PIXELS not in profile.options:
        raise SeriesError(Reason.PICTURE_WITHHELD)


def _picture(content: bytes, bodies: Bodies, name: str, places: Places | None) -> bytes:
    """Clean a picture: every frame of it is looked at, in its colours."""
    original = opened(content, planar=True, palette=True)
    bodies.start(original.dataset)
    bodies.head = bodies.head or text_of(original.dataset.get_item(0x00080016), ()) == PHOTOGRAPH
    if bodies.head and Option.CLEAN_FACES in bodies.profile.options:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE)  # a face is found in a volume, and not in a picture of one
    frames = _in_colours(original)
    known = None if places is None else places.on(original)
    blanked = without_text(original.dataset, frames, bodies.profile, planar=True, known=known)
    bodies.ledger.look(name, frames=len(frames), boxes=blanked.boxes)
    if not blanked.boxes:
        return deidentified_file(original, bodies)
    indexed = has_palette(original.dataset)
    left = darkened(original.frames, frames, blanked.boxes) if indexed else blanked.frames
    original = replace(original, frames=left, changed=frozenset(blanked.boxes))
    return deidentified_file(original, bodies, done=Done(blanked=True))


def _in_colours(original: Opened) -> Integers:
    """Give the frames as they are seen."""
    indexed = has_palette(original.dataset)
    return coloured(original.dataset, original.frames[..., 0]) if indexed else original.frames


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
