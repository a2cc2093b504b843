"""Figures: what other code computes, with intervals that hold what they say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.task import LabelKind, LabelRule, Level
from medflow.errors import ConfigurationError
from medflow.learning.figures import Scored, figures
from medflow.learning.metrics import Answers, finding, measured

TWO = LabelRule(name="nodule", level=Level.PATIENT, classes=("absent", "present"))
FOUR = LabelRule(name="tumour", level=Level.PATIENT, classes=("a", "b", "c", "d"))
GRADES = LabelRule(name="grade", level=Level.PATIENT, classes=("g0", "g1", "g2"), kind=LabelKind.ORDINAL)
FINDINGS = LabelRule(
    name="oedema+effusion",
    level=Level.PATIENT,
    classes=("absent", "present"),
    kind=LabelKind.MULTI_LABEL,
    findings=("oedema", "effusion"),
)


def answers(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    patients: list[str] | None = None,
    threshold: float | None = None,
) -> Answers:
    """Make two-class answers of the finding's probabilities."""
    return Answers(
        rule=TWO,
        calibration=Calibration(threshold=threshold),
        probabilities=np.stack([1 - scores, scores], axis=1),
        truth=np.stack([1 - labels, labels], axis=1),
        patients=patients or [str(number) for number in range(len(scores))],
    )


def of_classes(rule: LabelRule, count: int = 200, seed: int = 3) -> Answers:
    """Draw answers that are better than chance, of classes that exclude each other."""
    chance, classes = np.random.default_rng(seed), len(rule.classes)
    labels = chance.integers(0, classes, count)
    probabilities = chance.dirichlet(np.ones(classes), count)
    probabilities[np.arange(count), labels] += 0.3
    return Answers(
        rule=rule,
        calibration=UNCALIBRATED,
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        truth=np.eye(classes, dtype=np.int64)[labels],
        patients=[str(number) for number in range(count)],
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 60), ties=st.booleans())
def test_the_values_are_scikit_learns(seed: int, count: int, ties: bool) -> None:  # noqa: FBT001
    chance = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], chance.integers(0, 2, count)])
    scores = chance.random(count + 2)
    scores = scores.round(1) if ties else scores
    some = answers(scores, labels)

    found = figures(np.ones((1, count + 2)), some.scored())

    said = some.probabilities.argmax(axis=1)
    assert found.values("roc_auc", 1)[0] == pytest.approx(roc_auc_score(labels, scores))
    assert found.values("average_precision", 1)[0] == pytest.approx(average_precision_score(labels, scores))
    assert found.values("f1", 1)[0] == pytest.approx(f1_score(labels, said, zero_division=0.0))
    assert found.values("balanced_accuracy")[0] == pytest.approx(balanced_accuracy_score(labels, said))
    assert found.brier[0] == pytest.approx(brier_score_loss(labels, scores))
    assert found.values("accuracy")[0] == pytest.approx((labels == said).mean())


def test_with_many_classes_the_figures_are_means_of_each_against_the_rest() -> None:
    many = of_classes(FOUR)
    labels = many.truth.argmax(axis=1)

    result = measured(many, seed=1)

    assert result["roc_auc"]["value"] == pytest.approx(roc_auc_score(labels, many.probabilities, multi_class="ovr"))
    assert result["log_loss"]["value"] == pytest.approx(log_loss(labels, many.probabilities))
    assert result["average_precision"]["value"] == pytest.approx(
        average_precision_score(many.truth, many.probabilities)
    )
    assert result["per_class"].keys() == {"a", "b", "c", "d"}
    assert result["roc_auc"]["low"] < result["roc_auc"]["value"] < result["roc_auc"]["high"]
    assert result["per_class"]["b"]["roc_auc"]["method"] == "DeLong on the logit scale"
    assert result["positive"] is None


def test_ordered_classes_have_a_kappa_and_a_mean_error_in_classes() -> None:
    graded = of_classes(GRADES)
    true, said = graded.truth.argmax(axis=1), graded.said.argmax(axis=1)

    result = measured(graded, seed=1)

    assert result["quadratic_kappa"]["value"] == pytest.approx(cohen_kappa_score(true, said, weights="quadratic"))
    assert result["mean_absolute_error"]["value"] == pytest.approx(abs(true - said).mean())
    assert "quadratic_kappa" not in measured(of_classes(FOUR), seed=1)


def test_findings_that_come_together_are_measured_each_by_itself_and_as_means() -> None:
    chance = np.random.default_rng(4)
    truth = chance.integers(0, 2, (80, 2))
    likely = np.clip(truth * 0.3 + chance.random((80, 2)) * 0.7, 0, 1)
    both = Answers(
        rule=FINDINGS,
        calibration=UNCALIBRATED,
        probabilities=likely,
        truth=truth,
        patients=[str(number) for number in range(80)],
    )

    result = measured(both, seed=1)

    singly = {name: measured(finding(both, place), seed=1) for place, name in enumerate(FINDINGS.findings)}
    assert result["per_finding"] == singly
    assert result["exact_match"]["value"] == pytest.approx(((likely >= 0.5) == truth).all(axis=1).mean())
    for name in ("roc_auc", "brier", "sensitivity", "balanced_accuracy", "ece"):
        mean = np.mean([one[name]["value"] for one in singly.values()])
        assert result[name]["value"] == pytest.approx(mean)
    json.dumps(result, allow_nan=False)


def test_a_resample_is_a_weighting() -> None:
    chance = np.random.default_rng(5)
    many = of_classes(FOUR, count=40)
    drawn = np.concatenate([np.arange(40), chance.integers(0, 40, 30)])
    weights = np.bincount(drawn, minlength=40).astype(float)[None]

    weighed = figures(weights, many.scored())
    repeated = figures(
        np.ones((1, 70)),
        Scored(probabilities=many.probabilities[drawn], truth=many.truth[drawn], said=many.scored().said[drawn]),
    )

    names = ("accuracy", "balanced_accuracy", "specificity", "ppv", "npv", "f1", "roc_auc", "average_precision")
    for name in (*names, "brier", "ece", "log_loss", "quadratic_kappa", "mean_absolute_error"):
        assert weighed.values(name)[0] == pytest.approx(repeated.values(name)[0])


def test_proportions_have_exact_intervals_when_each_patient_has_one_answer() -> None:
    scores = np.array([0.9] * 8 + [0.1] * 2 + [0.2] * 15 + [0.8] * 5)
    labels = np.array([1] * 10 + [0] * 20)

    result = measured(answers(scores, labels), seed=1)

    for name, hits, n in (
        ("sensitivity", 8, 10),
        ("specificity", 15, 20),
        ("accuracy", 23, 30),
        ("ppv", 8, 13),
        ("npv", 15, 17),
    ):
        expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
        entry = result[name]
        assert (entry["value"], entry["n"], entry["method"]) == (hits / n, n, "Clopper-Pearson")
        assert (entry["low"], entry["high"]) == pytest.approx((expected.low, expected.high))
    assert result["confusion"] == [[15, 5], [2, 8]]
    assert result["majority_rate"] == pytest.approx(2 / 3)
    assert result["ppv"]["prevalence"] == result["prevalence"] == pytest.approx(1 / 3)


def test_answers_come_from_the_operating_threshold_where_there_is_one() -> None:
    scores, labels = np.array([0.3, 0.2, 0.1, 0.4]), np.array([1, 1, 0, 0])

    even = measured(answers(scores, labels), seed=1)
    operated = measured(answers(scores, labels, threshold=0.2), seed=1)

    assert even["confusion"] == [[2, 0], [2, 0]]
    assert operated["confusion"] == [[1, 1], [0, 2]]
    assert operated["roc_auc"] == even["roc_auc"]


def test_predictive_values_at_a_stated_prevalence_follow_bayes() -> None:
    scores = np.array([0.9] * 9 + [0.1] * 1 + [0.2] * 16 + [0.8] * 4)
    labels = np.array([1] * 10 + [0] * 20)

    result = measured(answers(scores, labels), seed=1, prevalence=0.02)

    # sensitivity 0.9, specificity 0.8: of 1000 people 20 have it, 18 of them are called, and 196 of the others
    assert result["ppv"]["value"] == pytest.approx(18 / (18 + 196))
    assert result["npv"]["value"] == pytest.approx(784 / (784 + 2))
    assert result["ppv"]["low"] < result["ppv"]["value"] < result["ppv"]["high"]
    assert result["ppv"]["prevalence"] == result["prevalence"] == 0.02
    with pytest.raises(ConfigurationError):
        measured(of_classes(FOUR), seed=1, prevalence=0.02)


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    scores = np.array([0.05] * 10 + [0.95] * 10)
    labels = np.array([0] * 9 + [1] + [1] * 8 + [0] * 2)

    result = measured(answers(scores, labels), seed=1)

    assert result["ece"]["value"] == pytest.approx(0.5 * abs(0.05 - 0.1) + 0.5 * abs(0.95 - 0.8))
    assert "10 bins of equal width" in result["ece"]["method"]


def test_answers_of_one_patient_do_not_count_as_independent() -> None:
    chance = np.random.default_rng(8)
    scores, labels = chance.random(12), np.array([0, 1] * 6)
    alone = measured(answers(scores, labels), seed=1)
    patients = [str(n) for n in range(12) for _ in range(10)]

    repeated = measured(answers(np.repeat(scores, 10), np.repeat(labels, 10), patients), seed=1)

    assert repeated["patients"] == 12
    assert repeated["accuracy"]["method"] == "bootstrap over patients"
    assert repeated["roc_auc"]["method"] == "bootstrap over patients, on the logit scale"
    for name in ("brier", "f1", "average_precision"):
        assert (repeated[name]["low"], repeated[name]["high"]) == pytest.approx(
            (alone[name]["low"], alone[name]["high"])
        )
    wide = [one["roc_auc"]["high"] - one["roc_auc"]["low"] for one in (alone, repeated)]
    assert wide[1] == pytest.approx(wide[0], rel=0.3)


@pytest.mark.parametrize("times", [1, 3])
def test_perfect_answers_are_not_taken_for_certainty(times: int) -> None:
    scores = np.repeat([0.1] * 10 + [0.9] * 20, times)
    patients = [str(n) for n in range(30) for _ in range(times)]

    result = measured(answers(scores, (scores > 0.5).astype(int), patients), seed=1)

    for name in ("roc_auc", "average_precision", "f1", "sensitivity", "specificity", "accuracy", "balanced_accuracy"):
        assert result[name]["value"] == result[name]["high"] == 1.0
        assert result[name]["low"] < 0.95
    assert result["roc_auc"]["low"] == pytest.approx(0.025 ** (1 / 10))
    assert result["roc_auc"]["method"] == "rule of three, exact (m = 10): nothing varies"


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
    assert result["log_loss"]["high"] >= result["log_loss"]["value"]
    json.dumps(result, allow_nan=False)


def test_one_patient_alone_has_no_interval() -> None:
    result = measured(answers(np.array([0.2, 0.9]), np.array([0, 1]), ["P", "P"]), seed=1)

    assert {entry["method"].partition(";")[0] for entry in result.values() if isinstance(entry, dict)} == {
        "none: a single patient"
    }
    assert result["accuracy"]["low"] is None
    assert measured(answers(np.array([0.2]), np.array([0])), seed=1)["accuracy"]["method"] == "none: a single patient"


def test_nothing_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="no answers"):
        measured(answers(np.zeros(0), np.zeros(0, np.int64)), seed=1)


def test_the_same_seed_draws_the_same_intervals() -> None:
    chance = np.random.default_rng(2)
    some = answers(chance.random(40), chance.integers(0, 2, 40))

    assert measured(some, seed=4) == measured(some, seed=4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_answers_changes_nothing(seed: int) -> None:
    chance = np.random.default_rng(seed)
    scores, labels = chance.random(30).round(2), np.concatenate([[0, 1], chance.integers(0, 2, 28)])
    patients = [str(one) for one in chance.integers(0, 12, 30)]
    order = chance.permutation(30)

    one = measured(answers(scores, labels, patients), seed=1, resamples=200)
    other = measured(answers(scores[order], labels[order], [patients[place] for place in order]), seed=1, resamples=200)

    assert one["confusion"] == other["confusion"]
    for name in ("roc_auc", "average_precision", "accuracy", "brier", "ece"):
        for end in ("value", "low", "high"):
            assert one[name][end] == pytest.approx(other[name][end])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), power=st.floats(0.2, 5.0))
def test_what_keeps_the_order_of_the_scores_keeps_the_area(seed: int, power: float) -> None:
    chance = np.random.default_rng(seed)
    scores, labels = chance.random(30).round(2), np.concatenate([[0, 1], chance.integers(0, 2, 28)])

    one = measured(answers(scores, labels), seed=1, resamples=50)
    other = measured(answers(scores**power, labels), seed=1, resamples=50)

    for name in ("roc_auc", "average_precision"):
        assert one[name] == pytest.approx(other[name])


def test_intervals_hold_what_they_say() -> None:
    """Coverage of an area of 0.9 (two normals 1.812 apart), of 40 patients with two answers each."""
    chance, held = np.random.default_rng(11), 0
    labels, patients = np.repeat([0, 1] * 20, 2), [str(n) for n in range(40) for _ in range(2)]
    for seed in range(150):
        own = np.repeat(chance.normal(0, 0.5**0.5, 40), 2)
        scores = 1 / (1 + np.exp(-(own + chance.normal(0, 0.5**0.5, 80) + 1.812 * labels)))
        entry = measured(answers(scores, labels, patients), seed=seed, resamples=200)["roc_auc"]
        held += entry["low"] <= 0.9 <= entry["high"]

    assert 0.90 <= held / 150 <= 0.99


def test_answers_that_know_nothing_have_intervals_around_a_half() -> None:
    chance, held = np.random.default_rng(12), 0
    for seed in range(20):
        entry = measured(answers(chance.random(40), chance.permutation([0, 1] * 20)), seed=seed, resamples=50)[
            "roc_auc"
        ]
        held += entry["low"] <= 0.5 <= entry["high"]

    assert held >= 16


def test_a_finding_of_several_is_there_from_even_odds_on() -> None:
    rule = replace(FINDINGS, findings=("oedema",))
    one = Answers(
        rule=rule,
        calibration=Calibration(temperature=2.0),
        probabilities=np.array([[0.5], [0.4]]),
        truth=np.array([[1], [0]]),
        patients=["a", "b"],
    )

    assert finding(one, 0).said.tolist() == [[0, 1], [1, 0]]
    assert one.said.tolist() == [[1], [0]]
