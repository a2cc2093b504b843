"""A de-identified series under other names: after a merge of records, or for one recipient of an export.

Only files that this package wrote are read: whose they are, their dates and, where asked for, their UIDs are changed.
Pixels, and everything else, stay byte for byte.
"""

import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian

from medflow.deid.cleaner import DAMAGE
from medflow.deid.encode import Clean, Items, encoded, text_element
from medflow.deid.folder import being_written, placed, write_file
from medflow.deid.marks import PATIENT_ID, PATIENT_NAME
from medflow.deid.original import NUMBER_FORMATS
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.values import DUMMIES, is_registered_uid, shifted_date, shifted_date_time
from medflow.deid.vocabulary import allowed_words
from medflow.dicom.hush import hushed
from medflow.domain.safe import DeidentifiedSeries, Pseudonym, SeriesUID, StoredFile, StudyUID
from medflow.errors import Reason, SeriesError

PREFIX = 132
"""Bytes of preamble and prefix before the file meta information (PS3.10 7.1)."""
BETWEEN_PARTS = " | "
PARTS = 3
CODE = re.compile(r"[A-Z2-7]{8}")
"""How `Pseudonyms.code` writes a serial number: the third part of a scanner's name, where none is missing."""
GROUP_LENGTH = 0x00020000
IMPLEMENTATION = 0x00020012
MOVES = {"DA": shifted_date, "DT": shifted_date_time}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """What a series is called from now on."""

    patient: Pseudonym
    days: int = field(repr=False)
    """By which its dates move, on top of the shift that they have; those that a profile kept as they were stay."""
    uid: Callable[[str], str] = str
    """UID -> UID; without one they stay."""
    code: Callable[[str], str] = str
    """Code of a scanner's serial number -> code."""


def for_recipient(series: DeidentifiedSeries, house: Pseudonyms, label: str) -> tuple[Renaming, str]:
    """Say what a recipient of exports knows `series` by, and the source digest that goes with it."""
    theirs = house.for_recipient(label)
    patient = theirs.recoded_patient(series.patient)
    days = theirs.day_shift(patient) - house.day_shift(series.patient)
    renaming = Renaming(patient=patient, days=days, uid=theirs.recoded_uid, code=theirs.recoded_code)
    return renaming, theirs.recoded_digest(series.source_digest)


def renamed(series: DeidentifiedSeries, renaming: Renaming, *, source_digest: str) -> DeidentifiedSeries:
    """Give the record of `series` its new names; its files are not touched."""
    return replace(
        series,
        patient=renaming.patient,
        study=StudyUID(renaming.uid(series.study)),
        uid=SeriesUID(renaming.uid(series.uid)),
        descriptors=replace(series.descriptors, scanner=_scanner(series.descriptors.scanner, renaming)),
        source_digest=source_digest,
    )


def relabelled_series(
    series: DeidentifiedSeries, renaming: Renaming, root: Path, *, source_digest: str
) -> DeidentifiedSeries:
    """Write `series` under its new names below `root` and say what it is; the same again leaves it as it is.

    Raises:
        SeriesError: STORED_COPY_DIFFERS; a file of it cannot be read, or is not what was written.
    """
    new = renamed(series, renaming, source_digest=source_digest)
    with being_written(root / new.study / new.uid) as folder:
        files = []
        for file in series.files:
            content = relabelled(_stored(series, file), renaming)
            write_file(folder / file.name, content)
            files.append(StoredFile(name=file.name, sha256=hashlib.sha256(content).hexdigest()))
        return placed(replace(new, files=tuple(files), folder=folder), root)


def relabelled(content: bytes, renaming: Renaming) -> bytes:
    """Give a file of the safe store its new names.

    Raises:
        SeriesError: STORED_COPY_DIFFERS; it is no file that this package wrote.
    """
    stream = BytesIO(content)
    try:
        with hushed():
            dataset = dcmread(stream, stop_before_pixels=True)
            pixels = content[stream.tell() :]
            if dataset.get("LongitudinalTemporalInformationModified") != "MODIFIED":
                renaming = replace(renaming, days=0)  # dates that were kept or removed have no shift to change
            meta = _items(dataset.file_meta, renaming)[1:]
            body = encoded(_items(dataset, renaming), implicit=_is_implicit(dataset))
    except DAMAGE:
        raise SeriesError(Reason.STORED_COPY_DIFFERS) from None
    group = encoded(meta, implicit=False)
    length = encoded([Clean(tag=GROUP_LENGTH, vr="UL", value=struct.pack("<I", len(group)))], implicit=False)
    return b"".join((content[:PREFIX], length, group, body, pixels))


def _stored(series: DeidentifiedSeries, file: StoredFile) -> bytes:
    try:
        content = (series.folder / file.name).read_bytes()
    except OSError:
        raise SeriesError(Reason.STORED_COPY_DIFFERS) from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise SeriesError(Reason.STORED_COPY_DIFFERS)
    return content


def _scanner(scanner: str, renaming: Renaming) -> str:
    *parts, last = scanner.split(BETWEEN_PARTS)
    is_code = CODE.fullmatch(last) and (len(parts) == PARTS - 1 or not allowed_words(last))
    return BETWEEN_PARTS.join((*parts, renaming.code(last) if is_code else last))


def _is_implicit(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian)


def _items(dataset: Dataset, renaming: Renaming) -> Items:
    return tuple(_element(dataset, int(tag), renaming) for tag in sorted(dataset.keys()))


def _element(dataset: Dataset, tag: int, renaming: Renaming) -> Clean:
    original = dataset.get_item(tag)
    vr = original.VR or dataset[tag].VR
    if vr == "SQ":
        return Clean(tag=tag, vr="SQ", value=tuple(_items(item, renaming) for item in dataset[tag].value))
    if tag in {PATIENT_NAME, PATIENT_ID}:
        return text_element(tag, vr, renaming.patient)
    value = _raw(original.value, vr)
    if vr in MOVES:
        return text_element(tag, vr, *(_moved(text, vr, renaming.days) for text in _texts(value)))
    if vr == "UI" and tag != IMPLEMENTATION:
        return text_element(tag, vr, *(_renamed(text, renaming) for text in _texts(value)))
    return Clean(tag=tag, vr=vr, value=value)


def _raw(value: object, vr: str) -> bytes:
    """Spell a value that pydicom converted as it read the file: texts of the file meta information, a few numbers."""
    if isinstance(value, bytes):
        return value
    if vr in NUMBER_FORMATS and isinstance(value, int):
        return struct.pack(f"<{NUMBER_FORMATS[vr]}", value)
    return b"" if value is None else str(value).encode("ascii")


def _texts(value: bytes) -> list[str]:
    return value.decode("ascii").strip(" \0").split("\\")


def _moved(text: str, vr: str, days: int) -> str:
    """Move a date; one that stands in for a removed date stays."""
    if not text or text.encode("ascii") == DUMMIES[vr]:
        return text
    moved = MOVES[vr](text.strip(), days)
    if moved is None:
        raise SeriesError(Reason.STORED_COPY_DIFFERS)
    return moved


def _renamed(text: str, renaming: Renaming) -> str:
    return text if not text or is_registered_uid(text) else renaming.uid(text)
