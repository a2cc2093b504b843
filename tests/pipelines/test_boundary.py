"""Nothing that names a patient leaves the export and the vault: every byte that deployed runs write is read again."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.pipelines.conftest import Station
from tests.pipelines.export import CANARY, DIGITS

pytestmark = pytest.mark.slow
TOKENS = tuple(
    token.encode(coding)
    for word in (CANARY, CANARY.upper(), CANARY.lower(), DIGITS)
    for token in [word]
    for coding in ("utf-8", "utf-16-le")
)


@pytest.fixture(scope="module")
def haunted(station: Station, night: dict[str, str]) -> Station:
    """Give the station after a night that went well and nights that did not."""
    assert set(night.values()) == {"COMPLETED"}
    with _aside(station.export, station.inside / "gone"):
        station.run("medflow", "run", "nightly", "--wait", code=1)
    with _no_table_of_runs(station):
        station.run("medflow", "run", "ingest", "--wait", code=1)
    return station


def test_the_canaries_were_really_there(haunted: Station) -> None:
    assert any(_sightings(path) for path in haunted.inside.rglob("*") if path.is_file())


def test_a_radiograph_is_taken_in_and_one_with_a_name_in_its_pixels_is_not(haunted: Station) -> None:
    with closing(sqlite3.connect(haunted.data / "medflow.db")) as rows:
        found = rows.execute("SELECT state, reason FROM series WHERE modality = 'CR' ORDER BY state").fetchall()

    assert found == [("accepted", None), ("withheld", "burned-in-text")]


def test_what_the_runs_wrote_names_nobody(haunted: Station) -> None:
    seen = {str(path.relative_to(haunted.root)): found for path in _written(haunted) if (found := _sightings(path))}

    assert seen == {}


def test_no_file_that_the_runs_made_bears_a_name(haunted: Station) -> None:
    names = [str(path.relative_to(haunted.root)) for path in _written(haunted)]

    assert not [name for name in names if CANARY.lower() in name.lower() or DIGITS in name]


def test_prefect_holds_no_path_of_the_house_or_of_the_export(haunted: Station) -> None:
    with sqlite3.connect(f"file:{haunted.root}/prefect/prefect.db?mode=ro", uri=True) as rows:
        kept = "\n".join(rows.iterdump())

    assert str(haunted.inside) not in kept
    assert str(haunted.data) not in kept


def test_a_night_that_failed_left_a_report_of_codes(haunted: Station) -> None:
    with sqlite3.connect(f"file:{haunted.root}/prefect/prefect.db?mode=ro", uri=True) as rows:
        reports = rows.execute("SELECT data FROM artifact WHERE key = 'nightly'").fetchall()

    assert any("| ingest | **failed** | ingest: configuration |" in json.loads(report) for (report,) in reports)
    assert not any(str(haunted.root) in report for (report,) in reports)


def test_what_nobody_foresaw_is_a_type_and_nothing_more(haunted: Station) -> None:
    with sqlite3.connect(f"file:{haunted.root}/prefect/prefect.db?mode=ro", uri=True) as rows:
        failed = rows.execute("SELECT message FROM flow_run_state WHERE type = 'FAILED'").fetchall()

    assert any("ingest: unexpected OperationalError" in message for (message,) in failed)


@contextmanager
def _aside(path: Path, where: Path) -> Iterator[None]:
    path.rename(where)
    try:
        yield
    finally:
        where.rename(path)


@contextmanager
def _no_table_of_runs(station: Station) -> Iterator[None]:
    """Break the house in a way that nobody foresaw."""
    for renaming in ("run RENAME TO elsewhere", "elsewhere RENAME TO run"):
        with closing(sqlite3.connect(station.data / "medflow.db")) as rows:
            rows.execute("PRAGMA legacy_alter_table = ON")
            rows.execute(f"ALTER TABLE {renaming}")
            rows.commit()
        if renaming.startswith("run"):
            yield


def _written(station: Station) -> Iterator[Path]:
    """Give every file below the station but the export, its labels, the operator's settings and the vault."""
    given = {"medflow.toml", "vault.db", "vault.db-wal", "vault.db-shm"}
    for path in sorted(station.root.rglob("*")):
        if path.is_file() and station.inside not in path.parents and path.name not in given:
            yield path


def _sightings(path: Path) -> list[str]:
    content = path.read_bytes()
    return [token.decode("utf-8", "replace") for token in TOKENS if token in content]
