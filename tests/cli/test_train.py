"""Facts about the verb train."""

from pathlib import Path

from tests.cli.conftest import Verb

TASK = Path(__file__).parents[2] / "pipelines" / "tasks" / "chest_ct_nodule.yaml"


def test_a_frozen_cohort_is_not_dealt_again(medflow: Verb) -> None:
    code, _, said = medflow("train", TASK, "--cohort", "coh_1", "--duplicates", "accept", "--reason", "why not")

    assert code == 2
    assert "dealt already" in said


def test_an_empty_house_trains_nothing(medflow: Verb) -> None:
    code, shown, said = medflow("train", TASK, "--json")

    assert (code, shown) == (2, "")
    assert "not done" in said
