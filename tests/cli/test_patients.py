"""Facts about the verbs for people's rights: whom they take, what they print, and what they never print."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.steps.exports import SLICES, write_series


def test_an_id_on_standard_input_excludes_its_patient_and_is_printed_nowhere(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, out, err = medflow("patients", "exclude", "-", "--json", typed="PAT-1\n")
    ingested = json.loads(medflow("ingest", tmp_path / "export", "--json")[1])

    report = json.loads(out)
    assert (code, report["schema"], report["excluded"], report["changed"]) == (
        0,
        "medflow/patients-exclude/1",
        True,
        True,
    )
    assert "PAT-1" not in out + err
    assert ingested["files"] == {"seen": SLICES, "accepted": 0, "quarantined": 0, "ignored": SLICES}
    assert ingested["reasons"] == {"patient-excluded": SLICES}
    assert "does not stand" in medflow("patients", "exclude", report["patient"], "--lift")[1]
    assert json.loads(medflow("ingest", tmp_path / "export", "--json")[1])["series"]["new"] == 1


def test_a_placeholder_for_an_id_ends_with_2(medflow: Verb) -> None:
    code, out, err = medflow("patients", "exclude", "ANONYMOUS")

    assert (code, out) == (2, "")
    assert "names nobody" in err


def test_an_erasure_wants_to_be_meant_and_says_what_it_removed(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")
    medflow("export", "volumes", tmp_path / "out", "--native")

    assert medflow("patients", "erase", "-", typed="PAT-1\n")[0] == 2
    assert len(list((tmp_path / "medflow-data" / "dicom").rglob("series.json"))) == 1
    code, out, err = medflow("patients", "erase", "-", "--yes", "--json", "--purpose", "on request", typed="PAT-1\n")

    report = json.loads(out)
    assert (code, report["schema"]) == (0, "medflow/patients-erase/1")
    assert (report["series"], report["copies"], report["exports"], report["identities"]) == (1, 1, 1, 1)
    assert "PAT-1" not in out + err
    assert list((tmp_path / "out").iterdir()) == []
    assert json.loads(medflow("audit", "verify", "--json")[1])["whole"]
    code, out, _ = medflow("patients", "erase", report["patient"], "--yes")
    assert (code, "erased:" in out) == (0, True)


def test_an_erasure_that_cannot_reach_an_export_ends_with_1(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")
    medflow("export", "volumes", tmp_path / "mount" / "out", "--native")
    (tmp_path / "mount").rename(tmp_path / "away")

    code, out, _ = medflow("patients", "erase", "PAT-1", "--yes")

    assert code == 1
    assert "1 exports could not be reached" in out


def test_retention_says_what_it_would_remove_and_then_removes_it(
    medflow: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")
    monkeypatch.setenv("MEDFLOW_KEEP_SERIES", "1")

    dry = json.loads(medflow("retention", "--dry-run", "--json")[1])
    code, out, _ = medflow("retention")

    assert (dry["schema"], dry["dry_run"], dry["series"]) == ("medflow/retention/1", True, 0)
    assert (code, "removed" in out) == (0, True)


def test_nothing_is_erased_where_nothing_was_taken_in(medflow: Verb, tmp_path: Path) -> None:
    assert medflow("patients", "erase", "PAT-1", "--yes")[0] == 2
    assert medflow("retention")[0] == 2
    assert not (tmp_path / "medflow-data").exists()
