"""Rows of series: which were accepted, which were turned away and why, and which revision stands."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal, or_, select, update

from medflow.domain.completeness import Completeness, Evidence, Verdict
from medflow.domain.safe import DeidentifiedSeries, Pseudonym, SeriesUID, StudyUID
from medflow.domain.series import Modality
from medflow.errors import Reason
from medflow.store import tables
from medflow.store.columns import insert
from medflow.store.exclusions import OPTED_OUT
from medflow.store.ids import find_id
from medflow.store.runs import batches

ROW = tables.series.c
DESCRIBING = (
    "record_digest",
    "folder",
    "site",
    "scanner",
    "sex",
    "age",
    "body_part",
    "head",
    "description",
    "slice_thickness",
    "completeness",
    "evidence",
)
"""Columns that an erasure empties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """One revision of one series, named by what was taken in and the profile it was taken in under."""

    id: str
    patient: Pseudonym | None
    """None, like all that follows from the content, where the series was refused before that was known."""
    barred: bool
    study: StudyUID | None
    uid: SeriesUID
    modality: Modality
    state: str
    """accepted, withheld, refused, superseded or erased."""
    reason: Reason | None
    detail: str
    source_digest: str
    profile_digest: str
    series_digest: str | None
    record_digest: str | None
    """SHA-256 of `series.json`."""
    folder: str | None
    """Below the safe store's root."""
    source: str
    """Name of the configured source whose run took it in."""
    site: str | None
    scanner: str | None
    sex: str | None
    age: int | None
    body_part: str | None
    head: bool | None
    description: str | None
    slices: int
    """Of all its volumes together."""
    layouts: int
    slice_thickness: float | None
    """mm"""
    revision: int
    superseded_by: str | None
    run: str
    at: datetime
    completeness: Verdict | None
    """None where the series was refused, or taken in before there were verdicts."""
    evidence: tuple[Evidence, ...]


def save_series(
    connection: Connection,
    safe: DeidentifiedSeries,
    *,
    completeness: Completeness | None = None,
    run_id: str,
    at: datetime,
    source: str | None = None,
) -> bool:
    """Write an accepted series and the verdict on its completeness; False if it was accepted before.

    `source` names where it was taken in; without it, the run's. Older accepted revisions (same UID, other source files
    or another profile) become superseded by it: of one series, one row stands. A row that turned the same files away
    becomes this one.
    """
    _one_writer(connection, safe.uid)
    there = connection.scalar(select(ROW.state).where(ROW.id == safe.id).with_for_update())
    if there in {"accepted", "superseded"}:
        return False
    same = (ROW.uid == safe.uid, ROW.id != safe.id)
    older = connection.scalars(select(ROW.id).where(*same, ROW.state == "accepted").with_for_update()).all()
    revision = connection.scalar(select(func.max(ROW.revision)).where(*same)) or 0
    replaced = update(tables.series).where(ROW.id.in_(older))
    connection.execute(replaced.values(state="superseded"))
    values = _accepted(safe, completeness, revision=revision + 1, at=at)
    _write(connection, values if source is None else {**values, "source": source}, run_id)
    connection.execute(replaced.values(superseded_by=safe.id))
    return True


def save_refused_series(  # noqa: PLR0913  (the columns of a row)
    connection: Connection,
    *,
    series_id: str,
    patient: Pseudonym | None,
    study: StudyUID | None,
    uid: SeriesUID,
    source_digest: str,
    profile_digest: str,
    modality: Modality,
    state: str,
    reason: Reason,
    detail: str = "",
    barred: bool = False,
    run_id: str,
    at: datetime,
) -> bool:
    """Write a series that is "refused" or "withheld"; False if that very row was there, or the series is accepted."""
    there = connection.execute(
        select(ROW.state, ROW.reason, ROW.detail).where(ROW.id == series_id).with_for_update()
    ).first()
    if there is not None and (there.state in {"accepted", "superseded"} or tuple(there) == (state, reason, detail)):
        return False
    values = dict.fromkeys(field.name for field in fields(SeriesRow))
    known = {
        "id": series_id,
        "patient": patient,
        "barred": barred,
        "study": study,
        "uid": uid,
        "modality": modality,
        "state": state,
        "reason": reason,
        "detail": detail,
        "source_digest": source_digest,
        "profile_digest": profile_digest,
        "slices": 0,
        "layouts": 0,
        "revision": 0,
        "at": at,
    }
    _write(connection, {**values, **known}, run_id)
    return True


def known_series(connection: Connection, source_digest: str, profile_digest: str) -> SeriesRow | None:
    """Find what was taken in already, whatever became of it."""
    key = (ROW.source_digest == source_digest, ROW.profile_digest == profile_digest)
    row = connection.execute(select(tables.series).where(*key)).first()
    return None if row is None else _series(row)


def series_row(connection: Connection, start: str) -> SeriesRow:
    """Find a series by the beginning of its id."""
    found = find_id(connection, ROW.id, start, prefix="ser_")
    return _series(connection.execute(select(tables.series).where(ROW.id == found)).one())


def accepted_series(connection: Connection, *, modality: Modality | None = None) -> tuple[SeriesRow, ...]:
    """List the series that stand, ordered by id, those of patients who opted out aside."""
    wanted: list[ColumnElement[bool]] = [ROW.state == "accepted", ~OPTED_OUT]
    if modality is not None:
        wanted.append(ROW.modality == modality)
    return _listed(connection, *wanted)


def turned_away(connection: Connection, *, reason: Reason | None = None) -> tuple[SeriesRow, ...]:
    """List the series that were refused or withheld, ordered by id, those of patients who opted out aside."""
    wanted: list[ColumnElement[bool]] = [ROW.state.in_(["refused", "withheld"]), ~OPTED_OUT]
    if reason is not None:
        wanted.append(ROW.reason == reason)
    return _listed(connection, *wanted)


def series_of(connection: Connection, patients: Iterable[Pseudonym]) -> tuple[SeriesRow, ...]:
    """List every row of some patients, whatever became of it, ordered by id."""
    return _listed(connection, ROW.patient.in_(set(patients)))


def stored_before(connection: Connection, before: datetime) -> tuple[SeriesRow, ...]:
    """List the series that were written before a moment and of which copies are stored."""
    return _listed(connection, ROW.folder.is_not(None), ROW.at < before)


def replaced_before(connection: Connection, before: datetime) -> tuple[SeriesRow, ...]:
    """List the stored series that another revision took the place of, or that were withheld, before a moment."""
    newer = tables.series.alias("newer")
    since = select(newer.c.at).where(newer.c.id == ROW.superseded_by).scalar_subquery()
    gone = ROW.state.in_(["superseded", "withheld"])
    return _listed(connection, ROW.folder.is_not(None), gone, func.coalesce(since, ROW.at) < before)


def last_seen(connection: Connection) -> dict[Pseudonym, datetime]:
    """Say when a series of each patient was written last."""
    query = select(ROW.patient, func.max(ROW.at)).where(ROW.patient.is_not(None))
    return {Pseudonym(patient): at for patient, at in connection.execute(query.group_by(ROW.patient))}


def folders_of_others(
    connection: Connection, uids: Iterable[SeriesUID], patients: Iterable[Pseudonym]
) -> frozenset[str]:
    """Name the stored copies under these UIDs that rows of other patients stand on."""
    theirs = or_(ROW.patient.is_(None), ROW.patient.not_in(set(patients)))
    found: set[str] = set()
    for batch in batches(uids):
        query = select(ROW.folder).where(ROW.uid.in_(batch), ROW.folder.is_not(None), theirs)
        found.update(folder for folder in connection.scalars(query) if folder is not None)
    return frozenset(found)


def opted_out(connection: Connection) -> tuple[Pseudonym, ...]:
    """Name the patients who opted out and of whom rows stand that were not erased."""
    theirs = select(ROW.patient).where(ROW.state != "erased", OPTED_OUT).distinct().order_by(ROW.patient)
    return tuple(Pseudonym(patient) for patient in connection.scalars(theirs) if patient is not None)


def erase_series(connection: Connection, ids: Iterable[str], *, reason: Reason) -> tuple[str, ...]:
    """Take from rows what describes a person and where copies lay; name the rows that were not erased before.

    Pseudonym, UIDs and digests stay: predictions and cohorts name them.
    """
    erased: list[str] = []
    for batch in batches(ids):
        there = (ROW.id.in_(batch), or_(ROW.state != "erased", ROW.reason != reason))
        values = {**dict.fromkeys(DESCRIBING), "state": "erased", "reason": reason, "detail": ""}
        erased += connection.scalars(update(tables.series).where(*there).values(values).returning(ROW.id))
    return tuple(sorted(erased))


def revisions(connection: Connection, uid: SeriesUID) -> tuple[SeriesRow, ...]:
    """List all rows of one Series Instance UID, in the order in which they came."""
    rows = connection.execute(select(tables.series).where(ROW.uid == uid).order_by(ROW.revision, ROW.id))
    return tuple(map(_series, rows))


def _accepted(
    safe: DeidentifiedSeries, completeness: Completeness | None, *, revision: int, at: datetime
) -> dict[str, Any]:
    described = safe.descriptors
    judged = None if completeness is None else completeness.record()
    return {
        "id": safe.id,
        "patient": safe.patient,
        "barred": safe.barred,
        "study": safe.study,
        "uid": safe.uid,
        "modality": safe.modality,
        "state": "accepted",
        "reason": None,
        "detail": "",
        "source_digest": safe.source_digest,
        "profile_digest": safe.profile_digest,
        "series_digest": safe.series_digest,
        "record_digest": sha256(safe.written().encode("ascii")).hexdigest(),
        "folder": safe.relative_folder,
        "site": described.site,
        "scanner": described.scanner,
        "sex": described.sex,
        "age": described.age,
        "body_part": described.body_part,
        "head": described.head,
        "description": described.description,
        "slices": sum(layout.shape[2] for layout in safe.layouts),
        "layouts": len(safe.layouts),
        "slice_thickness": described.slice_thickness,
        "revision": revision,
        "superseded_by": None,
        "at": at,
        "completeness": None if judged is None else judged["verdict"],
        "evidence": None if judged is None else judged["evidence"],
    }


def _write(connection: Connection, values: dict[str, Any], run_id: str) -> None:
    source = select(tables.run.c.source).where(tables.run.c.id == run_id).scalar_subquery()
    values = {**values, "run": run_id, "source": values.get("source") or source}
    statement = insert(connection, tables.series).values(values)
    replaced = {name: statement.excluded[name] for name in values if name != "id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=replaced))


def _one_writer(connection: Connection, uid: SeriesUID) -> None:
    """Let revisions of one series queue up on PostgreSQL; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal(f"series/{uid}"), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def _listed(connection: Connection, *wanted: ColumnElement[bool]) -> tuple[SeriesRow, ...]:
    return tuple(map(_series, connection.execute(select(tables.series).where(*wanted).order_by(ROW.id))))


def _series(row: Row[Any]) -> SeriesRow:
    judged = None
    if row.completeness is not None:
        judged = Completeness.from_record({"verdict": row.completeness, "evidence": row.evidence})
    read = {
        "modality": Modality(row.modality),
        "completeness": None if judged is None else judged.verdict,
        "evidence": () if judged is None else judged.evidence,
    }
    return SeriesRow(**{**row._asdict(), **read})
