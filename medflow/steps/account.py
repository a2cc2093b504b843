"""The account of a run: what became of every file, in counts that must add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medflow.domain.series import FileState
from medflow.errors import Reason
from medflow.store.runs import FileRow

NONE_OF_OURS = {
    Reason.NOT_AN_IMAGE,
    Reason.NOT_PATIENT_GEOMETRY,
    Reason.PLANAR_IMAGE,
    Reason.OTHER_MODALITY,
    Reason.COLOUR_IMAGE,
}
"""Reasons for which the files of a whole series are ignored, not quarantined: nothing is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the files: each is in exactly one of the three."""

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
    reasons: Mapping[Reason, int]
    """Files by the reason for which they were set aside."""
    waiting: int = 0
    """Files of series that are not quiet yet: left for the next run, in no other count."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {
            "run": self.run,
            "files": fields(self.files),
            "members": fields(Counts()),
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
    series: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)

    def note(self, rows: Iterable[FileRow]) -> None:
        """Count what became of some files."""
        for row in rows:
            self.files[row.state] += 1
            if row.reason is not None:
                self.reasons[row.reason] += 1

    def counts(self, seen: int) -> Counts:
        """Give the counts of the files, of which `seen` were met."""
        states = {state.value: self.files[state] for state in FileState}
        return Counts(seen=seen, **states)
