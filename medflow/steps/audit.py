"""The audit trail, read: is it whole, and what does it say?"""

from typing import Any

from medflow.steps.house import House
from medflow.store import audit
from medflow.store.audit import AuditReport
from medflow.store.engine import reading


def verify(house: House) -> AuditReport:
    """Walk the whole chain and name every row that was edited, removed, reordered or added by another hand."""
    with reading(house.engine) as connection:
        return audit.verify(connection, house.signer)


def events(house: House, *, subject: str | None, run: str | None, limit: int) -> list[dict[str, Any]]:
    """Give the newest `limit` events, oldest of them first."""
    with reading(house.engine) as connection:
        return audit.events(connection, subject=subject, run=run, limit=limit)
