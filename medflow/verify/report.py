"""What a second look found, and what it could not see: codes, counts and places, and never a value."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medflow.verify.identity import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A value of somebody's identity, by what it is and where it stands."""

    file: int
    """Number of the file in the order of the files' relative paths, from 1."""
    uid: str
    """SOP Instance UID of the object; empty where it has none, or where it is itself an original's."""
    kind: Kind
    place: str

    def record(self) -> dict[str, Any]:
        """Write the finding as plain values."""
        return {"file": self.file, "uid": self.uid, "kind": self.kind.value, "place": self.place}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was planted in copies, by kind of place, and how much of it was found again."""

    planted: Mapping[str, int]
    found: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """True where something was planted, and all of it found."""
        return bool(self.planted) and dict(self.planted) == dict(self.found)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a second look at a folder saw."""

    files: int
    objects: int
    """How many of them are DICOM."""
    bytes: int
    values: Mapping[Kind, int]
    """Values that were looked for."""
    common: Mapping[Kind, int]
    """Values among them that chance would show as well: no form of them tells anything."""
    partly: Mapping[Kind, int]
    """Values among them that tell something in some forms only (a name's parts together, a date with its time)."""
    retained: tuple[Kind, ...]
    """Kinds that objects say they retain, and that were not looked for in those."""
    unread: int
    """Files, and originals, that could not be read."""
    unmatched: int
    """Objects for which no identity is known: nobody's values, or not their patient's, were looked for in them."""
    expected: float
    """False alarms that chance alone would give."""
    budget: float
    proof: Proof
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """True where everything could be looked at, for everybody, by a look that is proved to see."""
        return self.proof.holds and not self.unread and not self.unmatched

    @property
    def clean(self) -> bool:
        """True where nothing was found."""
        return not self.findings

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "files": self.files,
            "objects": self.objects,
            "bytes": self.bytes,
            "values": _counted(self.values),
            "common": _counted(self.common),
            "partly": _counted(self.partly),
            "retained": [kind.value for kind in self.retained],
            "unread": self.unread,
            "unmatched": self.unmatched,
            "expected_false_alarms": self.expected,
            "budget": self.budget,
            "planted": dict(sorted(self.proof.planted.items())),
            "planted_found": dict(sorted(self.proof.found.items())),
            "findings": [finding.record() for finding in self.findings],
        }


def _counted(counts: Mapping[Kind, int]) -> dict[str, int]:
    return {kind.value: count for kind, count in sorted(Counter(counts).items())}
