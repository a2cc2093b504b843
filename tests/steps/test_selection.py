"""Which series of a study a task takes: by rules that are stated, on the record, and never by accident."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage

from medflow.domain.completeness import Verdict
from medflow.domain.layout import Layout, Place
from medflow.domain.series import Modality
from medflow.domain.task import SeriesRule, Task
from medflow.errors import Reason, SeriesError
from medflow.steps.audit import events, verify
from medflow.steps.candidates import Study, look
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.rules import orientation_of
from medflow.steps.score import score
from medflow.steps.selection import check_complete
from medflow.steps.train import train
from medflow.store.engine import reading
from medflow.store.selections import selections
from tests.steps.conftest import EXPORT, PATIENTS
from tests.steps.exports import write_series


def a_study(export: Path, patient: str, *several: dict[str, Any]) -> None:
    """Write a study of several series: `slices`, and attributes by keyword, differ from one to the next."""
    for number, changes in enumerate(several, 1):
        slices = tuple(range(changes.pop("slices", 8)))
        paths = write_series(export / patient / str(number), patient=patient, slices=slices, number=number)
        for path in paths:
            original = pydicom.dcmread(path)
            for keyword, value in changes.items():
                setattr(original, keyword, value)
            original.save_as(path, enforce_file_format=True)


def asking(task: Task, **rules: Any) -> Task:  # noqa: ANN401  (fields of a SeriesRule)
    return replace(task, series=replace(task.series, **rules))


def taken(study: Study) -> list[tuple[int, str | None]]:
    return sorted((one.row.slices, one.series.descriptors.kernel if one.series else None) for one in study.taken)


@pytest.fixture
def several(house: House, tmp_path: Path) -> House:
    """A house with one study: a thick and a thin series of one kernel, a scout, and a reformat with contrast."""
    a_study(
        tmp_path / "export",
        "PAT-100",
        {"slices": 4, "SliceThickness": "5", "ConvolutionKernel": "B30f"},
        {"slices": 8, "SliceThickness": "1.5", "ConvolutionKernel": "B60f", "SeriesDescription": "CHEST LUNG"},
        {"slices": 2, "ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"], "SliceThickness": "3"},
        {"slices": 6, "ContrastBolusAgent": "OMNIPAQUE", "SliceThickness": "3", "ConvolutionKernel": "B30f"},
    )
    ingest(house, tmp_path / "export", source=EXPORT)
    return house


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({}, [4, 6, 8]),
        ({"derived": True}, [2, 4, 6, 8]),
        ({"image_type": ("DERIVED", "SECONDARY")}, [2]),
        ({"image_type": ("DERIVED",)}, []),
        ({"contrast": "required"}, [6]),
        ({"contrast": "forbidden"}, [4, 8]),
        ({"kernels": ("b30F",)}, [4, 6]),
        ({"description_words": ("lung",)}, [8]),
        ({"without_words": ("lung",)}, [4, 6]),
        ({"maximum_slice_thickness": 3.0}, [6, 8]),
        ({"minimum_slice_thickness": 3.0}, [4, 6]),
        ({"minimum_slices": 5}, [6, 8]),
        ({"orientations": ("axial",)}, [4, 6, 8]),
        ({"orientations": ("coronal", "oblique")}, []),
        ({"choose": "most-slices"}, [8]),
        ({"choose": "thinnest"}, [8]),
        ({"choose": "most-slices", "kernels": ("B30f",)}, [6]),
    ],
    ids=str,
)
def test_each_rule_takes_the_series_that_it_names(
    several: House, ball_task: Task, rules: dict[str, Any], wanted: list[int]
) -> None:
    (study,) = look(several, asking(ball_task, **{"minimum_slices": 1, **rules})).studies

    assert [slices for slices, _ in taken(study)] == wanted
    assert study.selection.reason is (None if wanted else Reason.NO_MATCHING_SERIES)
    assert len(study.selection.failures) == 4


def test_what_is_not_taken_names_every_rule_that_it_fails(several: House, ball_task: Task) -> None:
    rules = {"minimum_slices": 5, "kernels": ("B30f",), "choose": "most-slices", "contrast": "required"}
    (study,) = look(several, asking(ball_task, **rules)).studies

    said = {one.row.slices: one.failed for one in study.candidates}
    assert said == {
        2: ("derived", "contrast", "kernels", "minimum_slices"),
        4: ("contrast", "minimum_slices"),
        6: (),
        8: ("contrast", "kernels"),
    }


def test_of_several_that_are_alike_none_is_taken(house: House, ball_task: Task, tmp_path: Path) -> None:
    a_study(tmp_path / "export", "PAT-101", {"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B60f"}, {"slices": 4})
    ingest(house, tmp_path / "export", source=EXPORT)

    (study,) = look(house, asking(ball_task, choose="most-slices", minimum_slices=1)).studies

    assert (study.taken, study.selection.reason) == ((), Reason.SEVERAL_SERIES)
    assert study.selection.detail == "2 of 3 are most-slices alike"


def test_a_damaged_copy_is_not_passed_over_for_the_next_best(several: House, ball_task: Task) -> None:
    task = asking(ball_task, choose="most-slices", minimum_slices=1)
    (study,) = look(several, task).studies
    (best,) = study.taken
    record = several.safe / str(best.row.folder) / "series.json"
    record.chmod(0o644)
    record.write_text("{}")

    (study,) = look(several, task).studies

    assert (study.taken, study.selection.reason) == ((), Reason.STORED_COPY_DIFFERS)


def test_a_choice_is_recorded_once_with_its_event_and_again_when_the_candidates_change(
    trained: House, ball_task: Task, tmp_path: Path
) -> None:
    model = train(trained, replace(asking(ball_task, choose="most-slices"), name="choosy")).model
    kinds = ("series-selected", "study-unmatched")

    def told() -> list[str]:
        trail = events(trained, subject=None, run=None, limit=9999)
        return sorted(event["subject"] for event in trail if event["kind"] in kinds)

    score(trained, "choosy")
    score(trained, "choosy")
    with reading(trained.engine) as connection:
        first = selections(connection, task_digest=model.task_digest)
    assert len(first) == PATIENTS + 1
    assert told() == sorted(one.id for one in first)
    a_study(tmp_path / "export", "PAT-900", {"slices": 8}, {"slices": 5, "SliceThickness": "2"})
    ingest(trained, tmp_path / "export", source=EXPORT)
    report = score(trained, "choosy")
    score(trained, "choosy")

    with reading(trained.engine) as connection:
        later = selections(connection, task_digest=model.task_digest)
    (added,) = {one.id for one in later} - {one.id for one in first}
    (row,) = [one for one in later if one.id == added]
    assert sorted(row.failures.values()) == [(), ("choose",)]
    assert told() == sorted(one.id for one in later)
    assert report.unmatched == {}
    assert verify(trained).faults == ()


def test_a_study_without_a_match_is_reported_with_the_rules_that_its_series_fail(
    trained: House, tmp_path: Path
) -> None:
    a_study(
        tmp_path / "new",
        "PAT-905",
        {"ImageType": ["DERIVED", "PRIMARY", "MPR"]},
        {"SOPClassUID": MRImageStorage, "Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    )
    ingest(trained, tmp_path / "new", source=EXPORT)

    first, second = score(trained), score(trained)

    assert first.unmatched == second.unmatched == {"no-matching-series": 1}
    assert first.failed == {"derived": 1, "modality": 1}
    unmatched = [e for e in events(trained, subject=None, run=None, limit=9999) if e["kind"] == "study-unmatched"]
    assert [e["detail"]["failed"] for e in unmatched] == [{"derived": 1, "modality": 1}]


@pytest.mark.parametrize(
    ("normal", "plane"),
    [
        ((0, 0, 1), "axial"),
        ((0, np.sin(0.5), np.cos(0.5)), "axial"),
        ((0, np.sin(0.6), np.cos(0.6)), "oblique"),
        ((0, -1, 0.1), "coronal"),
        ((1, 0.2, -0.2), "sagittal"),
        ((1, 1, 1), "oblique"),
    ],
    ids=str,
)
def test_an_orientation_is_the_plane_within_thirty_degrees(normal: tuple[float, float, float], plane: str) -> None:
    third = np.asarray(normal) / np.linalg.norm(normal)
    helper = np.eye(3)[int(np.argmin(np.abs(third)))]
    first = np.cross(helper, third) / np.linalg.norm(np.cross(helper, third))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([0.7 * first, 1.3 * np.cross(third, first), 4.0 * third], axis=1)
    layout = Layout(
        rows=2, columns=2, affine=tuple(map(tuple, affine.tolist())), labels=(), run=(1, 1), residual=0.0,
        sheared=False, places=(Place(file=0, frame=0, corner=(0, 0), slope=1.0, intercept=0.0),),
    )  # fmt: skip

    assert orientation_of(layout) == plane


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        ("proven", {Verdict.PROVEN}),
        ("quiet", {Verdict.PROVEN, Verdict.QUIET_ONLY, None}),
        ("any", {*Verdict, None}),
    ],
)
def test_a_task_takes_what_is_complete_enough_for_it(ball_task: Task, asked: str, enough: set[Verdict | None]) -> None:
    rule = replace(ball_task.series, completeness=asked)
    for verdict in (*Verdict, None):
        if verdict in enough:
            check_complete(rule, verdict)
        else:
            with pytest.raises(SeriesError) as refused:
                check_complete(rule, verdict)
            assert refused.value.reason is Reason.INCOMPLETE_SERIES


def test_an_old_record_of_a_task_is_read_and_keeps_its_digest(ball_task: Task) -> None:
    record = ball_task.record()

    assert set(record["series"]) == {
        "modality", "body_parts", "description_words", "image_type", "minimum_slices", "maximum_slice_thickness",
        "volumes",
    }  # fmt: skip
    assert Task.from_record(record) == ball_task
    later = asking(
        ball_task, choose="thinnest", kernels=("B30f",), minimum_slice_thickness=0.1, derived=True,
        orientations=("axial", "oblique"), contrast="forbidden", without_words=("MIP",), completeness="proven",
    )  # fmt: skip
    assert Task.from_record(later.record()) == later
    assert later.digest != ball_task.digest
    assert SeriesRule(modality=Modality.CT).record().keys() == record["series"].keys()
