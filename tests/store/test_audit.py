"""The audit trail: what was written verifies, and every change made behind its back is named."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from medflow.domain.audit import START, line_hash
from medflow.domain.digests import canonical
from medflow.errors import ConfigurationError, IntegrityError
from medflow.store.audit import AuditReport, Signer, append, events, verify
from medflow.store.engine import reading, writing
from tests.store.made import RUN, SIGNER, a_run, an_event, undone

ROWS = 12
UNLOCK = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["ALTER TABLE audit DISABLE TRIGGER ALL"],
}


@pytest.fixture
def trail(engine: Engine) -> Engine:
    """A database with a trail of a dozen lines."""
    with writing(engine) as connection:
        for number in range(ROWS):
            append(connection, an_event(subject=f"ser_{number}", number=number, note="müde\x00"), SIGNER)
    return engine


def tampered(trail: Engine, *changes: str | tuple[str, dict[str, Any]], signer: Signer = SIGNER) -> AuditReport:
    """Verify a trail after somebody with the superuser's rights changed it; then undo."""
    with unlocked(trail) as connection:
        for change in changes:
            statement, values = change if isinstance(change, tuple) else (change, {})
            connection.execute(text(statement), values)
        return verify(connection, signer)


@contextmanager
def unlocked(trail: Engine) -> Iterator[Connection]:
    """One transaction without the triggers, of which nothing stays."""
    with undone(trail) as connection:
        for statement in UNLOCK[trail.dialect.name]:
            connection.execute(text(statement))
        yield connection


def named(report: AuditReport) -> set[int]:
    return {fault.seq for fault in report.faults}


def test_a_trail_that_nobody_touched_verifies(trail: Engine) -> None:
    with reading(trail) as connection:
        report = verify(connection, SIGNER)
        lines = events(connection, limit=3)
    assert (report.rows, report.faults, report.head[0]) == (ROWS, (), ROWS)
    assert [line["seq"] for line in lines] == [ROWS - 2, ROWS - 1, ROWS]
    assert lines[-1]["detail"] == {"number": ROWS - 1, "note": "müde\x00"}
    assert report.head[1] == line_hash(canonical(lines[-1]))


def test_an_empty_trail_verifies_until_there_is_a_run_that_it_should_tell_of(engine: Engine) -> None:
    with reading(engine) as connection:
        assert verify(connection, SIGNER) == AuditReport(rows=0, faults=(), head=(0, START))
    with writing(engine) as connection:
        a_run(connection)
    with reading(engine) as connection:
        assert [fault.what for fault in verify(connection, SIGNER).faults] == [
            "the trail is empty although runs are recorded"
        ]


def test_events_are_found_by_subject_run_and_kind(trail: Engine) -> None:
    with reading(trail) as connection:
        assert [line["seq"] for line in events(connection, subject="ser_4")] == [5]
        assert len(events(connection, run=RUN, kind="series-accepted")) == ROWS
        assert events(connection, run="run_2") == events(connection, kind="nothing") == []


def test_an_event_that_is_rolled_back_leaves_no_gap(trail: Engine) -> None:
    with undone(trail) as connection:
        assert append(connection, an_event(), SIGNER) == ROWS + 1
    with writing(trail) as connection:
        assert append(connection, an_event(), SIGNER) == ROWS + 1
    with reading(trail) as connection:
        assert verify(connection, SIGNER).faults == ()


def line_changed(connection: Connection, seq: int) -> None:
    said = json.loads(connection.execute(text("SELECT line FROM audit WHERE seq = :s"), {"s": seq}).scalar_one())
    line = canonical({**said, "actor": "mallory"})
    connection.execute(text("UPDATE audit SET line = :line WHERE seq = :s"), {"line": line, "s": seq})


def line_rewritten(connection: Connection, seq: int) -> None:
    line_changed(connection, seq)
    line = connection.execute(text("SELECT line FROM audit WHERE seq = :s"), {"s": seq}).scalar_one()
    values = {"hash": line_hash(line), "s": seq}
    connection.execute(text("UPDATE audit SET actor = 'mallory', hash = :hash WHERE seq = :s"), values)


def line_spoiled(connection: Connection, seq: int) -> None:
    connection.execute(text("UPDATE audit SET line = 'ä{' WHERE seq = :s"), {"s": seq})


def removed(connection: Connection, seq: int) -> None:
    connection.execute(text("DELETE FROM audit WHERE seq = :s"), {"s": seq})


def column_changed(name: str) -> Callable[[Connection, int], None]:
    def change(connection: Connection, seq: int) -> None:
        value = "2020-01-01T00:00:00.000000Z" if name == "at" else "0" * 63 + "1"
        connection.execute(text(f"UPDATE audit SET {name} = :v WHERE seq = :s"), {"v": value, "s": seq})

    change.__name__ = f"{name}_changed"
    return change


COLUMNS = [column_changed(name) for name in ("at", "actor", "kind", "run", "subject", "code", "prev", "hash")]
CHANGES = [line_changed, line_rewritten, line_spoiled, removed, *COLUMNS]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seq=st.integers(1, ROWS))
def test_one_changed_row_is_named_and_no_other(
    trail: Engine, change: Callable[[Connection, int], None], seq: int
) -> None:
    assert named(changed(trail, {seq: change})) == {seq}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.dictionaries(st.integers(1, ROWS), st.sampled_from(CHANGES), min_size=1, max_size=ROWS))
def test_of_many_changed_rows_each_is_named_and_no_innocent_one(
    trail: Engine, changes: dict[int, Callable[[Connection, int], None]]
) -> None:
    found = named(changed(trail, changes))
    # whoever rewrites a row with its hash, and spoils its only witness too, is caught by the witness alone
    excused = {seq for seq, change in changes.items() if change is line_rewritten and seq + 1 in changes}
    assert changes.keys() - excused <= found <= changes.keys()


def changed(trail: Engine, changes: dict[int, Callable[[Connection, int], None]]) -> AuditReport:
    with unlocked(trail) as connection:
        for seq, change in changes.items():
            change(connection, seq)
        return verify(connection, SIGNER)


def test_rows_cut_off_the_end_are_missed(trail: Engine) -> None:
    report = tampered(trail, "DELETE FROM audit WHERE seq > 9")
    assert [(fault.seq, fault.what) for fault in report.faults] == [(n, "the row is missing") for n in (10, 11, 12)]


def test_a_shortened_trail_with_a_matching_head_fails_by_its_signature(trail: Engine) -> None:
    report = tampered(
        trail,
        "DELETE FROM audit WHERE seq > 9",
        "UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit WHERE seq = 9)",
    )
    assert [(fault.seq, "signature" in fault.what) for fault in report.faults] == [(0, True)]


def test_a_trail_that_was_emptied_does_not_pass_for_a_new_one(trail: Engine) -> None:
    with writing(trail) as connection:
        a_run(connection)
    report = tampered(trail, "DELETE FROM audit", f"UPDATE audit_head SET seq = 0, hash = '{START}', signature = ''")
    assert [fault.seq for fault in report.faults] == [0]
    assert named(tampered(trail, "DELETE FROM audit")) == set(range(1, ROWS + 1))
    head = f"UPDATE audit_head SET seq = 0, hash = '{'1' * 64}', signature = ''"
    assert len(tampered(trail, "DELETE FROM audit", head).faults) == 2


def test_a_row_that_the_head_does_not_know_of_is_named(trail: Engine) -> None:
    stowaway = (
        "INSERT INTO audit SELECT 13, line, hash, hash, at, actor, kind, run, subject, code FROM audit WHERE seq = 12"
    )
    assert named(tampered(trail, stowaway)) == {13}


def test_a_head_that_is_gone_is_said_and_nothing_more_is_recorded(trail: Engine) -> None:
    report = tampered(trail, "DELETE FROM audit_head", "UPDATE audit SET actor = 'mallory' WHERE seq = 3")
    assert named(report) == {0, 3}
    with writing(trail) as connection:
        connection.execute(text("DELETE FROM audit_head"))
    with pytest.raises(IntegrityError, match="head of the audit trail is gone"), writing(trail) as connection:
        append(connection, an_event(), SIGNER)


def test_a_head_that_lies_of_many_rows_is_answered_briefly(trail: Engine) -> None:
    report = tampered(trail, "UPDATE audit_head SET seq = 1000000000000")
    assert [fault.seq for fault in report.faults] == [0, 13]
    assert report.faults[1].what == "the rows from here to 1000000000000 are missing"


def test_another_key_does_not_vouch_for_the_head(trail: Engine) -> None:
    assert named(tampered(trail, signer=Signer(b"\x01" * 32))) == {0}
    assert named(tampered(trail, "UPDATE audit_head SET signature = 'no hex'")) == {0}


def test_rows_that_changed_places_are_both_named(trail: Engine) -> None:
    report = tampered(
        trail,
        "UPDATE audit SET seq = 100 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 8",
        "UPDATE audit SET seq = 8 WHERE seq = 100",
    )
    assert named(report) == {4, 8}


def test_a_table_rebuilt_without_its_key_cannot_hide_a_second_row_of_one_number(
    trail: Engine,
) -> None:
    report = tampered(
        trail,
        "ALTER TABLE audit RENAME TO old_audit",
        "CREATE TABLE audit AS SELECT * FROM old_audit",
        "INSERT INTO audit SELECT * FROM old_audit WHERE seq = 5",
    )
    assert [(fault.seq, fault.what) for fault in report.faults] == [(5, "there is another row of this number")]


def test_an_audit_key_has_32_bytes() -> None:
    with pytest.raises(ConfigurationError, match="32 bytes, not 3"):
        Signer(b"abc")
