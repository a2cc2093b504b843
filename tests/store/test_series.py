"""Rows of series: accepted once, superseded by revisions, turned away with a reason."""

from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import Engine

from medflow.domain.completeness import Completeness, Evidence, Verdict
from medflow.domain.safe import SeriesUID, series_id
from medflow.domain.series import Modality
from medflow.errors import Reason, StateError
from medflow.store.engine import reading, writing
from medflow.store.series import (
    SeriesRow,
    accepted_series,
    known_series,
    revisions,
    save_refused_series,
    save_series,
    series_row,
    turned_away,
)
from tests.store.made import NOON, RUN, a_run, a_series, hexed


@pytest.fixture
def running(engine: Engine) -> Engine:
    """A database with an open run."""
    with writing(engine) as connection:
        a_run(connection)
    return engine


def saved(engine: Engine, name: str = "a", uid: str = "2.25.7") -> bool:
    with writing(engine) as connection:
        return save_series(connection, a_series(name, uid=uid), run_id=RUN, at=NOON)


def refused(engine: Engine, name: str = "a", *, reason: Reason = Reason.NO_SUV, state: str = "refused") -> bool:
    source, profile = hexed(f"source {name}"), hexed("profile")
    with writing(engine) as connection:
        return save_refused_series(
            connection,
            series_id=series_id(source, profile),
            patient=None,
            study=None,
            uid=SeriesUID("2.25.7"),
            source_digest=source,
            profile_digest=profile,
            modality=Modality.PT,
            state=state,
            reason=reason,
            detail="RadionuclideTotalDose",
            run_id=RUN,
            at=NOON,
        )


def test_a_series_comes_out_as_it_went_in(running: Engine) -> None:
    safe = a_series()
    assert saved(running)
    with reading(running) as connection:
        (row,) = accepted_series(connection)
        assert (
            row == series_row(connection, safe.id[:9]) == known_series(connection, safe.source_digest, hexed("profile"))
        )

    described = {field.name for field in fields(SeriesRow)} & set(type(safe.descriptors).__slots__)
    assert {name: getattr(row, name) for name in described} == {
        name: getattr(safe.descriptors, name) for name in described
    }
    same = ("id", "patient", "barred", "study", "uid", "modality", "source_digest", "profile_digest", "series_digest")
    assert [getattr(row, name) for name in same] == [getattr(safe, name) for name in same]
    assert (row.slices, row.layouts, row.revision, row.source, row.at) == (2, 1, 1, "export", NOON)
    assert row.record_digest == sha256(safe.written().encode()).hexdigest()
    assert (row.folder, row.reason, row.run) == (safe.relative_folder, None, RUN)


def test_saving_a_series_twice_keeps_one_row(running: Engine) -> None:
    assert saved(running)
    assert not saved(running)
    with reading(running) as connection:
        assert len(accepted_series(connection)) == 1


def test_a_new_revision_supersedes_the_older_one_for_good(running: Engine) -> None:
    assert [saved(running, name) for name in "abc"] == [True, True, True]
    assert not saved(running, "a")
    with reading(running) as connection:
        rows = revisions(connection, SeriesUID("2.25.7"))
        (stands,) = accepted_series(connection)

    assert [(row.revision, row.state) for row in rows] == [(1, "superseded"), (2, "superseded"), (3, "accepted")]
    assert [row.superseded_by for row in rows] == [rows[1].id, rows[2].id, None]
    assert stands == rows[2]


def test_series_of_other_uids_supersede_nothing(running: Engine) -> None:
    saved(running, "a", "2.25.7")
    saved(running, "b", "2.25.8")
    with reading(running) as connection:
        assert len(accepted_series(connection)) == len(accepted_series(connection, modality=Modality.CT)) == 2
        assert accepted_series(connection, modality=Modality.MR) == ()


def test_a_series_taken_in_again_under_a_new_profile_stands_once(running: Engine) -> None:
    saved(running, "a")
    other = replace(a_series("a"), profile_digest=hexed("another profile"))
    with writing(running) as connection:
        assert save_series(connection, other, run_id=RUN, at=NOON)
    assert not saved(running, "a")
    with reading(running) as connection:
        (stands,) = accepted_series(connection)
        older, _ = revisions(connection, SeriesUID("2.25.7"))

    assert (stands.id, stands.revision) == (other.id, 2)
    assert (older.state, older.superseded_by) == ("superseded", other.id)


def test_a_refused_series_is_a_row_with_its_reason(running: Engine) -> None:
    assert refused(running)
    assert not refused(running)
    with reading(running) as connection:
        (row,) = turned_away(connection)
        assert turned_away(connection, reason=Reason.NO_SUV) == (row,)
        assert turned_away(connection, reason=Reason.BURNED_IN_TEXT) == accepted_series(connection) == ()
    assert (row.state, row.reason, row.detail) == ("refused", Reason.NO_SUV, "RadionuclideTotalDose")
    assert (row.patient, row.slices, row.folder, row.source) == (None, 0, None, "export")


def test_a_series_that_was_refused_may_be_accepted_later_but_not_the_reverse(running: Engine) -> None:
    assert refused(running)
    assert refused(running, reason=Reason.BURNED_IN_TEXT, state="withheld")
    assert saved(running)
    assert not refused(running)
    with reading(running) as connection:
        (row,) = accepted_series(connection)
        assert turned_away(connection) == ()
    assert (row.reason, row.detail, row.revision, row.slices) == (None, "", 1, 2)


def test_a_refused_revision_does_not_supersede_an_accepted_one(running: Engine) -> None:
    saved(running, "a")
    refused(running, "b")
    with reading(running) as connection:
        assert [row.id for row in accepted_series(connection)] == [a_series("a").id]


def test_what_is_not_known_is_said(running: Engine) -> None:
    with reading(running) as connection:
        assert known_series(connection, "x", "y") is None
        with pytest.raises(StateError, match="no series whose id begins with 'ser_00'"):
            series_row(connection, "00")


def test_an_id_may_be_cut_short_as_long_as_it_is_not_ambiguous(running: Engine) -> None:
    names = [f"s{number}" for number in range(40)]
    for place, name in enumerate(names):
        saved(running, name, f"2.25.{place + 100}")
    first = a_series("s0").id
    with reading(running) as connection:
        assert series_row(connection, first).id == first
        assert series_row(connection, first[:14]).id == first
        assert series_row(connection, first[4:14]).id == first
        for short in (first[:5], first[4]):
            with pytest.raises(StateError, match="ambiguous"):
                series_row(connection, short)
        for nothing in ("", "ser_", "%", "_"):
            with pytest.raises(StateError, match=r"needed|no series"):
                series_row(connection, nothing)


def test_an_instant_keeps_its_microseconds_and_comes_back_in_utc(running: Engine) -> None:
    elsewhere = NOON.astimezone(tz=None) + timedelta(microseconds=1)
    with writing(running) as connection:
        save_series(connection, a_series(), run_id=RUN, at=elsewhere)
    with reading(running) as connection:
        (row,) = accepted_series(connection)
    assert row.at == elsewhere
    assert row.at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_on_a_series_is_read_with_its_evidence(engine: Engine, verdict: Verdict) -> None:
    evidence = (Evidence(source="PACS", announced=3, found=2), Evidence(source="geometry", announced=2, found=2))
    with writing(engine) as connection:
        a_run(connection)
        judged = Completeness(verdict=verdict, evidence=evidence)
        save_series(connection, a_series(), completeness=judged, run_id=RUN, at=NOON)

    with reading(engine) as connection:
        row = series_row(connection, a_series().id)
    assert (row.completeness, row.evidence) == (verdict, evidence)


def test_a_later_revision_has_a_verdict_of_its_own(engine: Engine) -> None:
    with writing(engine) as connection:
        a_run(connection)
        for name, verdict in (("a", Verdict.CONTRADICTED), ("b", Verdict.PROVEN)):
            judged = Completeness(verdict=verdict)
            save_series(connection, a_series(name), completeness=judged, run_id=RUN, at=NOON)

    with reading(engine) as connection:
        rows = revisions(connection, a_series().uid)
    assert [(row.state, row.completeness) for row in rows] == [
        ("superseded", Verdict.CONTRADICTED),
        ("accepted", Verdict.PROVEN),
    ]
