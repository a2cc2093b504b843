"""Models in a registry without a training, and what an evaluation would have left of them."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.evaluation import Evaluation
from medflow.domain.model import Example, Model, cohort_digest
from medflow.domain.task import CalibrationRule, NetworkRule, Task
from medflow.domain.volume import Grid
from medflow.learning.bundle import write_bundle
from medflow.steps.house import House
from medflow.steps.run import opened
from medflow.store import evaluations, models
from medflow.store.engine import reading, writing
from tests.learning.handmade import flat_bundle, handmade

TINY = NetworkRule(name="sequential_cnn", dimensions=3, options=(("hidden_size", 8), ("init_features", 4)))
ONE = Example(
    patient="PXYZPSEUDONYM",
    series_id="",
    subject="2.25.7",
    input_digest="1" * 64,
    layout_digest="2" * 64,
    label="bright",
    part="calibrate",
)


def tiny(task: Task, **calibration: Any) -> Task:  # noqa: ANN401  (fields of a CalibrationRule)
    """Make a task that is scored at once: a small network on a coarse grid."""
    assert isinstance(task.grid, Grid)
    grid = replace(task.grid, spacing=(8.0, 8.0, 4.0), shape=(16, 16, 8))
    return replace(task, network=TINY, grid=grid, calibration=CalibrationRule(**calibration))


def enrolled(
    house: House,
    task: Task,
    *,
    seed: int = 1,
    calibration: Calibration = UNCALIBRATED,
    examples: tuple[Example, ...] = (ONE,),
    flat: bool = False,
) -> Model:
    """Register a model of drawn weights as the next version of the task's name; examples have any accepted series.

    `flat` writes it as version 0.3 did.
    """
    with reading(house.engine) as connection:
        version = models.next_version(connection, task.name)
        rows = connection.exec_driver_sql("SELECT id FROM series WHERE state = 'accepted' ORDER BY id").scalars().all()
    made = handmade(task, calibration, seed=seed)
    cohort = tuple(replace(one, series_id=one.series_id or rows[0]) for one in examples) if rows else ()
    if flat:
        folder = house.models / task.name / str(version)
        digest = flat_bundle(folder, task, made)
    else:
        folder, digest, _ = write_bundle(house.models, version=version, task=task, trained=made, examples=cohort)
    model = Model(
        name=task.name,
        version=version,
        task_digest=task.digest,
        cohort_digest=cohort_digest(cohort),
        seed=seed,
        code=house.code.digest,
        model_digest=digest,
        grid_digest=task.grid.digest,
        folder=folder.relative_to(house.models).as_posix(),
        metrics=made.metrics,
        at=house.now(),
    )
    with opened(house, "train"), writing(house.engine) as connection:
        assert models.save_model(connection, model, cohort)
    return model


def measured(
    house: House, model: Model, *, part: str = "test", sensitivity: tuple[float, float, float] = (0.9, 0.8, 1.0)
) -> Evaluation:
    """Leave what an evaluation leaves: a row, and the files that it names."""
    figures = {"roc_auc": (0.9, 0.85, 0.95), "sensitivity": sensitivity}
    said = b"series,probability\n"
    with opened(house, "evaluate") as run:
        evaluation = Evaluation(
            model_id=model.id,
            model_digest=model.model_digest,
            cohort_digest=model.cohort_digest,
            part=part,
            examples=40,
            patients=30,
            files={"predictions.csv": sha256(said).hexdigest()},
            metrics={
                name: {"value": value, "low": low, "high": high, "n": 40}
                for name, (value, low, high) in figures.items()
            },
            code=house.code.digest,
            run=run.id,
            at=house.now(),
        )
        folder = house.evaluations / evaluation.folder
        folder.mkdir(parents=True)
        (folder / "predictions.csv").write_bytes(said)
        with writing(house.engine) as connection:
            assert evaluations.save_evaluation(connection, evaluation)
    return evaluation
