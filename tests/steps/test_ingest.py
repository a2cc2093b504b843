"""Facts about taking in an export: every file accounted for, everything once, nothing touched."""

import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from medflow.deid.folder import being_written, place_files
from medflow.deid.series import Source
from medflow.errors import BatchError, ConfigurationError, Reason
from medflow.steps.account import Counts
from medflow.steps.audit import events, verify
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.store import files, runs, series
from medflow.store.engine import reading
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_cohort, write_series


def _kinds(house: House) -> list[str]:
    return [event["kind"] for event in events(house, subject=None, run=None, limit=1000)]


def _results(house: House) -> list[tuple[object, ...]]:
    with reading(house.engine) as connection:
        rows = [*series.accepted_series(connection), *series.turned_away(connection)]
        seen = runs.files(connection)
    return [(r.id, r.state, r.revision, r.series_digest) for r in rows] + [
        (f.file_key, f.state, f.reason, f.series_id) for f in seen
    ]


def test_every_file_is_accepted_quarantined_or_ignored_with_a_reason(any_house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    whole = write_series(export / "a", patient="PAT-1")
    (export / "notes.txt").write_text("seen by Family")
    (export / "empty.dcm").touch()
    (export / "cut.dcm").write_bytes(whole[0].read_bytes()[:700])
    shutil.copy(whole[1], export / "again.dcm")

    report = ingest(any_house, export, source=EXPORT)

    assert report.files == Counts(seen=SLICES + 4, accepted=SLICES, quarantined=2, ignored=2)
    assert report.reasons[Reason.NOT_DICOM] == report.reasons[Reason.EMPTY_FILE] == report.reasons[Reason.RESENT] == 1
    assert sum(report.reasons.values()) == 4
    assert verify(any_house).faults == ()


def test_taking_in_the_same_folder_twice_leaves_the_rows_of_once(any_house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 3)
    (tmp_path / "export" / "junk").write_bytes(b"\0" * 9)
    ingest(any_house, tmp_path / "export", source=EXPORT)
    once, told = _results(any_house), [kind for kind in _kinds(any_house) if not kind.startswith("run-")]

    report = ingest(any_house, tmp_path / "export", source=EXPORT)

    assert (report.series.accepted, report.series.new) == (3, 0)
    assert _results(any_house) == once
    assert [kind for kind in _kinds(any_house) if not kind.startswith("run-")] == told


def test_what_a_stopped_run_left_undone_the_next_one_does(open_again: Callable[[], House], tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 4)

    class Plug:
        parts = 0

        def start(self, what: str, total: int | None) -> None:  # noqa: ARG002  (a Progress)
            self.parts = 0 if what == "taking in series" else -1000

        def advance(self, parts: int = 1) -> None:
            self.parts += parts
            if self.parts == 2:
                raise KeyboardInterrupt

    house = open_again()
    with pytest.raises(KeyboardInterrupt):
        ingest(house, tmp_path / "export", source=EXPORT, progress=Plug())
    report = ingest(open_again(), tmp_path / "export", source=EXPORT)

    assert (report.series.accepted, report.series.new) == (4, 2)
    assert _kinds(house).count("series-accepted") == 4
    assert _kinds(house).count("run-failed") == 1


def test_a_late_slice_makes_a_new_revision_that_supersedes_the_old_one(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    write_series(export, patient="PAT-1", slices=(0, 1, 2, 3, 4, 5, 6))
    ingest(house, export, source=EXPORT)
    write_series(export, patient="PAT-1", slices=(7,))

    report = ingest(house, export, source=EXPORT)

    assert (report.series.new, report.files.accepted) == (1, SLICES)
    with reading(house.engine) as connection:
        (row,) = series.accepted_series(connection)
        assert [r.state for r in series.revisions(connection, row.uid)] == ["superseded", "accepted"]
    assert "series-superseded" in _kinds(house)


def test_a_series_that_is_still_arriving_waits_for_the_next_run(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    old = write_series(export / "old", patient="PAT-1")
    new = write_series(export / "new", patient="PAT-2")
    now = house.now().timestamp()
    for path in [*old, *new[1:]]:
        os.utime(path, (now - 3600, now - 3600))
    os.utime(new[0], (now - 5, now - 5))

    report = ingest(house, export, source=EXPORT, quiet=60)

    assert (report.series.new, report.files.seen, report.waiting) == (1, SLICES, SLICES)


def test_the_export_is_left_as_it_was(house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 2)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (tmp_path / "export").rglob("*")}

    ingest(house, tmp_path / "export", source=EXPORT)

    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (tmp_path / "export").rglob("*")}
    assert after == before


def test_a_lost_safe_copy_is_written_again_with_the_same_bytes(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    first = {path.name: path.read_bytes() for path in house.safe.rglob("*") if path.is_file()}
    shutil.rmtree(house.safe)

    report = ingest(house, tmp_path / "export", source=EXPORT)

    assert report.series.new == 0
    assert {path.name: path.read_bytes() for path in house.safe.rglob("*") if path.is_file()} == first


def test_what_a_killed_run_was_writing_is_cleared_by_the_next_one_and_what_is_being_written_is_not(
    house: House, tmp_path: Path
) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    (series_folder,) = house.safe.glob("*/*")
    (series_folder / ".writing-left").mkdir()

    with being_written(series_folder) as folder:
        ingest(house, tmp_path / "export", source=EXPORT)

        assert list(series_folder.glob(".writing-*")) == [folder]


def test_a_missing_slice_makes_two_volumes_of_one_accepted_series(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1", slices=(0, 1, 2, 4, 5, 6, 7))

    ingest(house, tmp_path / "export", source=EXPORT)

    with reading(house.engine) as connection:
        (row,) = series.accepted_series(connection)
    assert (row.layouts, row.slices) == (2, 7)


def test_no_row_and_no_safe_file_names_the_patient(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-7731")

    ingest(house, tmp_path / "export", source=EXPORT)

    house.close()
    for path in house.data.rglob("*"):
        assert "PAT-7731" not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert b"PAT-7731" not in content, path.name
            assert b"Family" not in content, path.name


def test_a_folder_that_is_not_there_is_named_to_nobody(house: House, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        ingest(house, tmp_path / "Family^Jane", source=EXPORT)

    assert "Family" not in str(wrong.value)


def test_too_many_unforeseen_failures_stop_the_run_and_are_on_record(house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 6)
    house.safe.parent.mkdir(parents=True, exist_ok=True)
    house.safe.write_text("a file stands where the folder should be")

    with pytest.raises(BatchError):
        ingest(house, tmp_path / "export", source=EXPORT)

    assert "run-failed" in _kinds(house)


def test_the_same_files_from_another_source_leave_the_stored_copy_as_its_row_says(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    (tmp_path / "export").rename(tmp_path / "moved")

    report = ingest(house, tmp_path / "moved", source=Source(name="moved", site="south"))

    assert (report.files.accepted, report.series.new) == (8, 0)
    with reading(house.engine) as connection:
        (row,) = series.accepted_series(connection)
    assert files.load(house.safe, row).descriptors.site == EXPORT.site


def test_what_another_process_placed_in_the_meantime_stays_in_its_place(tmp_path: Path) -> None:
    parent = tmp_path / "study" / "series"
    final, mine = parent / "final", parent / "mine"
    mine.mkdir(parents=True)
    (mine / "a.dcm").write_bytes(b"the same")
    placing = threading.Thread(target=place_files, args=(mine, final, tmp_path))

    lock = os.open(parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as the other one holds it while it places its own
    placing.start()
    shutil.copytree(mine, final)
    theirs = final.stat().st_ino
    os.close(lock)
    placing.join()

    assert final.stat().st_ino == theirs
    assert mine.is_dir()
