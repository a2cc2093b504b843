"""What the database holds, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Connection, func, select

from medflow.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Counts of rows by state; a state without rows is absent."""

    files: Mapping[str, int]
    series: Mapping[str, int]
    modalities: Mapping[str, int]
    """Accepted series by modality."""
    completeness: Mapping[str, int]
    """Accepted series by the verdict on their completeness; "unjudged" were taken in before there were verdicts."""
    reasons: Mapping[str, int]
    """Files by the reason they were set aside for."""
    patients: int
    """Pseudonyms with an accepted series."""
    labels: int
    models: Mapping[str, int]
    """By stage."""
    predictions: int
    withheld: int
    """Predictions that are withheld."""
    jobs: Mapping[str, int]
    runs: Mapping[str, int]
    events: int
    """Lines of the audit trail, as its head says."""


def status(connection: Connection) -> Status:
    """Count everything, in the caller's one snapshot."""
    standing = tables.series.c.state == "accepted"
    by_modality = select(tables.series.c.modality, func.count()).where(standing).group_by(tables.series.c.modality)
    verdict = tables.series.c.completeness
    by_verdict = select(verdict, func.count()).where(standing).group_by(verdict).order_by(verdict)
    patients = select(func.count(tables.series.c.patient.distinct())).where(standing)
    withheld = select(func.count()).where(tables.prediction.c.withheld.is_not(None))
    by_reason = _by(connection, tables.file.c.reason)
    return Status(
        files=_by(connection, tables.file.c.state),
        series=_by(connection, tables.series.c.state),
        modalities={str(name): number for name, number in connection.execute(by_modality.order_by("modality"))},
        completeness={str(name or "unjudged"): number for name, number in connection.execute(by_verdict)},
        reasons=by_reason,
        patients=connection.scalar(patients) or 0,
        labels=connection.scalar(select(func.count()).select_from(tables.label)) or 0,
        models=_by(connection, tables.model.c.stage),
        predictions=connection.scalar(select(func.count()).select_from(tables.prediction)) or 0,
        withheld=connection.scalar(withheld) or 0,
        jobs=_by(connection, tables.job.c.state),
        runs=_by(connection, tables.run.c.state),
        events=connection.scalar(select(tables.audit_head.c.seq)) or 0,
    )


def _by(connection: Connection, column: Column[str]) -> dict[str, int]:
    """Count the rows of a table by what a column says."""
    query = select(column, func.count()).where(column.is_not(None)).group_by(column).order_by(column)
    return {str(value): number for value, number in connection.execute(query)}
