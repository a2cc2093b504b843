"""Two models on the same examples: which is better, and could it be chance?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from medflow.domain.task import LabelKind
from medflow.learning.delong import difference
from medflow.learning.figures import Figures, figures, resampled
from medflow.learning.intervals import ALONE, REACH, RESAMPLED, Bounds, percentiles
from medflow.learning.metrics import Answers, Entry, entry, finding, undefined

Array = NDArray[np.float64]


def compared(one: Answers, other: Answers, *, seed: int) -> Entry:
    """Compare `one` with `other`, as pairs: every difference is one minus other. The result is plain JSON.

    Areas are compared by DeLong's test where each patient has one example, else by resampling patients; answers by
    McNemar's exact test (Psychometrika 1947), each model at its own decisions, of patients: one with several examples
    is answered right where every example is. Other differences are bounded by resampling patients, as pairs.

    Raises:
        ValueError: the two are not about the same examples in the same order, or about none.
    """
    same = list(one.patients) == list(other.patients) and np.array_equal(one.truth, other.truth)
    if not same or (one.rule.kind, one.rule.outputs) != (other.rule.kind, other.rule.outputs) or not len(one.truth):
        raise ValueError("only answers about the same examples, in the same order, are compared")
    shared: Entry = {"n": len(one.truth), "patients": len(set(one.patients))}
    if one.rule.kind is not LabelKind.MULTI_LABEL:
        return shared | _Pair.of(one, other, seed).told()
    return shared | {
        "per_finding": {
            name: _Pair.of(finding(one, place), finding(other, place), seed).told()
            for place, name in enumerate(one.rule.outputs)
        }
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two models' answers, and their figures in the same resampled cohorts."""

    one: Answers
    other: Answers
    whole: list[Figures]
    drawn: list[Figures] | None

    @classmethod
    def of(cls, one: Answers, other: Answers, seed: int) -> "_Pair":
        scored = [one.scored(), other.scored()]
        parts = [[figures(weights, side) for side in scored] for weights in resampled(one.patients, seed)]
        whole = [figures(np.ones((1, len(one.truth))), side) for side in scored]
        drawn = [Figures.joined(side) for side in zip(*parts, strict=True)] if parts else None
        return cls(one=one, other=other, whole=whole, drawn=drawn)

    def told(self) -> Entry:
        rule = self.one.rule
        outputs = [1] if rule.binary else range(len(rule.outputs))
        found: Entry = {}
        if rule.binary:
            found["roc_auc_difference"] = self._area(1)
        else:
            found["roc_auc_difference"] = self._resampled("roc_auc", None)
            found["roc_auc_difference_per_class"] = {rule.outputs[place]: self._area(place) for place in outputs}
        found["mcnemar"] = self._mcnemar()
        found["agreement"] = float((self.one.said == self.other.said).all(axis=1).mean())
        names: list[tuple[str, int | None]] = [("accuracy", None), ("balanced_accuracy", None)]
        names += [("sensitivity", 1), ("specificity", 1)] if rule.binary else []
        found |= {f"{name}_difference": self._resampled(name, of) for name, of in names}
        return found | {"probability_difference": {rule.outputs[place]: self._apart(place) for place in outputs}}

    def _area(self, place: int) -> Entry:
        truth, n = self.one.truth[:, place], len(self.one.truth)
        if not 0 < truth.sum() < n:
            return undefined(n)
        if not self.one.single:
            return self._resampled("roc_auc", place)
        found = difference(self.one.probabilities[:, place], self.other.probabilities[:, place], truth)
        bounds = Bounds(low=found.low, high=found.high, method=found.method)
        return entry(found.value, n, bounds) | {
            "one_sided_low": found.least,
            "p": found.p,
            "p_one_sided": found.p_better,
        }

    def _resampled(self, name: str, of: int | None) -> Entry:
        """Give a difference with the percentiles of resampled patients; of areas a p too, from their spread."""
        n = len(self.one.truth)
        value = float(self.whole[0].values(name, of)[0] - self.whole[1].values(name, of)[0])
        if not np.isfinite(value):
            return undefined(n)
        if self.drawn is None:
            return entry(value, n, Bounds(low=None, high=None, method=ALONE))
        drawn = self.drawn[0].values(name, of) - self.drawn[1].values(name, of)
        bounds = percentiles(value, drawn)
        if bounds is None:
            return entry(value, n, Bounds(low=None, high=None, method="none: no resample differs"))
        bounds = Bounds(low=bounds.low, high=bounds.high, method=f"{RESAMPLED}, paired")
        found = entry(value, n, bounds)
        if name != "roc_auc":
            return found
        z = value / float(np.nanstd(drawn, ddof=1))
        least = float(np.nanquantile(drawn, 0.05))
        return found | {
            "one_sided_low": min(least, value),
            "p": 2 * float(norm.sf(abs(z))),
            "p_one_sided": float(norm.sf(z)),
        }

    def _mcnemar(self) -> Entry:
        names, index = np.unique(np.array(self.one.patients, dtype=str), return_inverse=True)
        wrong = [np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)]
        for counted, side in zip(wrong, (self.one, self.other), strict=True):
            np.add.at(counted, index, (side.said != side.truth).any(axis=1).astype(np.int64))
        alone = int(((wrong[0] == 0) & (wrong[1] > 0)).sum()), int(((wrong[1] == 0) & (wrong[0] > 0)).sum())
        return {
            "one_alone_right": alone[0],
            "other_alone_right": alone[1],
            "p": float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0,
            "n": len(names),
            "unit": "patient" if self.one.single else "patient: right where every example is",
        }

    def _apart(self, place: int) -> dict[str, float | None]:
        """Give the mean difference of the probability over examples, and its limits of agreement.

        Bland and Altman, Lancet 1986: within them lie 95 % of the differences.
        """
        apart = self.one.probabilities[:, place] - self.other.probabilities[:, place]
        mean, reach = float(apart.mean()), REACH * float(apart.std(ddof=1)) if len(apart) > 1 else None
        return {
            "mean": mean,
            "low": None if reach is None else mean - reach,
            "high": None if reach is None else mean + reach,
        }
