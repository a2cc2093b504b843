"""How good predictions are for whom: the figures of each sex, age band, site, scanner and slice thickness."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.task import LabelKind
from medflow.learning.metrics import Answers, measured

UNKNOWN = "unknown"
FEW = 20
"""Patients below which a group says little."""
FEW_OF_SIDE = 10
"""Patients with a class or a finding, or without it, below which a group says little."""
RESAMPLES = 500
"""For each group: its intervals are read side by side, and need no third digit."""


def by_subgroup(
    answers: Answers, groups: Mapping[str, Sequence[str | None]], *, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure each value of each grouping by itself; `groups` has a value, or None, for each example.

    `small` marks groups in which fewer than 20 patients stand, or fewer than 10 with or without a class or finding.
    Intervals that are resampled take 500 resamples. PPV and NPV are those at the group's own prevalence.

    Raises:
        ValueError: a grouping does not have a value for each example.
    """
    return {grouping: _grouped(answers, [_named(one) for one in values], seed) for grouping, values in groups.items()}


def _grouped(answers: Answers, names: Sequence[str], seed: int) -> dict[str, dict[str, Any]]:
    if len(names) != len(answers.patients):
        raise ValueError("a grouping has a value for each example")
    told = np.array(names, dtype=str)
    return {name: _measured(_only(answers, np.flatnonzero(told == name)), seed) for name in sorted(set(names))}


def _named(value: str | None) -> str:
    return UNKNOWN if value is None or not value.strip() else value


def _only(answers: Answers, places: NDArray[np.int64]) -> Answers:
    return Answers(
        rule=answers.rule,
        calibration=answers.calibration,
        probabilities=answers.probabilities[places],
        truth=answers.truth[places],
        patients=[answers.patients[place] for place in places],
    )


def _measured(some: Answers, seed: int) -> dict[str, Any]:
    owners = np.array(some.patients, dtype=str)
    outputs = range(some.truth.shape[1])
    sides = (0, 1) if some.rule.kind is LabelKind.MULTI_LABEL else (1,)
    scarcest = min(len(set(owners[some.truth[:, place] == side])) for place in outputs for side in sides)
    small = len(set(some.patients)) < FEW or scarcest < FEW_OF_SIDE
    return {**measured(some, seed=seed, resamples=RESAMPLES), "small": small}
