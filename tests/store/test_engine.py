"""Transactions and connections, on both databases, and what an operator reads when one cannot be reached."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from medflow.domain.series import FileState
from medflow.errors import ConfigurationError, Reason, StateError
from medflow.store import tables
from medflow.store.engine import open_engine, reading, writing
from medflow.store.runs import FileRow, known_files, save_files
from medflow.store.schema import exists, upgrade
from tests.conftest import Database
from tests.store.made import RUN, a_run

FILE = FileRow(file_key="f" * 32, size=2**40, mtime_ns=2**62, state=FileState.ACCEPTED)


def test_what_is_raised_inside_a_transaction_undoes_it(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:  # noqa: PT012  (the second is what raises)
        a_run(connection)
        save_files(connection, RUN, [FILE, replace(FILE, file_key="e", size=-1, reason=Reason.RESENT)])

    with reading(engine) as connection:
        assert known_files(connection, [FILE.file_key]) == {}


def test_a_reader_is_not_held_up_by_a_writer_and_keeps_its_snapshot(engine: Engine) -> None:
    with reading(engine) as reader:
        before = reader.scalars(select(tables.run.c.id)).all()
        with writing(engine) as writer:
            a_run(writer)
            with reading(engine) as another:
                assert another.scalars(select(tables.run.c.id)).all() == []
        assert reader.scalars(select(tables.run.c.id)).all() == before
    assert list(before) == []
    with reading(engine) as reader:
        assert reader.scalars(select(tables.run.c.id)).all() == [RUN]


def test_a_reading_transaction_cannot_write(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match=r"read.?only"), reading(engine) as connection:
        a_run(connection)
    with writing(engine) as connection:
        a_run(connection)


def test_writers_queue_up_on_sqlite_instead_of_failing(sqlite_database: Database) -> None:
    engine = open_engine(sqlite_database.url)
    with writing(engine) as connection:
        a_run(connection)
    started = Event()

    def bump(_: int) -> None:
        started.wait()
        with writing(engine) as connection:  # reads, then writes what it read: fails half-way unless it locks first
            seen = connection.scalar(select(tables.run.c.files_seen)) or 0
            connection.execute(text("UPDATE run SET files_seen = :n, files_ignored = :n"), {"n": seen + 1})

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(bump, number) for number in range(40)]
        started.set()
        for result in results:
            result.result()

    with reading(engine) as connection:
        assert connection.scalar(select(tables.run.c.files_seen)) == 40
    engine.dispose()


def test_a_writer_that_waits_in_vain_is_told_so(sqlite_database: Database) -> None:
    holder, waiter = open_engine(sqlite_database.url), open_engine(sqlite_database.url)
    event.listen(waiter, "connect", lambda driver, _: driver.execute("PRAGMA busy_timeout = 20"))
    with writing(holder), pytest.raises(StateError, match=r"locked by another writer .*SQLITE_BUSY"), writing(waiter):
        pass
    holder.dispose()
    waiter.dispose()


def test_a_sqlite_file_is_its_owners_alone_and_keeps_a_write_ahead_log(sqlite_url: str, tmp_path: Path) -> None:
    upgrade(sqlite_url)
    engine = open_engine(sqlite_url)
    with writing(engine) as connection:
        a_run(connection)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        settings = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys")}

    assert modes == dict.fromkeys(("medflow.db", "medflow.db-wal", "medflow.db-shm"), 0o600)
    assert settings == {"journal_mode": "wal", "foreign_keys": 1}
    engine.dispose()


def test_a_foreign_key_that_points_nowhere_is_refused(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        save_files(connection, "run_nowhere", [FILE])


def test_an_error_of_the_database_does_not_print_its_parameters(engine: Engine) -> None:
    row = {"id": RUN, "kind": "SECRET-KIND", "source": "s", "actor": "a", "code": "c", "state": "nonsense"}
    with pytest.raises(DBAPIError) as raised, writing(engine) as connection:
        connection.execute(insert(tables.run).values({**row, "opened": None}))
    assert "[SQL parameters hidden due to hide_parameters=True]" in str(raised.value)


def test_asking_for_a_sqlite_database_that_is_not_there_makes_none(sqlite_url: str, tmp_path: Path) -> None:
    assert not exists(sqlite_url)
    with pytest.raises(ConfigurationError, match="medflow db upgrade"), reading(open_engine(sqlite_url)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://someone:s3cret@127.0.0.1:1/medflow?password=s3cret")
    with pytest.raises(ConfigurationError, match=r"'medflow' at 127.0.0.1:1 .*MEDFLOW_DATABASE_URL") as raised:
        exists("postgresql://someone:s3cret@127.0.0.1:1/medflow?password=s3cret")
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "s3cret" not in repr(engine)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://h/d", "postgresql+psycopg2://h/d", "oracle://"]
)
def test_a_url_that_names_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MEDFLOW_VAULT_URL"):
        open_engine(url, setting="MEDFLOW_VAULT_URL")


def test_a_sqlite_file_in_a_folder_that_is_not_there_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot make the SQLite file") as raised:
        upgrade(f"sqlite:///{tmp_path}/nowhere/medflow.db")
    assert "nowhere" not in str(raised.value)


def test_a_file_that_is_no_database_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "medflow.db").write_bytes(b"x" * 5000)
    with pytest.raises(ConfigurationError, match="NOTADB"):
        exists(f"sqlite:///{tmp_path}/medflow.db")
