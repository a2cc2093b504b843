"""A frozen cohort: who is learned from, and on which side of the split each stands."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from medflow.domain.digests import natural_id
from medflow.domain.model import Example, cohort_digest

BANDS = ((18, "0-17"), (40, "18-39"), (60, "40-59"), (80, "60-79"))
"""Ages are told apart no finer than this in a cohort: the first band whose bound is above the age."""
OLDEST = "80+"


class Duplicates(StrEnum):
    """What becomes of images that stand under several patients, the same or nearly so."""

    REFUSE = "refuse"
    TOGETHER = "together"
    """Their patients are dealt as one, so that nothing of them stands on two sides."""
    ACCEPT = "accept"
    """Near duplicates stay where they were dealt; identical images are refused all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One row of a cohort: an example, and what its subgroup is told by."""

    patient: str
    study: str
    series_id: str
    subject: str
    input_digest: str
    layout_digest: str
    label: str
    part: str
    site: str
    scanner: str
    sex: str | None
    age_band: str | None
    slice_thickness: float | None
    """mm"""

    def example(self) -> Example:
        """Give what a model keeps of it."""
        return Example(
            patient=self.patient,
            series_id=self.series_id,
            subject=self.subject,
            input_digest=self.input_digest,
            layout_digest=self.layout_digest,
            label=self.label,
            part=self.part,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenCohort:
    """A cohort that was built once and never changes."""

    task: str
    """Name of the task that it was built for."""
    task_digest: str
    labels: dict[str, Any]
    """The label rule's record."""
    dealing: dict[str, Any]
    """How patients were dealt: shares and seed, fold, site or file; what was done about duplicates, and why."""
    left_out: dict[str, int]
    """Series that stayed out, by reason."""
    members: tuple[Member, ...]
    at: datetime

    @property
    def digest(self) -> str:
        """Name it by its rows."""
        return cohort_digest(tuple(member.example() for member in self.members))

    @property
    def id(self) -> str:
        """Name the row."""
        return cohort_id(self.digest)


def cohort_id(digest: str) -> str:
    """Name the row of a cohort of this digest."""
    return natural_id("coh_", "cohort", [digest])


def age_band(age: int | None) -> str | None:
    """Give the band that an age in years falls into."""
    if age is None:
        return None
    return next((band for bound, band in BANDS if age < bound), OLDEST)
