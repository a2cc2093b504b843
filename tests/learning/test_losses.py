"""Losses: what they come to is what their formulas say, in one piece or in several."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from medflow.domain.task import LabelKind, LabelRule, Level, Schedule
from medflow.learning.losses import Loss, loss_of, targets_of

CLASSES = LabelRule(name="grade", level=Level.PATIENT, classes=("a", "b", "c"))
TWO = replace(CLASSES, classes=("absent", "present"))
ORDERED = replace(CLASSES, kind=LabelKind.ORDINAL)
FINDINGS = replace(TWO, kind=LabelKind.MULTI_LABEL, findings=("mass", "fracture", "effusion"))
PLAIN = Schedule(seed=1, epochs=1, batch_size=4, learning_rate=0.1)


def _drawn(width: int, count: int = 8) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(5)) * 2


def _made(rule: LabelRule, labels: torch.Tensor, *, weighted: bool = False, **schedule: object) -> Loss:
    return loss_of(rule, replace(PLAIN, **schedule), labels, weighted=weighted)  # type: ignore[arg-type]


LABELS = torch.tensor([0, 1, 2, 2, 1, 2, 2, 2])
FOUND = torch.tensor([[1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]] * 2).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs_with_and_without_smoothing(smoothing: float) -> None:
    logits = _drawn(3)

    total, weight = _made(CLASSES, LABELS, smoothing=smoothing)(logits, LABELS)

    expected = functional.cross_entropy(logits, LABELS, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(total, expected)
    assert weight == len(LABELS)


def test_balanced_cross_entropy_is_torchs_with_weights_by_inverse_frequency() -> None:
    logits, counts = _drawn(3), torch.tensor([1.0, 2.0, 5.0])

    total, weight = _made(CLASSES, LABELS, weighted=True)(logits, LABELS)

    expected = functional.cross_entropy(logits, LABELS, weight=8 / (3 * counts))
    torch.testing.assert_close(total / weight, expected)
    torch.testing.assert_close(weight, torch.tensor(8.0))


def test_binary_cross_entropy_of_two_classes_is_that_of_the_findings_lead() -> None:
    logits, labels = _drawn(2), torch.tensor([0, 1] * 4)

    total, _ = _made(TWO, labels, loss="bce")(logits, labels)

    lead = logits[:, 1] - logits[:, 0]
    expected = functional.binary_cross_entropy_with_logits(lead, labels.float(), reduction="sum")
    torch.testing.assert_close(total, expected)


def test_focal_loss_is_that_of_lin_et_al() -> None:
    logits = _drawn(3)
    chosen = torch.softmax(logits, dim=1)[torch.arange(8), LABELS]

    total, _ = _made(CLASSES, LABELS, loss="focal", focal_gamma=1.5)(logits, LABELS)

    torch.testing.assert_close(total, -((1 - chosen) ** 1.5 * chosen.log()).sum())


def test_focal_loss_of_findings_is_that_of_lin_et_al_of_each() -> None:
    logits = _drawn(3)
    right = torch.where(FOUND > 0.5, torch.sigmoid(logits), torch.sigmoid(-logits))

    total, weight = _made(FINDINGS, FOUND, loss="focal", focal_gamma=2.0)(logits, FOUND)

    torch.testing.assert_close(total, -((1 - right) ** 2 * right.log()).sum())
    assert weight == FOUND.numel()


@pytest.mark.parametrize("rule", [CLASSES, FINDINGS], ids=["classes", "findings"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_certain_answers_has_finite_gradients(rule: LabelRule, gamma: float) -> None:
    labels = LABELS if rule is CLASSES else FOUND
    logits = (torch.sign(_drawn(3)) * 1e3).requires_grad_()

    total, _ = _made(rule, labels, loss="focal", focal_gamma=gamma)(logits, labels)
    torch.autograd.backward(total)

    assert bool(torch.isfinite(total))
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_balanced_findings_weigh_their_presence_and_absence_the_same() -> None:
    made = _made(FINDINGS, FOUND, weighted=True, loss="bce")
    present = FOUND.sum(dim=0)

    torch.testing.assert_close(made.weights[1] * present, made.weights[0] * (8 - present))
    torch.testing.assert_close(made.weights[1] * present, torch.full((3,), 4.0))


def test_a_finding_that_training_never_saw_weighs_one_and_not_infinity() -> None:
    made = _made(FINDINGS, torch.zeros(8, 3), weighted=True, loss="bce")

    assert torch.equal(made.weights, torch.ones(2, 3))


def test_ordered_classes_are_learned_as_the_steps_that_they_reach() -> None:
    assert targets_of(ORDERED, torch.tensor([0, 1, 2])).tolist() == [[0, 0], [1, 0], [1, 1]]

    logits = _drawn(2)
    total, weight = _made(ORDERED, LABELS, loss="bce")(logits, LABELS)

    expected = functional.binary_cross_entropy_with_logits(logits, targets_of(ORDERED, LABELS), reduction="sum")
    torch.testing.assert_close(total, expected)
    assert weight == 16


def test_smoothing_of_findings_moves_truths_towards_a_half() -> None:
    logits = _drawn(3)

    total, _ = _made(FINDINGS, FOUND, loss="bce", smoothing=0.2)(logits, FOUND)

    expected = functional.binary_cross_entropy_with_logits(logits, FOUND * 0.8 + 0.1, reduction="sum")
    torch.testing.assert_close(total, expected)


@given(
    cut=st.integers(1, 7), rule=st.sampled_from([CLASSES, ORDERED, FINDINGS]), loss=st.sampled_from(["bce", "focal"])
)
def test_the_pieces_of_a_batch_come_to_the_loss_of_the_whole(cut: int, rule: LabelRule, loss: str) -> None:
    labels = FOUND if rule is FINDINGS else LABELS
    logits = _drawn(2 if rule is ORDERED else 3)
    made = _made(rule, labels, weighted=True, loss="focal" if rule is CLASSES else loss, smoothing=0.1)

    pieces = [made(logits[part], labels[part]) for part in (slice(cut), slice(cut, None))]

    for whole, parts in zip(made(logits, labels), zip(*pieces, strict=True), strict=True):
        np.testing.assert_allclose(float(sum(parts)), float(whole), rtol=1e-5)
