"""Changes of stage: which version of a model stood where, since when and why. Rows that are never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select, update

from medflow.domain.model import Stage
from medflow.store import tables
from medflow.store.columns import insert
from medflow.store.models import Registered, models

ROW = tables.stage_change.c
MODEL = tables.model.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One step of one version from a stage to the next."""

    name: str
    number: int
    """Counts the changes of the name, from 1: what clocks say may jump, this does not."""
    model_id: str
    former: Stage
    stage: Stage
    reason: str
    undoes: str | None
    """The run whose changes this one takes back."""
    run: str | None
    """All that one run changed was one act. None where an upgrade put on record what stood already."""
    at: datetime


def hold(connection: Connection, name: str) -> tuple[Registered, ...]:
    """Read the versions of a name; nobody else moves one of them until the transaction ends."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal(f"stage/{name}"), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
    return models(connection, name=name)


def move(  # noqa: PLR0913  (who, where to, and why)
    connection: Connection,
    name: str,
    wanted: Mapping[str, Stage],
    *,
    reason: str,
    run_id: str,
    at: datetime,
    undoes: str | None = None,
) -> tuple[StageChange, ...]:
    """Move versions of a name, by id, to their stages; give what changed. A version that stands there stays.

    Who leaves the stage of the active one does so first, so that there are never two.
    """
    standing = {item.model.id: item.stage for item in hold(connection, name)}
    last = connection.scalar(select(func.max(ROW.number)).where(ROW.name == name)) or 0
    order = sorted(wanted, key=lambda model_id: (wanted[model_id] is Stage.ACTIVE, model_id))
    changed = [model_id for model_id in order if standing[model_id] is not wanted[model_id]]
    done = []
    for number, model_id in enumerate(changed, start=last + 1):
        change = StageChange(
            name=name,
            number=number,
            model_id=model_id,
            former=standing[model_id],
            stage=wanted[model_id],
            reason=reason,
            undoes=undoes,
            run=run_id,
            at=at,
        )
        connection.execute(update(tables.model).where(MODEL.id == model_id).values(stage=change.stage))
        row = {field: getattr(change, field) for field in StageChange.__slots__}
        connection.execute(insert(connection, tables.stage_change), [row])
        done.append(change)
    return tuple(done)


def history(
    connection: Connection, *, name: str | None = None, model_id: str | None = None, until: datetime | None = None
) -> tuple[StageChange, ...]:
    """List changes by name, each name's in the order in which they happened; every filter that is given must hold."""
    query = select(tables.stage_change).order_by(ROW.name, ROW.number)
    for column, value in ((ROW.name, name), (ROW.model_id, model_id)):
        if value is not None:
            query = query.where(column == value)
    if until is not None:
        query = query.where(ROW.at <= until)
    return tuple(map(_change, connection.execute(query)))


def active_at(connection: Connection, at: datetime, name: str | None = None) -> dict[str, StageChange]:
    """Find, for each name that had an active version at an instant, the change that made it so."""
    found: dict[str, StageChange] = {}
    for change in history(connection, name=name, until=at):
        if change.stage is Stage.ACTIVE:
            found[change.name] = change
        elif change.name in found and found[change.name].model_id == change.model_id:
            del found[change.name]
    return found


def last_act(connection: Connection, name: str) -> tuple[StageChange, ...]:
    """Give the changes of the newest act on a name that was not taken back and takes none back; () where none is."""
    undone: set[str] = set()
    acts = [tuple(act) for _, act in groupby(history(connection, name=name), key=lambda change: change.run)]
    for act in reversed(acts):
        run, undoes = act[0].run, act[0].undoes
        if undoes is not None:
            undone.add(undoes)
        elif run is not None and run not in undone:
            return act
    return ()


def _change(row: Row[Any]) -> StageChange:
    values = row._asdict()
    return StageChange(**values | {"former": Stage(row.former), "stage": Stage(row.stage)})
