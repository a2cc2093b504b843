"""Whether all of a series has arrived: a verdict, and the evidence that it rests on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What can be said of a series that has been quiet for the configured time."""

    PROVEN = "proven"
    """A count in the headers, or the PACS, says how many there are, and that many are here without a gap."""
    QUIET_ONLY = "quiet-only"
    """Nothing says how many there are, and nothing is amiss: only that no file came any more."""
    CONTRADICTED = "contradicted"
    """A count or the geometry says that something is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that speaks for or against completeness."""

    source: str
    """Keyword of the attribute, "PACS" for what it was asked, or "geometry"."""
    announced: int
    """Objects, slices or time points, as the source counts them."""
    found: int
    binding: bool = True
    """False for a count that is kept and not believed: one of derived images, or of fewer than there are."""

    @property
    def agrees(self) -> bool:
        """True where nothing that was announced is missing."""
        return self.found >= self.announced


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The verdict on a series, and every count behind it."""

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()

    def record(self) -> dict[str, Any]:
        """Write the verdict as plain values; `from_record` is its inverse."""
        return {
            "verdict": self.verdict.value,
            "evidence": [[item.source, item.announced, item.found, item.binding] for item in self.evidence],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Completeness":
        """Read what `record` wrote."""
        return cls(
            verdict=Verdict(record["verdict"]),
            evidence=tuple(
                Evidence(source=source, announced=announced, found=found, binding=binding)
                for source, announced, found, binding in record["evidence"]
            ),
        )
