"""What a model was found to be worth on one part of one cohort."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medflow.domain.digests import digest, natural_id
from medflow.domain.model import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """That a model looked at a test part: written before it does, so that not even a crash makes it undone."""

    model_id: str
    test_digest: str
    cohort_digest: str
    patients: int
    run: str
    at: datetime

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        return natural_id("opn_", "opening", [self.model_id, self.test_digest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of one model on one part of one cohort; the files lie in `<data>/evaluations/<model digest>/`."""

    model_id: str
    model_digest: str
    cohort_digest: str
    part: str
    examples: int
    patients: int
    files: dict[str, str]
    """SHA-256 by name."""
    metrics: dict[str, Any]
    code: str
    run: str
    at: datetime

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        return natural_id("evl_", "evaluation", [self.model_id, self.cohort_digest, self.part])

    @property
    def folder(self) -> str:
        """Place of the files below the evaluations folder."""
        return f"{self.model_digest}/{self.part}-{self.cohort_digest[:16]}"


def test_digest(examples: tuple[Example, ...]) -> str:
    """Name a test part by what is in it, whatever the other parts hold: the sorted inputs of its examples."""
    return digest("test", sorted(example.input_digest for example in examples))
