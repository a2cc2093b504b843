"""Predictions: rows that are written once and never changed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from medflow.domain.model import Stage
from medflow.domain.prediction import Prediction, Runtime
from medflow.domain.safe import Pseudonym, SeriesUID
from medflow.store import tables
from medflow.store.columns import insert, insert_new
from medflow.store.ids import find_id
from medflow.store.runs import batches

ROW = tables.prediction.c
PROBABILITY = tables.probability.c
PLAIN = (
    "series_id",
    "series_digest",
    "layout_digest",
    "input_digest",
    "model_id",
    "model_digest",
    "grid_digest",
    "generation",
    "label",
    "withheld",
    "code",
    "at",
    "completeness",
    "stage",
)
"""Fields of a Prediction that are columns as they are."""
RUNTIME = ("device", "capability", "threads", "batch", "dtype")


def save_prediction(connection: Connection, prediction: Prediction) -> bool:
    """Write a prediction; False, and nothing is written, if one with the same natural key is there."""
    row = {
        "id": prediction.id,
        "subject": prediction.subject,
        "patient": prediction.patient,
        **{name: getattr(prediction, name) for name in PLAIN},
        **{name: getattr(prediction.runtime, name) for name in RUNTIME},
    }
    if not insert_new(connection, tables.prediction, row):
        return False
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    rows = [
        {"prediction_id": prediction.id, "position": place, "name": name, "value": value}
        for place, (name, value) in enumerate(pairs)
    ]
    connection.execute(insert(connection, tables.probability), rows)
    return True


def prediction(connection: Connection, start: str) -> Prediction:
    """Find a prediction by the beginning of its id."""
    found = find_id(connection, ROW.id, start, prefix="prd_")
    return _read(connection, select(tables.prediction).where(ROW.id == found))[0]


def predictions(  # noqa: PLR0913  (each is a filter)
    connection: Connection,
    *,
    model_id: str | None = None,
    model_digest: str | None = None,
    series_id: str | None = None,
    subject: str | None = None,
    patient: str | None = None,
    label: str | None = None,
    withheld: bool | None = None,
    shadow: bool = True,
    since: datetime | None = None,
    limit: int | None = None,
) -> tuple[Prediction, ...]:
    """List predictions, newest first; every filter that is given must hold.

    `shadow` False leaves out what models said while they were shadows.
    """
    same = {
        ROW.model_id: model_id,
        ROW.model_digest: model_digest,
        ROW.series_id: series_id,
        ROW.subject: subject,
        ROW.patient: patient,
        ROW.label: label,
    }
    wanted: list[ColumnElement[bool]] = [column == value for column, value in same.items() if value is not None]
    if withheld is not None:
        wanted.append(ROW.withheld.is_not(None) if withheld else ROW.withheld.is_(None))
    if not shadow:
        wanted.append(or_(ROW.stage.is_(None), ROW.stage != Stage.SHADOW))
    if since is not None:
        wanted.append(ROW.at >= since)
    query = select(tables.prediction).where(*wanted).order_by(ROW.at.desc(), ROW.id).limit(limit)
    return _read(connection, query)


def counted(connection: Connection, series_ids: Iterable[str]) -> int:
    """Count the predictions about some series."""
    found = 0
    for batch in batches(series_ids):
        found += connection.scalar(select(func.count()).where(ROW.series_id.in_(batch))) or 0
    return found


def without_input(connection: Connection) -> frozenset[str]:
    """Name the predictions whose input was erased: nothing of the series is left here."""
    erased = select(tables.series.c.id).where(tables.series.c.state == "erased")
    return frozenset(connection.scalars(select(ROW.id).where(ROW.series_id.in_(erased))))


def input_digests(connection: Connection, series_ids: Iterable[str]) -> frozenset[str]:
    """Name the inputs that models and cohorts made of some series."""
    found: set[str] = set()
    for batch in batches(series_ids):
        for column in (ROW, tables.example.c):
            found.update(connection.scalars(select(column.input_digest).where(column.series_id.in_(batch))))
    return frozenset(found)


def scored(connection: Connection, *, model_digest: str, generation: int = 0) -> frozenset[str]:
    """Name the series rows that a model has given its answer for."""
    done = (ROW.model_digest == model_digest, ROW.generation == generation)
    return frozenset(connection.scalars(select(ROW.series_id).where(*done)))


def _read(connection: Connection, query: Select[Any]) -> tuple[Prediction, ...]:
    rows = connection.execute(query).all()
    said: dict[str, list[tuple[str, float]]] = {row.id: [] for row in rows}
    for batch in batches(said):
        parts = select(PROBABILITY.prediction_id, PROBABILITY.name, PROBABILITY.value)
        parts = parts.where(PROBABILITY.prediction_id.in_(batch)).order_by(PROBABILITY.position)
        for owner, name, value in connection.execute(parts):
            said[owner].append((name, value))
    return tuple(_prediction(row, said[row.id]) for row in rows)


def _prediction(row: Row[Any], said: list[tuple[str, float]]) -> Prediction:
    return Prediction(
        subject=SeriesUID(row.subject),
        patient=Pseudonym(row.patient),
        classes=tuple(name for name, _ in said),
        probabilities=tuple(value for _, value in said),
        runtime=Runtime(**{name: getattr(row, name) for name in RUNTIME}),
        **{name: getattr(row, name) for name in PLAIN},
    )
