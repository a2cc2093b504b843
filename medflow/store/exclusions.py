"""The opt-out list: patients of whom nothing is taken in and nothing is used, by pseudonym."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, select, update

from medflow.domain.safe import Pseudonym
from medflow.store import tables
from medflow.store.columns import insert

ROW = tables.exclusion.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """One pseudonym's place on the list."""

    patient: Pseudonym
    run: str
    """The run that put it there last."""
    since: datetime
    lifted: datetime | None
    """None where it stands."""


def exclude(
    connection: Connection, patients: Iterable[Pseudonym], *, run_id: str, at: datetime
) -> tuple[Pseudonym, ...]:
    """Put patients on the list, and name those who did not stand there before."""
    new = sorted(set(patients) - excluded(connection))
    statement = insert(connection, tables.exclusion)
    again = {name: statement.excluded[name] for name in ("run", "since", "lifted")}
    statement = statement.on_conflict_do_update(index_elements=["patient"], set_=again)
    for patient in new:
        connection.execute(statement.values(patient=patient, run=run_id, since=at, lifted=None))
    return tuple(new)


def lift(connection: Connection, patients: Iterable[Pseudonym], *, at: datetime) -> tuple[Pseudonym, ...]:
    """Take patients off the list, and name those who stood there."""
    standing = sorted(set(patients) & excluded(connection))
    connection.execute(update(tables.exclusion).where(ROW.patient.in_(standing)).values(lifted=at))
    return tuple(standing)


def excluded(connection: Connection) -> frozenset[Pseudonym]:
    """Name all who stand on the list."""
    return frozenset(map(Pseudonym, connection.scalars(select(ROW.patient).where(ROW.lifted.is_(None)))))


def exclusions(connection: Connection) -> tuple[Exclusion, ...]:
    """List everybody who ever stood on the list, by pseudonym."""
    rows = connection.execute(select(tables.exclusion).order_by(ROW.patient))
    return tuple(Exclusion(**{**row._asdict(), "patient": Pseudonym(row.patient)}) for row in rows)


OPTED_OUT = exists().where(ROW.patient == tables.series.c.patient, ROW.lifted.is_(None))
"""Condition on rows of `series`: the patient stands on the list."""
