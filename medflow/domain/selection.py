"""Which series of a study a task took, and why it took none of the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medflow.domain.digests import digest, natural_id
from medflow.domain.safe import StudyUID
from medflow.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One look of one task at one study. The same candidates make the same row."""

    task_digest: str
    study: StudyUID
    rule: str
    """`series.choose` of the task."""
    failures: Mapping[str, tuple[str, ...]]
    """Rules that each candidate fails, by its series id; none for a series that passes."""
    chosen: tuple[str, ...] = ()
    """Ids of the series that the task takes; only the rule "every" takes several."""
    reason: Reason | None = None
    """Why none is taken; None where one is."""
    detail: str = ""

    @property
    def candidates_digest(self) -> str:
        """Name the candidates and what each of them fails."""
        return digest("candidates", [[name, list(failed)] for name, failed in sorted(self.failures.items())])

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        return natural_id("sel_", "selection", [self.task_digest, self.study, self.candidates_digest])

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "id": self.id,
            "study": self.study,
            "rule": self.rule,
            "chosen": list(self.chosen),
            "reason": None if self.reason is None else self.reason.value,
            "detail": self.detail,
            "failures": {name: list(failed) for name, failed in sorted(self.failures.items())},
        }
