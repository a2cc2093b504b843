"""The second journey: a labelled, frozen cohort becomes an immutable model version."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.model import Example, Model, cohort_digest, model_id
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Part, Task
from medflow.errors import SeriesError
from medflow.learning import bundle
from medflow.learning.train import train as train_network
from medflow.learning.trained import Sample, Trained
from medflow.steps import cohort as cohorts
from medflow.steps.cohort import Cohort
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.steps.selection import input_on_grid
from medflow.steps.settle import Settler
from medflow.store import models
from medflow.store.engine import reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What training made, or found already made."""

    run: str
    model: Model
    new: bool
    """False where the same task, cohort, seed and code had been trained before."""
    parts: Mapping[str, Mapping[str, int]]
    """Series by part and class."""
    left_out: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {
            "run": self.run,
            "model": self.model.id,
            "name": self.model.name,
            "version": self.model.version,
            "model_digest": self.model.model_digest,
            "new": self.new,
            "parts": {part: dict(classes) for part, classes in self.parts.items()},
            "left_out": dict(self.left_out),
            "metrics": self.model.metrics,
        }


def train(house: House, task: Task, *, progress: Progress = SILENT) -> TrainReport:
    """Train `task` on what was taken in and labelled; the same task, cohort, seed and code are trained once.

    Raises:
        BatchError: the cohort cannot be built or is too small, or training gave no finite model.
    """
    with opened(house, "train", source=task.name) as run:
        cohort, arrays = _inputs(house, task, progress)
        key = (task.digest, cohort_digest(cohort.examples), task.schedule.seed, house.code.digest)
        with reading(house.engine) as connection:
            versions = models.models(connection, name=task.name)
        run.detail = {"examples": len(cohort.examples), "left_out": dict(cohort.left_out)}
        known = next((item.model for item in versions if item.model.id == model_id(*key)), None)
        model = known or _trained(run, task, cohort, arrays, progress)
        return TrainReport(
            run=run.id, model=model, new=known is None, parts=_table(cohort.examples), left_out=cohort.left_out
        )


def _inputs(house: House, task: Task, progress: Progress) -> tuple[Cohort, Mapping[str, NDArray[np.float32]]]:
    """Build the cohort and bring it onto the grid; what cannot be brought is left out before patients are dealt."""
    candidates = cohorts.gather(house, task, progress)
    settler, arrays = Settler(), {}
    progress.start("resampling", len(candidates.labelled))
    for series_id, (selected, _) in list(candidates.labelled.items()):
        outcome = settler.settle(lambda selected=selected: input_on_grid(house, task, selected))  # type: ignore[misc]  # mypy on defaults
        progress.advance()
        if isinstance(outcome, SeriesError):
            candidates.leave_out(series_id, outcome.reason.value)
        else:
            arrays[series_id] = outcome
    return cohorts.freeze(candidates, task), arrays


def _trained(
    run: Run, task: Task, cohort: Cohort, arrays: Mapping[str, NDArray[np.float32]], progress: Progress
) -> Model:
    house = run.house
    samples = [
        Sample(patient=one.patient, label=one.label, part=Part(one.part), voxels=arrays[one.series_id])
        for one in cohort.examples
    ]
    trained = train_network(task, samples, threads=house.outside.threads, progress=progress)
    with reading(house.engine) as connection:
        next_row = models.next_version(connection, task.name)
    # a folder without a row is what a crash left between the two: its number is not taken again
    version = max([next_row, *(number + 1 for number in bundle.versions(house.models, task.name))])
    folder, model_digest, _ = bundle.write_bundle(
        house.models, version=version, task=task, trained=trained, examples=cohort.examples
    )
    model = Model(
        name=task.name,
        version=version,
        task_digest=task.digest,
        cohort_digest=cohort_digest(cohort.examples),
        seed=task.schedule.seed,
        code=house.code.digest,
        model_digest=model_digest,
        grid_digest=task.grid.digest,
        folder=folder.relative_to(house.models).as_posix(),
        metrics={**trained.metrics, "training": _curve(trained)},
        at=house.now(),
    )
    with writing(house.engine) as connection:
        models.save_model(connection, model, cohort.examples)
        run.append(connection, "model-trained", model.id, **_audited(model), examples=len(cohort.examples))
    return model


def _curve(trained: Trained) -> dict[str, Any]:
    """Tell how training went: (epoch, training loss, validation loss), which was best, and what it computed in."""
    return {
        "history": [[epoch.number, epoch.training_loss, epoch.validation_loss] for epoch in trained.history],
        "best_epoch": trained.best_epoch,
        "precision": trained.precision.name,
        "precision_reason": trained.precision.reason,
        "device": trained.runtime.device,
        "threads": trained.runtime.threads,
    }


def _audited(model: Model) -> dict[str, Any]:
    names = ("name", "version", "model_digest", "cohort_digest", "task_digest", "seed")
    return {name: getattr(model, name) for name in names}


def _table(examples: tuple[Example, ...]) -> dict[str, dict[str, int]]:
    counts = Counter((example.part, example.label) for example in examples)
    labels = sorted({example.label for example in examples})
    return {part.value: {label: counts[part.value, label] for label in labels} for part in Part}
