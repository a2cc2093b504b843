"""Connections: how a database is reached, and what a transaction means on SQLite and on PostgreSQL."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from medflow.errors import ConfigurationError, StateError

BUSY_SECONDS = 30
"""How long a SQLite writer waits for another one."""
CONNECT_SECONDS = 10
MODE = "medflow_mode"
"""Execution option: what the transaction that begins is for ("write", "read"; absent means either)."""
SETTING = "MEDFLOW_DATABASE_URL"


def open_engine(url: str, *, setting: str = SETTING) -> Engine:
    """Make an engine for a database that exists; nothing is connected yet. `setting` is what messages call the URL."""
    address = parsed(url, setting)
    options: dict[str, Any] = {"hide_parameters": True, "json_serializer": partial(json.dumps, allow_nan=False)}
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, creator=partial(_connect_sqlite, sqlite_file(address)), **options)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        waiting = {"connect_timeout": CONNECT_SECONDS}
        engine = create_engine(address, pool_pre_ping=True, connect_args=waiting, **options)
    return engine.execution_options(medflow_setting=setting)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that writes: all of it is committed at the end, or nothing if anything is raised.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE), so it never fails half-way for want of it.
    """
    with connected(engine) as connection:
        connection.execution_options(**{MODE: "write"})
        try:
            transaction = connection.begin()
        except OperationalError as error:
            raise StateError(f"the database stayed locked by another writer ({_cause(error)}); try again") from None
        with transaction:
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that only reads: one snapshot, which neither waits for writers nor holds them up."""
    with connected(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        connection.execution_options(**{MODE: "read"})
        with connection.begin():
            yield connection


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """Connect, or say in the operator's words why not; a password is never part of them."""
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise ConfigurationError(_unreachable(engine, error)) from None
    with connection:
        yield connection


def parsed(url: str, setting: str = SETTING) -> URL:
    """Read a database URL; PostgreSQL always means psycopg, and SQLite always means a file."""
    try:
        address = make_url(url)
        backend = address.get_backend_name()
    except ArgumentError:
        raise ConfigurationError(f"{setting} is not a database URL; ops/env.example shows two") from None
    if backend == "sqlite" and address.database not in {None, "", ":memory:"}:
        return address.set(drivername="sqlite+pysqlite")
    if backend == "sqlite":
        raise ConfigurationError(f"{setting} must name a file: a database in memory is lost with the process")
    if backend == "postgresql" and address.drivername in {"postgresql", "postgresql+psycopg"}:
        address = address.set(drivername="postgresql+psycopg")
        if "password" in address.query:  # SQLAlchemy hides a password only where it expects one
            hidden = str(address.query["password"])
            address = address.difference_update_query(["password"]).set(password=hidden)
        return address
    raise ConfigurationError(f"{setting} must begin with sqlite:/// or postgresql+psycopg://")


def sqlite_file(address: URL) -> Path:
    """Name the file behind a SQLite URL."""
    return Path(address.database or "").absolute()


def make_sqlite_file(path: Path, setting: str = SETTING) -> None:
    """Make an empty database file that only its owner may read, unless there is one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigurationError(f"cannot make the SQLite file that {setting} names: {reason}") from None


def _connect_sqlite(path: Path) -> sqlite3.Connection:
    # mode=rw: a reader of a database that is not there must not make an empty one
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # the driver begins no transaction behind our back; `_begin_sqlite` does
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA recursive_triggers = ON")
    return connection


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(MODE)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if mode == 'read' else 'OFF'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == "write" else "BEGIN")


def _unreachable(engine: Engine, error: DBAPIError) -> str:
    address, setting = engine.url, engine.get_execution_options().get("medflow_setting", SETTING)
    if engine.dialect.name == "sqlite":
        there = sqlite_file(address).exists()
        advice = _cause(error) if there else "there is none yet: run `medflow db upgrade`"
        return f"cannot open the SQLite database that {setting} names: {advice}"
    place = f"{address.host or 'the local socket'}{f':{address.port}' if address.port else ''}"
    return f"cannot reach the PostgreSQL database {address.database!r} at {place} ({_cause(error)}); check {setting}"


def _cause(error: DBAPIError) -> str:
    """Name what the driver met, without its text, which can quote the URL."""
    original = error.orig
    code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    return f"{type(original).__name__} {code}" if code else type(original).__name__
