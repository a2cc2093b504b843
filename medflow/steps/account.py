"""The account of a run: what became of every file, in counts that must add up."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medflow.dicom.scan import Archive, Scan
from medflow.domain.series import FileState, SourceFile
from medflow.errors import BatchError, Reason

NONE_OF_OURS = {
    Reason.NOT_AN_IMAGE,
    Reason.NOT_PATIENT_GEOMETRY,
    Reason.PLANAR_IMAGE,
    Reason.OTHER_MODALITY,
    Reason.COLOUR_IMAGE,
}
"""Reasons for which the files of a whole series are ignored, not quarantined: nothing is wrong with them."""
WITHHELD = {Reason.BURNED_IN_TEXT, Reason.TEXT_CANNOT_BE_READ, Reason.IDENTITY_REMAINS}
"""Reasons that speak of identity: the series is readable, and is not let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the files, or of the members of archives: each is in exactly one of the three."""

    seen: int = 0
    accepted: int = 0
    quarantined: int = 0
    ignored: int = 0

    @property
    def add_up(self) -> bool:
        """True where no file is lost and none is counted twice (law 1)."""
        return self.seen == self.accepted + self.quarantined + self.ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCounts:
    """What became of the series; `new` ones are those of the accepted that were not known before."""

    accepted: int = 0
    new: int = 0
    refused: int = 0
    withheld: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What one run of ingest saw and did."""

    run: str
    files: Counts
    series: SeriesCounts
    members: Counts = Counts()
    """What became of the members of archives, each of which counts as one of `files`."""
    reasons: Mapping[Reason, int]
    """Files and members by the reason for which they were set aside."""
    waiting: int = 0
    """Files that are not quiet yet, or whose series is not: left for the next run, in no other count."""

    @property
    def clean(self) -> bool:
        """True where nothing was quarantined, refused or withheld."""
        aside = self.files.quarantined, self.members.quarantined, self.series.refused, self.series.withheld
        return not any(aside)

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {
            "run": self.run,
            "files": fields(self.files),
            "members": fields(self.members),
            "series": fields(self.series),
            "reasons": {reason.value: count for reason, count in sorted(self.reasons.items())},
            "waiting": self.waiting,
        }


def fields(counts: Counts | SeriesCounts) -> dict[str, int]:
    """Write counts as plain values."""
    return {name: getattr(counts, name) for name in counts.__slots__}


@dataclass(slots=True)
class Tally:
    """What a run has counted so far."""

    files: Counter[FileState] = field(default_factory=Counter)
    members: Counter[FileState] = field(default_factory=Counter)
    series: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    set_aside: list[tuple[SourceFile, FileState, Reason]] = field(default_factory=list)
    """What was noted with a reason, in that order."""
    inside: defaultdict[str, Counter[FileState]] = field(default_factory=lambda: defaultdict(Counter))
    """What became of the members of each archive, by the archive's relative path."""

    def note(self, file: SourceFile, state: FileState, reason: Reason | None = None) -> None:
        """Count what became of one file or member."""
        if file.member:
            self.members[state] += 1
            self.inside[file.relative][state] += 1
        else:
            self.files[state] += 1
        if reason is not None:
            self.reasons[reason] += 1
            self.set_aside.append((file, state, reason))

    def fate_of(self, archive: Archive) -> tuple[FileState, Reason | None]:
        """Say what becomes of an archive, once all of its members are noted.

        Quarantined where it could not be read whole, though members that were read before may be accepted; else
        accepted with any of its members; else quarantined with any; else ignored.
        """
        if archive.reason is not None:
            return FileState.QUARANTINED, archive.reason
        inside = self.inside[archive.file.relative]
        if inside[FileState.ACCEPTED]:
            return FileState.ACCEPTED, None
        if inside[FileState.QUARANTINED]:
            return FileState.QUARANTINED, Reason.NO_MEMBER_ACCEPTED
        return FileState.IGNORED, Reason.ARCHIVE_WITHOUT_IMAGES

    def counted(self, scan: Scan) -> tuple[Counts, Counts]:
        """Give the counts of the files and of the members that `scan` saw.

        Raises:
            BatchError: one is lost, or counted twice.
        """
        files = Counts(seen=scan.seen, **{state.value: self.files[state] for state in FileState})
        members = Counts(seen=scan.members, **{state.value: self.members[state] for state in FileState})
        for what, counts in (("files", files), ("members", members)):
            if not counts.add_up:
                accounted = counts.accepted + counts.quarantined + counts.ignored
                raise BatchError(f"{counts.seen} {what} were seen but {accounted} are accounted for")
        return files, members
