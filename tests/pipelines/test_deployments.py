"""Facts about the deployments, seen from outside: a real server, a process worker, the commands an operator types."""

import json
import sqlite3
import time

import pytest
import yaml

from tests.pipelines.conftest import ROOT, Station

pytestmark = pytest.mark.slow
DEPLOYED = {"ingest/ingest", "ingest/sweep", "train/train", "score/score", "nightly/nightly"}
PATIENCE = 60


def test_every_deployment_stands_on_the_server(station: Station) -> None:
    with _database(station) as rows:
        found = rows.execute("SELECT f.name, d.name FROM deployment d JOIN flow f ON f.id = d.flow_id").fetchall()

    assert {"/".join(names) for names in found} == DEPLOYED


def test_the_nightly_cron_yields_scheduled_runs(station: Station) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (runs := _runs(station, "nightly", "SCHEDULED")) and time.monotonic() < deadline:
        time.sleep(0.5)

    assert runs
    assert all(" 02:00:00" in expected for expected in runs)


def test_the_sweep_waits_until_it_is_switched_on(station: Station) -> None:
    assert not _runs(station, "sweep", "SCHEDULED")


def test_a_worker_completes_a_first_night(night: dict[str, str]) -> None:
    assert night == {"ingest": "COMPLETED", "train": "COMPLETED"}


@pytest.mark.usefixtures("night")
def test_prefects_own_words_start_a_run_as_well(station: Station) -> None:
    assert len(_runs(station, "nightly", "COMPLETED")) == 1


@pytest.mark.usefixtures("night")
def test_what_a_deployed_night_scored_stands_in_the_house(station: Station) -> None:
    said = json.loads(station.run("medflow", "predictions", "--json"))["predictions"]

    assert {item["model"] for item in said} == {"ball:1"}


def test_the_server_refuses_a_path_where_a_name_belongs(station: Station) -> None:
    words = ("--param", "source=/mnt/export")
    refused = station.run("prefect", "deployment", "run", "ingest/ingest", *words, code=None)

    assert "/mnt/export" not in "".join(_everything(station))
    assert "Created flow run" not in refused


def test_a_verb_that_cannot_ask_ends_with_2_and_says_why(station: Station) -> None:
    ended = station.ran("medflow", "run", "train", code=2, PREFECT_API_URL="")

    assert ended.stdout == ""
    assert "prefect server start" in ended.stderr


def test_nothing_is_built_pushed_or_pulled() -> None:
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())

    assert written["build"] == written["push"] == written["pull"] == []


def _database(station: Station) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{station.root}/prefect/prefect.db?mode=ro", uri=True)


def _runs(station: Station, deployment: str, state: str) -> list[str]:
    with _database(station) as rows:
        found = rows.execute(
            "SELECT r.expected_start_time FROM flow_run r JOIN deployment d ON d.id = r.deployment_id"
            " WHERE d.name = ? AND r.state_type = ?",
            (deployment, state),
        ).fetchall()
    return [row[0] for row in found]


def _everything(station: Station) -> list[str]:
    with _database(station) as rows:
        return list(rows.iterdump())
