"""A series that still holds identity is withheld, and nothing of it stays."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import DeidentifiedSeries
from medflow.errors import Reason, SeriesError
from medflow.steps.audit import events
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.verify import Verified, check, verify_against_originals, verify_against_vault
from medflow.store import series as series_rows
from medflow.store.engine import reading
from medflow.store.files import described
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_cohort, write_series


def taken_in(house: House) -> DeidentifiedSeries:
    with reading(house.engine) as connection:
        (row,) = series_rows.accepted_series(connection)
    return described(house.safe, row)


def leak(safe: DeidentifiedSeries) -> None:
    path = safe.folder / safe.files[1].name
    path.chmod(0o640)
    path.write_bytes(path.read_bytes() + b"seen: PAT-7731")


def test_a_run_says_what_was_looked_at_once_more(house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 2)

    ingest(house, tmp_path / "export", source=EXPORT)

    (closed,) = [each for each in events(house, subject=None, run=None, limit=99) if each["kind"] == "run-closed"]
    verified = closed["detail"]["verified"]
    assert (verified["series"], verified["files"], verified["findings"]) == (2, 2 * (SLICES + 1), 0)
    assert 0 <= float(verified["expected_false_alarms"]) < 0.1


def test_a_series_in_which_identity_remains_is_withheld_and_removed(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-7731")
    ingest(house, tmp_path / "export", source=EXPORT)
    safe = taken_in(house)
    copy = house.safe / "study" / "series" / "copy"
    shutil.copytree(safe.folder, copy)
    (scanned,) = scan_folder(tmp_path / "export").series
    unknown = DeidentifiedSeries(
        **{name: getattr(safe, name) for name in safe.__slots__}
        | {"folder": copy, "source_digest": "of a series that no row stands for"}
    )
    leak(unknown)
    verified = Verified()

    with pytest.raises(SeriesError) as withheld:
        check(house, lay_out(scanned).series, unknown, verified)

    assert withheld.value.reason is Reason.IDENTITY_REMAINS
    assert withheld.value.detail == "name in behind the data set, patient-id in behind the data set"
    assert not copy.exists()
    assert safe.folder.exists()
    assert verified.findings > 0


def test_files_on_which_an_accepted_row_stands_are_not_removed(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-7731")
    ingest(house, tmp_path / "export", source=EXPORT)
    safe = taken_in(house)
    leak(safe)
    (scanned,) = scan_folder(tmp_path / "export").series

    with pytest.raises(SeriesError):
        check(house, lay_out(scanned).series, safe, Verified())

    assert safe.folder.exists()


def test_the_vaults_identities_are_looked_for_on_the_record(any_house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 2)
    ingest(any_house, tmp_path / "export", source=EXPORT)
    clean = verify_against_vault(any_house, any_house.safe, purpose="audit of March", seed=1)
    (victim, *_) = sorted(any_house.safe.glob("*/*/*/IM000002.dcm"))
    victim.chmod(0o640)
    victim.write_bytes(victim.read_bytes() + b"\0Family PAT-001 PAT-000")

    found = verify_against_vault(any_house, any_house.safe, purpose="audit of April", seed=1)

    assert (clean.clean, clean.complete, clean.unmatched) == (True, True, 0)
    assert {finding.kind.value for finding in found.findings} == {"name", "patient-id"}
    asked = [
        each for each in events(any_house, subject=None, run=None, limit=99) if each["kind"] == "vault-read-requested"
    ]
    assert [each["detail"]["purpose"] for each in asked].count("audit of April") == 2


def test_objects_of_nobody_we_know_are_never_passed_in_silence(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    write_series(tmp_path / "other", patient="PAT-2")

    by_vault = verify_against_vault(house, tmp_path / "other", purpose="trial", seed=1)
    (tmp_path / "out").mkdir()
    for source in ("export", "other"):
        shutil.copytree(tmp_path / source, tmp_path / "out" / source)
    by_originals = verify_against_originals(tmp_path / "out", tmp_path / "export", seed=1)

    assert (by_vault.unmatched, by_vault.complete) == (SLICES, False)
    assert (by_originals.unmatched, by_originals.complete) == (SLICES, False)
    assert "PAT-2" not in str([each["subject"] for each in events(house, subject=None, run=None, limit=99)])


def test_a_patient_who_is_called_like_the_site_is_taken_in(house: House, tmp_path: Path) -> None:
    for path in write_series(tmp_path / "export", patient="PAT-7731"):
        original = dcmread(path)
        original.PatientName = "Northolt^Northolt"
        original.save_as(path, enforce_file_format=True)

    report = ingest(house, tmp_path / "export", source=replace(EXPORT, site="northolt"))

    assert (report.series.accepted, report.series.withheld) == (1, 0)
