"""Frozen cohorts: written once, never changed."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, select

from medflow.domain.cohort import FrozenCohort, Member
from medflow.store import tables
from medflow.store.columns import insert, insert_new
from medflow.store.ids import find_id

ROW = tables.cohort.c
MEMBER = tables.member.c
PLAIN = ("task", "task_digest", "labels", "dealing", "left_out", "at")
NAMES = tuple(field.name for field in fields(Member))


def save_cohort(connection: Connection, cohort: FrozenCohort, *, run_id: str) -> bool:
    """Write a cohort and its members; False, and nothing is written, if one of the same rows is there."""
    values: dict[str, Any] = {name: getattr(cohort, name) for name in PLAIN}
    row = {**values, "id": cohort.id, "cohort_digest": cohort.digest, "run": run_id}
    if not insert_new(connection, tables.cohort, row):
        return False
    rows = [
        {"cohort_id": cohort.id, "position": place, **{name: getattr(one, name) for name in NAMES}}
        for place, one in enumerate(cohort.members)
    ]
    if rows:
        connection.execute(insert(connection, tables.member), rows)
    return True


def cohort(connection: Connection, start: str) -> FrozenCohort:
    """Find a cohort by the beginning of its id.

    Raises:
        StateError: there is none, or several begin so.
    """
    found = find_id(connection, ROW.id, start, prefix="coh_")
    return _read(connection, connection.execute(select(tables.cohort).where(ROW.id == found)).one())


def cohorts(connection: Connection) -> Iterator[FrozenCohort]:
    """Give every cohort, oldest first."""
    for row in connection.execute(select(tables.cohort).order_by(ROW.at, ROW.id)).all():
        yield _read(connection, row)


def cohort_of(connection: Connection, digest: str) -> FrozenCohort | None:
    """Find the cohort of a digest; None where a model is older than frozen cohorts."""
    row = connection.execute(select(tables.cohort).where(ROW.cohort_digest == digest)).first()
    return None if row is None else _read(connection, row)


def _read(connection: Connection, row: Row[Any]) -> FrozenCohort:
    query = select(*(MEMBER[name] for name in NAMES)).where(MEMBER.cohort_id == row.id).order_by(MEMBER.position)
    members = tuple(Member(**one._asdict()) for one in connection.execute(query))
    return FrozenCohort(**{name: getattr(row, name) for name in PLAIN}, members=members)
