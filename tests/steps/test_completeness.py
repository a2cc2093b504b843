"""A verdict goes with a series from its headers and the PACS through the database to what is said of it."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from medflow.dicom.pacs import pacs_of
from medflow.domain.completeness import Verdict
from medflow.domain.safe import SeriesUID
from medflow.steps.audit import events
from medflow.steps.house import House, open_house
from medflow.steps.ingest import ingest
from medflow.steps.predictions import listed
from medflow.steps.score import score
from medflow.steps.status import status
from medflow.store.engine import reading
from medflow.store.series import SeriesRow, revisions
from tests.conftest import Database
from tests.orthanc import Orthanc, free_port
from tests.steps.conftest import EXPORT, PATIENTS, outside, places
from tests.steps.exports import SLICES, write_series


def announce(paths: list[Path], count: int) -> None:
    for path in paths:
        original = pydicom.dcmread(path)
        original.ImagesInAcquisition = count
        original.save_as(path, enforce_file_format=True)


def rows_of(house: House, path: Path) -> tuple[SeriesRow, ...]:
    uid = house.pseudonyms.uid(pydicom.dcmread(path).SeriesInstanceUID)
    with reading(house.engine) as connection:
        return revisions(connection, SeriesUID(uid))


def test_what_lacks_images_is_marked_and_not_scored_until_a_late_slice_proves_it(
    trained: House, tmp_path: Path
) -> None:
    export = tmp_path / "export" / "late"
    announce(write_series(export, patient="PAT-901", slices=(0, 1, 2, 3, 4, 5)), SLICES)
    ingest(trained, tmp_path / "export", source=EXPORT)
    first = score(trained)
    late = write_series(export, patient="PAT-901", slices=(6, 7))
    announce(late, SLICES)
    ingest(trained, tmp_path / "export", source=EXPORT)
    second = score(trained)

    assert first.refused == {"incomplete-series": 1}
    assert (first.scored, second.scored) == (PATIENTS + 1, 1)
    older, newer = rows_of(trained, late[0])
    assert (older.state, older.completeness) == ("superseded", Verdict.CONTRADICTED)
    assert (newer.state, newer.completeness) == ("accepted", Verdict.PROVEN)
    marks = {said.prediction.series_id: said.prediction.completeness for said in listed(trained)}
    assert marks.pop(newer.id) == "proven"
    assert set(marks.values()) == {"quiet-only"}
    kinds = [event["kind"] for event in events(trained, subject=older.id, run=None, limit=99)]
    assert kinds == ["series-accepted", "scoring-refused", "series-superseded"]
    assert status(trained).counts.completeness == {"proven": 1, "quiet-only": PATIENTS + 1}


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_the_pacs_knows_of_slices_that_were_not_exported(
    orthanc: Orthanc, way: str, sqlite_database: Database, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    paths = write_series(export, patient=f"PAT-{way}")
    orthanc.store(*map(pydicom.dcmread, paths))
    missing = paths.pop()
    content = missing.read_bytes()
    missing.unlink()
    asked = pacs_of(getattr(orthanc, way), own_title="MEDFLOW", timeout=10.0)
    house = open_house(replace(places(tmp_path / "data", sqlite_database), pacs=asked), outside())

    first = ingest(house, export, source=EXPORT)
    missing.write_bytes(content)
    ingest(house, export, source=EXPORT)

    verdicts = [(row.completeness, row.evidence[0].announced) for row in rows_of(house, missing)]
    assert verdicts == [(Verdict.CONTRADICTED, SLICES), (Verdict.PROVEN, SLICES)]
    (closed,) = [e for e in events(house, subject=None, run=first.run, limit=99) if e["kind"] == "run-closed"]
    assert closed["detail"]["pacs"] == {"asked": 1, "answered": 1, "gave_up": False}
    house.close()


def test_a_pacs_that_does_not_answer_stops_nothing_and_is_on_record(sqlite_database: Database, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "export", patient="PAT-1")
    asked = pacs_of(f"dicom://GONE@127.0.0.1:{free_port()}", own_title="MEDFLOW", timeout=1.0)
    house = open_house(replace(places(tmp_path / "data", sqlite_database), pacs=asked), outside())

    report = ingest(house, tmp_path / "export", source=EXPORT)

    (row,) = rows_of(house, paths[0])
    assert (report.series.new, row.completeness) == (1, Verdict.QUIET_ONLY)
    (closed,) = [e for e in events(house, subject=None, run=report.run, limit=99) if e["kind"] == "run-closed"]
    assert closed["detail"]["pacs"] == {"asked": 1, "answered": 0, "gave_up": False}
    house.close()
