"""Whose identity is looked for: the values of a patient's original that must be nowhere in what came out."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from pydicom import Dataset, config, dcmread
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag

DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What pydicom raises over a damaged file or value."""
DEEPEST = 64
ESCAPES = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]")
"""Escape sequences that are left where a text is read otherwise than it was written."""
DELIMITERS = set(b"\\^=\r\n\f\t")
"""Signs after which a text is back in its first character set (PS3.5 6.1.2.5.3)."""
STUDY, CHARACTER_SET, MODEL = 0x0020000D, 0x00080005, 0x00081090


class Kind(StrEnum):
    """What a value says of whom; the options of PS3.15 under which some stay go by these kinds."""

    NAME = "name"
    PATIENT_ID = "patient-id"
    BIRTH_DATE = "birth-date"
    ADDRESS = "address"
    ORDER = "order-number"
    STAFF = "staff-name"
    DATE = "date"
    UID = "uid"
    INSTITUTION = "institution"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an identity. It never prints."""

    kind: Kind
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """All that originals say of their patients, as far as it tells who they are."""

    values: frozenset[Value] = field(default=frozenset(), repr=False)
    moments: frozenset[str] = field(default=frozenset(), repr=False)
    """Dates with their time of day (YYYYMMDDHHMMSS): times stay, so a date beside its own time was not moved."""
    studies: frozenset[str] = field(default=frozenset(), repr=False)
    """Study Instance UIDs: what came out has no more studies than went in."""
    models: frozenset[str] = frozenset()
    """Names of scanners' models, in capitals: a station that is called like a model names nobody."""

    @property
    def telling(self) -> frozenset[Value]:
        """The values that tell somebody."""
        return frozenset(
            value for value in self.values if value.kind is not Kind.DEVICE or value.text.upper() not in self.models
        )

    def __or__(self, other: "Identity") -> "Identity":
        return Identity(
            values=self.values | other.values,
            moments=self.moments | other.moments,
            studies=self.studies | other.studies,
            models=self.models | other.models,
        )


KINDS: Mapping[str, Kind] = {
    keyword: kind
    for kind, keywords in {
        Kind.NAME: "PatientName OtherPatientNames PatientBirthName PatientMotherBirthName ResponsiblePerson",
        Kind.PATIENT_ID: "PatientID OtherPatientIDs MedicalRecordLocator "
        "InsurancePlanIdentification SpecimenAccessionNumber ClinicalTrialSubjectID ClinicalTrialSubjectReadingID",
        Kind.ADDRESS: "PatientAddress PatientTelephoneNumbers PatientTelecomInformation ResponsibleOrganization "
        "CurrentPatientLocation PatientInstitutionResidence ReferringPhysicianAddress "
        "ReferringPhysicianTelephoneNumbers PersonAddress PersonTelephoneNumbers PersonTelecomInformation "
        "OrderCallbackPhoneNumber OrderCallbackTelecomInformation",
        Kind.ORDER: "AccessionNumber StudyID AdmissionID ServiceEpisodeID RequestedProcedureID "
        "ScheduledProcedureStepID PerformedProcedureStepID PlacerOrderNumberImagingServiceRequest "
        "FillerOrderNumberImagingServiceRequest PlacerOrderNumberProcedure FillerOrderNumberProcedure "
        "InterpretationID ResultsID",
        Kind.INSTITUTION: "InstitutionName InstitutionAddress InstitutionalDepartmentName RequestingService "
        "PerformedLocation ScheduledProcedureStepLocation IssuerOfPatientID IssuerOfAdmissionID",
        Kind.DEVICE: "StationName PerformedStationName ScheduledStationName PerformedStationAETitle "
        "ScheduledStationAETitle SourceApplicationEntityTitle SendingApplicationEntityTitle "
        "ReceivingApplicationEntityTitle RetrieveAETitle DeviceSerialNumber GantryID DetectorID PlateID CassetteID "
        "DeviceUID UniqueDeviceIdentifier DeviceID XRaySourceID",
    }.items()
    for keyword in keywords.split()
}
"""Attributes that identify by themselves; every PN, date and UID does so beside them."""
BIRTH = frozenset({"PatientBirthDate", "PatientBirthDateInAlternativeCalendar"})
REGISTERED = "1.2.840.10008."


def identity_of_file(stream: BinaryIO) -> Identity | None:
    """Read the identity that an original holds, at any depth; None where it is no DICOM file."""
    with _hushed():
        try:
            dataset = dcmread(stream, stop_before_pixels=True, force=True)
            if not dataset and not dataset.file_meta:
                return None
            found = identity_of_dataset(dataset)
            return found | identity_of_dataset(dataset.file_meta)
        except DAMAGE:
            return None


def identity_of_model(model: Mapping[str, Any]) -> Identity:
    """Read the identity out of a DICOM JSON model (PS3.18 F.2), as the vault keeps it."""
    with _hushed():
        try:
            return identity_of_dataset(Dataset.from_json(dict(model)))
        except DAMAGE:
            return Identity()


def identity_of_uids(uids: Iterable[str]) -> Identity:
    """Take UIDs of originals into an identity."""
    return Identity(values=frozenset(Value(Kind.UID, uid) for uid in uids if _is_private_uid(uid)))


def identity_of_dataset(dataset: Dataset) -> Identity:
    """Read the identity that a data set holds, at any depth."""
    with _hushed():
        values = frozenset(_values(dataset, _encodings(dataset), 0))
        return Identity(
            values=values,
            moments=frozenset(_moments(dataset)),
            studies=frozenset(_texts(dataset.get_item(STUDY), []) if STUDY in dataset else []),
            models=frozenset(map(str.upper, _texts(dataset.get_item(MODEL), []) if MODEL in dataset else [])),
        )


def _values(dataset: Dataset, encodings: list[str], depth: int) -> Iterator[Value]:
    """Give the values of a data set and of its sequences' items."""
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        keyword = keyword_for_tag(tag)
        vr = _vr(tag, raw.VR)
        if vr == "SQ":
            yield from _nested(dataset, int(tag), encodings, depth)
        else:
            kind = _kind(keyword, vr)
            if kind is not None:
                for text in _texts(raw, encodings):
                    yield from _accepted(kind, text)


def _nested(dataset: Dataset, tag: int, encodings: list[str], depth: int) -> Iterator[Value]:
    try:
        items = list(dataset[tag].value or ()) if depth < DEEPEST else []
    except DAMAGE:
        return
    for item in items:
        yield from _values(item, _encodings(item) or encodings, depth + 1)


def _vr(tag: int, told: str | None) -> str:
    """Give the VR of the dictionary where it has one, else what the file tells."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return told or "UN"


def _kind(keyword: str, vr: str) -> Kind | None:
    if keyword in KINDS:
        return KINDS[keyword]
    if keyword in BIRTH:
        return Kind.BIRTH_DATE
    if keyword.endswith(("ClassUID", "SchemeUID")):
        return None  # these name kinds of things
    return {"PN": Kind.STAFF, "DA": Kind.DATE, "DT": Kind.DATE, "UI": Kind.UID}.get(vr)


def _accepted(kind: Kind, text: str) -> Iterator[Value]:
    """Let through what a value of its kind may be: dates that are dates, UIDs that nobody registered."""
    if kind in {Kind.DATE, Kind.BIRTH_DATE}:
        digits = re.sub(r"[.\-/ ]", "", text)[:8]
        if re.fullmatch(r"(1[89]|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", digits):
            yield Value(kind, digits)
    elif kind is Kind.UID:
        if _is_private_uid(text):
            yield Value(kind, text)
    elif re.search(r"\w", text):
        yield Value(kind, text)


def _is_private_uid(text: str) -> bool:
    return bool(re.fullmatch(r"[0-2](\.\d+){3,}", text)) and not text.startswith(REGISTERED)


MOMENTS = {
    0x00080012: 0x00080013,
    0x00080020: 0x00080030,
    0x00080021: 0x00080031,
    0x00080022: 0x00080032,
    0x00080023: 0x00080033,
    0x00080024: 0x00080034,
    0x00080025: 0x00080035,
    0x00180012: 0x00180014,
    0x00181012: 0x00181014,
    0x00181200: 0x00181201,
    0x00400244: 0x00400245,
    0x00400002: 0x00400003,
}
"""Dates of a data set and the times that belong to them (PS3.3 C.7.2.1, C.7.3.1, C.7.6.1, C.12.1, C.4.14)."""


def moment(date: str, time: str) -> str | None:
    """Write a date and its time of day in one; None where the time says nothing (absent, or midnight to the second).

    >>> moment("20240229", "081500.25")
    '20240229081500'
    """
    digits = time.replace(":", "").split(".", maxsplit=1)[0]
    told = len(date) == 8 and len(digits) == 6 and (date + digits).isdigit()  # noqa: PLR2004
    return date + digits if told and digits != "000000" else None


def _moments(dataset: Dataset) -> Iterator[str]:
    for date, time in MOMENTS.items():
        if date in dataset and time in dataset:
            days, times = _texts(dataset.get_item(date), []), _texts(dataset.get_item(time), [])
            found = moment(days[0], times[0]) if days and times else None
            if found is not None:
                yield found
    for tag in list(dataset.keys()):
        if _vr(tag, dataset.get_item(tag).VR) == "DT":
            for text in _texts(dataset.get_item(tag), []):
                found = moment(text[:8], text[8:])
                if found is not None:
                    yield found


def _encodings(dataset: Dataset) -> list[str]:
    try:
        named = _texts(dataset.get_item(CHARACTER_SET), []) if CHARACTER_SET in dataset else []
        return list(convert_encodings(named)) if named else []
    except DAMAGE:
        return []


def _texts(element: Any, encodings: list[str]) -> list[str]:  # noqa: ANN401  (raw or converted, as pydicom has it)
    """Read the values of an element in every way that its bytes allow: as declared, as UTF-8, as Latin-1."""
    value = element.value
    if value is None:
        return []
    if not isinstance(value, bytes):
        several = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        return [text for each in several if (text := str(each).strip(" \0"))]
    readings = {
        reading for codec in (*encodings[:1], "utf-8", "latin-1") if (reading := _read(value, codec, encodings))
    }
    plain = sorted({ESCAPES.sub("", reading) for reading in readings})
    return [text for reading in plain for each in reading.split("\\") if (text := each.strip(" \0"))]


def _read(value: bytes, codec: str, encodings: list[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    try:
        return decode_bytes(value, encodings, DELIMITERS) if codec in encodings[:1] else value.decode(codec)
    except (UnicodeError, *DAMAGE):
        return ""


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep pydicom from warning and logging, which quotes values."""
    logger, mode = logging.getLogger("pydicom"), config.settings.reading_validation_mode
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        config.settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            logger.setLevel(level)
            config.settings.reading_validation_mode = mode
