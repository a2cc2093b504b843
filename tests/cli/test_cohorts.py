"""Facts about `medflow cohort`: one object on stdout, the same cohort again, and refusals that end with 2."""

import json
from pathlib import Path

from tests.cli.conftest import Verb
from tests.steps.conftest import TASK
from tests.steps.exports import write_cohort

PATIENTS = 12


def test_a_cohort_is_built_found_again_listed_and_shown(medflow: Verb, tmp_path: Path) -> None:
    (tmp_path / "ball.yaml").write_text(TASK)
    write_cohort(tmp_path / "export", PATIENTS)
    medflow("ingest", "export")
    medflow("labels", "import", "labels.csv")

    code, printed, _ = medflow("cohort", "build", "ball.yaml", "--json")
    (built,) = json.loads(printed)["cohorts"]
    (again,) = json.loads(medflow("cohort", "build", "ball.yaml", "--json")[1])["cohorts"]

    assert (code, built["new"], again["new"]) == (0, True, False)
    assert built["id"] == again["id"]
    assert (built["series"], built["patients"]) == (PATIENTS, PATIENTS)
    (shown,) = json.loads(medflow("cohort", "show", built["id"][:12], "--json")[1])["cohorts"]
    assert len(shown["members"]) == PATIENTS
    assert built["id"][:12] in medflow("cohort", "list")[1]
    assert medflow("cohort", "build", "ball.yaml", "--show")[0] == 0
    code, _, said = medflow("cohort", "build", "ball.yaml", "--duplicates", "accept", "--reason", " ")
    assert (code, "--reason" in said) == (2, True)
