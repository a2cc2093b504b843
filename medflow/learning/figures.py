"""The figures themselves, computed for many weightings of the same answers at once: resampling is a weighting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """For each weighting b: `joint` (b, true class, predicted class), areas (b, class) and Brier scores (b,)."""

    joint: Array
    areas: Array
    brier: Array

    @classmethod
    def joined(cls, parts: Sequence["Figures"]) -> "Figures":
        """Put weightings that were computed one after another together."""
        return cls(
            joint=np.concatenate([part.joint for part in parts]),
            areas=np.concatenate([part.areas for part in parts]),
            brier=np.concatenate([part.brier for part in parts]),
        )

    def values(self, name: str, of: int | None = None) -> Array:
        """Give the figure `name` for each weighting: of the class `of` against the rest, or the mean over classes.

        A figure that needs an example of a class that has none is NaN.
        """
        hit = np.diagonal(self.joint, axis1=1, axis2=2)
        true, said = self.joint.sum(axis=2), self.joint.sum(axis=1)
        total = true.sum(axis=1, keepdims=True)
        if name == "accuracy":
            return np.asarray(hit.sum(axis=1) / total[:, 0])
        if name == "brier":
            return self.brier
        with np.errstate(divide="ignore", invalid="ignore"):
            by_class = {
                "sensitivity": lambda: hit / true,
                "balanced_accuracy": lambda: hit / true,
                "specificity": lambda: (total - true - said + hit) / (total - true),
                "f1": lambda: np.where(true > 0, 2 * hit / (true + said), np.nan),
                "roc_auc": lambda: self.areas,
            }[name]()
        return np.asarray(by_class.mean(axis=1) if of is None else by_class[:, of])


def figures(weights: Array, probabilities: Array, labels: NDArray[np.int64]) -> Figures:
    """Compute what the figures are made of, for `weights` (weighting, example) of answers (example, class)."""
    examples, classes = probabilities.shape
    truth = np.eye(classes)[labels]
    answer = np.eye(classes)[probabilities.argmax(axis=1)]
    pairs = (truth[:, :, None] * answer[:, None, :]).reshape(examples, classes * classes)
    errors = (probabilities - truth) ** 2
    square = errors[:, 1] if classes == 2 else errors.sum(axis=1)  # noqa: PLR2004
    return Figures(
        joint=(weights @ pairs).reshape(-1, classes, classes),
        areas=np.stack([_areas(weights, probabilities[:, c], truth[:, c]) for c in range(classes)], axis=1),
        brier=weights @ square / weights.sum(axis=1),
    )


def _areas(weights: Array, scores: Array, truth: Array) -> Array:
    """Give the area under the ROC curve as Mann and Whitney count it: pairs in the right order, ties by half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)
    positive = np.add.reduceat((weights * truth)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - truth))[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))
