"""Retention: each store forgets in its own time, the trail says how much, and nothing comes back by itself."""

import os
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medflow.domain.keep import Keep
from medflow.errors import Reason, StateError
from medflow.imaging.cache import VolumeCache
from medflow.settings import read_settings
from medflow.steps.export import Wish, export_volumes
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.retention import retention
from medflow.steps.rights import person_of
from medflow.store import exports, files
from medflow.store import series as series_rows
from medflow.store.audit import events, verify
from medflow.store.engine import reading
from medflow.store.series import SeriesRow
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_series

DAY = timedelta(days=1)
GRID = "0" * 64


def aged(house: House, days: float) -> House:
    """The same house, that many days later."""
    start, ticks = house.now() + days * DAY, count()
    clock = lambda: start + timedelta(seconds=next(ticks))  # noqa: E731  (handed in, as the flow hands it in)
    return replace(house, outside=replace(house.outside, now=clock))


def rows_of(house: House) -> tuple[SeriesRow, ...]:
    with reading(house.engine) as connection:
        patients = [name for name in map(house.pseudonyms.patient_of_id, ("PAT-1", "PAT-2")) if name]
        return series_rows.series_of(connection, patients)


def audited(house: House, kind: str) -> list[dict[str, Any]]:
    with reading(house.engine) as connection:
        assert verify(connection, house.signer).faults == ()
        return events(connection, kind=kind)


@pytest.fixture
def filled(house: House, tmp_path: Path) -> House:
    """A house that took in a series of one patient."""
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    return house


@pytest.fixture
def filled_anywhere(any_house: House, tmp_path: Path) -> House:
    """The same, on SQLite and on PostgreSQL."""
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(any_house, tmp_path / "export", source=EXPORT)
    return any_house


def test_without_a_setting_only_the_cache_is_bounded() -> None:
    assert read_settings().keep() == Keep(volumes=90 * DAY)
    assert read_settings(keep_series=30, keep_volumes=0).keep() == Keep(series=30 * DAY)


def test_a_stored_series_goes_when_its_time_ends_and_the_same_files_do_not_bring_it_back(
    filled_anywhere: House, tmp_path: Path
) -> None:
    filled = filled_anywhere
    keep = Keep(series=30 * DAY)
    assert retention(aged(filled, 29), keep).series == 0
    (stored,) = files.records(next(filled.safe.glob("*/*")))
    later = aged(filled, 31)

    dry = retention(later, keep, dry_run=True)
    assert (dry.series, dry.copies, rows_of(filled)[0].state) == (1, 1, "accepted")
    report = retention(later, keep)

    assert (report.series, report.copies, report.examples) == (1, 1, 0)
    assert list(filled.safe.iterdir()) == []
    (row,) = rows_of(filled)
    assert (row.id, row.state, row.reason) == (stored.id, "erased", Reason.RETENTION_ENDED)
    with pytest.raises(StateError, match="holds nothing of it"):
        files.described(filled.safe, row)
    done = ingest(later, tmp_path / "export", source=EXPORT)
    assert (done.files.ignored, done.reasons) == (SLICES, {Reason.RETENTION_ENDED: SLICES})
    assert (done.series.accepted, done.series.new) == (0, 0)
    assert retention(later, keep).series == 0
    (event,) = audited(filled, "series-retention-ended")
    assert (event["subject"], event["detail"]["state"]) == (row.id, "accepted")
    assert audited(filled, "run-closed")[-1]["detail"]["series"] == 0


def test_a_replaced_revision_goes_after_its_own_time_and_the_one_that_stands_stays(
    filled_anywhere: House, tmp_path: Path
) -> None:
    filled = filled_anywhere
    later = aged(filled, 100)
    write_series(tmp_path / "export", patient="PAT-1", slices=tuple(range(SLICES - 1)))
    write_series(tmp_path / "export" / "more", patient="PAT-1", slices=(SLICES - 1,), bright=True)
    ingest(later, tmp_path / "export", source=EXPORT)
    assert sorted(row.state for row in rows_of(filled)) == ["accepted", "superseded"]
    keep = Keep(superseded=10 * DAY)

    assert retention(aged(later, 9), keep).series == 0  # counted from the day on which it was replaced
    assert retention(aged(later, 11), keep).series == 1

    by_state = {row.state: row for row in rows_of(filled)}
    assert sorted(by_state) == ["accepted", "erased"]
    assert len(list(filled.safe.rglob("series.json"))) == 1
    files.load(filled.safe, by_state["accepted"])


def test_volumes_go_when_they_are_old_and_cost_time_alone(filled: House) -> None:
    cache = VolumeCache(root=filled.volumes)
    for name in ("a" * 64, "b" * 64):
        cache.put(name, GRID, np.zeros((2, 2, 2), np.float32))
    old = (filled.now() - 91 * DAY).timestamp()
    for path in filled.volumes.glob("a*"):
        os.utime(path, (old, old))
    new = (filled.now() - 89 * DAY).timestamp()
    for path in filled.volumes.glob("b*"):
        os.utime(path, (new, new))

    assert retention(filled, Keep(volumes=90 * DAY), dry_run=True).volumes == 1
    assert retention(filled, Keep(volumes=90 * DAY)).volumes == 1

    assert cache.get("a" * 64, GRID) is None
    assert cache.get("b" * 64, GRID) is not None
    assert retention(filled, Keep()).volumes == 0


def test_exports_go_when_they_are_old_wherever_they_were_written(filled: House, tmp_path: Path) -> None:
    export_volumes(filled, tmp_path / "out", Wish(task=None))
    (tmp_path / "out" / "notes.txt").write_text("mine")
    keep = Keep(exports=7 * DAY)

    assert retention(aged(filled, 6), keep).exports == 0
    assert retention(aged(filled, 8), keep).exports == 1

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    with reading(filled.engine) as connection:
        assert exports.exports(connection) == ()


def test_an_export_that_cannot_be_reached_stays_remembered(filled: House, tmp_path: Path) -> None:
    export_volumes(filled, tmp_path / "mount" / "out", Wish(task=None))
    (tmp_path / "mount").rename(tmp_path / "away")
    keep, later = Keep(exports=7 * DAY), aged(filled, 8)

    report = retention(later, keep)
    assert (report.exports, report.exports_left) == (0, 1)

    (tmp_path / "away").rename(tmp_path / "mount")
    report = retention(later, keep)
    assert (report.exports, report.exports_left) == (1, 0)
    assert list((tmp_path / "mount" / "out").iterdir()) == []


def test_the_vault_forgets_a_patient_of_whom_nothing_new_came_and_is_not_told_again(
    filled_anywhere: House, tmp_path: Path
) -> None:
    filled = filled_anywhere
    patient = person_of(filled, "PAT-1").patient
    later = aged(filled, 100)
    write_series(tmp_path / "export" / "new", patient="PAT-2")
    ingest(later, tmp_path / "export", source=EXPORT)
    keep = Keep(identities=30 * DAY)

    assert retention(later, keep, dry_run=True).identities == 1
    assert retention(later, keep).identities == 1

    assert filled.vault.places([patient]) == ()
    assert len(filled.vault.places([person_of(filled, "PAT-2").patient])) == 1
    done = ingest(later, tmp_path / "export", source=EXPORT)
    assert (done.series.accepted, done.series.new) == (2, 0)
    assert filled.vault.places([patient]) == ()
    assert retention(later, keep).identities == 0
    (event,) = audited(filled, "identity-retention-ended")
    assert event["subject"] == patient
