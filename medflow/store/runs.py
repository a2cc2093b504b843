"""Runs and the files that they saw: what was asked for, when, by whom, and what became of every file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, or_, select, update

from medflow.domain.series import FileState
from medflow.errors import IntegrityError, Reason, StateError
from medflow.store import tables
from medflow.store.columns import insert
from medflow.store.ids import find_id

T = TypeVar("T")
BATCH = 500
"""Rows or keys in one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run: a journey that somebody or a schedule started."""

    id: str
    kind: str
    source: str
    actor: str
    code: str
    state: str
    opened: datetime
    closed: datetime | None
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file that was seen, as it was when it was last seen. Its key says nothing of its name."""

    file_key: str
    size: int
    mtime_ns: int
    state: FileState
    reason: Reason | None = None
    detail: str = ""
    series_id: str | None = None
    first_run: str = ""
    """Filled in by the store."""
    last_run: str = ""


def open_run(connection: Connection, *, id: str, kind: str, source: str, at: datetime, actor: str, code: str) -> None:  # noqa: A002, PLR0913  (the columns of a row)
    """Write that a run begins. `code` is the digest of a CodeVersion that `save_code` knows."""
    row = {"id": id, "kind": kind, "source": source, "actor": actor, "code": code, "state": "open", "opened": at}
    connection.execute(insert(connection, tables.run).values(row))


def close_run(
    connection: Connection,
    id: str,  # noqa: A002
    *,
    at: datetime,
    state: str = "done",
    counts: Mapping[str, int] | None = None,
) -> None:
    """Write that an open run ended as "done" or "failed", and what it counted (keys: `tables.COUNTS`).

    Raises:
        IntegrityError: files seen are not files accepted + quarantined + ignored.
        StateError: there is no such open run.
    """
    counted = dict(counts or {})
    unknown = counted.keys() - set(tables.COUNTS)
    if unknown:
        raise ValueError(f"a run does not count {', '.join(sorted(unknown))}")
    for what in ("files", "members"):
        parts = sum(counted.get(f"{what}_{kind}", 0) for kind in ("accepted", "quarantined", "ignored"))
        if counted.get(f"{what}_seen", 0) != parts:
            seen = counted.get(f"{what}_seen", 0)
            raise IntegrityError(f"the run's counts do not add up: {seen} {what} seen, {parts} accounted for")
    row = tables.run.c
    closing = update(tables.run).where(row.id == id, row.state == "open").values(state=state, closed=at, **counted)
    if connection.execute(closing).rowcount != 1:
        raise StateError(f"run {id} is not open")


def runs(connection: Connection, *, limit: int = 20, kind: str | None = None) -> tuple[RunRow, ...]:
    """List the latest runs, newest first."""
    query = select(tables.run).order_by(tables.run.c.opened.desc(), tables.run.c.id).limit(limit)
    if kind is not None:
        query = query.where(tables.run.c.kind == kind)
    return tuple(map(_run, connection.execute(query)))


def run_row(connection: Connection, start: str) -> RunRow:
    """Find a run by the beginning of its id."""
    found = find_id(connection, tables.run.c.id, start)
    return _run(connection.execute(select(tables.run).where(tables.run.c.id == found)).one())


def save_files(connection: Connection, run_id: str, rows: Iterable[FileRow]) -> None:
    """Write what the run saw of each file; of a file seen before, the latest sight stays, and its first run."""
    statement = insert(connection, tables.file)
    new = statement.excluded
    kept = ("size", "mtime_ns", "state", "reason", "detail", "series_id", "last_run")
    statement = statement.on_conflict_do_update(index_elements=["file_key"], set_={name: new[name] for name in kept})
    for batch in batches(rows):
        written = [{**asdict(row), "first_run": run_id, "last_run": run_id} for row in batch]
        connection.execute(statement, written)


def set_files_aside(connection: Connection, series_ids: Iterable[str], reason: Reason) -> int:
    """Write that nothing is left here of the files of some series, and say how many that changed."""
    changed, row = 0, tables.file.c
    for batch in batches(series_ids):
        theirs = (row.series_id.in_(batch), or_(row.reason.is_(None), row.reason != reason))
        gone = update(tables.file).where(*theirs).values(state=FileState.IGNORED, reason=reason, detail="")
        changed += connection.execute(gone).rowcount
    return changed


def keys_of_series(connection: Connection, series_ids: Iterable[str]) -> frozenset[str]:
    """Name the files that some series were made of."""
    found: set[str] = set()
    for batch in batches(series_ids):
        found.update(connection.scalars(select(tables.file.c.file_key).where(tables.file.c.series_id.in_(batch))))
    return frozenset(found)


def known_files(connection: Connection, keys: Iterable[str]) -> dict[str, FileRow]:
    """Find those of the keys that have been seen before."""
    found: dict[str, FileRow] = {}
    for batch in batches(keys):
        rows = connection.execute(select(tables.file).where(tables.file.c.file_key.in_(batch)))
        found.update({row.file_key: _file(row) for row in rows})
    return found


def file_row(connection: Connection, start: str) -> FileRow:
    """Find a file by the beginning of its key."""
    found = find_id(connection, tables.file.c.file_key, start)
    return _file(connection.execute(select(tables.file).where(tables.file.c.file_key == found)).one())


def files(
    connection: Connection,
    *,
    state: FileState | None = None,
    reason: Reason | None = None,
    series_id: str | None = None,
    last_run: str | None = None,
    limit: int | None = None,
) -> tuple[FileRow, ...]:
    """List files by what became of them, ordered by reason and key. `quarantine list` asks for `QUARANTINED`."""
    column = tables.file.c
    wanted = (
        (column.state, state),
        (column.reason, reason),
        (column.series_id, series_id),
        (column.last_run, last_run),
    )
    query = select(tables.file).where(*(name == value for name, value in wanted if value is not None))
    return tuple(map(_file, connection.execute(query.order_by(column.reason, column.file_key).limit(limit))))


def _run(row: Row[Any]) -> RunRow:
    plain = {field.name: getattr(row, field.name) for field in fields(RunRow) if field.name != "counts"}
    return RunRow(**plain, counts={name: getattr(row, name) for name in tables.COUNTS})


def _file(row: Row[Any]) -> FileRow:
    return FileRow(**{**row._asdict(), "state": FileState(row.state)})


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut many rows or keys into statements' worth."""
    remaining = iter(values)
    while batch := list(islice(remaining, BATCH)):
        yield batch
