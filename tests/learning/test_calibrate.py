"""What is found on the calibrate part: it claims what its patients support, and says what is missing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.task import CalibrationRule, LabelKind, LabelRule, Level
from medflow.learning.calibrate import calibrated, log_loss, missing_positives, smoothed
from medflow.learning.heads import probabilities, width
from medflow.learning.intervals import lower_bound

TWO = LabelRule(name="nodule", level=Level.PATIENT, classes=("absent", "present"))
RULES = {
    "two classes": TWO,
    "three classes": LabelRule(name="tumour", level=Level.PATIENT, classes=("a", "b", "c")),
    "grades": LabelRule(name="grade", level=Level.PATIENT, classes=("g0", "g1", "g2"), kind=LabelKind.ORDINAL),
    "findings": LabelRule(
        name="both",
        level=Level.PATIENT,
        classes=("absent", "present"),
        kind=LabelKind.MULTI_LABEL,
        findings=("oedema", "effusion"),
    ),
}
Array = NDArray[np.float64]
Truth = NDArray[np.int64]


def drawn(count: int, seed: int, *, apart: float = 2.0, sure: float = 1.0) -> tuple[Array, Truth, list[str]]:
    """Draw logits, truth and patients of two classes; `sure` times more certain than the truth warrants."""
    chance = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], chance.integers(0, 2, count - 2)])
    score = chance.normal(size=count) + apart * (labels - 0.5)
    logits = np.stack([np.zeros(count), sure * apart * score], axis=1)
    return logits, np.eye(2, dtype=np.int64)[labels], [f"P{number}" for number in range(count)]


def found_of(calibration: Calibration) -> dict[str, object]:
    json.dumps(dict(calibration.found), allow_nan=False)
    return dict(calibration.found)


@pytest.mark.parametrize("sure", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_certainty_that_the_truth_does_not_warrant(sure: float) -> None:
    logits, truth, patients = drawn(4000, 1, sure=sure)

    found = calibrated(TWO, CalibrationRule(), logits, truth, patients, seed=1)

    assert found.temperature == pytest.approx(sure, rel=0.1)
    assert found_of(found)["temperature_said"] == "fitted: the least log loss"


@pytest.mark.parametrize("kind", sorted(RULES))
def test_no_other_temperature_has_a_lower_loss(kind: str) -> None:
    rule, chance = RULES[kind], np.random.default_rng(2)
    labels = chance.integers(0, len(rule.outputs), 300)
    truth = np.eye(len(rule.outputs), dtype=np.int64)[labels]
    logits = chance.normal(size=(300, width(rule))) * 3
    logits += 2 * (np.arange(1, width(rule) + 1) <= labels[:, None] if kind == "grades" else truth)

    found = calibrated(rule, CalibrationRule(), logits, truth, [str(n) for n in range(300)], seed=1)

    losses = [log_loss(rule, probabilities(rule, logits, found.temperature * by), truth) for by in (1.0, 0.98, 1.02)]
    assert losses[0] == min(losses)
    assert found_of(found)["log_loss_after"] == losses[0]
    assert losses[0] < log_loss(rule, probabilities(rule, logits), truth)


@pytest.mark.parametrize("margin", [0.5, 5.0, 50.0])
def test_a_part_without_a_mistake_does_not_make_the_model_certain(margin: float) -> None:
    logits = np.array([[0.0, margin * (1 + n / 100)] for n in range(20)] + [[0.0, -margin]] * 20)
    truth = np.eye(2, dtype=np.int64)[[1] * 20 + [0] * 20]

    found = calibrated(TWO, CalibrationRule(), logits, truth, [str(n) for n in range(40)], seed=1)

    likely = probabilities(TWO, logits, found.temperature)[:, 1]
    assert found.temperature <= 1.0
    assert len(set(likely[:20])) == len(set(probabilities(TWO, logits)[:20, 1]))
    if found.temperature < 1.0:
        assert likely.max() < 0.99
    assert "clipped" in str(found_of(found)["temperature_said"]) or margin == 50.0


def test_labels_are_smoothed_by_how_many_there_are() -> None:
    truth = np.eye(2, dtype=np.int64)[[1, 1, 1, 0]]

    assert smoothed(TWO, truth).tolist() == [[1 / 5, 4 / 5]] * 3 + [[2 / 3, 1 / 3]]
    assert smoothed(RULES["findings"], truth)[0].tolist() == [1 / 5, 4 / 5]


@pytest.mark.parametrize(("labels", "patients"), [([1, 1, 1], ["a", "b", "c"]), ([0, 1, 1], ["a", "a", "a"])])
def test_a_part_that_tells_nothing_leaves_the_probabilities(labels: list[int], patients: list[str]) -> None:
    truth = np.eye(2, dtype=np.int64)[labels]

    found = calibrated(TWO, CalibrationRule(), np.array([[0.0, 1.0]] * 3), truth, patients, seed=1)

    assert found.temperature == 1.0
    assert str(found_of(found)["temperature_said"]).startswith("not fitted")


def test_without_a_part_nothing_is_calibrated() -> None:
    empty = np.zeros((0, 2))

    assert calibrated(TWO, CalibrationRule(), empty, empty.astype(int), [], seed=1) == UNCALIBRATED


@pytest.mark.parametrize(
    ("sensitivity", "confidence", "needed"), [(0.95, 0.95, 59), (0.9, 0.95, 29), (0.99, 0.95, 299), (0.95, 0.9, 45)]
)
def test_so_many_are_needed_for_a_claim(sensitivity: float, confidence: float, needed: int) -> None:
    assert missing_positives(sensitivity, confidence, 0) == needed
    assert missing_positives(sensitivity, confidence, needed - 3) == 3
    assert missing_positives(sensitivity, confidence, needed + 1) == 0
    assert lower_bound(needed, needed, confidence) >= sensitivity > lower_bound(needed - 1, needed - 1, confidence)


def test_too_few_for_the_claim_give_no_threshold_and_say_how_many_are_missing() -> None:
    truth = np.eye(2, dtype=np.int64)[[1] * 58 + [0] * 30]
    logits = np.array([[0.0, 9.0]] * 58 + [[0.0, -9.0]] * 30)
    wanted = CalibrationRule(sensitivity=0.95)

    short = calibrated(TWO, wanted, logits, truth, [str(n) for n in range(88)], seed=1)
    enough = calibrated(
        TWO, wanted, np.vstack([logits[:1], logits]), np.vstack([truth[:1], truth]), [str(n) for n in range(89)], seed=1
    )

    assert short.threshold is None
    assert (found_of(short)["positives"], found_of(short)["missing_positives"]) == (58, 1)
    assert enough.threshold is not None
    assert found_of(enough)["found"] == found_of(enough)["positives"] == 59


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(60, 200),
    target=st.sampled_from([0.6, 0.8, 0.9]),
    ties=st.booleans(),
)
def test_the_threshold_is_the_highest_that_keeps_the_claim(
    seed: int,
    count: int,
    target: float,
    ties: bool,  # noqa: FBT001
) -> None:
    logits, truth, patients = drawn(count, seed)
    logits = logits.round(0) if ties else logits

    found = calibrated(TWO, CalibrationRule(sensitivity=target), logits, truth, patients, seed=1)

    positives = truth[:, 1] == 1
    likely = [tuple(probabilities(TWO, row[None], found.temperature)[0]) for row in logits[positives]]
    if found.threshold is None:
        assert missing_positives(target, 0.95, len(likely)) > 0
        return
    called = sum(found.answer(TWO, one) == "present" for one in likely)
    assert called == found_of(found)["found"]
    assert lower_bound(called, len(likely), 0.95) >= target
    higher = sum(one[1] > found.threshold for one in likely)
    assert lower_bound(higher, len(likely), 0.95) < target


def test_a_patient_counts_as_found_only_where_every_example_is() -> None:
    # each of 30 patients has a sure example, and one of 0.3
    logits = np.array([[0.0, 4.0], [math.log(0.7), math.log(0.3)]] * 30 + [[0.0, -4.0]] * 30)
    truth = np.eye(2, dtype=np.int64)[[1] * 60 + [0] * 30]
    patients = [f"P{n // 2}" for n in range(60)] + [f"N{n}" for n in range(30)]
    wanted = CalibrationRule(temperature=False, sensitivity=0.9)

    found = calibrated(TWO, wanted, logits, truth, patients, seed=1)

    assert found.threshold == pytest.approx(0.3)
    assert found_of(found)["positives"] == 30


def test_the_claim_holds_for_new_patients() -> None:
    """The bound is wrong for one in twenty calibrate parts, or fewer."""
    kept = 0
    for seed in range(100):
        logits, truth, patients = drawn(150, seed)
        found = calibrated(TWO, CalibrationRule(sensitivity=0.8), logits, truth, patients, seed=1)
        fresh, true, _ = drawn(4000, 10_000 + seed)
        likely = probabilities(TWO, fresh[true[:, 1] == 1], found.temperature)[:, 1]
        kept += float((likely >= (found.threshold or 0.0)).mean()) >= 0.8

    assert kept >= 91


def test_conformal_sets_hold_the_truth_for_the_share_of_patients_that_was_asked_for() -> None:
    wanted, held, sizes = CalibrationRule(coverage=0.9), [], []
    for seed in range(60):
        logits, truth, patients = drawn(80, seed)
        found = calibrated(TWO, wanted, logits, truth, patients, seed=seed)
        fresh, true, _ = drawn(300, 20_000 + seed)
        sets = [found.candidates(TWO, row) or () for row in probabilities(TWO, fresh, found.temperature).tolist()]
        held.append(np.mean([TWO.outputs[one.argmax()] in some for one, some in zip(true, sets, strict=True)]))
        sizes.append(np.mean([len(some) for some in sets]))

    assert 0.89 <= np.mean(held) <= 0.94
    assert np.mean(sizes) < 1.5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_patient_who_sets_the_reach_is_inside_it(seed: int) -> None:
    logits, truth, patients = drawn(40, seed, apart=1.0)
    found = calibrated(TWO, CalibrationRule(coverage=0.8, temperature=False), logits, truth, patients, seed=seed)

    sets = [found.candidates(TWO, row) or () for row in probabilities(TWO, logits).tolist()]
    held = sum(TWO.outputs[one.argmax()] in some for one, some in zip(truth, sets, strict=True))

    aside = int(str(found_of(found)["conformal_patients"]))
    assert 19 <= aside <= 20
    assert held >= math.ceil((aside + 1) * 0.8)


def test_sets_and_temperature_come_from_different_patients() -> None:
    logits, truth, patients = drawn(61, 5)
    wanted = CalibrationRule(coverage=0.8, sensitivity=0.6)

    found = found_of(calibrated(TWO, wanted, logits, truth, patients, seed=1))

    assert int(str(found["temperature_patients"])) + int(str(found["conformal_patients"])) == found["patients"] == 61
    assert int(str(found["positives"])) < truth[:, 1].sum()


def test_too_few_patients_make_no_sets_and_say_how_many_are_missing() -> None:
    logits, truth, patients = drawn(20, 5)

    found = calibrated(TWO, CalibrationRule(coverage=0.95), logits, truth, patients, seed=1)

    assert found.conformal is None
    aside = int(str(found_of(found)["conformal_patients"]))
    assert found_of(found)["conformal_missing_patients"] == 19 - aside


def test_the_order_of_the_examples_changes_nothing() -> None:
    logits, truth, patients = drawn(120, 6)
    order = np.random.default_rng(1).permutation(120)
    wanted = CalibrationRule(coverage=0.9, sensitivity=0.7, temperature=False)

    one = calibrated(TWO, wanted, logits, truth, patients, seed=1)
    other = calibrated(TWO, wanted, logits[order], truth[order], [patients[place] for place in order], seed=1)

    assert one == other
