"""How good predictions are: each figure with its n and a 95 % interval whose unit is the patient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.calibration import EVEN, Calibration
from medflow.domain.task import LabelKind, LabelRule
from medflow.errors import ConfigurationError
from medflow.learning.delong import areas
from medflow.learning.figures import BINS, LOSSES, RESAMPLES, Figures, Scored, figures, resampled
from medflow.learning.intervals import (
    ALONE,
    EXACT,
    Bounds,
    by_logit,
    combined,
    exact,
    percentiles,
    spread,
    unvaried,
)

Array = NDArray[np.float64]
Entry = dict[str, Any]

NO_EXAMPLE = "undefined: a class has no example"
NO_ANSWER = "undefined: no such answer was given"
UNVARIED = "none: nothing varies"
DELONG = "DeLong on the logit scale"
THROUGH_BAYES = "both exact bounds through Bayes: wider than 95 %"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What was predicted and what was true of some examples, and whose each one is."""

    rule: LabelRule
    calibration: Calibration
    """What makes answers of probabilities."""
    probabilities: Array
    """(example, output)"""
    truth: NDArray[np.int64]
    """(example, output): 0 or 1"""
    patients: Sequence[str]

    @property
    def said(self) -> NDArray[np.int64]:
        """Give the answers as 0 and 1, (example, output): where the classes exclude each other, one 1 in each row."""
        named = [self.calibration.answer(self.rule, row) for row in self.probabilities.tolist()]
        known = {name: self.rule.truth(name) for name in set(named)}
        return np.array([known[name] for name in named], np.int64).reshape(self.truth.shape)

    @property
    def single(self) -> bool:
        """True where each patient has one answer: then examples are independent of one another."""
        return len(set(self.patients)) == len(self.patients)

    def scored(self) -> Scored:
        """Bring answers of classes that exclude each other into the form that figures are computed from."""
        return Scored(probabilities=self.probabilities, truth=self.truth, said=self.said.argmax(axis=1))


def measured(answers: Answers, *, seed: int, prevalence: float | None = None, resamples: int = RESAMPLES) -> Entry:
    """Measure `answers`; the result is plain JSON.

    With two classes, the figures speak of the last class, the finding; with more they are means over the classes, each
    against the rest, and `per_class` has them singly. Findings that come together are measured each by itself
    (`per_finding`), and over all as means. PPV and NPV are those at the stated `prevalence`, else at the cohort's own;
    their entries and `prevalence` say which. The Brier score is the mean square error of the finding's probability,
    with more classes summed over them. The calibration error takes 10 bins of equal width: of two classes of the
    finding's probability, of more of the likeliest class's. What cannot be computed is None, and `method` says why.

    Intervals: proportions of patients with one answer each have Clopper and Pearson's exact one; means of such
    proportions combine these by MOVER (Zou and Donner, 2008); areas DeLong's on the logit scale. Where patients have
    several answers, and of all other figures, patients are resampled: areas and average precisions then have an
    interval on the logit scale, everything else the percentiles. Where nothing varies, as at an area of 1, an exact
    rule of three stands in. `method` says which of these it was.

    Raises:
        ValueError: there are no answers.
        ConfigurationError: a prevalence is stated for labels other than a finding and its absence.
    """
    if not len(answers.truth):
        raise ValueError("there are no answers to measure")
    if prevalence is not None and not answers.rule.binary:
        raise ConfigurationError("a prevalence is that of the finding of a task of two classes")
    if answers.rule.kind is LabelKind.MULTI_LABEL:
        return _findings(answers, seed, resamples)
    scored = answers.scored()
    parts = [figures(weights, scored) for weights in resampled(answers.patients, seed, resamples)]
    return _classes(_about(answers, scored, parts, prevalence))


def finding(answers: Answers, place: int) -> Answers:
    """Give the answers about one finding of several, as those of a task of two classes."""
    likely, truth = answers.probabilities[:, place], answers.truth[:, place]
    return Answers(
        rule=replace(answers.rule, kind=LabelKind.CLASSES, name=answers.rule.outputs[place], findings=()),
        calibration=replace(answers.calibration, threshold=EVEN),
        probabilities=np.stack([1 - likely, likely], axis=1),
        truth=np.stack([1 - truth, truth], axis=1),
        patients=answers.patients,
    )


def entry(value: float, n: int, bounds: Bounds) -> Entry:
    """Write a figure with its interval."""
    return {"value": value, "n": n, "low": bounds.low, "high": bounds.high, "method": bounds.method}


def undefined(n: int, reason: str = NO_EXAMPLE) -> Entry:
    """Write that a figure cannot be computed."""
    return {"value": None, "n": n, "low": None, "high": None, "method": reason}


def binned(found: Entry) -> Entry:
    """Say of a calibration error which bins it takes."""
    return found | {"method": f"{found['method']}; {BINS} bins of equal width"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _About:
    """Writes figures' entries: value, n, bounds, and how those were found."""

    answers: Answers
    scored: Scored
    whole: Figures
    drawn: Figures | None
    """Of resampled patients; None where there is one alone."""
    prevalence: float | None
    joint: NDArray[np.int64]
    """(true, answered) counts"""
    owners: NDArray[np.int64]
    """(example,): which patient's"""

    def patients(self, among: NDArray[np.bool_] | None = None) -> int:
        return len(np.unique(self.owners if among is None else self.owners[among]))

    def of_class(self, place: int, *, there: bool = True) -> int:
        """Count the patients with an example of a class, or with one of another."""
        return self.patients((self.scored.truth[:, place] == 1) == there)

    def scarcer(self, place: int | None = None) -> int:
        """Count the patients of the rarest class, or of the scarcer side of one class against the rest."""
        if place is not None:
            return min(self.of_class(place), self.of_class(place, there=False))
        return min(self.of_class(one) for one in range(self.scored.truth.shape[1]))

    def loss(self, name: str) -> Entry:
        """Write a figure that has no upper bound of 1, or whose extremes nothing can be concluded from."""
        value, n = float(self.whole.values(name)[0]), len(self.owners)
        if not math.isfinite(value):
            return undefined(n, "undefined: all are of one class and answered so")
        bounds = self._none() if self.drawn is None else percentiles(value, self.drawn.values(name))
        found = entry(value, n, bounds or Bounds(low=None, high=None, method=UNVARIED))
        return binned(found) if name == "ece" else found

    def share(self, name: str, hits: int, n: int, of: int | None, patients: int) -> Entry:
        """Write a proportion: exactly where each patient has one answer. `patients` stand behind it."""
        if n == 0:
            return undefined(n, NO_ANSWER if name in {"ppv", "npv"} else NO_EXAMPLE)
        if self.answers.single and len(self.owners) > 1:
            low, high = exact(hits, n)
            return entry(hits / n, n, Bounds(low=low, high=high, method=EXACT))
        return self.resampled(name, n, of, patients)

    def mean_share(self, name: str) -> Entry:
        """Write the mean of the classes' sensitivities."""
        hits, sizes, n = np.diagonal(self.joint), self.joint.sum(axis=1), len(self.owners)
        if self.answers.single and sizes.all():
            return entry(float((hits / sizes).mean()), n, combined(hits, sizes))
        return self.resampled(name, n, None, self.scarcer())

    def resampled(self, name: str, n: int, of: int | None, patients: int) -> Entry:
        """Write a share with the percentiles of resamples, or an area with their spread on the logit scale."""
        value = float(self.whole.values(name, of)[0])
        if not math.isfinite(value):
            return undefined(n)
        if self.drawn is None:
            return entry(value, n, self._none())
        bounded = spread if name in {"roc_auc", "average_precision"} else percentiles
        return entry(value, n, bounded(value, self.drawn.values(name, of)) or unvaried(value, patients))

    def area(self, place: int) -> Entry:
        """Write the area of one class against the rest."""
        n, hits = len(self.owners), int(self.joint[place].sum())
        if not self.answers.single or not 1 < hits < n - 1:
            return self.resampled("roc_auc", n, place, self.scarcer(place))
        found = areas((self.scored.probabilities[:, place],), self.scored.truth[:, place])
        value = float(found.values[0])
        ends = by_logit(value, math.sqrt(max(0.0, float(found.covariance[0, 0]))))
        if ends is None:
            return entry(value, n, unvaried(value, self.scarcer(place)))
        return entry(value, n, Bounds(low=ends[0], high=ends[1], method=DELONG))

    def one(self, place: int) -> Entry:
        """Write what there is to say of one class against the rest."""
        joint, n = self.joint, len(self.owners)
        true, called, hit = int(joint[place].sum()), int(joint[:, place].sum()), int(joint[place, place])
        calm = n - true - called + hit
        sensitivity = self.share("sensitivity", hit, true, place, self.of_class(place))
        specificity = self.share("specificity", calm, n - true, place, self.of_class(place, there=False))
        if self.prevalence is None:
            yes = self.scored.said == place
            predictive = {
                "ppv": self.share("ppv", hit, called, place, self.patients(yes)) | {"prevalence": true / n},
                "npv": self.share("npv", calm, n - called, place, self.patients(~yes)) | {"prevalence": true / n},
            }
        else:
            predictive = {name: self._stated(name, sensitivity, specificity, place) for name in ("ppv", "npv")}
        few = self.scarcer(place)
        return {
            "sensitivity": sensitivity,
            "specificity": specificity,
            **predictive,
            "f1": self.resampled("f1", n, place, few),
            "roc_auc": self.area(place),
            "average_precision": self.resampled("average_precision", n, place, few),
        }

    def _stated(self, name: str, sensitivity: Entry, specificity: Entry, place: int) -> Entry:
        """Write PPV or NPV where the finding is as frequent as stated, by Bayes."""
        rate, n = self.prevalence or 0.0, len(self.owners)
        ends = {end: bayes(name, sensitivity[end], specificity[end], rate) for end in ("value", "low", "high")}
        value = ends["value"]
        if value is None:
            unsaid = None in {sensitivity["value"], specificity["value"]}
            return undefined(n, NO_EXAMPLE if unsaid else NO_ANSWER) | {"prevalence": rate}
        bounds = Bounds(low=ends["low"] or 0.0, high=ends["high"], method=THROUGH_BAYES)
        if not self.answers.single:
            bounds = self._none()
            if self.drawn is not None:
                pair = [self.drawn.values(figure, place) for figure in ("sensitivity", "specificity")]
                found = percentiles(value, _bayes(name, pair[0], pair[1], rate))
                bounds = found or unvaried(value, self.scarcer(place))
        return entry(value, n, bounds) | {"prevalence": rate}

    def _none(self) -> Bounds:
        return Bounds(low=None, high=None, method=ALONE)


def _about(answers: Answers, scored: Scored, drawn: Sequence[Figures], prevalence: float | None) -> _About:
    whole = figures(np.ones((1, len(scored.said))), scored)
    return _About(
        answers=answers,
        scored=scored,
        whole=whole,
        drawn=Figures.joined(drawn) if drawn else None,
        prevalence=prevalence,
        joint=np.rint(whole.joint[0]).astype(np.int64),
        owners=np.unique(np.array(answers.patients, dtype=str), return_inverse=True)[1],
    )


def _classes(about: _About) -> Entry:
    """Measure answers whose classes exclude each other."""
    rule, names, count = about.answers.rule, about.answers.rule.outputs, len(about.owners)
    sizes = about.joint.sum(axis=1)
    own = float(sizes[1] / count) if rule.binary else None
    result: Entry = {
        "n": count,
        "patients": about.patients(),
        "positive": names[1] if rule.binary else None,
        "classes": list(names),
        "confusion": about.joint.tolist(),
        "majority_rate": float(sizes.max() / count),
        "prevalence": own if about.prevalence is None else about.prevalence,
        "threshold": about.answers.calibration.threshold if rule.binary else None,
        "temperature": about.answers.calibration.temperature,
        "accuracy": about.share("accuracy", int(about.joint.trace()), count, None, about.patients()),
        "balanced_accuracy": about.mean_share("balanced_accuracy"),
        **{name: about.loss(name) for name in LOSSES},
    }
    if rule.kind is LabelKind.ORDINAL:
        result |= {name: about.loss(name) for name in ("quadratic_kappa", "mean_absolute_error")}
    if rule.binary:
        return result | about.one(1)
    few = about.scarcer()
    macro = {n: about.resampled(n, count, None, few) for n in ("specificity", "f1", "roc_auc", "average_precision")}
    per_class = {name: about.one(place) for place, name in enumerate(names)}
    return result | macro | {"sensitivity": about.mean_share("sensitivity"), "per_class": per_class}


def _findings(answers: Answers, seed: int, resamples: int) -> Entry:
    """Measure findings that come together: each against its absence, and the means over all of them."""
    singly = [finding(answers, place) for place in range(len(answers.rule.outputs))]
    scored = [one.scored() for one in singly]
    right = (answers.said == answers.truth).all(axis=1)
    parts: list[list[Figures]] = [[] for _ in scored]
    matched = []
    for weights in resampled(answers.patients, seed, resamples):
        for kept, one in zip(parts, scored, strict=True):
            kept.append(figures(weights, one))
        matched.append(weights @ right / weights.sum(axis=1))
    about = [_about(*one, None) for one in zip(singly, scored, parts, strict=True)]
    means = ("balanced_accuracy", "roc_auc", "average_precision", "sensitivity", "specificity", "f1", *LOSSES)
    return {
        "n": len(right),
        "patients": about[0].patients(),
        "positive": None,
        "classes": list(answers.rule.outputs),
        "temperature": answers.calibration.temperature,
        "exact_match": _exact_match(answers, right, np.concatenate(matched) if matched else None),
        **{name: _mean(about, name) for name in means},
        "per_finding": {name: _classes(one) for name, one in zip(answers.rule.outputs, about, strict=True)},
    }


def _mean(findings: Sequence[_About], name: str) -> Entry:
    """Give the mean of a figure over findings; it speaks of the finding's presence."""
    of, n = None if name == "balanced_accuracy" else 1, len(findings[0].owners)
    value = float(np.mean([one.whole.values(name, of)[0] for one in findings]))
    if not math.isfinite(value):
        return undefined(n, "undefined: a finding is always or never there")
    drawn = [one.drawn.values(name, of) for one in findings if one.drawn is not None]
    if not drawn:
        return entry(value, n, Bounds(low=None, high=None, method=ALONE))
    bounded = spread if name in {"roc_auc", "average_precision"} else percentiles
    bounds = bounded(value, np.mean(drawn, axis=0))
    if name in LOSSES:
        found = entry(value, n, bounds or Bounds(low=None, high=None, method=UNVARIED))
        return binned(found) if name == "ece" else found
    return entry(value, n, bounds or unvaried(value, min(one.scarcer(1) for one in findings)))


def _exact_match(answers: Answers, right: NDArray[np.bool_], drawn: Array | None) -> Entry:
    """Write the share of examples of which all findings were answered right."""
    hits, n = int(right.sum()), len(right)
    if drawn is None:
        return entry(hits / n, n, Bounds(low=None, high=None, method=ALONE))
    if answers.single:
        low, high = exact(hits, n)
        return entry(hits / n, n, Bounds(low=low, high=high, method=EXACT))
    return entry(hits / n, n, percentiles(hits / n, drawn) or unvaried(hits / n, len(set(answers.patients))))


def bayes(name: str, sensitivity: float | None, specificity: float | None, prevalence: float) -> float | None:
    """Give the PPV or NPV at a prevalence; None where nobody would be called so."""
    if sensitivity is None or specificity is None:
        return None
    value = float(_bayes(name, np.array([sensitivity]), np.array([specificity]), prevalence)[0])
    return value if math.isfinite(value) else None


def _bayes(name: str, sensitivity: Array, specificity: Array, rate: float) -> Array:
    right, wrong = sensitivity * rate, (1 - specificity) * (1 - rate)
    if name == "npv":
        right, wrong = specificity * (1 - rate), (1 - sensitivity) * rate
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(right / (right + wrong))
