"""Objects by themselves: what the scan set aside because it is no image of a series of ours, and whose it is."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from medflow.dicom.content import open_content, sha256_of
from medflow.dicom.files import open_object
from medflow.dicom.objects import sop_class_of, state_for
from medflow.dicom.read import text_in, uid_in
from medflow.dicom.tags import Tag
from medflow.domain.series import SetAside, SourceFile
from medflow.errors import Reason, SeriesError

OTHERS = frozenset(
    {
        Reason.NOT_PATIENT_GEOMETRY,
        Reason.PLANAR_IMAGE,
        Reason.OTHER_MODALITY,
        Reason.COLOUR_IMAGE,
        Reason.NOT_AN_IMAGE,
    }
)
"""Reasons for which an object is set aside though nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One object that is no image of a series: a screenshot, an ultrasound loop, a report. It names a patient."""

    file: SourceFile = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)


def singles_of(
    set_aside: Iterable[SetAside], sop_classes: Collection[str]
) -> tuple[tuple[Single, ...], tuple[SetAside, ...]]:
    """Tell the objects of `sop_classes` from all else that was set aside; every file is in exactly one of the two.

    As in a series, there is one object for each SOP Instance UID (the same bytes again are set aside as sent again, and
    other bytes contradict each other), and those of one Series Instance UID are one patient's.
    """
    by_uid: dict[str, list[Single]] = defaultdict(list)
    rest: list[SetAside] = []
    for aside in set_aside:
        single = _single(aside, sop_classes)
        if isinstance(single, Single):
            by_uid[single.sop_instance_uid].append(single)
        else:
            rest.append(single)
    found = []
    for claimants in by_uid.values():
        kept, others = _one_of(claimants)
        found += kept
        rest += others
    found, others = _of_one_patient(found)
    rest += others
    return tuple(sorted(found, key=lambda one: one.file.name)), tuple(sorted(rest, key=lambda one: one.file.name))


def _single(aside: SetAside, sop_classes: Collection[str]) -> Single | SetAside:
    """Read the identifiers of what was set aside; what is of no class that is wanted stays aside as it is."""
    if aside.reason not in OTHERS:
        return aside
    try:
        with open_content(aside.file) as content:
            meta, header, _, _ = open_object(cast("Any", content.stream), content.size)
        sop_class = sop_class_of(meta, header)
        if sop_class not in sop_classes:
            return aside
        return Single(
            file=aside.file,
            sop_class_uid=sop_class,
            sop_instance_uid=uid_in(header, Tag.SOPInstanceUID),
            study_instance_uid=uid_in(header, Tag.StudyInstanceUID),
            series_instance_uid=uid_in(header, Tag.SeriesInstanceUID),
            patient_id=text_in(header, Tag.PatientID),
            issuer=text_in(header, Tag.IssuerOfPatientID),
        )
    except SeriesError as error:
        return _aside(aside.file, error.reason, error.detail)
    except OSError:
        return _aside(aside.file, Reason.UNREADABLE_FILE)


def _one_of(claimants: list[Single]) -> tuple[list[Single], list[SetAside]]:
    """Keep one of the files that claim the same SOP Instance UID, if they hold the same bytes."""
    if len(claimants) == 1:
        return claimants, []
    first, *others = sorted(claimants, key=lambda one: one.file.name)
    try:
        same = len({sha256_of(one.file) for one in claimants}) == 1
    except (OSError, SeriesError):
        same = False  # what cannot be read any more is like no other
    if same:
        return [first], [_aside(other.file, Reason.RESENT) for other in others]
    return [], [_aside(one.file, Reason.CONFLICTING_OBJECT) for one in claimants]


def _of_one_patient(singles: list[Single]) -> tuple[list[Single], list[SetAside]]:
    """Leave out the objects of a series that speak of several patients."""
    patients: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for one in singles:
        patients[one.series_instance_uid].add((one.patient_id, one.issuer))
    kept = [one for one in singles if len(patients[one.series_instance_uid]) == 1]
    others = [one for one in singles if len(patients[one.series_instance_uid]) > 1]
    return kept, [_aside(one.file, Reason.TWO_PATIENTS) for one in others]


def _aside(file: SourceFile, reason: Reason, detail: str = "") -> SetAside:
    return SetAside(file=file, state=state_for(reason), reason=reason, detail=detail)
