"""Predictions to report on: drawn by chance, of every kind of label."""

import numpy as np

from medflow.domain.calibration import Calibration
from medflow.domain.cohort import Member
from medflow.domain.task import LabelKind, LabelRule, Level
from medflow.learning.heads import probabilities
from medflow.learning.predicted import Predicted, logit_names

RULES = {
    "two classes": LabelRule(name="ball", level=Level.PATIENT, classes=("dull", "bright")),
    "four classes": LabelRule(name="tumour", level=Level.PATIENT, classes=("glioma", "meningioma", "none", "other")),
    "grades": LabelRule(name="grade", level=Level.PATIENT, classes=("g0", "g1", "g2"), kind=LabelKind.ORDINAL),
    "findings": LabelRule(
        name="oedema+effusion",
        level=Level.PATIENT,
        classes=("absent", "present"),
        kind=LabelKind.MULTI_LABEL,
        findings=("oedema", "effusion"),
    ),
}


def calibration_of(rule: LabelRule) -> Calibration:
    """Give a calibration that has everything which labels of this kind may have."""
    exclusive = rule.kind is not LabelKind.MULTI_LABEL
    return Calibration(temperature=1.7, threshold=0.3 if rule.binary else None, conformal=0.8 if exclusive else None)


def said(rule: LabelRule, count: int = 60, seed: int = 1) -> tuple[Predicted, ...]:
    """Draw what a fair model says of `count` patients."""
    chance, calibration = np.random.default_rng(seed), calibration_of(rule)
    rows = []
    for number in range(count):
        label, logits = _drawn(rule, chance)
        likely = tuple(map(float, probabilities(rule, logits[None], calibration.temperature)[0]))
        rows.append(
            Predicted(
                member=Member(
                    patient=f"P{number:03}",
                    study=f"1.2.{number}",
                    series_id=f"ser_{number:03}",
                    subject=f"1.3.{number}",
                    input_digest=f"i{number}",
                    layout_digest=f"l{number}",
                    label=label,
                    part="test",
                    site=("north", "south")[number % 2],
                    scanner="ACME, One",
                    sex=("F", "M", None)[number % 3],
                    age_band="40-59",
                    slice_thickness=(1.0, None, 2.5)[number % 3],
                ),
                logits=tuple(map(float, logits)),
                probabilities=likely,
                answer=calibration.answer(rule, likely),
                candidates=calibration.candidates(rule, likely),
            )
        )
    return tuple(rows)


def _drawn(
    rule: LabelRule, chance: np.random.Generator
) -> tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    width = len(logit_names(rule))
    noise = chance.normal(size=width) * 2
    if rule.kind is LabelKind.MULTI_LABEL:
        there = chance.random(width) < 0.4
        return "+".join(np.array(rule.outputs)[there]), noise + np.where(there, 2.0, -2.0)
    place = int(chance.integers(len(rule.classes)))
    if rule.kind is LabelKind.ORDINAL:
        return rule.classes[place], noise[0] + np.array([(place - one - 0.5) * 3 for one in range(width)])
    noise[place] += 2.0
    return rule.classes[place], noise
