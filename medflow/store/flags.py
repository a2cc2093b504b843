"""Flags: models whose cohort or split a merge, an erasure or an opt-out touched. Rows that are never changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from medflow.domain.digests import natural_id
from medflow.domain.safe import Pseudonym
from medflow.store import tables
from medflow.store.columns import insert_new

ROW = tables.flag.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A model that used a patient's examples."""

    patient: Pseudonym
    model_id: str
    name: str
    version: int
    cohort_digest: str
    parts: Mapping[str, int]
    """Examples of the patient in each part of the split."""

    @property
    def model(self) -> str:
        """Call the model `name:version`."""
        return f"{self.name}:{self.version}"

    def detail(self) -> dict[str, Any]:
        """Write what a flag and its audit event tell."""
        return {"cohort": self.cohort_digest, "parts": dict(self.parts), "examples": sum(self.parts.values())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One mark on one model, for one patient."""

    id: str
    kind: str
    """merged, erased or excluded."""
    patient: Pseudonym
    model_id: str
    detail: Mapping[str, Any]
    run: str
    at: datetime


def touched(connection: Connection, patients: Iterable[Pseudonym]) -> tuple[Touched, ...]:
    """Find every model that used examples of these patients: one entry for each patient of each model."""
    used, model = tables.example.c, tables.model.c
    query = (
        select(used.patient, model.id, model.name, model.version, model.cohort_digest, used.part, func.count())
        .join(tables.model, model.id == used.model_id)
        .where(used.patient.in_(set(patients)))
        .group_by(used.patient, model.id, model.name, model.version, model.cohort_digest, used.part)
        .order_by(model.name, model.version, used.patient, used.part)
    )
    parts: dict[tuple[Any, ...], dict[str, int]] = {}
    for *which, part, count in connection.execute(query):
        parts.setdefault(tuple(which), {})[part] = count
    return tuple(
        Touched(
            patient=Pseudonym(patient), model_id=model_id, name=name, version=version, cohort_digest=cohort, parts=found
        )
        for (patient, model_id, name, version, cohort), found in parts.items()
    )


def save(
    connection: Connection,
    kind: str,
    patient: Pseudonym,
    details: Mapping[str, Mapping[str, Any]],
    *,
    run_id: str,
    at: datetime,
) -> tuple[Flag, ...]:
    """Flag models (id -> detail) for a patient, and name the flags that are new."""
    made = (
        Flag(
            id=natural_id("flg_", "flag", [kind, patient, model_id]),
            kind=kind,
            patient=patient,
            model_id=model_id,
            detail=dict(detail),
            run=run_id,
            at=at,
        )
        for model_id, detail in sorted(details.items())
    )
    return tuple(
        flag
        for flag in made
        if insert_new(connection, tables.flag, {name: getattr(flag, name) for name in flag.__slots__})
    )


def flags(connection: Connection, *, model_id: str | None = None, patient: Pseudonym | None = None) -> tuple[Flag, ...]:
    """List flags, of one model or one patient or of all, oldest first."""
    same = ((ROW.model_id, model_id), (ROW.patient, patient))
    query = select(tables.flag).where(*(column == value for column, value in same if value is not None))
    rows = connection.execute(query.order_by(ROW.at, ROW.id))
    return tuple(Flag(**{**row._asdict(), "patient": Pseudonym(row.patient)}) for row in rows)
