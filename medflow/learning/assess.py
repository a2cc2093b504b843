"""From predictions to the figures of an evaluation: what `metrics.json` holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelRule
from medflow.learning.dossier import labels_record
from medflow.learning.intervals import EXACT, exact
from medflow.learning.metrics import Answers, measured
from medflow.learning.predicted import Predicted, answers, groups
from medflow.learning.subgroups import by_subgroup

SCHEMA = "medflow/metrics/1"


def assessed(
    rule: LabelRule,
    calibration: Calibration,
    rows: Sequence[Predicted],
    *,
    about: Mapping[str, Any],
    seed: int,
    prevalence: float | None = None,
) -> dict[str, Any]:
    """Measure rows of one part; `about` says of which model, cohort and part. The result is plain JSON."""
    said = answers(rule, calibration, rows)
    return {
        "schema": SCHEMA,
        **about,
        "labels": labels_record(rule),
        "seed": seed,
        **measured(said, seed=seed, prevalence=prevalence),
        "subgroups": by_subgroup(said, groups(rows), seed=seed),
        "conformal": conformal(said, rows),
    }


def conformal(said: Answers, rows: Sequence[Predicted]) -> dict[str, Any] | None:
    """Measure the sets of classes: how many hold the truth, and how large they are; None where the model makes none."""
    sets = [row.candidates for row in rows if row.candidates is not None]
    if not sets:
        return None
    held, count = sum(row.member.label in (row.candidates or ()) for row in rows), len(rows)
    single = len(set(said.patients)) == count
    low, high = exact(held, count) if single else (None, None)
    method = EXACT if single else "none: patients have several answers"
    sizes = Counter(map(len, sets))
    return {
        "holds_the_truth": {"value": held / count, "n": count, "low": low, "high": high, "method": method},
        "mean_size": sum(map(len, sets)) / count,
        "sizes": {str(size): number for size, number in sorted(sizes.items())},
    }
