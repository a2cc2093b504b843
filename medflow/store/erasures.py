"""Erasures: that one was asked for, and that it was done; and identities whose time ended. Rows are never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from medflow.domain.digests import natural_id
from medflow.domain.safe import Pseudonym
from medflow.store import tables
from medflow.store.columns import insert_new

ROW = tables.erasure.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One step of one erasure. What was asked for and not done yet, the next run completes."""

    patient: Pseudonym
    state: str
    """requested or done; or forgotten, where only the identity went, because the time ended for which it is kept."""
    counts: Mapping[str, int]
    """What was removed; empty for a request."""
    run: str
    at: datetime


def save_erasure(connection: Connection, erasure: Erasure) -> bool:
    """Write a step of an erasure; False if that run wrote it before."""
    row = {name: getattr(erasure, name) for name in erasure.__slots__}
    key = [erasure.patient, erasure.run, erasure.state]
    return insert_new(connection, tables.erasure, {**row, "id": natural_id("ers_", "erasure", key)})


def erasures(connection: Connection, *, patient: Pseudonym | None = None) -> tuple[Erasure, ...]:
    """List the steps of erasures, of one patient or of all, oldest first."""
    wanted = () if patient is None else (ROW.patient == patient,)
    columns = [ROW[name] for name in Erasure.__slots__]
    rows = connection.execute(select(*columns).where(*wanted).order_by(ROW.at, ROW.id))
    return tuple(Erasure(**{**row._asdict(), "patient": Pseudonym(row.patient)}) for row in rows)


def unfinished(connection: Connection) -> tuple[Pseudonym, ...]:
    """Name the patients whose erasure was asked for and has not been done since."""
    latest: dict[Pseudonym, str] = {}
    for step in erasures(connection):
        if step.state != "forgotten":
            latest[step.patient] = step.state
    return tuple(sorted(patient for patient, state in latest.items() if state == "requested"))


def is_forgotten(connection: Connection, patient: Pseudonym | None) -> bool:
    """Tell whether a patient's identity is gone because its time ended: no ingest of old files brings it back."""
    told = select(ROW.id).where(ROW.patient == patient, ROW.state == "forgotten").limit(1)
    return connection.scalar(told) is not None
