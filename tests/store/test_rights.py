"""Rows of people's rights: opt-outs, erasures, the flags that they leave, and exports that are remembered."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from medflow.domain.model import Example
from medflow.domain.safe import DeidentifiedSeries, Pseudonym
from medflow.errors import Reason
from medflow.store import erasures, exclusions, exports, flags, jobs
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.erasures import Erasure
from medflow.store.exclusions import Exclusion
from medflow.store.models import save_model
from medflow.store.series import accepted_series, erase_series, save_series, series_of, series_row
from tests.store.made import NOON, RUN, a_house, a_model, a_run, a_series, hexed

PATIENT, OTHER = Pseudonym("PABCDEFGHIJKLMNOP"), Pseudonym("PZZZZZZZZZZZZZZZZ")
LATER = NOON + timedelta(days=1)


def an_example(series: DeidentifiedSeries, *, patient: Pseudonym = PATIENT, part: str = "train") -> Example:
    return Example(
        patient=patient,
        series_id=series.id,
        subject=series.uid,
        input_digest=hexed("i"),
        layout_digest=hexed("l"),
        label="yes",
        part=part,
    )


def test_a_patient_who_opts_out_stands_on_the_list_until_lifted(engine: Engine) -> None:
    with writing(engine) as connection:
        a_run(connection)
        assert exclusions.exclude(connection, [PATIENT, OTHER], run_id=RUN, at=NOON) == (PATIENT, OTHER)
        assert exclusions.exclude(connection, [PATIENT], run_id=RUN, at=LATER) == ()
        assert exclusions.lift(connection, [PATIENT], at=LATER) == (PATIENT,)
        assert exclusions.lift(connection, [PATIENT], at=LATER) == ()

    with writing(engine) as connection:
        assert exclusions.excluded(connection) == {OTHER}
        assert exclusions.exclusions(connection) == (
            Exclusion(patient=PATIENT, run=RUN, since=NOON, lifted=LATER),
            Exclusion(patient=OTHER, run=RUN, since=NOON, lifted=None),
        )
        assert exclusions.exclude(connection, [PATIENT], run_id=RUN, at=LATER) == (PATIENT,)
        assert exclusions.excluded(connection) == {PATIENT, OTHER}


def test_series_of_an_excluded_patient_are_not_among_those_that_stand(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
        exclusions.exclude(connection, [OTHER], run_id=RUN, at=NOON)
        assert [row.id for row in accepted_series(connection)] == [series.id]

        exclusions.exclude(connection, [PATIENT], run_id=RUN, at=NOON)
        assert accepted_series(connection) == ()
        assert [row.state for row in series_of(connection, [PATIENT])] == ["accepted"]

        exclusions.lift(connection, [PATIENT], at=LATER)
        assert [row.id for row in accepted_series(connection)] == [series.id]


def test_an_erasure_is_unfinished_from_its_request_until_it_is_done(engine: Engine) -> None:
    with writing(engine) as connection:
        for run in (RUN, "run_2"):
            a_run(connection, run)
        asked = Erasure(patient=PATIENT, state="requested", counts={}, run=RUN, at=NOON)
        again = Erasure(patient=PATIENT, state="requested", counts={}, run="run_2", at=LATER)
        done = Erasure(
            patient=PATIENT, state="done", counts={"series": 2}, run="run_2", at=LATER + timedelta(seconds=1)
        )
        assert erasures.save_erasure(connection, asked)
        assert not erasures.save_erasure(connection, asked)
        assert erasures.save_erasure(connection, again)
        assert erasures.unfinished(connection) == (PATIENT,)

        assert erasures.save_erasure(connection, done)

        assert erasures.unfinished(connection) == ()
        assert erasures.erasures(connection, patient=PATIENT) == (asked, again, done)
        assert erasures.erasures(connection, patient=OTHER) == ()


def test_an_erased_series_keeps_its_names_and_digests_and_loses_what_describes_a_person(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
        before = series_row(connection, series.id)
        assert erase_series(connection, [series.id, "ser_other"], reason=Reason.PATIENT_ERASED) == (series.id,)
        assert erase_series(connection, [series.id], reason=Reason.PATIENT_ERASED) == ()

        row = series_row(connection, series.id)

    kept = ("id", "patient", "study", "uid", "modality", "source_digest", "profile_digest", "series_digest", "slices")
    assert [getattr(row, name) for name in kept] == [getattr(before, name) for name in kept]
    assert (row.state, row.reason, row.detail) == ("erased", Reason.PATIENT_ERASED, "")
    assert all(getattr(row, name) is None for name in series_rows.DESCRIBING if name != "evidence")
    assert row.evidence == ()


def test_a_series_that_comes_back_after_it_was_erased_stands_again(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
        erase_series(connection, [series.id], reason=Reason.PATIENT_ERASED)

        assert save_series(connection, series, run_id=RUN, at=LATER)

        (row,) = accepted_series(connection)
        assert (row.id, row.at, row.sex, row.reason) == (series.id, LATER, "F", None)


def test_stored_copies_are_known_by_their_age_and_by_whose_they_are(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
        other = a_series("b", uid="2.25.8")
        save_series(connection, other, run_id=RUN, at=LATER)
        assert [one.id for one in series_rows.stored_before(connection, LATER)] == [series.id]
        assert series_rows.replaced_before(connection, LATER) == ()
        assert series_rows.last_seen(connection) == {PATIENT: LATER}
        assert series_rows.folders_of_others(connection, [series.uid, other.uid], [OTHER]) == {
            series.relative_folder,
            other.relative_folder,
        }
        assert series_rows.folders_of_others(connection, [series.uid, other.uid], [PATIENT]) == frozenset()


def test_a_flag_names_each_model_that_used_a_patient_once(engine: Engine) -> None:
    with writing(engine) as connection:
        series, unused = a_house(connection)
        taught = a_model("lung", seed=2)
        used = [an_example(series), an_example(series, part="test"), an_example(series, patient=OTHER)]
        save_model(connection, taught, tuple(used))

        found = flags.touched(connection, [PATIENT])

        (one,) = found
        assert (one.patient, one.model_id, one.model, one.parts) == (
            PATIENT,
            taught.id,
            "lung:1",
            {"test": 1, "train": 1},
        )
        assert one.detail() == {"cohort": taught.cohort_digest, "parts": {"test": 1, "train": 1}, "examples": 2}
        details = {touch.model_id: touch.detail() for touch in found}
        (flag,) = flags.save(connection, "erased", PATIENT, details, run_id=RUN, at=NOON)
        assert flags.save(connection, "erased", PATIENT, details, run_id=RUN, at=LATER) == ()
        assert flags.save(connection, "merged", PATIENT, details, run_id=RUN, at=LATER)
        assert [item.kind for item in flags.flags(connection, model_id=taught.id)] == ["erased", "merged"]
        assert flags.flags(connection, patient=PATIENT)[0] == flag
        assert flags.flags(connection, model_id=unused.id) == flags.flags(connection, patient=OTHER) == ()
    with pytest.raises(DBAPIError), writing(engine) as connection:
        flags.save(connection, "forgotten", PATIENT, details, run_id=RUN, at=NOON)


def test_an_export_is_remembered_once_for_each_place_until_it_is_forgotten(engine: Engine) -> None:
    with writing(engine) as connection:
        a_run(connection)
        for at in (NOON, LATER):
            exports.save_export(connection, patient=PATIENT, kind="volumes", place="a", run_id=RUN, at=at)
        exports.save_export(connection, patient=OTHER, kind="series", place="b", run_id=RUN, at=NOON)

    with writing(engine) as connection:
        (own,) = exports.exports(connection, patients=[PATIENT])
        (old,) = exports.exports(connection, before=LATER)
        assert (own.place, own.at, old.patient) == ("a", LATER, OTHER)
        assert exports.forget_exports(connection, [own.id, "exp_gone"]) == 1
        assert exports.exports(connection) == (old,)


def test_a_cancelled_job_is_lost_to_its_worker_and_ready_again_once_it_is_wanted(engine: Engine) -> None:
    with writing(engine) as connection:
        for subject in ("ser_1", "ser_2"):
            jobs.offer(connection, step="score", subject=subject, at=NOON)
    with writing(engine) as connection:
        mine = jobs.claim(connection, step="score", owner="w", token="t", seconds=60)  # noqa: S106
    assert mine is not None

    with writing(engine) as connection:
        assert [job.subject for job in jobs.cancel(connection, [mine.subject])] == [mine.subject]
        assert jobs.cancel(connection, [mine.subject]) == ()
    with pytest.raises(jobs.LeaseLost), writing(engine) as connection:
        jobs.close(connection, mine, state="done")

    with writing(engine) as connection:
        assert jobs.reopen(connection, step="score", subjects=["ser_1", "ser_2"]) == 1
    with reading(engine) as connection:
        assert [(job.state, job.attempts) for job in jobs.jobs(connection)] == [("ready", 0)] * 2


def test_what_a_transaction_that_fails_wrote_of_a_right_is_not_there(engine: Engine) -> None:
    def fail(connection: Connection) -> None:
        a_run(connection)
        exclusions.exclude(connection, [PATIENT], run_id=RUN, at=NOON)
        raise RuntimeError

    with pytest.raises(RuntimeError), writing(engine) as connection:
        fail(connection)
    with reading(engine) as connection:
        assert exclusions.excluded(connection) == frozenset()
