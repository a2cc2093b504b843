"""Runs and files: counts that add up, and every file as it was last seen."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError as Refused

from medflow.domain.series import FileState
from medflow.errors import IntegrityError, Reason, StateError
from medflow.store.engine import reading, writing
from medflow.store.runs import FileRow, close_run, file_row, files, known_files, open_run, run_row, runs, save_files
from medflow.store.series import save_series
from tests.store.made import CODE, NOON, RUN, a_run, a_series

COUNTS = {"files_seen": 6, "files_accepted": 3, "files_quarantined": 2, "files_ignored": 1, "series_new": 1}
SEEN = st.builds(
    FileRow,
    file_key=st.text("0123456789abcdef", min_size=32, max_size=32),
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    state=st.sampled_from([FileState.QUARANTINED, FileState.IGNORED]),
    reason=st.sampled_from(Reason),
    detail=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=20),
)


@pytest.fixture
def running(engine: Engine) -> Engine:
    """A database with an open run and an accepted series."""
    with writing(engine) as connection:
        a_run(connection)
        save_series(connection, a_series(), run_id=RUN, at=NOON)
    return engine


def test_a_run_opens_and_closes_once(running: Engine) -> None:
    later = NOON + timedelta(seconds=1)
    with reading(running) as connection:
        (opened,) = runs(connection)
    with writing(running) as connection:
        close_run(connection, RUN, at=later, counts=COUNTS)
    with reading(running) as connection:
        closed = run_row(connection, "run")
    with pytest.raises(StateError, match="run_1 is not open"), writing(running) as connection:
        close_run(connection, RUN, at=later, state="failed")

    assert (opened.state, opened.closed, opened.opened, opened.actor) == ("open", None, NOON, "tester")
    assert set(opened.counts.values()) == {0}
    assert (closed.state, closed.closed) == ("done", later)
    assert {name: number for name, number in closed.counts.items() if number} == COUNTS


@pytest.mark.parametrize("wrong", [{"files_seen": 7}, {"files_ignored": 2}, {"members_seen": 1}])
def test_a_run_whose_counts_do_not_add_up_is_not_closed(running: Engine, wrong: dict[str, int]) -> None:
    with pytest.raises(IntegrityError, match="do not add up"), writing(running) as connection:
        close_run(connection, RUN, at=NOON, counts={**COUNTS, **wrong})
    changes = ", ".join(f"{name} = {number}" for name, number in {**COUNTS, **wrong}.items())
    with pytest.raises(Refused), writing(running) as connection:
        connection.execute(text(f"UPDATE run SET {changes}"))


def test_a_run_counts_only_what_runs_count(running: Engine) -> None:
    with pytest.raises(ValueError, match="does not count elephants"), writing(running) as connection:
        close_run(connection, RUN, at=NOON, counts={"elephants": 1})


def test_the_latest_runs_come_first(running: Engine) -> None:
    with writing(running) as connection:
        for number in (2, 3):
            at = NOON + timedelta(days=number)
            open_run(connection, id=f"run_{number}", kind="score", source="", at=at, actor="a", code=CODE.digest)
    with reading(running) as connection:
        assert [run.id for run in runs(connection)] == ["run_3", "run_2", "run_1"]
        assert [run.id for run in runs(connection, limit=1)] == ["run_3"]
        assert [run.id for run in runs(connection, kind="ingest")] == ["run_1"]
        with pytest.raises(StateError, match="'run_' is ambiguous"):
            run_row(connection, "run_")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(SEEN, max_size=5, unique_by=lambda row: row.file_key))
def test_what_is_saved_of_a_file_comes_out_again(running: Engine, rows: list[FileRow]) -> None:
    with writing(running) as connection:
        save_files(connection, RUN, rows)
    with reading(running) as connection:
        found = known_files(connection, [row.file_key for row in rows] + ["unknown"])
    assert found == {row.file_key: replace(row, first_run=RUN, last_run=RUN) for row in rows}


def test_a_file_seen_again_is_one_row_that_remembers_its_first_run(running: Engine) -> None:
    row = FileRow(file_key="f" * 32, size=1, mtime_ns=1, state=FileState.QUARANTINED, reason=Reason.EMPTY_FILE)
    grown = replace(row, size=2, mtime_ns=2, state=FileState.ACCEPTED, reason=None, series_id=a_series().id)
    with writing(running) as connection:
        a_run(connection, "run_2")
        save_files(connection, RUN, [row])
        save_files(connection, "run_2", [grown])
    with reading(running) as connection:
        assert file_row(connection, "ffff") == replace(grown, first_run=RUN, last_run="run_2")
        assert files(connection, series_id=a_series().id) == files(connection, last_run="run_2")
        assert files(connection, state=FileState.QUARANTINED) == ()


def test_files_are_listed_by_state_and_reason(running: Engine) -> None:
    rows = [
        FileRow(
            file_key=f"{number:032x}",
            size=number,
            mtime_ns=0,
            state=FileState.IGNORED if number % 2 else FileState.QUARANTINED,
            reason=Reason.DICOMDIR if number % 2 else Reason.DAMAGED_HEADER,
        )
        for number in range(1100)
    ]
    with writing(running) as connection:
        save_files(connection, RUN, rows)
    with reading(running) as connection:
        quarantined = files(connection, state=FileState.QUARANTINED)
        assert quarantined == files(connection, reason=Reason.DAMAGED_HEADER)
        assert len(known_files(connection, (row.file_key for row in rows))) == 1100
        assert [row.size for row in files(connection, reason=Reason.DICOMDIR, limit=2)] == [1, 3]
    assert len(quarantined) == 550


@pytest.mark.parametrize(("state", "reason"), [(FileState.ACCEPTED, Reason.RESENT), (FileState.IGNORED, None)])
def test_a_file_is_set_aside_with_a_reason_and_accepted_without(
    running: Engine, state: FileState, reason: Reason | None
) -> None:
    with pytest.raises(Refused), writing(running) as connection:
        save_files(connection, RUN, [FileRow(file_key="f", size=1, mtime_ns=1, state=state, reason=reason)])
