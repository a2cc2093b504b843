"""Facts about `medflow deid verify`: what its exit code means, and that it prints no value."""

import json
from pathlib import Path

from tests.cli.conftest import Verb
from tests.steps.exports import SLICES, write_series


def test_what_deidentify_wrote_is_clean_until_a_name_is_put_back(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-7731")
    medflow("deidentify", tmp_path / "export", tmp_path / "out")

    clean, _, _ = medflow("deid", "verify", tmp_path / "out", "--originals", tmp_path / "export")
    victim = sorted((tmp_path / "out").rglob("*.dcm"))[3]
    victim.chmod(0o640)
    victim.write_bytes(victim.read_bytes().replace(bytes(128), b"Family^PAT-7731".ljust(128, b"\0"), 1))
    found, out, err = medflow("deid", "verify", tmp_path / "out", "--originals", tmp_path / "export", "--json")
    drawn, table, _ = medflow("deid", "verify", tmp_path / "out", "--originals", tmp_path / "export")

    report = json.loads(out)
    assert (clean, found, drawn) == (0, 1, 1)
    assert report["schema"] == "medflow/deid-verify/1"
    assert report["planted"] == report["planted_found"] != {}
    assert {(each["file"], each["kind"], each["place"]) for each in report["findings"]} == {
        (4, "name", "preamble"),
        (4, "patient-id", "preamble"),
    }
    assert not [word for word in ("Family", "7731") if word in out + err + table]


def test_without_originals_the_vault_says_who_it_was(medflow: Verb, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-7731")
    medflow("ingest", tmp_path / "export")

    known, out, _ = medflow("deid", "verify", tmp_path / "medflow-data" / "dicom", "--json")
    unknown, said, _ = medflow("deid", "verify", tmp_path / "export")

    assert (known, json.loads(out)["objects"]) == (0, SLICES)
    assert unknown == 2
    assert f"not checked: {SLICES} objects of whose patient no identity is known" in said


def test_a_folder_that_is_not_there_ends_with_2(medflow: Verb, tmp_path: Path) -> None:
    code, _, err = medflow("deid", "verify", tmp_path / "Family", "--originals", tmp_path)

    assert code == 2
    assert "Family" not in err
