"""Planar images end to end: from an export folder to predictions, without ever meeting a volume."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from medflow.domain.series import Modality
from medflow.domain.task import Task
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.learning.bundle import load_bundle
from medflow.learning.task_file import parse_task, read_task
from medflow.steps.audit import verify
from medflow.steps.export import Wish, export_volumes
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.models import listed as listed_models
from medflow.steps.predictions import listed
from medflow.steps.rules import failures
from medflow.steps.score import score
from medflow.steps.selection import chosen_input, input_on_grid
from medflow.steps.train import train
from medflow.store.engine import reading
from medflow.store.files import described
from medflow.store.series import accepted_series
from tests.dicom.drawn import save, uid
from tests.dicom.planes import ball, photograph, radiograph
from tests.steps.conftest import EXPORT
from tests.steps.exports import write_series

TASK = """\
name: hill
kind: planar
series: {modalities: [DX, CR], views: [PA]}
unit: display
grid: {shape: [32, 32], channels: 1, crop: center, intensity: display, padding: 0, interpolation: linear,
       antialias: true}
network: {name: densenet121, dimensions: 2, options: {init_features: 8, growth_rate: 4}}
labels: {name: hill, level: patient, classes: [low, high]}
split: {train: 0.5, select: 0.25, test: 0.25, seed: 1}
schedule: {seed: 1, epochs: 1, batch_size: 4, learning_rate: 0.001, flips: [i], shift: 2, noise: 0.01}
"""
MILLIMETRES = TASK.replace("crop: center", "spacing: [0.1, 0.1], crop: center")
PATIENTS = 8


def of_patient(dataset: Dataset, patient: str, number: int = 1) -> Dataset:
    dataset.PatientID, dataset.PatientName = patient, f"Family^{patient}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study", patient), uid("series", patient, number)
    dataset.SOPInstanceUID = uid("image", patient, number, dataset.InstanceNumber)
    return dataset


def cohort(folder: Path) -> Path:
    """Write a frontal radiograph for each patient, every other one brighter, and the CSV of their labels."""
    lines = ["PatientID,hill"]
    for number in range(PATIENTS):
        patient = f"PAT-{number:03d}"
        pixels = ball(number, brightness=2500 if number % 2 else 800)
        modality = "CR" if number % 3 else "DX"
        save(folder / patient, of_patient(radiograph(modality=modality, PixelData=pixels.tobytes()), patient))
        lines.append(f"{patient},{'high' if number % 2 else 'low'}")
    labels = folder.parent / "labels.csv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return labels


@pytest.fixture(scope="module")
def task() -> Task:
    return parse_task(TASK, "hill.yaml")


def test_an_export_of_radiographs_becomes_a_model_and_its_predictions(house: House, task: Task, tmp_path: Path) -> None:
    table = cohort(tmp_path / "export")
    write_series(tmp_path / "export" / "ct", patient="PAT-000")
    taken = ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")

    made = train(house, task)
    first, second = score(house), score(house)

    assert taken.files.quarantined == 0
    assert sum(sum(classes.values()) for classes in made.parts.values()) == PATIENTS
    assert (first.scored, first.refused, second.scored, second.already) == (PATIENTS, {}, 0, PATIENTS)
    assert len(listed(house)) == PATIENTS
    assert verify(house).faults == ()
    (registered,) = listed_models(house)
    bundle = load_bundle(house.models / registered.model.folder, registered.model.model_digest)
    assert bundle.task == task
    card = (bundle.folder / "card.json").read_text("utf-8")
    assert "DX and CR images in display were resampled once" in card


def test_a_volume_never_meets_a_planar_task_nor_a_plane_one_for_volumes(
    house: House, task: Task, ball_task: Task, tmp_path: Path
) -> None:
    write_series(tmp_path / "export" / "ct", patient="PAT-001")
    save(tmp_path / "export" / "dx", of_patient(radiograph(), "PAT-001"))
    ingest(house, tmp_path / "export", source=EXPORT)
    with reading(house.engine) as connection:
        by_modality = {row.modality: described(house.safe, row) for row in accepted_series(connection)}

    assert "modalities" in failures(task.series, by_modality[Modality.CT])
    assert "modality" in failures(ball_task.series, by_modality[Modality.DX])
    assert failures(task.series, by_modality[Modality.DX]) == ()


def test_of_a_series_with_two_views_the_rule_picks_one_and_else_refuses(
    house: House, task: Task, tmp_path: Path
) -> None:
    lateral = radiograph(2, ViewPosition="LL", ViewCodeSequence=None)
    save(tmp_path / "export", of_patient(radiograph(1), "PAT-001"), of_patient(lateral, "PAT-001"))
    ingest(house, tmp_path / "export", source=EXPORT)
    with reading(house.engine) as connection:
        (row,) = accepted_series(connection)
    series = described(house.safe, row)
    anything = parse_task(TASK.replace(", views: [PA]", ""), "any.yaml")

    chosen = chosen_input(task, series)

    assert [plane.view for plane in series.planes] == ["PA", "LL"]
    assert chosen.layout_digest == series.planes[0].digest
    with pytest.raises(SeriesError) as caught:
        chosen_input(anything, series)
    assert caught.value.reason is Reason.SEVERAL_PLANES


@pytest.mark.parametrize(
    ("spoil", "failed"),
    [
        (lambda one: one.__setattr__("ViewPosition", "LL"), ("views",)),
        (lambda one: one.__setattr__("Modality", "MG"), ("modalities",)),
    ],
)
def test_a_series_that_a_task_does_not_want_says_by_which_rule(
    house: House, task: Task, tmp_path: Path, spoil: Callable[[Dataset], None], failed: tuple[str, ...]
) -> None:
    dataset = of_patient(radiograph(modality="CR"), "PAT-001")
    spoil(dataset)
    save(tmp_path / "export", dataset)
    ingest(house, tmp_path / "export", source=EXPORT)
    with reading(house.engine) as connection:
        (row,) = accepted_series(connection)

    assert failures(task.series, described(house.safe, row)) == failed


def test_a_task_in_millimetres_turns_away_an_image_that_does_not_know_its_size(house: House, tmp_path: Path) -> None:
    table = cohort(tmp_path / "export")
    unknown = radiograph(modality="CR", ImagerPixelSpacing=None)
    save(tmp_path / "export" / "unknown", of_patient(unknown, "PAT-900"))
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    train(house, parse_task(MILLIMETRES, "mm.yaml"))

    report = score(house)

    assert (report.scored, report.refused) == (PATIENTS, {"no-pixel-spacing": 1})


def test_a_fundus_in_colour_lies_on_three_channels(house: House, tmp_path: Path) -> None:
    text = TASK.replace("[DX, CR], views: [PA]", "[OP]").replace("channels: 1", "channels: 3")
    save(tmp_path / "export", of_patient(photograph(), "PAT-001"))
    ingest(house, tmp_path / "export", source=EXPORT)
    with reading(house.engine) as connection:
        (row,) = accepted_series(connection)
    fundus = parse_task(text, "fundus.yaml")

    pixels = input_on_grid(house, fundus, chosen_input(fundus, described(house.safe, row)))
    again = input_on_grid(house, fundus, chosen_input(fundus, described(house.safe, row)))

    assert pixels.shape == fundus.grid.example_shape == (3, 32, 32, 1)
    np.testing.assert_array_equal(pixels, again)


def test_planar_images_are_not_exported_as_volumes(house: House, task: Task, tmp_path: Path) -> None:
    save(tmp_path / "export", of_patient(radiograph(), "PAT-001"))
    ingest(house, tmp_path / "export", source=EXPORT)

    report = export_volumes(house, tmp_path / "out", Wish(task=None))

    assert (report.written, report.refused) == (0, {})
    with pytest.raises(ConfigurationError):
        export_volumes(house, tmp_path / "out", Wish(task=task))


def test_no_identity_of_a_radiograph_is_in_what_the_house_keeps_openly(house: House, tmp_path: Path) -> None:
    save(tmp_path / "export", of_patient(radiograph(DetectorID="DET-CANARY"), "PAT-CANARY"))
    ingest(house, tmp_path / "export", source=EXPORT)

    kept = [path for path in house.safe.rglob("*") if path.is_file()]

    assert len(kept) == 2
    for path in kept:
        assert b"CANARY" not in path.read_bytes()
    stored = next(path for path in kept if path.suffix == ".dcm")
    assert dcmread(stored).PresentationIntentType == "FOR PRESENTATION"


def test_a_planar_task_comes_back_from_its_record(task: Task) -> None:
    assert Task.from_record(task.record()) == task
    assert task.record()["kind"] == "planar"
    processing = TASK.replace("unit: display", "unit: arbitrary").replace("intensity: display", "intensity: zscore")
    other = parse_task(processing.replace("[DX, CR]", "[DX]"), "processing.yaml")
    assert Task.from_record(other.record()) == other
    assert other.digest != task.digest


def test_the_example_task_reads() -> None:
    example = read_task(Path(__file__).parents[2] / "pipelines" / "tasks" / "chest_xray.yaml")

    assert example.planar
    assert example.channels == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("modalities: [DX, CR]", "modality: DX", "did you mean modalities?"),
        ("[DX, CR]", "[CT]", "must be one of CR, DX, MG, OP"),
        ("views: [PA]", "views: [PQ]", "must be one of AP, PA"),
        ("shape: [32, 32]", "shape: [32, 32, 1]", "two whole numbers"),
        ("unit: display", "unit: HU", "must be one of display, arbitrary"),
        ("unit: display", "unit: arbitrary", "values for processing need a window or zscore"),
        ("dimensions: 2", "dimensions: 3", "goes with 2 dimensions"),
        ("crop: center", "crop: foreground", "has no foreground of its own"),
        ("flips: [i]", "flips: [k]", "no axis k"),
        ("kind: planar", "kind: volume", "must be"),
    ],
)
def test_a_mistake_in_a_planar_task_is_named(old: str, new: str, message: str) -> None:
    assert TASK.count(old) == 1

    with pytest.raises(ConfigurationError) as caught:
        parse_task(TASK.replace(old, new), "hill.yaml")

    assert message in str(caught.value)
