"""The figures of groups."""

import json

import numpy as np
import pytest

from medflow.learning.metrics import measured
from medflow.learning.predicted import answers
from medflow.learning.subgroups import RESAMPLES, by_subgroup
from tests.learning.said import RULES, calibration_of, said

TWO = RULES["two classes"]


def test_each_group_is_measured_by_itself_and_what_is_not_known_is_a_group() -> None:
    rows = said(TWO, 90)
    every = answers(TWO, calibration_of(TWO), rows)
    sexes = [("F", "M", None)[n % 3] for n in range(90)]

    found = by_subgroup(every, {"sex": sexes}, seed=1)["sex"]

    women = answers(TWO, calibration_of(TWO), rows[::3])
    assert list(found) == ["F", "M", "unknown"]
    assert found["F"] == {**measured(women, seed=1, resamples=RESAMPLES), "small": False}
    assert found["unknown"]["n"] == found["unknown"]["patients"] == 30
    json.dumps(found, allow_nan=False)


def test_a_group_is_small_by_its_patients_and_by_its_scarcer_side() -> None:
    rows = said(TWO, 100)
    every = answers(TWO, calibration_of(TWO), rows)
    positive = np.flatnonzero(every.truth[:, 1]).tolist()
    few = set(positive[:9]) | set(np.flatnonzero(every.truth[:, 0])[:25].tolist())

    sites = ["few" if n in few else "many" for n in range(100)]
    found = by_subgroup(every, {"site": sites, "scanner": ["a"] * 19 + ["b"] * 81}, seed=1)

    assert {name: group["small"] for name, group in found["site"].items()} == {"few": True, "many": False}
    assert {name: group["small"] for name, group in found["scanner"].items()} == {"a": True, "b": False}


def test_examples_of_few_patients_stay_few() -> None:
    rows = said(TWO, 100)
    every = answers(TWO, calibration_of(TWO), rows)
    shared = type(every)(
        rule=TWO,
        calibration=every.calibration,
        probabilities=every.probabilities,
        truth=every.truth,
        patients=[f"P{n % 12}" for n in range(100)],
    )

    found = by_subgroup(shared, {"site": ["here"] * 100}, seed=1)["site"]["here"]

    assert (found["n"], found["patients"], found["small"]) == (100, 12, True)


def test_a_group_of_one_class_has_no_area_and_says_so() -> None:
    every = answers(TWO, calibration_of(TWO), said(TWO, 60))
    groups = ["ill" if one else "well" for one in every.truth[:, 1]]

    found = by_subgroup(every, {"site": groups}, seed=1)["site"]

    assert found["ill"]["roc_auc"]["value"] is None
    assert found["ill"]["roc_auc"]["method"].startswith("undefined")
    assert found["ill"]["small"]
    assert found["ill"]["sensitivity"]["low"] is not None


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_kind_of_label_has_groups(kind: str) -> None:
    rule = RULES[kind]
    every = answers(rule, calibration_of(rule), said(rule, 40))

    found = by_subgroup(every, {"site": ["north", "south"] * 20}, seed=1)

    assert [group["n"] for group in found["site"].values()] == [20, 20]


def test_a_grouping_names_every_example() -> None:
    every = answers(TWO, calibration_of(TWO), said(TWO, 40))

    with pytest.raises(ValueError, match="each example"):
        by_subgroup(every, {"sex": ["F"]}, seed=1)
