"""Facts about the command line: what is printed where, and what the exit code means."""

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.steps.exports import SLICES, write_cohort, write_series


def test_ingest_prints_one_json_object_and_ends_with_0_where_nothing_is_refused(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, out, err = medflow("ingest", tmp_path / "export", "--json")

    report = json.loads(out)
    assert code == 0
    assert report["schema"] == "medflow/ingest/1"
    assert report["files"] == {"seen": SLICES, "accepted": SLICES, "quarantined": 0, "ignored": 0}
    assert report["series"] == {"accepted": 1, "new": 1, "refused": 0, "withheld": 0}
    assert "first use" in err


def test_ingest_ends_with_1_where_a_file_is_quarantined(medflow: Verb, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "empty.dcm").touch()

    code, out, _ = medflow("ingest", tmp_path / "export")

    assert code == 1
    assert "empty-file" in out


def test_a_folder_that_is_not_there_ends_with_2_and_is_not_named(medflow: Verb, tmp_path: Path) -> None:
    code, out, err = medflow("ingest", tmp_path / "Family^Jane")

    assert (code, out) == (2, "")
    assert "not done" in err
    assert "Jane" not in err


def test_nothing_is_made_inside_the_export(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    code, _, err = medflow("ingest", tmp_path / "export", "--data-dir", tmp_path / "export" / "data")

    assert code == 2
    assert "MEDFLOW_DATA_DIR" in err
    assert not (tmp_path / "export" / "data").exists()


def test_a_verb_that_is_not_there_ends_with_2(medflow: Verb) -> None:
    assert medflow("scoer")[0] == 2


def test_reading_before_anything_was_taken_in_ends_with_2_and_says_what_to_do(medflow: Verb) -> None:
    code, _, err = medflow("predictions", "--json")

    assert code == 2
    assert "medflow ingest" in err


def test_labels_that_cannot_be_stored_end_with_1_and_a_line_number(medflow: Verb, tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "export", 1)
    table.write_text(table.read_text() + "PAT-GHOST,dull\n")
    medflow("ingest", tmp_path / "export")

    code, out, err = medflow("labels", "import", table)

    assert code == 1
    assert "unknown: line 3" in out
    assert "GHOST" not in out + err


def test_a_task_file_with_mistakes_names_their_lines(medflow: Verb, tmp_path: Path) -> None:
    task = tmp_path / "task.yaml"
    task.write_text("name: x\nmodalty: CT\n")

    code, _, err = medflow("train", task)

    assert code == 2
    assert "line 2" in err


def test_a_setting_that_is_wrong_is_named_and_its_value_is_not(medflow: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDFLOW_SOURCES", "secret-without-equals")

    code, _, err = medflow("status")

    assert code == 2
    assert "sources" in err
    assert "secret" not in err


def test_the_audit_trail_can_be_verified_and_shown(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")

    verified = json.loads(medflow("audit", "verify", "--json")[1])
    shown = json.loads(medflow("audit", "show", "--json")[1])

    assert verified["whole"]
    assert verified["rows"] == len(shown["events"]) == 3


def test_deidentify_needs_no_database_and_gives_the_same_bytes_under_one_key(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")
    key = tmp_path / "medflow-data" / "keys" / "pseudonym.key"

    for name in ("one", "two"):
        code, _, _ = medflow("deidentify", tmp_path / "export", tmp_path / name, "--key", key)
        assert code == 0

    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.dcm")} for n in ("one", "two"))
    assert len(one) == SLICES
    assert one == two
    assert not any(b"PAT-1" in content for content in one.values())


def test_deidentify_says_what_it_did_by_which_profile_and_for_whom(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    (tmp_path / "export" / "Family^Jane.dcm").touch()
    (tmp_path / "pseudonym.key").write_bytes(bytes(range(32)))
    (tmp_path / "pseudonym.key").chmod(0o600)
    shipped = Path(str(resources.files("medflow.deid") / "tables" / "default.yaml"))
    options = ("--key", tmp_path / "pseudonym.key", "--recipient", "TRIAL-7")

    code, out, _ = medflow("deidentify", tmp_path / "export", tmp_path / "one", *options, "--json")
    again, drawn, _ = medflow("deidentify", tmp_path / "export", tmp_path / "two", *options, "--profile", shipped)

    report = json.loads(out)
    assert (code, again) == (1, 1)
    assert report["withheld"] == [{"file": SLICES + 1, "state": "quarantined", "reason": "empty-file"}]
    assert report == json.loads((tmp_path / "one" / "report.json").read_bytes())
    assert report["editions"]
    assert "empty-file" in drawn
    assert "113100" in drawn
    assert "Jane" not in out + drawn
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.dcm")} for n in ("one", "two"))
    assert one == two


def test_the_quarantine_lists_keys_and_shows_the_path_of_one(medflow: Verb, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "empty.dcm").touch()
    medflow("ingest", tmp_path / "export")

    (entry,) = json.loads(medflow("quarantine", "list", "--json")[1])["files"]
    shown = json.loads(medflow("quarantine", "show", entry["id"][:8], "--json")[1])

    assert entry["reason"] == "empty-file"
    assert shown["path"].endswith("empty.dcm")


def test_volumes_are_exported_by_one_of_two_ways(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    medflow("ingest", tmp_path / "export")

    assert medflow("export", "volumes", tmp_path / "out")[0] == 2
    assert medflow("export", "volumes", tmp_path / "out", "--native")[0] == 0
    assert len(list((tmp_path / "out").rglob("*.nii.gz"))) == 1
