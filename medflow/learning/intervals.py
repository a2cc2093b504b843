"""Intervals of proportions, areas and means; 95 % and two-sided where nothing else is said."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

Array = NDArray[np.float64]

TAIL = 0.025
"""On each side of a 95 % interval."""
REACH = float(norm.ppf(1 - TAIL))
EXACT = "Clopper-Pearson"
COMBINED = "Clopper-Pearson bounds combined (MOVER)"
RESAMPLED = "bootstrap over patients"
ALONE = "none: a single patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where an interval ends, and how that was found; None and None where there is none."""

    low: float | None
    high: float | None
    method: str


def exact(hits: int, n: int) -> tuple[float, float]:
    """Give Clopper and Pearson's interval of a proportion (Biometrika 1934)."""
    high = 1.0 if hits == n else float(beta.ppf(1 - TAIL, hits + 1, n - hits))
    return lower_bound(hits, n, 1 - TAIL), high


def lower_bound(hits: int, n: int, confidence: float) -> float:
    """Give Clopper and Pearson's one-sided lower bound of a proportion."""
    if hits == 0:
        return 0.0
    if hits == n:
        return float((1 - confidence) ** (1 / n))
    return float(beta.ppf(1 - confidence, hits, n - hits + 1))


def combined(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> Bounds:
    """Give the interval of a mean of independent proportions out of the exact one of each.

    MOVER: Zou and Donner, Statistics in Medicine 2008.
    """
    shares = hits / sizes
    lows, highs = np.array([exact(int(h), int(n)) for h, n in zip(hits, sizes, strict=True)]).T
    middle, count = float(shares.mean()), len(sizes)
    down = math.sqrt(float(((shares - lows) ** 2).sum())) / count
    up = math.sqrt(float(((highs - shares) ** 2).sum())) / count
    return Bounds(low=max(0.0, middle - down), high=min(1.0, middle + up), method=COMBINED)


def by_logit(value: float, deviation: float) -> tuple[float, float] | None:
    """Give the interval of a share or an area from its standard deviation, on the logit scale, within 0 and 1.

    None where it does not exist: the value is 0 or 1, or does not vary.
    """
    if not (0.0 < value < 1.0 and deviation > 0.0):
        return None
    middle, reach = math.log(value / (1 - value)), REACH * deviation / (value * (1 - value))
    low, high = (0.5 * (1 + math.tanh((middle + side * reach) / 2)) for side in (-1, 1))
    return min(low, value), max(high, value)


def unvaried(value: float, patients: int) -> Bounds:
    """Bound a share or an area that does not vary at all, as where nothing went wrong.

    Of m independent trials without an event the rate is at most 1 - 0.025 ** (1 / m), exactly: about 3.7 / m. One-sided
    it is 3 / m, the rule of three (Hanley and Lippman-Hand, JAMA 1983). m: the patients of the scarcer side.
    """
    reach = 1 - TAIL ** (1 / max(1, patients))
    method = f"rule of three, exact (m = {max(1, patients)}): nothing varies"
    return Bounds(low=max(0.0, value - reach), high=min(1.0, value + reach), method=method)


def percentiles(value: float, drawn: Array) -> Bounds | None:
    """Give the interval between the percentiles of resamples; None where these do not vary."""
    found = _finite(drawn)
    if not _varied(found):
        return None
    low, high = np.quantile(found, [TAIL, 1 - TAIL])
    return Bounds(low=min(float(low), value), high=max(float(high), value), method=RESAMPLED)


def spread(value: float, drawn: Array) -> Bounds | None:
    """Give the interval from the standard deviation of resamples, on the logit scale; None where these do not vary."""
    found = _finite(drawn)
    ends = by_logit(value, float(found.std(ddof=1))) if _varied(found) else None
    return None if ends is None else Bounds(low=ends[0], high=ends[1], method=f"{RESAMPLED}, on the logit scale")


def _finite(drawn: Array) -> Array:
    """Leave out resamples in which a class has no example."""
    return drawn[np.isfinite(drawn)]


ROUNDING = 1e-12


def _varied(found: Array) -> bool:
    return found.size > 1 and bool(np.ptp(found) > ROUNDING)
