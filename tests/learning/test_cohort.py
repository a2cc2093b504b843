"""The deal: whole patients, every class in every part, the same whatever the order."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medflow.domain.task import Part, SplitRule
from medflow.errors import BatchError
from medflow.learning.cohort import deal

RULE = SplitRule(train=0.6, select=0.2, test=0.2, seed=1)
sizes = st.integers(3, 40)


@given(absent=sizes, present=sizes, both=st.integers(0, 10), seed=st.integers(0, 1000))
def test_every_patient_is_dealt_once_and_every_part_has_every_class(
    absent: int, present: int, both: int, seed: int
) -> None:
    twice = [f"B{n}" for n in range(both)]
    patients = {
        "absent": [*(f"A{n}" for n in range(absent)), *twice],
        "present": [*(f"P{n}" for n in range(present)), *twice],
    }

    dealt = deal(patients, SplitRule(train=0.6, select=0.2, test=0.2, seed=seed))

    assert dealt.keys() == set(patients["absent"]) | set(patients["present"])
    for members in patients.values():
        assert {dealt[patient] for patient in members} == {Part.TRAIN, Part.SELECT, Part.TEST}


@given(count=st.integers(3, 60), chance=st.randoms())
def test_the_order_of_patients_and_classes_changes_nothing(count: int, chance: random.Random) -> None:
    patients = [f"P{n}" for n in range(count)]
    others = [f"Q{n}" for n in range(count)]
    shuffled = chance.sample(patients, count)

    assert deal({"a": patients, "b": others}, RULE) == deal({"b": others[::-1], "a": shuffled}, RULE)


def test_the_shares_are_kept_as_far_as_whole_patients_allow() -> None:
    dealt = deal({"a": [f"P{n}" for n in range(50)], "b": [f"Q{n}" for n in range(10)]}, RULE)

    assert Counter(dealt.values()) == {Part.TRAIN: 36, Part.SELECT: 12, Part.TEST: 12}


def test_another_seed_deals_otherwise() -> None:
    patients = {"a": [f"P{n}" for n in range(30)], "b": [f"Q{n}" for n in range(30)]}

    assert deal(patients, RULE) != deal(patients, SplitRule(train=0.6, select=0.2, test=0.2, seed=2))


def test_a_part_without_a_share_gets_nobody() -> None:
    dealt = deal({"a": ["P1", "P2"], "b": ["Q1", "Q2"]}, SplitRule(train=0.5, select=0.5, test=0.0, seed=1))

    assert set(dealt.values()) == {Part.TRAIN, Part.SELECT}


def test_too_few_patients_are_refused_with_the_number_missing() -> None:
    with pytest.raises(BatchError, match="2 more of 'present'"):
        deal({"absent": ["A1", "A2", "A3"], "present": ["P1"]}, RULE)

    with pytest.raises(BatchError, match="3 more of 'present'"):
        deal({"absent": ["A1", "A2", "A3"], "present": []}, RULE)
