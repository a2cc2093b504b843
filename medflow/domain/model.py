"""A trained model as the registry knows it: an immutable version, named by its digest."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from medflow.domain.digests import digest, natural_id


class Stage(StrEnum):
    """Where a model version stands in its life."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row of a cohort: a series that names nobody, its label, and the part that its patient was dealt to."""

    patient: str
    series_id: str
    subject: str
    input_digest: str
    layout_digest: str
    label: str
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One version of a model."""

    name: str
    version: int
    task_digest: str
    cohort_digest: str
    seed: int
    code: str
    """Digest of the CodeVersion that trained it."""
    model_digest: str
    grid_digest: str
    folder: str
    """`<name>/<version>` below the models folder."""
    metrics: dict[str, Any]
    at: datetime

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        return model_id(self.task_digest, self.cohort_digest, self.seed, self.code)


def model_id(task_digest: str, cohort_digest: str, seed: int, code: str) -> str:
    """Name a model by what it was trained from; training it again finds it."""
    return natural_id("mod_", "model", [task_digest, cohort_digest, seed, code])


def cohort_digest(examples: tuple[Example, ...]) -> str:
    """Name a frozen cohort by its sorted [pseudonym, input digest, label, split] rows."""
    return digest("cohort", sorted([e.patient, e.input_digest, e.label, e.part] for e in examples))


def files_digest(files: dict[str, str]) -> str:
    """Name a model by the sorted (path, SHA-256) of every file that inference reads."""
    return digest("model", sorted([path, sha256] for path, sha256 in files.items()))
