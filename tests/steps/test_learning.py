"""Facts about train and score: once is enough, nothing leaks, and every row can be traced."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from medflow.domain.series import Modality
from medflow.domain.task import SeriesRule, Task
from medflow.domain.volume import Grid
from medflow.errors import BatchError, IntegrityError, SeriesError, StateError
from medflow.steps.audit import events, verify
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.models import listed as listed_models
from medflow.steps.predictions import listed
from medflow.steps.promotion import promote
from medflow.steps.rules import failures
from medflow.steps.score import ScoreReport, score
from medflow.steps.selection import select
from medflow.steps.train import train
from medflow.store import jobs
from medflow.store.engine import reading, writing
from medflow.store.files import described
from medflow.store.series import accepted_series
from tests.steps.conftest import EXPORT, PATIENTS
from tests.steps.enrolled import measured
from tests.steps.exports import write_cohort, write_series


def _numbers(report: ScoreReport) -> tuple[int, int, int]:
    return report.scored, report.already, sum(report.refused.values())


def test_training_the_same_again_finds_the_same_model_and_leaves_out_the_unlabelled(
    trained: House, ball_task: Task
) -> None:
    again = train(trained, ball_task)

    assert (again.new, again.model.version, len(listed_models(trained))) == (False, 1, 1)
    assert sum(sum(classes.values()) for classes in again.parts.values()) == PATIENTS
    assert again.left_out == {"unlabelled": 1}


def test_a_second_run_of_score_scores_nothing(trained: House) -> None:
    assert _numbers(score(trained)) == (PATIENTS + 1, 0, 0)
    before = listed(trained)

    assert _numbers(score(trained)) == (0, PATIENTS + 1, 0)
    assert listed(trained) == before
    assert verify(trained).faults == ()


def test_every_prediction_has_its_audit_event(trained: House) -> None:
    score(trained)

    told = [
        e["subject"] for e in events(trained, subject=None, run=None, limit=999) if e["kind"] == "prediction-written"
    ]
    assert sorted(told) == sorted(said.prediction.id for said in listed(trained))


def test_the_whole_journey_leaves_the_same_kind_of_rows_on_both_databases(
    any_house: House, ball_task: Task, tmp_path: Path
) -> None:
    table = write_cohort(tmp_path / "export", PATIENTS)
    ingest(any_house, tmp_path / "export", source=EXPORT)
    import_labels(any_house, table, source="reader", version="1")
    train(any_house, ball_task)

    first, second = score(any_house), score(any_house)

    assert (_numbers(first), _numbers(second)) == ((PATIENTS, 0, 0), (0, PATIENTS, 0))
    assert len(listed(any_house)) == PATIENTS
    assert verify(any_house).faults == ()


def test_a_late_slice_is_scored_anew_and_the_old_prediction_stays(trained: House, tmp_path: Path) -> None:
    export = tmp_path / "export" / "late"
    write_series(export, patient="PAT-901", slices=(0, 1, 2, 3, 4, 5))
    ingest(trained, tmp_path / "export", source=EXPORT)
    score(trained)
    write_series(export, patient="PAT-901", slices=(6, 7))
    ingest(trained, tmp_path / "export", source=EXPORT)

    report = score(trained)

    assert _numbers(report) == (1, PATIENTS + 1, 0)
    patient = trained.pseudonyms.patient_of_id("PAT-901")
    assert len(listed(trained, patient=patient)) == 2


def test_a_series_with_a_gap_is_turned_away_once_with_its_reason(trained: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "gap", patient="PAT-902", slices=(0, 1, 2, 4, 5, 6, 7))
    ingest(trained, tmp_path / "export", source=EXPORT)

    first, second = score(trained), score(trained)

    assert first.refused == {"incomplete-stack": 1}
    assert _numbers(second) == (0, PATIENTS + 2, 0)


def test_what_a_killed_worker_held_is_not_scored_twice_nor_lost(
    trained: House, trained_again: Callable[[], House]
) -> None:
    score(trained)
    other = trained_again()
    digest = listed_models(trained)[0].model.model_digest
    with writing(other.engine) as connection:
        jobs.offer(connection, step="score", subject="ser_of_a_killed", model_digest=digest, at=other.now())
        jobs.claim(connection, step="score", model_digest=digest, owner="killed", token="0" * 32, seconds=600)

    assert score(trained).elsewhere == 1


def test_a_stack_that_lost_a_slice_is_refused_and_not_overlooked_for_being_short(
    trained: House, tmp_path: Path
) -> None:
    write_series(tmp_path / "gap", patient="PAT-904", slices=(0, 1, 2, 4, 5, 6, 7))
    ingest(trained, tmp_path / "gap", source=EXPORT)
    rule = SeriesRule(modality=Modality.CT, minimum_slices=6)

    with reading(trained.engine) as connection:
        (row,) = [one for one in accepted_series(connection) if one.layouts > 1]
    series = described(trained.safe, row)

    assert failures(rule, series) == ()
    with pytest.raises(SeriesError, match="missing or unevenly"):
        select(rule, series)


def test_a_damaged_safe_copy_is_turned_away(trained: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "new", patient="PAT-903")
    before = set(trained.safe.rglob("*.dcm"))
    ingest(trained, tmp_path / "export", source=EXPORT)
    damaged = min(set(trained.safe.rglob("*.dcm")) - before)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"\1\2")

    assert score(trained, "ball:1").refused == {"stored-copy-differs": 1}
    with reading(trained.engine) as connection:
        (put_off,) = jobs.jobs(connection, step="score", state="ready")
    assert put_off.not_before is not None


def test_a_lost_safe_copy_costs_that_series_alone(trained: House) -> None:
    shutil.rmtree(next(trained.safe.glob("*")))

    report = score(trained)

    assert report.refused == {"stored-copy-differs": 1}
    assert report.scored == PATIENTS


def test_a_tampered_weight_file_is_named_and_nothing_is_scored(trained: House) -> None:
    weights = trained.models / "ball" / "1" / "models" / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")

    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        score(trained)
    assert listed(trained) == ()


def test_the_same_images_under_two_patients_are_refused_as_a_leak(
    trained: House, ball_task: Task, tmp_path: Path
) -> None:
    rename = {"PAT-000": "PAT-800", "Family^PAT-000": "Family^PAT-800"}
    _copy_as(tmp_path / "export" / "000", tmp_path / "export" / "copy", rename)
    ingest(trained, tmp_path / "export", source=EXPORT)
    table = tmp_path / "more.csv"
    table.write_text("PatientID,ball\nPAT-800,bright\n")
    import_labels(trained, table, source="reader", version="1")

    with pytest.raises(BatchError, match="identical images"):
        train(trained, ball_task)


def _copy_as(source: Path, target: Path, rename: dict[str, str]) -> None:
    target.mkdir()
    for path in source.iterdir():
        original = pydicom.dcmread(path)
        original.PatientID, original.PatientName = rename["PAT-000"], rename["Family^PAT-000"]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(original, keyword, f"{getattr(original, keyword)}.77")
        original.save_as(target / path.name, enforce_file_format=True)


def test_too_few_patients_say_how_many_are_missing(house: House, ball_task: Task, tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "export", 2)
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")

    with pytest.raises(BatchError, match="missing are"):
        train(house, ball_task)


def test_scoring_without_a_model_says_what_to_do(house: House) -> None:
    with pytest.raises(StateError, match="medflow train"):
        score(house)


def test_a_promoted_version_speaks_and_the_older_one_retires(trained: House, ball_task: Task) -> None:
    other = train(trained, replace(ball_task, schedule=replace(ball_task.schedule, seed=2)))
    for row in listed_models(trained):
        measured(trained, row.model)
    promote(trained, "ball", other.model.version, reason="better")
    promote(trained, "ball", 1, reason="rolled back")

    assert [row.stage.value for row in listed_models(trained)] == ["active", "retired"]
    assert score(trained).models == ("ball:1",)


def test_a_model_of_older_rules_is_passed_over_and_named_and_the_others_speak(
    trained: House, ball_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medflow.domain.volume.Grid.RULES", Grid.RULES + 1)
    train(trained, replace(ball_task, name="newer"))

    report = score(trained)

    assert (report.models, report.outdated) == (("newer:1",), ("ball:1",))
    assert report.scored == PATIENTS + 1
    with pytest.raises(StateError, match="train it again"):
        score(trained, "ball")


def test_a_task_that_wants_nothing_here_trains_nothing(trained: House, ball_task: Task) -> None:
    rule = SeriesRule(modality=Modality.CT, body_parts=("KNEE",))

    with pytest.raises(BatchError):
        train(trained, replace(ball_task, series=rule))
