"""Jobs: leases by the database's clock, never shared, and exactly-once results whoever is killed."""

import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select

from medflow.errors import Reason, StateError
from medflow.store import tables
from medflow.store.audit import verify
from medflow.store.engine import open_engine, reading, writing
from medflow.store.jobs import (
    Job,
    LeaseLost,
    bury,
    claim,
    close,
    job_id,
    job_row,
    jobs,
    offer,
    release,
    renew,
)
from medflow.store.predictions import predictions
from tests.conftest import Database
from tests.store.made import NOON, SIGNER, a_house, a_prediction
from tests.store.workers import MODEL, STEP, claim_all, score_one

ROOT = Path(__file__).parents[2]
NEVER, LONG = 0.0, 60.0


def offered(engine: Engine, number: int, *, start: int = 0) -> None:
    with writing(engine) as connection:
        for place in range(start, start + number):
            at = NOON + timedelta(seconds=place)
            assert offer(connection, step=STEP, subject=f"ser_{place:04}", model_digest=MODEL, at=at)


def claimed(engine: Engine, token: str, *, seconds: float = LONG, attempts: int = 5) -> Job | None:
    with writing(engine) as connection:
        return claim(
            connection, step=STEP, model_digest=MODEL, owner="me", token=token, seconds=seconds, attempts=attempts
        )


def held(engine: Engine, token: str, *, seconds: float = LONG) -> Job:
    job = claimed(engine, token, seconds=seconds)
    assert job is not None
    return job


def test_a_job_goes_from_ready_over_leased_to_done(engine: Engine) -> None:
    offered(engine, 1)
    with reading(engine) as connection:
        ready = job_row(connection, job_id(STEP, "ser_0000", MODEL, 0)[:10])
    job = held(engine, "t1")
    with writing(engine) as connection:
        close(connection, job, state="refused", reason=Reason.NO_SUV)
        assert not offer(connection, step=STEP, subject="ser_0000", model_digest=MODEL, at=NOON)
    with reading(engine) as connection:
        (closed,) = jobs(connection, step=STEP, state="refused", model_digest=MODEL)

    assert (ready.state, ready.attempts, ready.at) == ("ready", 0, NOON)
    assert (job.state, job.attempts, job.token, job.owner) == ("leased", 1, "t1", "me")
    assert (closed.state, closed.reason, closed.token, closed.lease_until) == ("refused", Reason.NO_SUV, None, None)
    assert claimed(engine, "t2") is None


def test_the_oldest_job_goes_first(engine: Engine) -> None:
    offered(engine, 3)
    assert [held(engine, token).subject for token in "abc"] == ["ser_0000", "ser_0001", "ser_0002"]


def test_a_lease_that_runs_out_is_taken_over_and_its_first_holder_is_told(engine: Engine) -> None:
    offered(engine, 1)
    slow = held(engine, "slow", seconds=NEVER)
    time.sleep(0.01)
    quick = held(engine, "quick")
    assert (quick.id, quick.attempts) == (slow.id, 2)

    with pytest.raises(LeaseLost, match=slow.id), writing(engine) as connection:
        close(connection, slow, state="done")
    with pytest.raises(LeaseLost, match=slow.id), writing(engine) as connection:
        renew(connection, slow, seconds=LONG)
    with pytest.raises(LeaseLost, match=slow.id), writing(engine) as connection:
        release(connection, slow)
    with writing(engine) as connection:
        close(connection, quick, state="done")
    with pytest.raises(StateError), writing(engine) as connection:
        close(connection, quick, state="done")


def test_a_lease_is_kept_by_renewing_it(engine: Engine) -> None:
    offered(engine, 1)
    job = held(engine, "t", seconds=NEVER)
    with writing(engine) as connection:
        renew(connection, job, seconds=LONG)
    assert claimed(engine, "u") is None


def test_a_job_that_is_given_back_waits_until_its_time(engine: Engine) -> None:
    offered(engine, 1)
    with writing(engine) as connection:
        release(connection, held_in(connection), seconds=0.2, reason=Reason.UNEXPECTED_ERROR)
    assert claimed(engine, "soon") is None
    time.sleep(0.25)
    again = held(engine, "later")
    assert (again.attempts, again.reason) == (2, Reason.UNEXPECTED_ERROR)


def held_in(connection: Connection) -> Job:
    job = claim(connection, step=STEP, model_digest=MODEL, owner="me", token=str(1), seconds=LONG)
    assert job is not None
    return job


def test_a_job_that_kills_its_workers_is_buried(engine: Engine) -> None:
    offered(engine, 1)
    for token in "ab":
        held(engine, token, seconds=NEVER)
        time.sleep(0.01)
    assert claimed(engine, "c", attempts=2) is None

    with writing(engine) as connection:
        (dead,) = bury(connection, step=STEP, attempts=2)
        assert bury(connection, step=STEP, attempts=2) == ()
    assert (dead.state, dead.reason, dead.attempts) == ("dead", Reason.UNEXPECTED_ERROR, 2)


def test_work_for_another_step_or_model_is_left_alone(engine: Engine) -> None:
    with writing(engine) as connection:
        offer(connection, step="other", subject="s", model_digest=MODEL, at=NOON)
        offer(connection, step=STEP, subject="s", model_digest="n" * 64, at=NOON)
    assert claimed(engine, "t") is None


def test_threads_never_share_a_job(engine: Engine, database: Database) -> None:
    offered(engine, 60)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(claim_all, [database.url] * 4, "abcd"))
    assert sorted(chain.from_iterable(taken)) == sorted(
        job_id(STEP, f"ser_{place:04}", MODEL, 0) for place in range(60)
    )
    with reading(engine) as connection:
        assert {(job.state, job.attempts) for job in jobs(connection)} == {("done", 1)}


def test_processes_never_share_a_job(engine: Engine, database: Database) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        working = [pool.submit(claim_all, database.url, owner, 2.5) for owner in "ab"]
        for start in range(0, 100, 10):
            offered(engine, 10, start=start)
            time.sleep(0.02)
        with reading(engine) as connection:
            everything = sorted(job.id for job in jobs(connection))
        taken = [worker.result() for worker in working]
    assert sorted(chain.from_iterable(taken)) == everything
    with reading(engine) as connection:
        assert {(job.state, job.attempts) for job in jobs(connection)} == {("done", 1)}


@pytest.mark.parametrize("die", ["before", "after"])
def test_a_worker_killed_around_its_commit_leaves_exactly_one_result(database: Database, die: str) -> None:
    engine = open_engine(database.url)
    with writing(engine) as connection:
        series, model = a_house(connection)
        offer(connection, step=STEP, subject=series.id, model_digest=MODEL, at=NOON)

    command = [sys.executable, "-m", "tests.store.workers", database.url, "victim", die]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as victim:  # noqa: S603  (our own worker)
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"written\n"
        victim.kill()
    with reading(engine) as connection:
        left = len(predictions(connection)), connection.scalar(select(tables.audit_head.c.seq))
        (state,) = connection.scalars(select(tables.job.c.state))
    assert (*left, state) == ((0, 0, "leased") if die == "before" else (1, 1, "done"))

    time.sleep(0.3)
    assert score_one(database.url, "heir", seconds=60, die="never") is (die == "before")
    assert score_one(database.url, "third", seconds=60, die="never") is False
    with reading(engine) as connection:
        assert predictions(connection) == (a_prediction(series, model),)
        report = verify(connection, SIGNER)
        (state,) = connection.scalars(select(tables.job.c.state))
    assert (report.rows, report.faults, state) == (1, (), "done")
    engine.dispose()
