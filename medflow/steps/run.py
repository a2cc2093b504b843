"""A run: opened, closed with its counts or failed, each together with its audit event."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from medflow.steps.house import House
from medflow.store import models, runs
from medflow.store.audit import append
from medflow.store.engine import writing


@dataclass(slots=True, kw_only=True)
class Run:
    """One journey under way. Whoever travels fills what follows; it is written when the run closes."""

    id: str
    house: House
    counts: dict[str, int] = field(default_factory=dict)
    """Columns of the run's row (`store.tables.COUNTS`)."""
    detail: dict[str, Any] = field(default_factory=dict)
    """What the closing audit event tells beside the counts."""

    def append(self, connection: Connection, kind: str, subject: str, **detail: Any) -> None:  # noqa: ANN401
        """Write an audit event of this run into the transaction of the change that it tells of."""
        append(connection, self.house.event(kind, run=self.id, subject=subject, **detail), self.house.signer)


@contextmanager
def opened(house: House, step: str, **detail: str) -> Iterator[Run]:
    """Open a run of `step`; close it with its counts, or mark it failed where something goes wrong."""
    run = Run(id=f"run_{house.outside.token()}", house=house)
    source = detail.get("source", "")
    with writing(house.engine) as connection:
        code = models.save_code(connection, house.code)
        runs.open_run(
            connection,
            id=run.id,
            kind=step,
            source=source,
            at=house.now(),
            actor=house.outside.actor,
            code=code,
        )
        run.append(connection, "run-opened", "", step=step, **detail)
    try:
        yield run
    except BaseException as error:
        with writing(house.engine) as connection:
            runs.close_run(connection, run.id, at=house.now(), state="failed")
            run.append(connection, "run-failed", "", error=type(error).__name__)
        raise
    with writing(house.engine) as connection:
        runs.close_run(connection, run.id, at=house.now(), state="done", counts=run.counts)
        run.append(connection, "run-closed", "", **run.counts, **run.detail)
