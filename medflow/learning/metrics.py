"""How good predictions are: each figure with its n and a 95 % interval whose unit is the patient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from medflow.learning.figures import Figures, figures

RESAMPLES = 2000
TAIL = 0.025
"""On each side of a 95 % interval."""
AT_ONCE = 4_000_000
"""Weights held at a time while resampling."""
RULE_OF_THREE = 3.0
"""No event in m independent trials: the 95 % bound of its rate is about 3 / m."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What was predicted and what was true: probabilities (example, class), class indices, and whose each one is."""

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: Sequence[str]
    classes: tuple[str, ...]


def measured(answers: Answers, *, seed: int) -> dict[str, Any]:
    """Measure `answers`; the result is plain JSON.

    With two classes, sensitivity, specificity, F1 and ROC AUC speak of the last class, the finding; with more they are
    the mean over the classes, each against the rest, and `per_class` has them singly. The Brier score is the mean
    square error of the finding's probability, with more classes summed over them. What cannot be computed is None.

    Proportions of patients with one answer each have Clopper and Pearson's exact interval. All else has the
    percentiles of 2,000 resamples of the patients; where those do not vary, the rule of three, and `method` says so.
    """
    labels, count = answers.labels, len(answers.labels)
    whole = figures(np.ones((1, count)), answers.probabilities, labels)
    drawn = _resampled(answers, seed)
    patients = len(set(answers.patients))
    about = _Interval(whole=whole, drawn=drawn, exact=patients == count, patients=patients)
    confusion = whole.joint[0].astype(int)
    of_class, rest = confusion.sum(axis=1), count - confusion.sum(axis=1)
    last = len(answers.classes) - 1
    two = last == 1
    result: dict[str, Any] = {
        "n": count,
        "patients": patients,
        "positive": answers.classes[last] if two else None,
        "classes": list(answers.classes),
        "confusion": confusion.tolist(),
        "majority_rate": float(of_class.max() / count) if count else None,
        "accuracy": about.entry("accuracy", count, hits=int(confusion.trace())),
        "balanced_accuracy": about.entry("balanced_accuracy", count),
        "brier": about.entry("brier", count),
    }
    per_class = {
        name: {
            "sensitivity": about.entry("sensitivity", int(of_class[c]), hits=int(confusion[c, c]), of=c),
            "specificity": about.entry(
                "specificity", int(rest[c]), hits=int(rest[c] - confusion[:, c].sum() + confusion[c, c]), of=c
            ),
            "f1": about.entry("f1", count, of=c),
            "roc_auc": about.entry("roc_auc", count, of=c),
        }
        for c, name in enumerate(answers.classes)
    }
    if two:
        return result | per_class[answers.classes[last]]
    macro = {name: about.entry(name, count) for name in ("sensitivity", "specificity", "f1", "roc_auc")}
    return result | macro | {"per_class": per_class}


def _resampled(answers: Answers, seed: int) -> Figures | None:
    """Compute the figures of resampled cohorts, patients drawn with replacement; None where there are too few."""
    names, index = np.unique(np.array(answers.patients, dtype=str), return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004  (one patient drawn again and again is the same patient)
        return None
    chance = np.random.default_rng(seed)
    step = max(1, AT_ONCE // max(1, len(index)))
    parts = []
    for start in range(0, RESAMPLES, step):
        counts = chance.multinomial(len(names), np.full(len(names), 1 / len(names)), min(step, RESAMPLES - start))
        parts.append(figures(counts[:, index].astype(np.float64), answers.probabilities, answers.labels))
    return Figures.joined(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interval:
    """Writes a figure's entry: its value, n, bounds and how those were found."""

    whole: Figures
    drawn: Figures | None
    exact: bool
    patients: int

    def entry(self, name: str, n: int, *, hits: int | None = None, of: int | None = None) -> dict[str, Any]:
        value = float(self.whole.values(name, of)[0])
        if not math.isfinite(value):
            return {"value": None, "n": n, "low": None, "high": None, "method": "undefined: a class has no example"}
        low, high, method = self._bounds(value, n, hits, None if self.drawn is None else self.drawn.values(name, of))
        return {"value": value, "n": n, "low": low, "high": high, "method": method}

    def _bounds(
        self, value: float, n: int, hits: int | None, drawn: NDArray[np.float64] | None
    ) -> tuple[float | None, float | None, str]:
        if self.exact and hits is not None:
            low = 0.0 if hits == 0 else float(beta.ppf(TAIL, hits, n - hits + 1))
            high = 1.0 if hits == n else float(beta.ppf(1 - TAIL, hits + 1, n - hits))
            return low, high, "Clopper-Pearson"
        if drawn is None:
            return None, None, "none: a single patient"
        found = drawn[np.isfinite(drawn)]
        if found.size and np.ptp(found) > 0:
            low, high = np.quantile(found, [TAIL, 1 - TAIL])
            return float(low), float(high), "bootstrap over patients"
        fewest = max(1, min(self.patients, *(int(size) for size in self.whole.joint[0].sum(axis=1) if size > 0)))
        reach = RULE_OF_THREE / fewest
        return max(0.0, value - reach), min(1.0, value + reach), f"rule of three (m = {fewest}): resamples do not vary"
