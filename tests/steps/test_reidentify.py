"""Back to a person: only for a purpose, only on the record, and the record names nobody."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medflow.cli import build
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError, StateError
from medflow.steps import audit
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.purpose import stated
from medflow.steps.reidentify import lookups, reidentify
from medflow.store.engine import writing
from medflow.store.models import save_code, save_model
from medflow.store.predictions import save_prediction
from medflow.store.series import accepted_series
from tests.steps.conftest import EXPORT
from tests.steps.exports import ROOT, write_cohort
from tests.store.made import CODE, a_model, a_prediction, a_series, an_identity

WHY = stated("call back for a second reading")


@pytest.fixture
def filled(house: House, tmp_path: Path) -> House:
    """A house of two patients."""
    return filled_from(house, tmp_path / "export")


def filled_from(house: House, folder: Path) -> House:
    """Take in two patients."""
    write_cohort(folder, 2)
    ingest(house, folder, source=EXPORT)
    return house


def trail(house: House) -> list[dict[str, Any]]:
    return audit.events(house, subject=None, run=None, limit=1000)


def test_a_pseudonym_leads_to_its_person_and_the_trail_to_who_asked(any_house: House, tmp_path: Path) -> None:
    filled = filled_from(any_house, tmp_path / "export")
    patient = filled.pseudonyms.patient("PAT-000", "", "")[0]

    found = reidentify(filled, patient, WHY)

    (person,) = found.persons
    assert person == {"name": "Family^PAT-000", "id": "PAT-000", "issuer": "", "birth_date": "19500101", "sex": "F"}
    (study,) = found.studies
    assert (study["date"], study["accession"]) == ("20240103", "A1")
    assert "study_uid" not in study
    (look,) = lookups(filled, patient=patient)
    assert (look.actor, look.patient, look.purpose, look.outcome) == ("night", patient, WHY.words, "done")
    assert lookups(filled, patient=filled.pseudonyms.patient("PAT-001", "", "")[0]) == ()
    kinds = [event["kind"] for event in trail(filled) if event["kind"].startswith("vault-")]
    assert kinds == ["vault-comparison-requested", "vault-read-requested", "vault-read-done"]
    assert "PAT-000" not in json.dumps(trail(filled))
    assert "PAT-000" not in repr(found)


def test_original_uids_are_told_by_option(filled: House) -> None:
    patient = filled.pseudonyms.patient("PAT-000", "", "")[0]

    (study,) = reidentify(filled, patient, WHY, uids=True).studies

    assert study["study_uid"].startswith(ROOT)
    assert len(study["sop_instance_uids"]) == 8


def test_a_prediction_and_its_series_lead_to_the_same_person(filled: House) -> None:
    with writing(filled.engine) as connection:
        row, other = accepted_series(connection)
        model = a_model()
        assert row.patient is not None
        save_code(connection, CODE)
        save_model(connection, model, ())
        said = replace(a_prediction(a_series(), model), subject=row.uid, patient=row.patient, series_id=row.id)
        save_prediction(connection, said)

    by_prediction = reidentify(filled, said.id[:12], WHY)
    by_row = reidentify(filled, row.id[:12], WHY)
    by_uid = reidentify(filled, row.uid, WHY)

    assert by_prediction.record() == by_row.record() == by_uid.record()
    assert by_row.patient == row.patient
    assert by_row.persons != reidentify(filled, other.id, WHY).persons


NAMING = (
    "second look at Family",
    "fam\u00edlia? no: FAMILY, please",
    "about patient PAT-000 of last week",
    "about pat 000",
    "born on 01.01.1950, they say",
    "born 1950-01-01, they say",
)


def test_a_purpose_that_names_the_person_is_refused_and_written_nowhere(filled: House) -> None:
    patient = filled.pseudonyms.patient("PAT-000", "", "")[0]

    for purpose in NAMING:
        with pytest.raises(StateError, match="names the person"):
            reidentify(filled, patient, stated(purpose))

    assert not [purpose for purpose in NAMING if purpose in json.dumps(trail(filled), ensure_ascii=False)]
    looks = lookups(filled)
    assert {(look.outcome, look.purpose, look.patient) for look in looks} == {("refused", "", patient)}
    assert len(looks) == len(NAMING)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ({"Alphabetic": "王^小东"}, "找小东的片子 again"),
        ({"Alphabetic": "Müller^Jörg"}, "ask MULLER again"),
        ({"Alphabetic": "Müller^Jörg"}, "ask müller again"),
        ({"Alphabetic": "O'Brien^Pat"}, "ask o'brien again"),
        ({"Alphabetic": "O'Brien^Pat"}, "ask OBrien again"),
        ({"Alphabetic": "Zebra", "Ideographic": "斑馬"}, "ask zebra again"),
        ({"Alphabetic": "Zebra", "Ideographic": "斑馬"}, "ask about 斑馬 again"),
    ],
)
def test_a_name_is_recognised_however_it_is_typed(name: dict[str, str], said: str) -> None:
    identity = an_identity(modules={"00100010": {"vr": "PN", "Value": [name]}})

    assert stated(said).names([identity])
    assert not WHY.names([identity])


@pytest.mark.parametrize("purpose", ["", "   ", "why", "12345678", "x" * 400, "bell\x07 and whistle"])
def test_what_states_no_purpose_is_refused(purpose: str) -> None:
    with pytest.raises(ConfigurationError, match="purpose"):
        stated(purpose)


def test_what_is_no_pseudonym_leads_nowhere_and_is_not_written_down(filled: House) -> None:
    before = trail(filled)

    for subject in ("Family^PAT-000", "PAT-000", "1.2.3", "ser_ffff", "prd_ffff", ""):
        with pytest.raises(StateError):
            reidentify(filled, subject, WHY)
    assert trail(filled) == before


def test_whom_the_vault_does_not_know_is_said_on_the_record(filled: House) -> None:
    nobody = Pseudonym("P" + "A" * 16)

    with pytest.raises(StateError, match="holds no identity"):
        reidentify(filled, nobody, WHY)
    assert [(look.patient, look.outcome) for look in lookups(filled)] == [(nobody, "refused")]


def test_the_verb_prints_the_person_on_stdout_alone_and_asks_for_a_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cohort(tmp_path / "export", 1)
    monkeypatch.chdir(tmp_path)
    call, app = CliRunner().invoke, build()
    assert call(app, ["ingest", "export"]).exit_code == 0
    patient = json.loads(call(app, ["status", "--json"]).stdout) and only_patient(tmp_path)

    shown = call(app, ["reidentify", patient, "--purpose", "call back for a second reading", "--json"])
    table = call(app, ["reidentify", patient, "--purpose", "call back for a second reading", "--uids"])
    asked = json.loads(call(app, ["vault", "lookups", "--json"]).stdout)

    assert json.loads(shown.stdout)["persons"][0]["id"] == "PAT-000"
    assert "PAT-000" not in shown.stderr
    assert "Family^PAT-000" in table.stdout
    assert len(asked["lookups"]) == 2
    assert call(app, ["reidentify", patient]).exit_code != 0
    assert call(app, ["reidentify", patient, "--purpose", "-"]).exit_code != 0
    assert call(app, ["vault", "lookups"]).exit_code == 0
    assert json.loads(call(app, ["vault", "rotate", "--json"]).stdout)["version"] == 2
    assert "epoch 2: 1 patients" in call(app, ["keys", "new-epoch", "--purpose", "the key may be known"]).stdout


def only_patient(folder: Path) -> str:
    """Read the one pseudonym that stands in the safe store."""
    (record,) = (folder / "medflow-data" / "dicom").rglob("series.json")
    return str(json.loads(record.read_text())["patient"])
