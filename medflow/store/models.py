"""The registry: code versions, model versions, the cohorts that they were trained on, and their stages."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select

from medflow.domain.model import Example, Model, Stage
from medflow.domain.prediction import CodeVersion
from medflow.errors import StateError
from medflow.store import tables
from medflow.store.columns import insert, insert_new
from medflow.store.ids import find_id
from medflow.store.runs import batches

ROW = tables.model.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A model version and where it stands in its life."""

    model: Model
    stage: Stage


def save_code(connection: Connection, code: CodeVersion) -> str:
    """Write a code version, unless it is there, and name it."""
    row = {
        "digest": code.digest,
        "version": code.version,
        "commit": code.commit,
        "packages": [list(package) for package in code.packages],
    }
    insert_new(connection, tables.code_version, row)
    return code.digest


def code_version(connection: Connection, digest: str) -> CodeVersion:
    """Read the code version that a row names."""
    row = connection.execute(select(tables.code_version).where(tables.code_version.c.digest == digest)).first()
    if row is None:
        raise StateError(f"no code version {digest[:12]} is recorded")
    packages = tuple((name, version) for name, version in row.packages)
    return CodeVersion(version=row.version, commit=row.commit, packages=packages)


def next_version(connection: Connection, name: str) -> int:
    """Number the next version of a model; on PostgreSQL other trainers of that name wait until the transaction ends."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal(f"model/{name}"), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
    return (connection.scalar(select(func.max(ROW.version)).where(ROW.name == name)) or 0) + 1


def save_model(
    connection: Connection, model: Model, examples: tuple[Example, ...], *, stage: Stage = Stage.CANDIDATE
) -> bool:
    """Write a model version and its cohort; False if a model of that task, cohort, seed and code is there.

    Raises:
        StateError: another model has that name and version.
    """
    if connection.scalar(select(ROW.id).where(ROW.id == model.id)) is not None:
        return False
    values = {field.name: getattr(model, field.name) for field in fields(Model)}
    if not insert_new(connection, tables.model, {**values, "id": model.id, "stage": stage}):
        if connection.scalar(select(ROW.id).where(ROW.id == model.id)) is not None:
            return False  # written by somebody else between the question and the answer
        raise StateError(f"another model is called {model.name}:{model.version}")
    if examples:
        names = [field.name for field in fields(Example)]
        rows = [{name: getattr(example, name) for name in names} for example in examples]
        numbered = [{**row, "model_id": model.id, "position": place} for place, row in enumerate(rows)]
        connection.execute(insert(connection, tables.example), numbered)
    return True


def models(connection: Connection, *, name: str | None = None, stage: Stage | None = None) -> tuple[Registered, ...]:
    """List model versions by name and version."""
    query = select(tables.model).order_by(ROW.name, ROW.version)
    if name is not None:
        query = query.where(ROW.name == name)
    if stage is not None:
        query = query.where(ROW.stage == stage)
    return tuple(map(_registered, connection.execute(query)))


def model(connection: Connection, name: str, version: int | None = None) -> Registered:
    """Find a version of a model; without a number the active one, else the newest candidate, else the newest shadow.

    Raises:
        StateError: there is none.
    """
    versions = models(connection, name=name)
    if version is not None:
        found = [item for item in versions if item.model.version == version]
    else:
        order = (Stage.ACTIVE, Stage.CANDIDATE, Stage.SHADOW)
        found = next(filter(None, ([one for one in versions if one.stage is stage] for stage in order)), [])
    if not found:
        raise StateError(f"there is no model {name}{'' if version is None else f':{version}'} to use")
    return found[-1]


def model_row(connection: Connection, start: str) -> Registered:
    """Find a model version by the beginning of its id."""
    found = find_id(connection, ROW.id, start, prefix="mod_")
    return _registered(connection.execute(select(tables.model).where(ROW.id == found)).one())


def examples(connection: Connection, model_id: str) -> tuple[Example, ...]:
    """Read the cohort that a model was trained on, in the order in which it was written."""
    column = tables.example.c
    query = select(*(column[field.name] for field in fields(Example))).where(column.model_id == model_id)
    return tuple(Example(**row._asdict()) for row in connection.execute(query.order_by(column.position)))


def examples_of(connection: Connection, series_ids: Iterable[str]) -> int:
    """Count the examples of all models that some series are."""
    used, found = tables.example.c, 0
    for batch in batches(series_ids):
        found += connection.scalar(select(func.count()).where(used.series_id.in_(batch))) or 0
    return found


def _registered(row: Row[Any]) -> Registered:
    values = {field.name: getattr(row, field.name) for field in fields(Model)}
    return Registered(model=Model(**values), stage=Stage(row.stage))
