"""Areas under ROC curves with their variances and covariances, by DeLong's method.

DeLong, DeLong and Clarke-Pearson, Biometrics 1988, computed through midranks as Sun and Xu (IEEE Signal Processing
Letters 2014) do. It takes examples as independent of one another: one for each patient.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from medflow.learning.intervals import TAIL

Array = NDArray[np.float64]
FEW = 2
"""Examples of each side that a variance takes."""
ROUNDING = 1e-15
"""Variance of a difference below which there is none: two orders that differ nowhere leave so much."""
ONE_SIDED = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Areas:
    """Areas of several scores of the same examples, and the covariance of these estimates."""

    values: Array
    """(score,)"""
    covariance: Array
    """(score, score); NaN where a side has fewer than two examples."""


def areas(scores: Sequence[Array], truth: NDArray[np.int64]) -> Areas:
    """Compute the areas of scores, each (example,), against a truth of 0 and 1.

    Raises:
        ValueError: only one of the two occurs.
    """
    positive = truth > 0
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not (hits and misses):
        raise ValueError("an area takes examples of both sides")
    above = np.empty((len(scores), hits))
    below = np.empty((len(scores), misses))
    for place, score in enumerate(scores):
        ranks, own = rankdata(score), (rankdata(score[positive]), rankdata(score[~positive]))
        above[place] = (ranks[positive] - own[0]) / misses
        below[place] = 1.0 - (ranks[~positive] - own[1]) / hits
    values = above.mean(axis=1)
    if min(hits, misses) < FEW:
        return Areas(values=values, covariance=np.full((len(scores), len(scores)), np.nan))
    spread = np.atleast_2d(np.cov(above)) / hits + np.atleast_2d(np.cov(below)) / misses
    return Areas(values=values, covariance=spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The area of one score minus that of another, on the same examples."""

    value: float
    low: float | None
    high: float | None
    """Of the two-sided 95 % interval."""
    least: float | None
    """One-sided 95 % lower bound: what a claim of being no worse by more than a margin is held against."""
    p: float | None
    """Two-sided, of no difference."""
    p_better: float | None
    """One-sided: small where the first is better."""
    method: str


def difference(one: Array, other: Array, truth: NDArray[np.int64]) -> Difference:
    """Compare the areas of two scores of the same examples, as pairs.

    Where both order the examples alike there is no difference. Where they do not, and yet nothing varies (both areas
    are 1), each may be off by an exact rule of three.
    """
    found = areas((one, other), truth)
    value = float(found.values[0] - found.values[1])
    variance = float(found.covariance[0, 0] + found.covariance[1, 1] - 2 * found.covariance[0, 1])
    if np.array_equal(rankdata(one), rankdata(other)):
        return Difference(
            value=0.0, low=0.0, high=0.0, least=0.0, p=1.0, p_better=0.5, method="none needed: both order alike"
        )
    if math.isnan(variance):
        reason = "none: a side has a single example"
        return Difference(value=value, low=None, high=None, least=None, p=None, p_better=None, method=reason)
    if variance < ROUNDING:
        few = min(int((truth > 0).sum()), int((truth <= 0).sum()))
        reach, reach_one = (1 - tail ** (1 / few) for tail in (TAIL, 1 - ONE_SIDED))
        return Difference(
            value=value,
            low=max(-1.0, value - reach),
            high=min(1.0, value + reach),
            least=max(-1.0, value - reach_one),
            p=1.0 if abs(value) < ROUNDING else None,
            p_better=0.5 if abs(value) < ROUNDING else None,
            method=f"rule of three, exact (m = {few}): nothing varies",
        )
    deviation = math.sqrt(variance)
    reach, reach_one = (float(norm.ppf(level)) * deviation for level in (1 - TAIL, ONE_SIDED))
    return Difference(
        value=value,
        low=max(-1.0, value - reach),
        high=min(1.0, value + reach),
        least=max(-1.0, value - reach_one),
        p=2 * float(norm.sf(abs(value) / deviation)),
        p_better=float(norm.sf(value / deviation)),
        method="DeLong, paired",
    )
