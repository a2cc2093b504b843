"""Rows of selections: which series of a study a task took. They are written once and never changed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from medflow.domain.safe import StudyUID
from medflow.domain.selection import Selection
from medflow.store import tables
from medflow.store.columns import insert_new
from medflow.store.runs import batches

ROW = tables.selection.c


def save_selection(connection: Connection, selection: Selection, *, run_id: str, at: datetime) -> bool:
    """Write what was chosen in a study; False if the same candidates were looked at before."""
    row = {
        "id": selection.id,
        "task_digest": selection.task_digest,
        "study": selection.study,
        "candidates_digest": selection.candidates_digest,
        "rule": selection.rule,
        "chosen": selection.chosen[0] if selection.chosen else None,
        "reason": selection.reason,
        "detail": selection.detail,
        "candidates": len(selection.failures),
        "failures": {name: list(failed) for name, failed in sorted(selection.failures.items())},
        "run": run_id,
        "at": at,
    }
    return insert_new(connection, tables.selection, row)


def known_selections(connection: Connection, ids: Iterable[str]) -> frozenset[str]:
    """Name those of `ids` that are written."""
    found: set[str] = set()
    for batch in batches(ids):
        found.update(connection.scalars(select(ROW.id).where(ROW.id.in_(batch))))
    return frozenset(found)


def selections(
    connection: Connection, *, task_digest: str | None = None, study: str | None = None
) -> tuple[Selection, ...]:
    """List what was chosen, oldest first; every filter that is given must hold."""
    same = {ROW.task_digest: task_digest, ROW.study: study}
    wanted = [column == value for column, value in same.items() if value is not None]
    rows = connection.execute(select(tables.selection).where(*wanted).order_by(ROW.at, ROW.id))
    return tuple(map(_selection, rows))


def _selection(row: Row[Any]) -> Selection:
    return Selection(
        task_digest=row.task_digest,
        study=StudyUID(row.study),
        rule=row.rule,
        failures={name: tuple(failed) for name, failed in row.failures.items()},
        chosen=() if row.chosen is None else (row.chosen,),
        reason=row.reason,
        detail=row.detail,
    )
