"""What other processes do in the tests of jobs: claim, write, and be killed."""

import sys
import time

from sqlalchemy import Engine

from medflow.store.audit import append
from medflow.store.engine import open_engine, writing
from medflow.store.jobs import claim, close
from medflow.store.models import model
from medflow.store.predictions import save_prediction
from medflow.store.series import accepted_series
from tests.store.made import SIGNER, a_prediction, a_series, an_event

STEP, MODEL = "score", "m" * 64


def claim_all(url: str, owner: str, patience: float = 0.0) -> list[str]:
    """Claim and close jobs until there is none; name them in order."""
    engine = open_engine(url)
    mine: list[str] = []
    until = time.monotonic() + patience
    while True:
        token = f"{owner}-{len(mine)}"
        with writing(engine) as connection:
            job = claim(connection, step=STEP, model_digest=MODEL, owner=owner, token=token, seconds=60)
        if job is None and time.monotonic() >= until:
            break
        if job is not None:
            mine.append(job.id)
            with writing(engine) as connection:
                close(connection, job, state="done")
    engine.dispose()
    return mine


def score_one(url: str, owner: str, *, seconds: float, die: str) -> bool:
    """Score one series; wait to be killed "before" the commit, "after" it, or "never"."""
    engine = open_engine(url)
    try:
        return _score_one(engine, owner, seconds, die)
    finally:
        engine.dispose()


def _score_one(engine: Engine, owner: str, seconds: float, die: str) -> bool:
    with writing(engine) as connection:
        job = claim(connection, step=STEP, model_digest=MODEL, owner=owner, token=owner, seconds=seconds)
    if job is None:
        return False
    with writing(engine) as connection:
        (row,) = accepted_series(connection)
        said = a_prediction(a_series(), model(connection, "nodule").model)
        assert row.id == said.series_id == job.subject
        if save_prediction(connection, said):
            append(connection, an_event(said.id, "prediction-written"), SIGNER)
        close(connection, job, state="done")
        if die == "before":
            wait_for_death()
    if die == "after":
        wait_for_death()
    return True


def wait_for_death() -> None:
    """Tell the test that it is time."""
    sys.stdout.write("written\n")
    sys.stdout.flush()
    time.sleep(60)


if __name__ == "__main__":
    score_one(sys.argv[1], sys.argv[2], seconds=0.2, die=sys.argv[3])
