"""What a look at a folder found: each series, what it would become or why not, as plain values for people and machines.

Nothing here names a patient: numbers, codes, keywords, and words that passed the cleaner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medflow.dicom.layout import LaidOut
from medflow.domain.completeness import Completeness
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.safe import Descriptors
from medflow.domain.series import Modality
from medflow.domain.volume import Unit
from medflow.errors import Reason
from medflow.steps.account import NONE_OF_OURS, WITHHELD, Counts, fields
from medflow.steps.rules import orientation_of

DECIMALS = 3
"""Of millimetres and degrees: this is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something would not be had."""

    reason: Reason
    detail: str

    def record(self) -> dict[str, str]:
        """Write it as plain values, with the sentence."""
        return {"reason": self.reason.value, "detail": self.detail, "sentence": self.reason.sentence}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A series that would be taken in, as far as its headers tell."""

    laid: LaidOut
    facts: IntensityFacts
    descriptors: Descriptors
    completeness: Completeness
    unit: Unit | None
    """The unit its numbers would have; None where they would have none."""
    missing: Mapping[Unit, Refusal]
    """Units that it could not be read in, and why."""
    failed: tuple[str, ...] | None
    """Rules of the task that it fails; None where no task was named."""

    @property
    def modality(self) -> Modality:
        """Say what took it."""
        return self.laid.series.modality

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Give its volumes; none in a series of planar images."""
        return self.laid.layouts

    @property
    def planes(self) -> tuple[PlaneFacts, ...]:
        """Give its planar images; none in a series of volumes."""
        return self.laid.planes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One series of the folder: what it would become, or why it would be turned away."""

    number: int
    modality: Modality
    files: int
    descriptors: Descriptors | None
    """None where its header could not be cleaned."""
    outcome: Accepted | Refusal
    aside: Mapping[Reason, int]
    """Files of the series that would not be taken in with it."""

    @property
    def state(self) -> str:
        """Say in a word what would become of it: accepted, ignored, withheld or refused."""
        if isinstance(self.outcome, Accepted):
            return "accepted"
        if self.outcome.reason in NONE_OF_OURS:
            return "ignored"
        return "withheld" if self.outcome.reason in WITHHELD else "refused"

    def record(self) -> dict[str, Any]:
        """Write it as plain values."""
        said = self.descriptors
        return {
            "number": self.number,
            "modality": self.modality.value,
            "scanner": "" if said is None else said.scanner,
            "description": "" if said is None else said.description,
            "body_part": None if said is None else said.body_part,
            "head": None if said is None else said.head,
            "files": self.files,
            "state": self.state,
            "refusal": self.outcome.record() if isinstance(self.outcome, Refusal) else None,
            "set_aside": {reason.value: count for reason, count in sorted(self.aside.items())},
            **(_accepted_record(self.outcome) if isinstance(self.outcome, Accepted) else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectReport:
    """What a folder holds."""

    files: Counts
    members: Counts
    """Of the archives among the files."""
    reasons: Mapping[Reason, int]
    """Files and members by the reason for which they would be set aside."""
    series: tuple[Seen, ...]

    @property
    def clean(self) -> bool:
        """True where nothing would be quarantined, refused or withheld, and every series would have its unit."""
        return not (self.files.quarantined or self.members.quarantined) and all(
            seen.state == "ignored" or (isinstance(seen.outcome, Accepted) and seen.outcome.unit is not None)
            for seen in self.series
        )

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "files": fields(self.files),
            "members": fields(self.members),
            "reasons": {reason.value: count for reason, count in sorted(self.reasons.items())},
            "series": [seen.record() for seen in self.series],
        }


def _accepted_record(found: Accepted) -> dict[str, Any]:
    task = {} if found.failed is None else {"task": {"wanted": not found.failed, "failed": list(found.failed)}}
    return {
        "unit": None if found.unit is None else found.unit.value,
        "units_missing": {unit.value: refusal.record() for unit, refusal in found.missing.items()},
        "completeness": found.completeness.record(),
        "volumes": [volume_record(number, layout) for number, layout in enumerate(found.laid.layouts, 1)],
        "planes": [plane_record(number, plane) for number, plane in enumerate(found.laid.planes, 1)],
        **task,
    }


def volume_record(number: int, layout: Layout) -> dict[str, Any]:
    """Describe one volume: voxels and mm along (i, j, k), the plane of its slices, tilt, runs and what labels it.

    The spacing along k is that between slices, measured along their normal.
    """
    steps = np.array(layout.affine, np.float64)[:3, :3]
    normal = np.cross(steps[:, 0], steps[:, 1])
    height = abs(float(steps[:, 2] @ normal)) / float(np.linalg.norm(normal))
    aslant = float(np.linalg.norm(steps[:, 2]))
    tilt = float(np.degrees(np.arccos(min(1.0, height / aslant)))) if layout.sheared and aslant > 0 else 0.0
    across, down = (float(np.linalg.norm(steps[:, axis])) for axis in (0, 1))
    return {
        "number": number,
        "matrix": list(layout.shape),
        "spacing": [round(value, DECIMALS) for value in (across, down, height)],
        "orientation": orientation_of(layout),
        "tilt": round(tilt, DECIMALS),
        "run": list(layout.run),
        "residual": round(layout.residual, DECIMALS),
        "labels": {keyword: round(value, DECIMALS) for keyword, value in layout.labels},
    }


def plane_record(number: int, plane: PlaneFacts) -> dict[str, Any]:
    """Describe one planar image: pixels and mm along (i, j), what it was stored for, which side and view it shows."""
    return {
        "number": number,
        "matrix": [plane.columns, plane.rows],
        "spacing": None if plane.spacing is None else [round(value, DECIMALS) for value in plane.spacing[::-1]],
        "spacing_source": None if plane.spacing_source is None else plane.spacing_source.value,
        "colour": plane.samples > 1,
        "intent": plane.intent.value,
        "laterality": plane.laterality,
        "view": plane.view,
    }
