"""The verb `select`: what a task takes of each study, and why it does not take the rest."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.steps.conftest import TASK
from tests.steps.exports import write_series


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task that takes the series with most slices."""
    path = tmp_path / "ball.yaml"
    path.write_text(TASK.replace("minimum_slices: 4", "minimum_slices: 4, choose: most-slices"))
    return path


def test_select_lists_what_a_task_takes_and_why_not_the_rest(medflow: Verb, task: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "1", patient="PAT-1", number=1)
    write_series(tmp_path / "export" / "2", patient="PAT-1", number=2, slices=(0, 1, 2))
    medflow("ingest", tmp_path / "export")

    code, out, _ = medflow("select", task, "--json")
    shown = medflow("select", task)

    report = json.loads(out)
    assert (code, report["schema"]) == (0, "medflow/select/1")
    (study,) = report["studies"]
    assert sorted(study["failures"].values()) == [[], ["minimum_slices"]]
    assert study["chosen"] == [name for name, failed in study["failures"].items() if not failed]
    assert shown[0] == 0
    assert "minimum" in shown[1]


def test_select_ends_with_1_where_a_study_has_no_match(medflow: Verb, task: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1", slices=(0, 1, 2))
    medflow("ingest", tmp_path / "export")

    code, out, _ = medflow("select", task, "--json")

    report = json.loads(out)
    assert (code, report["unmatched"], report["failed"]) == (1, {"no-matching-series": 1}, {"minimum_slices": 1})
