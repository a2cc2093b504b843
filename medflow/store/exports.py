"""Exports made here, so that an erasure finds them: whose, of what kind, and the vault's key of the place."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, select

from medflow.domain.digests import natural_id
from medflow.domain.safe import Pseudonym
from medflow.store import tables
from medflow.store.columns import insert

ROW = tables.export.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A folder outside the house that holds what was exported of one patient, and nothing else."""

    id: str
    patient: Pseudonym
    kind: str
    """volumes, or what else is exported."""
    place: str
    """Key under which the vault keeps the folder's path."""
    run: str
    """The newest run that wrote there."""
    at: datetime


def save_export(
    connection: Connection, *, patient: Pseudonym, kind: str, place: str, run_id: str, at: datetime
) -> None:
    """Remember where something of a patient is written to; of a place that is known the newest writing counts."""
    name = natural_id("exp_", "export", [kind, patient, place])
    row = {"id": name, "patient": patient, "kind": kind, "place": place, "run": run_id, "at": at}
    statement = insert(connection, tables.export).values(row)
    newest = {column: statement.excluded[column] for column in ("run", "at")}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=newest))


def exports(
    connection: Connection, *, patients: Iterable[Pseudonym] | None = None, before: datetime | None = None
) -> tuple[Export, ...]:
    """List what is remembered, of some patients or last written before a moment, by id."""
    wanted: list[ColumnElement[bool]] = []
    if patients is not None:
        wanted.append(ROW.patient.in_(set(patients)))
    if before is not None:
        wanted.append(ROW.at < before)
    rows = connection.execute(select(tables.export).where(*wanted).order_by(ROW.id))
    return tuple(Export(**{**row._asdict(), "patient": Pseudonym(row.patient)}) for row in rows)


def forget_exports(connection: Connection, ids: Iterable[str]) -> int:
    """Forget exports that are gone, and say how many were known."""
    return connection.execute(delete(tables.export).where(ROW.id.in_(set(ids)))).rowcount
