"""Facts about the registry: who may speak, who spoke when, what was taken back, and that nothing was touched."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medflow.domain.calibration import Calibration
from medflow.domain.digests import instant
from medflow.domain.model import Stage
from medflow.domain.safe import Pseudonym
from medflow.domain.task import Task
from medflow.domain.volume import Grid
from medflow.errors import ConfigurationError, IntegrityError, MedflowError, StateError
from medflow.steps.audit import events
from medflow.steps.audit import verify as verify_chain
from medflow.steps.export import Wish, export_volumes
from medflow.steps.house import House, open_house
from medflow.steps.ingest import ingest
from medflow.steps.models import (
    active_at,
    export_monai,
    listed,
    shown,
    verify,
)
from medflow.steps.predictions import listed as predictions
from medflow.steps.promotion import promote, retire, rollback
from medflow.steps.score import score
from medflow.store import flags, stages
from medflow.store.engine import reading, writing
from tests.conftest import Database
from tests.learning.test_monai_bundle import RUN
from tests.steps.conftest import EXPORT, outside, places
from tests.steps.enrolled import ONE, enrolled, measured, tiny
from tests.steps.exports import write_series

CANDIDATE, SHADOW, ACTIVE, RETIRED = Stage.CANDIDATE, Stage.SHADOW, Stage.ACTIVE, Stage.RETIRED


@pytest.fixture
def task(ball_task: Task) -> Task:
    """A task that claims nothing."""
    return tiny(ball_task)


@pytest.fixture
def registry(any_house: House, task: Task, tmp_path: Path) -> House:
    """A house with three measured versions of one model."""
    write_series(tmp_path / "export", patient="PAT-000")
    ingest(any_house, tmp_path / "export", source=EXPORT)
    for seed in (1, 2, 3):
        measured(any_house, enrolled(any_house, task, seed=seed))
    return any_house


def standing(house: House) -> list[Stage]:
    return [row.stage for row in listed(house)]


def changed(house: House) -> list[tuple[str, str, str]]:
    """Give the audit events of changed stages: from, to, why."""
    told = [e["detail"] for e in events(house, subject=None, run=None, limit=999) if e["kind"] == "model-stage-changed"]
    return [(detail["former"], detail["stage"], detail["reason"]) for detail in told]


def test_a_promoted_version_is_active_and_the_one_before_retires_with_both_changes_on_record(registry: House) -> None:
    promote(registry, "ball", 1, reason="first")

    moved = promote(registry, "ball", 2, reason="better")

    assert standing(registry) == [RETIRED, ACTIVE, CANDIDATE]
    assert [(moved.called[one.model_id], one.stage) for one in moved.changes] == [
        ("ball:1", RETIRED),
        ("ball:2", ACTIVE),
    ]
    assert changed(registry) == [
        ("candidate", "active", "first"),
        ("active", "retired", "better"),
        ("candidate", "active", "better"),
    ]
    assert verify_chain(registry).faults == ()


def test_a_version_that_nobody_measured_on_a_test_part_is_not_promoted(registry: House, task: Task) -> None:
    measured(registry, enrolled(registry, task, seed=4), part="select")

    for stage in (SHADOW, ACTIVE):
        with pytest.raises(ConfigurationError, match="medflow evaluate ball:4"):
            promote(registry, "ball", 4, reason="looks good", to=stage)

    assert standing(registry)[3] is CANDIDATE
    assert changed(registry) == []


@pytest.mark.parametrize("reason", ["", "  ", "\t\n"])
def test_a_change_of_stage_wants_a_reason(registry: House, reason: str) -> None:
    for change in (promote, retire):
        with pytest.raises(ConfigurationError, match="say why"):
            change(registry, "ball", 1, reason=reason)
    with pytest.raises(ConfigurationError, match="say why"):
        rollback(registry, "ball", reason=reason)


def test_a_change_to_where_a_version_stands_is_refused(registry: House) -> None:
    promote(registry, "ball", 1, reason="first")

    with pytest.raises(StateError, match="active already"):
        promote(registry, "ball", 1, reason="again")
    with pytest.raises(StateError, match="is the active one"):
        promote(registry, "ball", 1, reason="less", to=SHADOW)
    with pytest.raises(StateError, match="is the active one"):
        retire(registry, "ball", 1, reason="tired")


def test_a_claim_that_too_few_patients_carry_is_refused_and_the_missing_are_counted(
    registry: House, ball_task: Task
) -> None:
    claiming = tiny(ball_task, sensitivity=0.95)
    measured(registry, enrolled(registry, claiming, calibration=Calibration(found=(("positives", 12),))))

    with pytest.raises(ConfigurationError, match=r"among 12 patients with 'bright'. 47 more are missing"):
        promote(registry, "ball", 4, reason="it is good")
    promote(registry, "ball", 4, reason="let us see", to=SHADOW)

    assert standing(registry)[3] is SHADOW


def test_a_claim_that_the_test_part_denies_is_refused(registry: House, ball_task: Task) -> None:
    claiming = tiny(ball_task, sensitivity=0.95)
    found = Calibration(threshold=0.25)
    measured(registry, enrolled(registry, claiming, calibration=found), sensitivity=(0.8, 0.7, 0.9))
    measured(registry, enrolled(registry, claiming, calibration=found, seed=9), sensitivity=(0.9, 0.8, 0.96))

    with pytest.raises(ConfigurationError, match=r"on the test part it is at most 0\.900"):
        promote(registry, "ball", 4, reason="it is good")
    promote(registry, "ball", 5, reason="it may be good")

    assert standing(registry)[3:] == [CANDIDATE, ACTIVE]


def test_one_command_takes_a_promotion_back_and_another_the_one_before(registry: House) -> None:
    promote(registry, "ball", 1, reason="first")
    promote(registry, "ball", 2, reason="trial", to=SHADOW)
    promote(registry, "ball", 2, reason="better")

    moved = rollback(registry, "ball", reason="misses small ones")
    after = standing(registry)
    rollback(registry, "ball", reason="not even a trial")
    rollback(registry, "ball", reason="nobody at all")

    assert moved.model.version == 2
    assert after == [ACTIVE, SHADOW, CANDIDATE]
    assert standing(registry) == [CANDIDATE, CANDIDATE, CANDIDATE]
    with pytest.raises(StateError, match="nothing to roll back"):
        rollback(registry, "ball", reason="more")


def test_what_was_rolled_back_can_be_promoted_again(registry: House) -> None:
    promote(registry, "ball", 1, reason="first")
    promote(registry, "ball", 2, reason="better")
    rollback(registry, "ball", reason="worse")

    promote(registry, "ball", 2, reason="it was the scanner")
    before = standing(registry)
    rollback(registry, "ball", reason="it was not")

    assert before == [RETIRED, ACTIVE, CANDIDATE]
    assert standing(registry) == [ACTIVE, CANDIDATE, CANDIDATE]
    assert changed(registry)[-1] == ("retired", "active", "it was not")


def test_a_retired_candidate_comes_back_by_a_rollback(registry: House) -> None:
    retire(registry, "ball", 3, reason="superseded")
    gone = standing(registry)
    rollback(registry, "ball", reason="too early")

    assert (gone[2], standing(registry)[2]) == (RETIRED, CANDIDATE)
    with pytest.raises(StateError, match="no model ball:7"):
        retire(registry, "ball", 7, reason="who?")


def test_who_was_active_at_an_instant_is_told(registry: House) -> None:
    before = instant(registry.now())
    promote(registry, "ball", 1, reason="first")
    between = instant(registry.now())
    promote(registry, "ball", 2, reason="better")
    rollback(registry, "ball", reason="worse")

    assert active_at(registry, before) == ()
    told = [active_at(registry, moment, "ball")[0] for moment in (between, instant(registry.now()))]
    assert [(model.version, change.reason) for model, change in told] == [(1, "first"), (1, "worse")]


@pytest.mark.parametrize("moment", ["2026-05-01", "2026-05-01T12:00:00", "yesterday", ""])
def test_an_instant_that_nobody_could_name_is_refused(registry: House, moment: str) -> None:
    with pytest.raises(ConfigurationError, match="2026-05-01T12:00:00Z"):
        active_at(registry, moment)


@pytest.fixture
def beside(registry: House, database: Database, tmp_path: Path) -> Iterator[House]:
    """The same house, opened by another process."""
    assert registry is not None
    opened = open_house(places(tmp_path / "data", database), outside())
    yield opened
    opened.close()


def test_two_promotions_at_once_leave_one_active_version(registry: House, beside: House) -> None:
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(promote, registry, "ball", 1, reason="one")
        other = pool.submit(promote, beside, "ball", 2, reason="other")
    failed = [fault for fault in (one.exception(), other.exception()) if fault is not None]

    assert failed == []
    assert sorted(standing(registry)) == [ACTIVE, CANDIDATE, RETIRED]
    with reading(registry.engine) as connection:
        assert [change.number for change in stages.history(connection, name="ball")] == [1, 2, 3]


def test_what_was_tampered_with_is_named_for_every_version_and_its_evaluations(registry: House) -> None:
    assert all(one.faults == () for one in verify(registry))

    _spoil(registry.models / "ball" / "1" / "models" / "model.safetensors")
    _spoil(registry.models / "ball" / "2" / "calibration.json")
    third = listed(registry)[2].model
    next((registry.evaluations / third.model_digest).rglob("predictions.csv")).unlink()

    assert {one.model: one.faults for one in verify(registry)} == {
        "ball:1": ("models/model.safetensors is not what its digest says",),
        "ball:2": ("calibration.json is not what its digest says",),
        "ball:3": ("evaluation on the test part: predictions.csv is missing",),
    }
    assert [one.model for one in verify(registry, "ball", 2)] == ["ball:2"]
    with pytest.raises(StateError, match="no model ball:9"):
        verify(registry, "ball", 9)


def test_a_version_whose_calibration_was_tampered_with_is_not_promoted(registry: House) -> None:
    _spoil(registry.models / "ball" / "1" / "calibration.json")

    with pytest.raises(IntegrityError, match=r"calibration\.json is not what its digest says"):
        promote(registry, "ball", 1, reason="looks good")

    assert standing(registry)[0] is CANDIDATE


def test_a_version_whose_evaluation_was_tampered_with_is_not_promoted(registry: House) -> None:
    third = listed(registry)[2].model
    _spoil(next((registry.evaluations / third.model_digest).rglob("predictions.csv")))

    with pytest.raises(IntegrityError, match=r"predictions\.csv is not what its digest says"):
        promote(registry, "ball", 3, reason="looks good")

    assert standing(registry)[2] is CANDIDATE


def _spoil(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_version_that_this_code_cannot_run_is_not_promoted(registry: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medflow.domain.volume.Grid.RULES", Grid.RULES + 1)

    with pytest.raises(StateError, match="train it again"):
        promote(registry, "ball", 1, reason="looks good")


def test_flags_are_told_and_do_not_stand_in_the_way(registry: House) -> None:
    model = listed(registry)[0].model
    with reading(registry.engine) as connection:
        run = connection.exec_driver_sql("SELECT id FROM run").scalars().first()
    with writing(registry.engine) as connection:
        flags.save(connection, "erased", Pseudonym("PXYZ"), {model.id: {}}, run_id=str(run), at=registry.now())

    moved = promote(registry, "ball", 1, reason="still good")

    assert moved.record()["flags"] == {"erased": 1}


def test_all_that_is_known_of_a_version_is_shown(registry: House) -> None:
    promote(registry, "ball", 2, reason="first")

    found = shown(registry, "ball", None)
    record = found.record()

    assert found.registered.model.version == 2
    assert [one["part"] for one in record["evaluations"]] == ["test"]
    assert [(one["from"], one["to"], one["reason"]) for one in record["history"]] == [("candidate", "active", "first")]
    assert record["calibration"]["temperature"] == (1.0).hex()
    assert record["card"]["name"] == "ball"


def test_an_export_for_monai_is_on_record_and_names_no_patient(registry: House, tmp_path: Path) -> None:
    files = export_monai(registry, "ball", 1, tmp_path / "out")

    (told,) = [e for e in events(registry, subject=None, run=None, limit=999) if e["kind"] == "model-exported"]
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert told["subject"] == listed(registry)[0].model.id
    assert written == set(files)
    assert not any(ONE.patient.encode() in path.read_bytes() for path in (tmp_path / "out").rglob("*.*"))
    with pytest.raises(MedflowError, match="not empty"):
        export_monai(registry, "ball", 2, tmp_path / "out")


def test_a_model_of_version_0_3_is_verified_scored_measured_and_promoted(
    house: House, task: Task, tmp_path: Path
) -> None:
    write_series(tmp_path / "export", patient="PAT-000")
    ingest(house, tmp_path / "export", source=EXPORT)
    model = enrolled(house, task, flat=True)
    measured(house, model)

    report = score(house)
    promote(house, "ball", 1, reason="it served us well")

    (said,) = predictions(house)
    assert (report.models, report.scored) == (("ball:1",), 1)
    assert sum(said.prediction.probabilities) == pytest.approx(1.0)
    assert [one.faults for one in verify(house)] == [()]
    assert shown(house, "ball", 1).record()["calibration"]["threshold"] is None


def test_monai_says_of_an_exported_volume_what_the_night_said_of_its_series(
    house: House, task: Task, tmp_path: Path
) -> None:
    write_series(tmp_path / "export", patient="PAT-000", bright=True)
    ingest(house, tmp_path / "export", source=EXPORT)
    enrolled(house, task, calibration=Calibration(temperature=1.75))
    score(house)
    export_monai(house, "ball", 1, tmp_path / "bundle")
    export_volumes(house, tmp_path / "inputs", Wish(task=task, faces=False, recipient=""))

    code = RUN.format(tmp_path / "bundle", tmp_path / "inputs", tmp_path / "said.json")
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)  # noqa: S603

    (said,) = json.loads((tmp_path / "said.json").read_text())
    (stored,) = predictions(house)
    assert list(said["probabilities"].values()) == pytest.approx(stored.prediction.probabilities, abs=1e-9)
