"""Figures: what other code computes, with intervals that hold what they say."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, roc_auc_score

from medflow.learning.figures import figures
from medflow.learning.metrics import Answers, measured

CLASSES = ("absent", "present")


def answers(scores: NDArray[np.float64], labels: NDArray[np.int64], patients: list[str] | None = None) -> Answers:
    """Make two-class answers of the finding's probabilities."""
    return Answers(
        probabilities=np.stack([1 - scores, scores], axis=1),
        labels=labels,
        patients=patients or [str(number) for number in range(len(scores))],
        classes=CLASSES,
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 60), ties=st.booleans())
def test_the_values_are_scikit_learns(seed: int, count: int, ties: bool) -> None:  # noqa: FBT001
    chance = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], chance.integers(0, 2, count)])
    scores = chance.random(count + 2)
    scores = scores.round(1) if ties else scores
    probabilities = np.stack([1 - scores, scores], axis=1)

    found = figures(np.ones((1, count + 2)), probabilities, labels)

    said = probabilities.argmax(axis=1)
    assert found.values("roc_auc", 1)[0] == pytest.approx(roc_auc_score(labels, scores))
    assert found.values("f1", 1)[0] == pytest.approx(f1_score(labels, said, zero_division=0.0))
    assert found.values("balanced_accuracy")[0] == pytest.approx(balanced_accuracy_score(labels, said))
    assert found.brier[0] == pytest.approx(brier_score_loss(labels, scores))
    assert found.values("accuracy")[0] == pytest.approx((labels == said).mean())


def test_with_many_classes_the_area_is_the_mean_of_each_against_the_rest() -> None:
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 4, 200)
    probabilities = chance.dirichlet(np.ones(4), 200)
    probabilities[np.arange(200), labels] += 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    many = Answers(
        probabilities=probabilities, labels=labels, patients=[str(n) for n in range(200)], classes=("a", "b", "c", "d")
    )

    result = measured(many, seed=1)

    assert result["roc_auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert result["per_class"].keys() == {"a", "b", "c", "d"}
    assert result["roc_auc"]["low"] < result["roc_auc"]["value"] < result["roc_auc"]["high"]
    assert result["positive"] is None


def test_a_resample_is_a_weighting() -> None:
    chance = np.random.default_rng(5)
    scores, labels = chance.random(30).round(1), chance.integers(0, 2, 30)
    probabilities = np.stack([1 - scores, scores], axis=1)
    drawn = chance.integers(0, 30, 30)
    weights = np.bincount(drawn, minlength=30).astype(float)[None]

    weighed = figures(weights, probabilities, labels)
    repeated = figures(np.ones((1, 30)), probabilities[drawn], labels[drawn])

    for name in ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1", "roc_auc", "brier"):
        assert weighed.values(name)[0] == pytest.approx(repeated.values(name)[0])


def test_proportions_have_exact_intervals_when_each_patient_has_one_answer() -> None:
    scores = np.array([0.9] * 8 + [0.1] * 2 + [0.2] * 15 + [0.8] * 5)
    labels = np.array([1] * 10 + [0] * 20)

    result = measured(answers(scores, labels), seed=1)

    for name, hits, n in (("sensitivity", 8, 10), ("specificity", 15, 20), ("accuracy", 23, 30)):
        expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
        entry = result[name]
        assert (entry["value"], entry["n"], entry["method"]) == (hits / n, n, "Clopper-Pearson")
        assert (entry["low"], entry["high"]) == pytest.approx((expected.low, expected.high))
    assert result["confusion"] == [[15, 5], [2, 8]]
    assert result["majority_rate"] == pytest.approx(2 / 3)


def test_answers_of_one_patient_do_not_count_as_independent() -> None:
    chance = np.random.default_rng(8)
    scores, labels = chance.random(12), np.array([0, 1] * 6)
    alone = measured(answers(scores, labels), seed=1)["roc_auc"]

    repeated = measured(
        answers(np.repeat(scores, 10), np.repeat(labels, 10), [str(n) for n in range(12) for _ in range(10)]), seed=1
    )

    assert repeated["patients"] == 12
    assert repeated["accuracy"]["method"] == "bootstrap over patients"
    assert (repeated["roc_auc"]["low"], repeated["roc_auc"]["high"]) == pytest.approx((alone["low"], alone["high"]))


def test_perfect_answers_are_not_taken_for_certainty() -> None:
    result = measured(answers(np.array([0.1] * 10 + [0.9] * 20), np.array([0] * 10 + [1] * 20)), seed=1)

    assert result["roc_auc"]["value"] == 1.0
    assert result["roc_auc"]["low"] == pytest.approx(0.7)
    assert result["roc_auc"]["method"].startswith("rule of three")
    assert result["sensitivity"]["low"] < 1.0


def test_a_figure_without_its_class_is_none_and_says_why() -> None:
    result = measured(answers(np.array([0.1, 0.7, 0.2]), np.array([0, 0, 0])), seed=1)

    assert result["roc_auc"] == {
        "value": None,
        "n": 3,
        "low": None,
        "high": None,
        "method": "undefined: a class has no example",
    }
    assert result["sensitivity"]["value"] is None
    assert result["specificity"]["value"] == pytest.approx(2 / 3)
    json.dumps(result, allow_nan=False)


def test_one_patient_alone_has_no_interval() -> None:
    result = measured(answers(np.array([0.2, 0.9]), np.array([0, 1]), ["P", "P"]), seed=1)

    assert (result["accuracy"]["low"], result["accuracy"]["method"]) == (None, "none: a single patient")


def test_the_same_seed_draws_the_same_intervals() -> None:
    chance = np.random.default_rng(2)
    some = answers(chance.random(40), chance.integers(0, 2, 40))

    assert measured(some, seed=4) == measured(some, seed=4)
