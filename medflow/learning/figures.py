"""The figures themselves, computed for many weightings of the same answers at once: resampling is a weighting."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

RESAMPLES = 2000
AT_ONCE = 300_000
"""Weights held at a time while resampling."""
BINS = 10
"""Of equal width, in which the expected calibration error compares confidence and truth (Naeini et al., AAAI 2015)."""
LEAST = 1e-12
"""Probability below which the log loss does not go: a certain mistake would make it infinite."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Answers about classes that exclude each other."""

    probabilities: Array
    """(example, class)"""
    truth: Whole
    """(example, class): 0 or 1"""
    said: Whole
    """(example,): the class that was answered"""

    @property
    def ranked(self) -> Sequence[int]:
        """Name the classes that have areas: of two the last alone, whose probability says the other's too."""
        classes = self.probabilities.shape[1]
        return [1] if classes == 2 else range(classes)  # noqa: PLR2004


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """For each weighting b."""

    joint: Array
    """(b, true class, answered class): weights"""
    areas: Array
    """(b, ranked class): under the ROC curve of the class against the rest"""
    precisions: Array
    """(b, ranked class): average precision"""
    brier: Array
    ece: Array
    log_loss: Array

    @classmethod
    def joined(cls, parts: Sequence["Figures"]) -> "Figures":
        """Put weightings that were computed one after another together."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__})

    def values(self, name: str, of: int | None = None) -> Array:
        """Give the figure `name` for each weighting: of the class `of` against the rest, or the mean over classes.

        A figure that needs an example of a class that has none is NaN.
        """
        if name in LOSSES:
            return np.asarray(getattr(self, name))
        with np.errstate(divide="ignore", invalid="ignore"):
            if name in WHOLE:
                return WHOLE[name](self.joint)
            by_class = BY_CLASS[name](self)
        if of is None:
            return np.asarray(by_class.mean(axis=1))
        return np.asarray(by_class[:, 0 if by_class.shape[1] == 1 else of])


def _accuracy(joint: Array) -> Array:
    return np.asarray(np.trace(joint, axis1=1, axis2=2) / joint.sum(axis=(1, 2)))


def _apart(joint: Array) -> Array:
    """Mean number of classes between truth and answer."""
    places = np.arange(joint.shape[1])
    return np.asarray((joint * abs(places[:, None] - places)).sum(axis=(1, 2)) / joint.sum(axis=(1, 2)))


def _kappa(joint: Array) -> Array:
    """Cohen's kappa with quadratic weights (Psychological Bulletin 1968)."""
    places = np.arange(joint.shape[1])
    weights = (places[:, None] - places) ** 2
    expected = joint.sum(axis=2)[:, :, None] * joint.sum(axis=1)[:, None, :] / joint.sum(axis=(1, 2))[:, None, None]
    return np.asarray(1 - (joint * weights).sum(axis=(1, 2)) / (expected * weights).sum(axis=(1, 2)))


LOSSES = ("brier", "ece", "log_loss")
"""Figures of which 0 is best."""
WHOLE: Mapping[str, Callable[[Array], Array]] = {
    "accuracy": _accuracy,
    "mean_absolute_error": _apart,
    "quadratic_kappa": _kappa,
}


def _hit(found: Figures) -> Array:
    return np.diagonal(found.joint, axis1=1, axis2=2)


def _calm(found: Figures) -> Array:
    """Weights of the examples that are not of a class, and were not said to be."""
    joint = found.joint
    return np.asarray(joint.sum(axis=(1, 2))[:, None] - joint.sum(axis=2) - joint.sum(axis=1) + _hit(found))


def _sensitivity(found: Figures) -> Array:
    return np.asarray(_hit(found) / found.joint.sum(axis=2))


def _specificity(found: Figures) -> Array:
    return np.asarray(_calm(found) / (found.joint.sum(axis=(1, 2))[:, None] - found.joint.sum(axis=2)))


def _npv(found: Figures) -> Array:
    return np.asarray(_calm(found) / (found.joint.sum(axis=(1, 2))[:, None] - found.joint.sum(axis=1)))


def _f1(found: Figures) -> Array:
    true, said = found.joint.sum(axis=2), found.joint.sum(axis=1)
    return np.where(true > 0, 2 * _hit(found) / (true + said), np.nan)


BY_CLASS: Mapping[str, Callable[[Figures], Array]] = {
    "sensitivity": _sensitivity,
    "balanced_accuracy": _sensitivity,
    "specificity": _specificity,
    "ppv": lambda found: np.asarray(_hit(found) / found.joint.sum(axis=1)),
    "npv": _npv,
    "f1": _f1,
    "roc_auc": lambda found: found.areas,
    "average_precision": lambda found: found.precisions,
}


def resampled(patients: Sequence[str], seed: int, resamples: int = RESAMPLES) -> Iterator[Array]:
    """Give weights (weighting, example) of resampled cohorts, patients drawn with replacement, some at a time.

    None are given where there are fewer than two: one patient drawn again and again is the same patient. The same
    patients and seed give the same weights, whatever the order of the examples.
    """
    names, index = np.unique(np.array(patients, dtype=str), return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004
        return
    chance = np.random.default_rng(seed)
    step = max(1, AT_ONCE // len(index))
    even = np.full(len(names), 1 / len(names))
    for start in range(0, resamples, step):
        yield chance.multinomial(len(names), even, min(step, resamples - start))[:, index].astype(np.float64)


def figures(weights: Array, of: Scored) -> Figures:
    """Compute what the figures are made of, for `weights` (weighting, example)."""
    examples, classes = of.probabilities.shape
    answer = np.eye(classes)[of.said]
    pairs = (of.truth[:, :, None] * answer[:, None, :]).reshape(examples, classes * classes)
    errors = (of.probabilities - of.truth) ** 2
    two = classes == 2  # noqa: PLR2004
    square = errors[:, 1] if two else errors.sum(axis=1)
    # of two classes the finding's probability against the finding; of several that of the likeliest against the truth
    confidence = of.probabilities[:, 1] if two else of.probabilities.max(axis=1)
    right = of.truth[:, 1] if two else of.truth[np.arange(examples), of.probabilities.argmax(axis=1)]
    losses = -np.log(np.clip((of.probabilities * of.truth).sum(axis=1), LEAST, None))
    total = weights.sum(axis=1)
    turned = np.ascontiguousarray(weights.T)  # sums run over examples: several times faster with these first
    ranks = [_ranked(turned, of.probabilities[:, place], of.truth[:, place]) for place in of.ranked]
    return Figures(
        joint=(weights @ pairs).reshape(-1, classes, classes),
        areas=np.stack([area for area, _ in ranks], axis=1),
        precisions=np.stack([precision for _, precision in ranks], axis=1),
        brier=weights @ square / total,
        ece=_calibration_error(weights, confidence, right),
        log_loss=weights @ losses / total,
    )


def _ranked(turned: Array, scores: Array, truth: Whole) -> tuple[Array, Array]:
    """Give the area under the ROC curve and the average precision for weights (example, weighting).

    The area is what Mann and Whitney count: pairs in the right order, ties by half. The average precision is the
    precision at each threshold, weighed by the recall that it adds, without interpolation.
    """
    order = np.argsort(-scores, kind="stable")
    every = turned[order]
    positive = every * truth[order, None]
    starts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf) > 0)
    if len(starts) < len(order):
        every, positive = (np.add.reduceat(values, starts, axis=0) for values in (every, positive))
    called, hits = np.cumsum(every, axis=0), np.cumsum(positive, axis=0)
    found, total = hits[-1], called[-1]
    some = np.flatnonzero(positive.any(axis=1))  # where no positive stands, nothing is added
    every, positive, called, hits = every[some], positive[some], called[some], hits[some]
    # of each positive: the negatives below it, and half of those beside it
    below = (total - found) - (called - hits) + (every - positive) / 2
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = np.einsum("ib,ib->b", positive, below) / (found * (total - found))
        return np.asarray(area), np.asarray(np.einsum("ib,ib->b", positive, precision) / found)


def _calibration_error(weights: Array, confidence: Array, right: Whole) -> Array:
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = weights @ (np.eye(BINS)[place] * (confidence - right)[:, None])
    return np.asarray(abs(gap).sum(axis=1) / weights.sum(axis=1))
