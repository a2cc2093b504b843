"""Facts about what crosses into Prefect when a step goes wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medflow.errors import BatchError, ConfigurationError, IntegrityError, StateError
from medflow.settings import Settings
from medflow.steps.house import House
from pipelines.edge import Stopped, Stumbled, at_work
from pipelines.nightly import faults, report

NAME = "Doe^John"


@pytest.fixture(autouse=True)
def _empty_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDFLOW_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ConfigurationError(NAME), "train: configuration"),
        (StateError(NAME), "train: state"),
        (IntegrityError(NAME), "train: integrity"),
        (BatchError(NAME), "train: stopped"),
    ],
)
def test_a_step_that_stops_leaves_a_code_behind(
    raised: BatchError, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped) as left:
        at_work("train", _raising(raised))

    assert str(left.value) == code
    assert left.value.__context__ is left.value.__cause__ is None
    assert f"train stopped: {NAME}" in capsys.readouterr().err  # the operator's terminal says more than Prefect keeps


def test_a_bug_leaves_its_type_behind_and_its_message_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stumbled) as left:
        at_work("score", _raising(ValueError(NAME)))

    assert str(left.value) == "score: unexpected ValueError"
    assert left.value.__context__ is left.value.__cause__ is None
    assert NAME not in capsys.readouterr().err


def test_what_a_step_made_comes_through() -> None:
    assert at_work("score", lambda _, house: len(house.made)) > 0


def test_a_night_reports_counts_run_ids_and_codes_and_nothing_else() -> None:
    done = {
        "ingest": {"run": "run_1", "files": {"seen": 3, "accepted": 2}, "note": NAME, "reasons": {"re-sent": 1}},
        "score": Stumbled("score: unexpected OSError"),
        "audit": {"rows": 12, "faults": 1},
    }

    assert report(done).splitlines()[4:] == [
        "| ingest | run | run_1 |",
        "| ingest | files seen | 3 |",
        "| ingest | files accepted | 2 |",
        "| ingest | reasons re-sent | 1 |",
        "| score | **failed** | score: unexpected OSError |",
        "| audit | rows | 12 |",
        "| audit | faults | 1 |",
    ]
    assert faults(done) == ["score: unexpected OSError", "the audit chain is broken"]


def test_a_night_that_passes_over_a_model_says_so() -> None:
    done = {"ingest": {"run": "run_1"}, "score": {"outdated": ["ball:1"]}, "audit": {"rows": 2, "faults": 0}}

    assert faults(done) == ["train again: ball:1"]


def test_a_night_without_a_model_is_no_failure() -> None:
    done = {"ingest": {"run": "run_1"}, "score": None, "audit": {"rows": 2, "faults": 0}}

    assert "| score | nothing to do | no model was trained yet |" in report(done)
    assert faults(done) == []


def _raising(error: Exception) -> Callable[[Settings, House], None]:
    def work(_settings: Settings, _house: House) -> None:
        raise error

    return work
