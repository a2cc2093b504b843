"""Jobs: who works on what, by leases that the database's own clock measures."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from medflow.domain.digests import natural_id
from medflow.errors import Reason, StateError
from medflow.store import tables
from medflow.store.columns import DatabaseClock, insert_new
from medflow.store.ids import find_id
from medflow.store.runs import batches

ROW = tables.job.c
ATTEMPTS = 5
"""How often a job is begun before nobody begins it again."""


class LeaseLost(StateError):
    """The job is somebody else's by now: the transaction that raises this must not be committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step to be done once for one subject by one model."""

    id: str
    step: str
    subject: str
    model_digest: str
    """Empty where the step has no model."""
    generation: int
    state: str
    """ready -> leased -> done | refused | dead; leased -> ready where a lease is lost; cancelled -> ready if wanted."""
    reason: Reason | None
    attempts: int
    not_before: datetime | None
    owner: str | None
    token: str | None
    lease_until: datetime | None
    at: datetime


def job_id(step: str, subject: str, model_digest: str, generation: int) -> str:
    """Name a job by its natural key."""
    return natural_id("job_", "job", [step, subject, model_digest, generation])


def offer(
    connection: Connection, *, step: str, subject: str, model_digest: str = "", generation: int = 0, at: datetime
) -> bool:
    """Put up a job; False if it was put up before, whatever became of it."""
    row = {
        "id": job_id(step, subject, model_digest, generation),
        "step": step,
        "subject": subject,
        "model_digest": model_digest,
        "generation": generation,
        "state": "ready",
        "attempts": 0,
        "at": at,
    }
    return insert_new(connection, tables.job, row)


def claim(  # noqa: PLR0913  (what a lease consists of)
    connection: Connection,
    *,
    step: str,
    model_digest: str = "",
    owner: str,
    token: str,
    seconds: float,
    attempts: int = ATTEMPTS,
) -> Job | None:
    """Lease the oldest job that is ready, or whose lease ran out, for `seconds`; None if there is none.

    Commit before the work begins, so that others see the lease. `token` is fresh for each claim: it is what closing
    asks for.
    """
    begun = ROW.attempts < attempts
    query = select(ROW.id).where(ROW.step == step, ROW.model_digest == model_digest, begun, _free())
    query = query.order_by(ROW.at, ROW.id).limit(1).with_for_update(skip_locked=True)
    found = connection.scalar(query)
    if found is None:
        return None
    lease = {
        "state": "leased",
        "owner": owner,
        "token": token,
        "lease_until": DatabaseClock(seconds),
        "attempts": ROW.attempts + 1,
    }
    return _job(connection.execute(update(tables.job).where(ROW.id == found).values(lease).returning(tables.job)).one())


def renew(connection: Connection, job: Job, *, seconds: float) -> None:
    """Lengthen my lease to `seconds` from now.

    Raises:
        LeaseLost: it is mine no more.
    """
    _change(connection, job, {"lease_until": DatabaseClock(seconds)})


def close(connection: Connection, job: Job, *, state: str, reason: Reason | None = None) -> None:
    """End my job ("done", "refused", "dead" or "cancelled") in the transaction that writes its result.

    Raises:
        LeaseLost: it is mine no more; what the transaction wrote must be rolled back.
    """
    _change(connection, job, {"state": state, "reason": reason, "token": None, "lease_until": None})


def release(connection: Connection, job: Job, *, seconds: float = 0.0, reason: Reason | None = None) -> None:
    """Give my job back, to be tried again after `seconds`.

    Raises:
        LeaseLost: it is mine no more.
    """
    later = {"state": "ready", "reason": reason, "not_before": DatabaseClock(seconds)}
    _change(connection, job, {**later, "owner": None, "token": None, "lease_until": None})


def bury(connection: Connection, *, step: str, attempts: int = ATTEMPTS) -> tuple[Job, ...]:
    """Declare dead the jobs of a step that were begun too often and never ended; name them for the audit trail."""
    tired = (ROW.step == step, ROW.attempts >= attempts, _free())
    query = select(ROW.id).where(*tired).with_for_update(skip_locked=True)
    found = connection.scalars(query).all()
    values = {"state": "dead", "reason": Reason.UNEXPECTED_ERROR, "token": None, "lease_until": None}
    dead = update(tables.job).where(ROW.id.in_(found)).values(values).returning(tables.job)
    return tuple(map(_job, connection.execute(dead))) if found else ()


def cancel(connection: Connection, subjects: Iterable[str]) -> tuple[Job, ...]:
    """Call off the open jobs about some subjects; whoever works on one finds its lease lost."""
    values = {"state": "cancelled", "token": None, "lease_until": None}
    cancelled: list[Job] = []
    for batch in batches(subjects):
        still = (ROW.subject.in_(batch), ROW.state.in_(["ready", "leased"]))
        open_jobs = update(tables.job).where(*still).values(values).returning(tables.job)
        cancelled += map(_job, connection.execute(open_jobs))
    return tuple(sorted(cancelled, key=lambda job: job.id))


def reopen(connection: Connection, *, step: str, model_digest: str = "", subjects: Iterable[str]) -> int:
    """Put up the cancelled jobs about subjects that are wanted again, and say how many."""
    fresh = {"state": "ready", "reason": None, "attempts": 0, "not_before": None, "owner": None}
    reopened = 0
    for batch in batches(subjects):
        off = (ROW.step == step, ROW.model_digest == model_digest, ROW.state == "cancelled", ROW.subject.in_(batch))
        reopened += connection.execute(update(tables.job).where(*off).values(fresh)).rowcount
    return reopened


def job_row(connection: Connection, start: str) -> Job:
    """Find a job by the beginning of its id."""
    found = find_id(connection, ROW.id, start, prefix="job_")
    return _job(connection.execute(select(tables.job).where(ROW.id == found)).one())


def jobs(
    connection: Connection, *, step: str | None = None, state: str | None = None, model_digest: str | None = None
) -> tuple[Job, ...]:
    """List jobs, oldest first."""
    same = ((ROW.step, step), (ROW.state, state), (ROW.model_digest, model_digest))
    query = select(tables.job).where(*(column == value for column, value in same if value is not None))
    return tuple(map(_job, connection.execute(query.order_by(ROW.at, ROW.id))))


def _free() -> ColumnElement[bool]:
    """Say which jobs nobody holds."""
    due = or_(ROW.not_before.is_(None), ROW.not_before <= DatabaseClock())
    return or_(and_(ROW.state == "ready", due), and_(ROW.state == "leased", ROW.lease_until <= DatabaseClock()))


def _change(connection: Connection, job: Job, values: dict[str, Any]) -> None:
    mine = (ROW.id == job.id, ROW.state == "leased", ROW.token == job.token)
    if connection.execute(update(tables.job).where(*mine).values(values)).rowcount != 1:
        raise LeaseLost(f"the lease of {job.id} ran out and the job went to another worker")


def _job(row: Row[Any]) -> Job:
    return Job(**row._asdict())
