"""A folder of files becomes series: every file ends in exactly one of them, or is set aside with a reason."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medflow.dicom.files import list_files
from medflow.dicom.objects import state_for
from medflow.dicom.read import ImageObject, Sharing, read_source
from medflow.domain.progress import Progress, Silent
from medflow.domain.series import Instance, Series, SetAside, SourceFile
from medflow.errors import Reason

SILENT = Silent()

__all__ = ["ImageObject", "Scan", "gather", "list_files", "read_source", "scan_folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a folder holds."""

    series: tuple[Series, ...]
    """Ordered by study and series, whatever the files are called."""
    set_aside: tuple[SetAside, ...]
    """Ordered by relative path."""

    @property
    def seen(self) -> int:
        """Count the files, each once."""
        return len(self.set_aside) + sum(len(series.instances) for series in self.series)


def scan_folder(root: Path, *, progress: Progress = SILENT, files: Iterable[SourceFile] | None = None) -> Scan:
    """Read the headers of every file below `root`, or of `files` only, once and no further than the pixels.

    It never raises about what the files hold.
    """
    listed = list(list_files(root) if files is None else files)
    return gather(_read_all(listed, progress))


def gather(outcomes: Iterable[ImageObject | SetAside]) -> Scan:
    """Put what was read of each file together into series, and set aside what contradicts itself."""
    set_aside: list[SetAside] = []
    objects: list[ImageObject] = []
    for outcome in outcomes:
        if isinstance(outcome, SetAside):
            set_aside.append(outcome)
        else:
            objects.append(outcome)
    by_series: dict[str, list[ImageObject]] = defaultdict(list)
    for single in _unique(objects, set_aside):
        by_series[single.series_instance_uid].append(single)
    series = []
    for members in by_series.values():
        reason = _contradiction(members)
        if reason is None:
            series.append(_series(members))
        else:
            set_aside.extend(_aside(member, reason) for member in members)
    return Scan(
        series=tuple(sorted(series, key=lambda one: (one.study_instance_uid, one.series_instance_uid))),
        set_aside=tuple(sorted(set_aside, key=lambda one: one.file.relative)),
    )


def _read_all(files: list[SourceFile], progress: Progress) -> Iterator[ImageObject | SetAside]:
    progress.start("reading headers", len(files))
    shared = Sharing()
    for file in files:
        yield read_source(file, shared)
        progress.advance()


def _unique(objects: list[ImageObject], set_aside: list[SetAside]) -> list[ImageObject]:
    """Keep one object for each SOP Instance UID; files with the same UID must hold the same bytes."""
    by_uid: dict[str, list[ImageObject]] = defaultdict(list)
    for single in objects:
        by_uid[single.instance.sop_instance_uid].append(single)
    kept = []
    for claimants in by_uid.values():
        if len(claimants) == 1:
            kept += claimants
            continue
        claimants.sort(key=lambda one: one.instance.file.relative)
        if len({_contents(claimant.instance.file) for claimant in claimants}) == 1:
            kept.append(claimants[0])
            set_aside.extend(_aside(claimant, Reason.RESENT) for claimant in claimants[1:])
        else:
            set_aside.extend(_aside(claimant, Reason.CONFLICTING_OBJECT) for claimant in claimants)
    return kept


def _contents(file: SourceFile) -> str:
    """Name a file by its bytes; one that cannot be read any more is like no other."""
    try:
        with file.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return f"unreadable {file.relative}"


def _contradiction(members: list[ImageObject]) -> Reason | None:
    ids = {member.patient_id for member in members}
    issuers = {member.issuer for member in members} - {""}
    persons = {member.person for member in members}
    if len(ids) > 1 or len(issuers) > 1 or (ids == {""} and len(persons) > 1):
        return Reason.TWO_PATIENTS
    if len({(member.study_instance_uid, member.modality) for member in members}) > 1:
        return Reason.MIXED_SERIES
    return None


def _series(members: list[ImageObject]) -> Series:
    first = members[0]
    return Series(
        patient_id=first.patient_id,
        issuer=max(member.issuer for member in members),
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        modality=first.modality,
        instances=tuple(sorted((member.instance for member in members), key=_order)),
    )


def _order(instance: Instance) -> tuple[bool, int, str]:
    number = instance.instance_number
    return number is None, number or 0, instance.sop_instance_uid


def _aside(member: ImageObject, reason: Reason) -> SetAside:
    return SetAside(file=member.instance.file, state=state_for(reason), reason=reason)
