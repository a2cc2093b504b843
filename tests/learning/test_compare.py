"""Two models on the same examples."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from medflow.domain.calibration import Calibration
from medflow.learning.compare import compared
from medflow.learning.delong import difference
from medflow.learning.metrics import Answers, measured
from medflow.learning.predicted import answers as of_rows
from tests.learning.said import RULES, calibration_of, said

TWO = RULES["two classes"]


def answers(
    scores: NDArray[np.float64], labels: NDArray[np.int64], patients: list[str] | None = None, threshold: float = 0.5
) -> Answers:
    return Answers(
        rule=TWO,
        calibration=Calibration(threshold=threshold),
        probabilities=np.stack([1 - scores, scores], axis=1),
        truth=np.stack([1 - labels, labels], axis=1),
        patients=patients or [str(number) for number in range(len(scores))],
    )


def pair(count: int = 80, seed: int = 1) -> tuple[Answers, Answers]:
    """Draw a good model and a worse one on the same examples."""
    chance = np.random.default_rng(seed)
    labels = np.tile([0, 1], count // 2)
    good, worse = (np.clip(shift * (labels - 0.5) + chance.normal(0.5, 0.25, count), 0, 1) for shift in (0.8, 0.2))
    return answers(good, labels), answers(worse, labels)


def test_areas_are_compared_by_delong_and_answers_by_mcnemar() -> None:
    one, other = pair()

    found = compared(one, other, seed=1)

    by_hand = difference(one.probabilities[:, 1], other.probabilities[:, 1], one.truth[:, 1])
    area = found["roc_auc_difference"]
    assert (area["value"], area["low"], area["p"], area["method"]) == (
        by_hand.value,
        by_hand.low,
        by_hand.p,
        "DeLong, paired",
    )
    right = [(side.said == side.truth).all(axis=1) for side in (one, other)]
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (found["mcnemar"]["one_alone_right"], found["mcnemar"]["other_alone_right"]) == alone
    assert found["mcnemar"]["p"] == pytest.approx(binomtest(alone[0], sum(alone)).pvalue)
    assert found["agreement"] == pytest.approx((one.said == other.said).all(axis=1).mean())
    json.dumps(found, allow_nan=False)


def test_differences_are_those_of_the_figures() -> None:
    one, other = pair()

    found = compared(one, other, seed=1)

    sides = [measured(side, seed=1, resamples=10) for side in (one, other)]
    for name in ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc"):
        assert found[f"{name}_difference"]["value"] == pytest.approx(sides[0][name]["value"] - sides[1][name]["value"])
        assert 0 < found[f"{name}_difference"]["low"] < found[f"{name}_difference"]["high"]


def test_each_model_answers_at_its_own_threshold() -> None:
    one, _ = pair()
    never = replace(one, calibration=Calibration(threshold=1.1))

    found = compared(one, never, seed=1)

    assert found["roc_auc_difference"]["value"] == 0.0
    assert found["sensitivity_difference"]["value"] == pytest.approx(measured(one, seed=1)["sensitivity"]["value"])


def test_limits_of_agreement_hold_95_percent_of_the_differences() -> None:
    one, other = pair(count=1000)

    found = compared(one, other, seed=1)["probability_difference"]["bright"]

    apart = one.probabilities[:, 1] - other.probabilities[:, 1]
    assert found["mean"] == pytest.approx(apart.mean())
    assert ((apart > found["low"]) & (apart < found["high"])).mean() == pytest.approx(0.95, abs=0.02)


def test_repeated_examples_of_a_patient_prove_no_more() -> None:
    one, other = pair(count=40)
    repeated = [
        answers(
            np.repeat(side.probabilities[:, 1], 5),
            np.repeat(side.truth[:, 1], 5),
            [str(n) for n in range(40) for _ in range(5)],
        )
        for side in (one, other)
    ]

    alone, found = compared(one, other, seed=1), compared(repeated[0], repeated[1], seed=1)

    assert found["roc_auc_difference"]["method"] == "bootstrap over patients, paired"
    assert found["roc_auc_difference"]["low"] == pytest.approx(alone["roc_auc_difference"]["low"], abs=0.05)
    assert found["mcnemar"]["p"] == alone["mcnemar"]["p"]
    assert found["mcnemar"]["unit"].startswith("patient: right where")
    assert found["accuracy_difference"] | {"n": 40} == pytest.approx(alone["accuracy_difference"])


def test_a_model_does_not_differ_from_itself() -> None:
    one, _ = pair()

    found = compared(one, one, seed=1)

    assert found["roc_auc_difference"]["p"] == found["mcnemar"]["p"] == found["agreement"] == 1.0
    assert found["accuracy_difference"]["method"] == "none: no resample differs"


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_kind_of_label_is_compared(kind: str) -> None:
    rule = RULES[kind]
    rows = said(rule)
    one = of_rows(rule, calibration_of(rule), rows)
    other = replace(one, probabilities=one.probabilities**0.5, calibration=Calibration())

    found = compared(one, other, seed=1)

    json.dumps(found, allow_nan=False)
    inside = found["per_finding"]["oedema"] if kind == "findings" else found
    assert inside["roc_auc_difference"]["n"] == 60


@pytest.mark.parametrize("change", ["order", "truth", "patients", "rule", "nothing left"])
def test_other_examples_are_refused(change: str) -> None:
    one, other = pair()
    changed = {
        "order": replace(other, patients=list(reversed(other.patients))),
        "truth": replace(other, truth=1 - other.truth),
        "patients": replace(other, patients=["x", *list(other.patients)[1:]]),
        "rule": replace(other, rule=replace(TWO, classes=("a", "b"))),
        "nothing left": answers(np.zeros(0), np.zeros(0, np.int64)),
    }[change]

    with pytest.raises(ValueError, match="same examples"):
        compared(changed if change == "nothing left" else one, changed, seed=1)
