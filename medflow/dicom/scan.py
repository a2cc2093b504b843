"""A folder of files becomes series: every file ends in exactly one of them, or is set aside with a reason."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from medflow.dicom.archives.members import Archive
from medflow.dicom.content import archives_kept_open, sha256_of
from medflow.dicom.files import list_files
from medflow.dicom.objects import state_for
from medflow.dicom.read import ImageObject, Sharing
from medflow.dicom.readers import read_files
from medflow.dicom.sources import Outcome, is_archive, read_file
from medflow.domain.progress import Progress, Silent
from medflow.domain.series import Instance, Owner, Series, SetAside, SourceFile
from medflow.errors import Reason, SeriesError

SILENT = Silent()

__all__ = [
    "Archive",
    "ImageObject",
    "Outcome",
    "Scan",
    "Sharing",
    "gather",
    "is_archive",
    "list_files",
    "read_file",
    "scan_folder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a folder holds. Every file and every member of an archive is in exactly one of the three."""

    series: tuple[Series, ...]
    """Ordered by study and series, whatever the files are called."""
    set_aside: tuple[SetAside, ...]
    """Files and members that are no image of a series, ordered by name."""
    archives: tuple[Archive, ...] = ()
    """Archives that were opened, ordered by name; their members are in the other two."""

    @property
    def seen(self) -> int:
        """Count the files, each once; an archive counts as one, its members not at all."""
        return sum(not file.member for file in self.files())

    @property
    def members(self) -> int:
        """Count the members of archives."""
        return sum(bool(file.member) for file in self.files())

    def files(self) -> Iterable[SourceFile]:
        """Name everything that was seen: files, archives and their members."""
        yield from (archive.file for archive in self.archives)
        yield from (aside.file for aside in self.set_aside)
        for series in self.series:
            yield from series.files()

    def part(self, ready: Callable[[SourceFile], bool]) -> "Scan":
        """Leave out what is not ready: a series with a file that is not, and an archive with a member of such a series.

        An archive goes with all of its members or not at all, so that its counts are those of the whole archive.
        """
        waiting = {file.relative for file in self.files() if not ready(file)}
        archives = {archive.file.relative for archive in self.archives}
        before = -1
        while len(waiting) > before:
            before = len(waiting)
            held_up = (series for series in self.series if any(file.relative in waiting for file in series.files()))
            waiting |= archives & {file.relative for series in held_up for file in series.files()}
        return Scan(
            series=tuple(one for one in self.series if not any(file.relative in waiting for file in one.files())),
            set_aside=tuple(aside for aside in self.set_aside if aside.file.relative not in waiting),
            archives=tuple(archive for archive in self.archives if archive.file.relative not in waiting),
        )


def scan_folder(
    root: Path, *, progress: Progress = SILENT, files: Iterable[SourceFile] | None = None, workers: int | None = None
) -> Scan:
    """Read the headers of every file below `root`, or of `files` only, once and no further than the pixels.

    It never raises about what the files hold. Many files are read by `workers` processes (None: as many as there are
    cores for this one); what is found does not depend on how many there are.
    """
    listed = list(list_files(root) if files is None else files)
    progress.start("reading headers", len(listed))
    return gather(read_files(listed, workers=workers, progress=progress))


def gather(outcomes: Iterable[Outcome]) -> Scan:
    """Put what was read of each file together into series, and set aside what contradicts itself."""
    set_aside: list[SetAside] = []
    objects: list[ImageObject] = []
    archives: list[Archive] = []
    for outcome in outcomes:
        if isinstance(outcome, SetAside):
            set_aside.append(outcome)
        elif isinstance(outcome, Archive):
            archives.append(outcome)
        else:
            objects.append(outcome)
    by_series: dict[str, list[ImageObject]] = defaultdict(list)
    with archives_kept_open():
        kept = _unique(objects, set_aside)
    for single in kept:
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
        set_aside=tuple(sorted(set_aside, key=lambda one: one.file.name)),
        archives=tuple(sorted(archives, key=lambda one: one.file.name)),
    )


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
        claimants.sort(key=lambda one: one.instance.file.name)
        if len({_contents(claimant.instance.file) for claimant in claimants}) == 1:
            kept.append(claimants[0])
            set_aside.extend(_aside(claimant, Reason.RESENT) for claimant in claimants[1:])
        else:
            set_aside.extend(_aside(claimant, Reason.CONFLICTING_OBJECT) for claimant in claimants)
    return kept


def _contents(file: SourceFile) -> str:
    """Name a file by the bytes that it holds; one that cannot be read any more is like no other."""
    try:
        return sha256_of(file)
    except (OSError, SeriesError):
        return f"unreadable {file.name}"


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
    owner = Owner(patient_id=member.patient_id, issuer=member.issuer, study_instance_uid=member.study_instance_uid)
    return SetAside(file=member.instance.file, state=state_for(reason), reason=reason, owner=owner)
