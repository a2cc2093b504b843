"""Openings of test parts, and evaluations: written once, never changed."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, func, select

from medflow.domain.evaluation import Evaluation, Opening
from medflow.store import tables
from medflow.store.columns import insert_new

OPENING = tables.opening.c
ROW = tables.evaluation.c


def save_opening(connection: Connection, opening: Opening) -> bool:
    """Put on record that a model is about to look at a test part; False where it had looked before."""
    values = {field.name: getattr(opening, field.name) for field in fields(Opening)}
    return insert_new(connection, tables.opening, {**values, "id": opening.id})


def openings(
    connection: Connection, *, test_digest: str | None = None, model_id: str | None = None
) -> tuple[Opening, ...]:
    """List openings, oldest first: of one test part, or by one model."""
    query = select(*(OPENING[field.name] for field in fields(Opening))).order_by(OPENING.at, OPENING.id)
    if test_digest is not None:
        query = query.where(OPENING.test_digest == test_digest)
    if model_id is not None:
        query = query.where(OPENING.model_id == model_id)
    return tuple(Opening(**row._asdict()) for row in connection.execute(query))


def opened(connection: Connection, test_digest: str) -> int:
    """Count the models that looked at a test part."""
    return connection.scalar(select(func.count()).where(OPENING.test_digest == test_digest)) or 0


def save_evaluation(connection: Connection, evaluation: Evaluation) -> bool:
    """Write an evaluation; False, and nothing is written, if this model was evaluated on this part before."""
    values: dict[str, Any] = {field.name: getattr(evaluation, field.name) for field in fields(Evaluation)}
    return insert_new(connection, tables.evaluation, {**values, "id": evaluation.id})


def evaluations(
    connection: Connection, *, model_id: str | None = None, cohort_digest: str | None = None, part: str | None = None
) -> tuple[Evaluation, ...]:
    """List evaluations, oldest first; every filter that is given must hold."""
    query = select(*(ROW[field.name] for field in fields(Evaluation))).order_by(ROW.at, ROW.id)
    for column, value in ((ROW.model_id, model_id), (ROW.cohort_digest, cohort_digest), (ROW.part, part)):
        if value is not None:
            query = query.where(column == value)
    return tuple(Evaluation(**row._asdict()) for row in connection.execute(query))
