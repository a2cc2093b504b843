"""DeLong's method, against a plain one that looks at every pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from medflow.learning.delong import areas, difference
from medflow.learning.intervals import by_logit, exact, lower_bound

Array = NDArray[np.float64]


def plain(scores: list[Array], truth: NDArray[np.int64]) -> tuple[Array, Array]:
    """Compute areas and covariance as the paper of 1988 writes them, pair by pair."""
    positives, negatives = truth == 1, truth == 0
    above, below = [], []
    for score in scores:
        won = np.array([[(x > y) + 0.5 * (x == y) for y in score[negatives]] for x in score[positives]])
        above.append(won.mean(axis=1))
        below.append(won.mean(axis=0))
    m, n = int(positives.sum()), int(negatives.sum())
    values = np.array([one.mean() for one in above])
    covariance = np.empty((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            ten = ((above[r] - values[r]) * (above[s] - values[s])).sum() / (m - 1)
            one = ((below[r] - values[r]) * (below[s] - values[s])).sum() / (n - 1)
            covariance[r, s] = ten / m + one / n
    return values, covariance


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 40), ties=st.booleans())
def test_areas_and_covariances_are_those_of_every_pair(seed: int, count: int, ties: bool) -> None:  # noqa: FBT001
    chance = np.random.default_rng(seed)
    truth = np.concatenate([[0, 0, 1, 1], chance.integers(0, 2, count)])
    one = chance.random(len(truth)) + 0.3 * truth
    scores = [one, one + chance.random(len(truth)) * 0.4, chance.random(len(truth))]
    scores = [score.round(1) for score in scores] if ties else scores

    found = areas(scores, truth)

    values, covariance = plain(scores, truth)
    assert found.values == pytest.approx(values)
    assert found.covariance == pytest.approx(covariance, abs=1e-12)
    assert found.values == pytest.approx([roc_auc_score(truth, score) for score in scores])


def test_a_difference_is_that_of_the_pairs_with_its_interval_and_p() -> None:
    chance = np.random.default_rng(3)
    truth = np.repeat([0, 1], 50)
    one, other = (chance.normal(size=100) + shift * truth for shift in (1.5, 0.8))

    found = difference(one, other, truth)

    values, covariance = plain([one, other], truth)
    deviation = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.value == pytest.approx(values[0] - values[1])
    assert (found.low, found.high) == pytest.approx(
        (found.value - 1.9599640 * deviation, found.value + 1.9599640 * deviation)
    )
    assert found.least == pytest.approx(found.value - 1.6448536 * deviation)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.value) / deviation))
    assert found.p_better == pytest.approx((found.p or 0) / 2)


def test_turned_round_a_difference_changes_its_sign() -> None:
    chance = np.random.default_rng(4)
    truth, one, other = np.repeat([0, 1], 20), chance.random(40), chance.random(40)

    found, turned = difference(one, other, truth), difference(other, one, truth)

    assert turned.value == pytest.approx(-found.value)
    assert (turned.low, turned.high) == pytest.approx((-(found.high or 0), -(found.low or 0)))
    assert turned.p == pytest.approx(found.p)


def test_the_same_order_is_no_difference() -> None:
    truth, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.8, 0.5, 0.4])

    found = difference(score, score**3, truth)

    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_two_perfect_models_are_not_certainly_equal() -> None:
    truth = np.repeat([0, 1], 10)
    one, other = np.linspace(0, 1, 20), np.concatenate([np.linspace(0.4, 0, 10), np.linspace(0.6, 1, 10)])

    found = difference(one, other, truth)

    assert (found.value, found.p) == (0.0, 1.0)
    assert found.low == pytest.approx(-(1 - 0.025 ** (1 / 10)))
    assert "rule of three" in found.method


def test_a_single_example_of_a_side_has_no_variance() -> None:
    found = difference(np.array([0.9, 0.1, 0.3]), np.array([0.2, 0.1, 0.3]), np.array([1, 0, 0]))

    assert (found.value, found.low, found.p) == (0.5, None, None)


def test_one_side_alone_has_no_area() -> None:
    with pytest.raises(ValueError, match="both sides"):
        areas((np.array([0.1, 0.2]),), np.array([1, 1]))


@given(value=st.floats(0.001, 0.999), deviation=st.floats(1e-6, 0.5))
def test_an_interval_on_the_logit_scale_stays_within_nothing_and_one(value: float, deviation: float) -> None:
    ends = by_logit(value, deviation)

    assert ends is not None
    assert 0.0 <= ends[0] <= value <= ends[1] <= 1.0


def test_nothing_lies_on_the_logit_scale_at_its_ends() -> None:
    assert by_logit(1.0, 0.1) is None
    assert by_logit(0.5, 0.0) is None
    assert by_logit(0.5, math.nan) is None


def test_exact_intervals_at_the_ends_are_known_in_closed_form() -> None:
    assert exact(0, 10) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert exact(10, 10) == pytest.approx((0.025**0.1, 1.0))
    assert lower_bound(59, 59, 0.95) == pytest.approx(0.9504922)
