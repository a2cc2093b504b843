"""The second journey: a labelled, frozen cohort becomes an immutable model version."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.cohort import FrozenCohort
from medflow.domain.model import Model, model_id
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Part, Task
from medflow.errors import BatchError, ConfigurationError
from medflow.learning import bundle, live
from medflow.learning.checkpoints import forget
from medflow.learning.live import SILENT_LIVE, Live
from medflow.learning.machine import device_of
from medflow.learning.ranks import Ranks, joined
from medflow.learning.train import train as train_network
from medflow.learning.trained import Sample, Trained
from medflow.steps import cohort as cohorts
from medflow.steps.cohort import Dealing
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.store import models
from medflow.store.engine import reading, writing

Arrays = Mapping[str, NDArray[np.float32]]
LEARNED = (Part.TRAIN, Part.SELECT, Part.CALIBRATE)
"""Parts that training sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What training made, or found already made."""

    run: str
    model: Model
    cohort: str
    new: bool
    """False where the same task, cohort, seed and code had been trained before."""
    parts: Mapping[str, Mapping[str, int]]
    """Series by part and class."""
    left_out: Mapping[str, int]
    main: bool = True
    """False on torchrun's other processes, which have nothing to say."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {
            "run": self.run,
            "model": self.model.id,
            "name": self.model.name,
            "version": self.model.version,
            "model_digest": self.model.model_digest,
            "cohort": self.cohort,
            "new": self.new,
            "parts": {part: dict(classes) for part, classes in self.parts.items()},
            "left_out": dict(self.left_out),
            "metrics": self.model.metrics,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What the first of torchrun's processes tells the others: whose arrays to load, and where the state lies."""

    cohort: str
    model: str


def train(  # noqa: PLR0913  (what is learned, from whom, and who listens)
    house: House,
    task: Task,
    *,
    cohort: str | None = None,
    dealing: Dealing | None = None,
    resume: bool = False,
    trackers: Sequence[str] = (),
    progress: Progress = SILENT,
    shown: Live = SILENT_LIVE,
) -> TrainReport:
    """Train `task` on what was taken in and labelled; the same task, cohort, seed and code are trained once.

    The cohort is built and frozen, or found by the beginning of its id. With `resume` a training that was killed goes
    on where its state on disk stands. `shown` hears of every step, as <data>/training/<model id>/metrics.jsonl does.

    Under torchrun each process takes a share of every batch. The first one alone opens a run, writes rows, a bundle
    and figures; all give its report, and `main` says on which one this is.

    Raises:
        BatchError: the cohort cannot be built or is too small, or training gave no finite model.
        ConfigurationError: the cohort is not known or does not fit the task, or a tracker is not there.
    """
    if cohort is not None and dealing is not None:
        raise ConfigurationError("a frozen cohort is dealt already: name it, or say how to deal")
    with joined(device_of(None)) as ranks:
        if not ranks.main:
            return _beside(house, task, ranks, resume=resume)
        with opened(house, "train", source=task.name) as run:
            training = _Training(run=run, task=task, ranks=ranks, progress=progress, shown=shown)
            report = training.report(cohort, dealing or Dealing(), trackers, resume=resume)
            ranks.told(report)
            return report


def _beside(house: House, task: Task, ranks: Ranks, *, resume: bool) -> TrainReport:
    """Be one of torchrun's other processes: learn from the cohort that the first one froze, and write nothing."""
    work: _Work | None = ranks.told(None)
    if work is not None:
        cohort = cohorts.found(house, work.cohort)
        train_network(
            task,
            _samples(cohort, cohorts.recalled(house, task, cohort, parts=LEARNED)),
            threads=house.outside.threads,
            ranks=ranks,
            folder=house.training / work.model,
            resume=resume,
        )
    report: TrainReport | None = ranks.told(None)
    if report is None:
        raise BatchError("the first rank ended without a report")
    return replace(report, main=False)


class _Both:
    """Tells two listeners."""

    def __init__(self, one: Live, other: Live) -> None:
        self._all = (one, other)

    def step(self, **values: Any) -> None:  # noqa: ANN401
        """Tell of a step."""
        for one in self._all:
            one.step(**values)

    def epoch(self, **values: Any) -> None:  # noqa: ANN401
        """Tell of an epoch."""
        for one in self._all:
            one.epoch(**values)

    def close(self) -> None:
        """Close both."""
        for one in self._all:
            one.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """One run of train, on the first rank."""

    run: Run
    task: Task
    ranks: Ranks
    progress: Progress
    shown: Live

    def report(self, cohort: str | None, dealing: Dealing, trackers: Sequence[str], *, resume: bool) -> TrainReport:
        """Find the model of this task, cohort, seed and code, or make it."""
        house, task = self.run.house, self.task
        frozen, arrays = self._cohort(cohort, dealing)
        name = model_id(task.digest, frozen.digest, task.schedule.seed, house.code.digest)
        with reading(house.engine) as connection:
            versions = models.models(connection, name=task.name)
        self.run.detail = {"examples": len(frozen.members), "left_out": dict(frozen.left_out)}
        known = next((item.model for item in versions if item.model.id == name), None)
        self.ranks.told(None if known else _Work(cohort=frozen.id, model=name))
        model = known or self._made(frozen, arrays, house.training / name, trackers, resume=resume)
        return TrainReport(
            run=self.run.id,
            model=model,
            cohort=frozen.id,
            new=known is None,
            parts=_table(frozen, task),
            left_out=frozen.left_out,
        )

    def _cohort(self, wanted: str | None, dealing: Dealing) -> tuple[FrozenCohort, Arrays]:
        house, task = self.run.house, self.task
        if wanted is None:
            return cohorts.freeze(self.run, task, dealing, self.progress)
        cohort = cohorts.found(house, wanted)
        cohorts.checked_for(task, cohort)
        return cohort, cohorts.recalled(house, task, cohort, parts=LEARNED, progress=self.progress)

    def _made(
        self, cohort: FrozenCohort, arrays: Arrays, folder: Path, trackers: Sequence[str], *, resume: bool
    ) -> Model:
        listening = _Both(live.opened(folder, trackers), self.shown)
        try:
            trained = train_network(
                self.task,
                _samples(cohort, arrays),
                threads=self.run.house.outside.threads,
                progress=self.progress,
                ranks=self.ranks,
                folder=folder,
                resume=resume,
                live=listening,
            )
        finally:
            listening.close()
        model = self._registered(cohort, trained)
        forget(folder)  # the figures stay
        return model

    def _registered(self, cohort: FrozenCohort, trained: Trained) -> Model:
        house, task = self.run.house, self.task
        examples = tuple(member.example() for member in cohort.members)
        with reading(house.engine) as connection:
            next_row = models.next_version(connection, task.name)
        # a folder without a row is what a crash left between the two: its number is not taken again
        version = max([next_row, *(number + 1 for number in bundle.versions(house.models, task.name))])
        folder, model_digest, _ = bundle.write_bundle(
            house.models, version=version, task=task, trained=trained, examples=examples
        )
        model = Model(
            name=task.name,
            version=version,
            task_digest=task.digest,
            cohort_digest=cohort.digest,
            seed=task.schedule.seed,
            code=house.code.digest,
            model_digest=model_digest,
            grid_digest=task.grid.digest,
            folder=folder.relative_to(house.models).as_posix(),
            metrics={**trained.metrics, "training": _curve(trained)},
            at=house.now(),
        )
        with writing(house.engine) as connection:
            models.save_model(connection, model, examples)
            self.run.append(connection, "model-trained", model.id, **_audited(model), examples=len(examples))
        return model


def _samples(cohort: FrozenCohort, arrays: Arrays) -> list[Sample]:
    """Give the samples that training sees: never those of the test part."""
    return [
        Sample(patient=one.patient, label=one.label, part=Part(one.part), voxels=arrays[one.series_id])
        for one in cohort.members
        if Part(one.part) in LEARNED
    ]


def _curve(trained: Trained) -> dict[str, Any]:
    """Tell how training went: (epoch, training loss, select loss), which was best, and what it computed in."""
    return {
        "history": [[epoch.number, epoch.training_loss, epoch.validation_loss] for epoch in trained.history],
        "best_epoch": trained.best_epoch,
        "precision": trained.precision.name,
        "precision_reason": trained.precision.reason,
        "device": trained.runtime.device,
        "threads": trained.runtime.threads,
        "pretrained": trained.pretrained,
        "resumed_from": trained.resumed_from,
        "calibration": {**trained.calibration.record(), "found": dict(trained.calibration.found)},
    }


def _audited(model: Model) -> dict[str, Any]:
    names = ("name", "version", "model_digest", "cohort_digest", "task_digest", "seed")
    return {name: getattr(model, name) for name in names}


def _table(cohort: FrozenCohort, task: Task) -> dict[str, dict[str, int]]:
    """Count series by part and output; of a multi-label task one may count under several."""
    counts: Counter[tuple[str, str]] = Counter()
    for member in cohort.members:
        said = zip(task.labels.outputs, task.labels.truth(member.label), strict=True)
        counts.update((member.part, name) for name, there in said if there)
    return {part.value: {name: counts[part.value, name] for name in task.labels.outputs} for part in Part}
