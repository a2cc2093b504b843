"""Every patient judged by a network that never saw them: fold by fold, or site by site; no model is registered."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.cohort import Duplicates, FrozenCohort
from medflow.domain.digests import digest
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Part, Task
from medflow.learning import dossier
from medflow.learning.assess import assessed
from medflow.learning.bundle import Bundle
from medflow.learning.card import USE, card_of, cohort_card, markdown
from medflow.learning.judged import scored
from medflow.learning.metrics import measured
from medflow.learning.predicted import Predicted, answers, read, written
from medflow.learning.score import Scorer
from medflow.learning.train import train
from medflow.learning.trained import Sample, Trained
from medflow.steps import cohort as cohorts
from medflow.steps.beside import COPIED, check_place
from medflow.steps.cohort import Built, Dealing
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.store.engine import writing

LIMITS = (
    "Each patient was judged by a network that was trained without them; the networks of different folds differ, and "
    "none of them is a model of the registry. The figures say what training this way is worth on patients like "
    "these, and choosing among tasks by them makes them flatter."
)
EVEN = (
    "Pooled answers are taken at even odds, because each fold has a threshold of its own; the figures of each fold, "
    "below, are at its own threshold."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossReport:
    """What a cross-validation found."""

    run: str
    digest: str
    task: str
    folder: Path
    new: bool
    """False where the same task, folds and code had been cross-validated before."""
    trained: int
    """Folds that were trained in this run; the others had been finished before."""
    metrics: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "run": self.run,
            "digest": self.digest,
            "task": self.task,
            "folder": self.folder.as_posix(),
            "new": self.new,
            "trained": self.trained,
            "metrics": dict(self.metrics),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    name: str
    built: Built

    @property
    def cohort(self) -> FrozenCohort:
        return self.built.cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished:
    """What is kept of a fold: predictions on its test part, how they are answered, and its card."""

    name: str
    rows: tuple[Predicted, ...]
    calibration: Calibration
    card: Mapping[str, Any]


def cross_validate(  # noqa: PLR0913  (how to divide, and what may stay)
    house: House,
    task: Task,
    *,
    folds: int | None = None,
    sites: bool = False,
    duplicates: Duplicates = Duplicates.REFUSE,
    reason: str = "",
    out: Path | None = None,
    progress: Progress = SILENT,
) -> CrossReport:
    """Train `task` once for each fold, or each site left out, and measure it on those who were left out.

    Folds that an interrupted run finished are not trained again.

    Raises:
        ConfigurationError: neither or both of folds and sites are asked for, or `out` lies inside the data folder.
        BatchError: a fold cannot be built, or its training gave no finite network.
    """
    if out is not None:
        check_place(house, out)
    dealings = cohorts.dealings(house, task, folds=folds, sites=sites, duplicates=duplicates, reason=reason)
    with opened(house, "cross-validate", source=task.name) as run:
        built = cohorts.build(run, task, dealings, progress)
        wanted = [_Fold(name=_called(dealt), built=one) for dealt, one in zip(dealings, built, strict=True)]
        key = digest("cross-validation", [task.digest, house.code.digest, [fold.cohort.digest for fold in wanted]])
        folder = house.cross_validations / key
        trained = 0
        new = not (folder / dossier.REPORT).is_file()
        if new:
            finished, trained = _all_finished(run, task, wanted, folder.with_name(f"{key}.folds"), progress)
            contents = _contents(run, task, wanted, finished, key)
            files = dossier.write(folder, contents, {})
            with writing(house.engine) as connection:
                detail = {"task": task.name, "task_digest": task.digest, "folds": len(wanted), "files": files}
                run.append(connection, "cross-validated", key, **detail)
            shutil.rmtree(folder.with_name(f"{key}.folds"), ignore_errors=True)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for name in COPIED:
                shutil.copyfile(folder / name, out / name)
        run.detail = {"new": new, "folds": len(wanted), "trained": trained}
    metrics = json.loads((folder / dossier.METRICS).read_text("utf-8"))
    return CrossReport(run=run.id, digest=key, task=task.name, folder=folder, new=new, trained=trained, metrics=metrics)


def _called(dealing: Dealing) -> str:
    if dealing.folds is None:
        return dealing.site or "no name"
    return f"{(dealing.fold or 0) + 1} of {dealing.folds}"


def _all_finished(
    run: Run, task: Task, wanted: Sequence[_Fold], place: Path, progress: Progress
) -> tuple[list[_Finished], int]:
    """Train what is not finished, each fold kept as soon as it is."""
    finished, trained = [], 0
    place.mkdir(parents=True, exist_ok=True)
    for fold in wanted:
        kept = place / f"{fold.cohort.digest}.json"
        if not kept.is_file():
            dossier.keep(kept, dossier.as_json(_trained(run.house, task, fold, progress)))
            trained += 1
        finished.append(_read(task, fold.name, json.loads(kept.read_text("utf-8"))))
    return finished, trained


def _trained(house: House, task: Task, fold: _Fold, progress: Progress) -> dict[str, Any]:
    """Train one fold and let it speak of those who were left out."""
    members = fold.cohort.members
    samples = [
        Sample(patient=one.patient, label=one.label, part=Part(one.part), voxels=fold.built.arrays[one.series_id])
        for one in members
    ]
    result = train(task, samples, threads=house.outside.threads, progress=progress)
    card = card_of(task, result, tuple(member.example() for member in members))
    bundle = _bundle(task, result, card)
    left_out = [member for member in members if member.part == Part.TEST.value]
    progress.start(f"evaluating fold {fold.name}", len(left_out))
    rows = scored(bundle, Scorer(bundle), left_out, fold.built.arrays, progress=progress, fold=fold.name)
    return {
        "calibration": result.calibration.record(),
        "card": card,
        "predictions": written(task.labels, rows),
    }


def _bundle(task: Task, result: Trained, card: dict[str, Any]) -> Bundle:
    """Hold a network as a bundle would, without a folder: it is measured and let go."""
    return Bundle(
        folder=Path(),
        model_digest="",
        task=task,
        weights=result.weights,
        threads=result.runtime.threads,
        precision="float32",
        calibration=result.calibration,
        card=card,
    )


def _read(task: Task, name: str, kept: Mapping[str, Any]) -> _Finished:
    return _Finished(
        name=name,
        rows=read(task.labels, kept["predictions"]),
        calibration=Calibration.from_record(kept["calibration"]),
        card=kept["card"],
    )


def _contents(
    run: Run, task: Task, wanted: Sequence[_Fold], finished: Sequence[_Finished], key: str
) -> dict[str, bytes]:
    """Write the pooled figures, and those of each fold singly."""
    rule, seed = task.labels, task.schedule.seed
    rows = [row for fold in finished for row in fold.rows]
    about = {
        "model": None,
        "task": {"name": task.name, "digest": task.digest},
        "cohort": {"id": None, "digest": key},
        "part": Part.TEST.value,
        "unseen": True,
    }
    pooled = assessed(rule, UNCALIBRATED, rows, about=about, seed=seed, prevalence=task.calibration.prevalence)
    pooled["folds"] = {
        fold.name: {
            "cohort": one.cohort.id,
            **measured(answers(rule, fold.calibration, fold.rows), seed=seed, prevalence=task.calibration.prevalence),
        }
        for one, fold in zip(wanted, finished, strict=True)
    }
    first = wanted[0].cohort
    everyone = replace(first, members=tuple(row.member for row in rows))
    pooled_cohort = cohort_card(rule, everyone, everyone.members)
    pooled_cohort["checks"][-1] = f"Each patient was in the test part once: {', '.join(fold.name for fold in wanted)}."
    card = {
        "title": f"Cross-validation of {task.name}: {len(wanted)} folds",
        "name": task.name,
        "use": USE,
        "limits": LIMITS,
        "warnings": [EVEN] if any(fold.calibration.threshold is not None for fold in finished) else [],
        "methods": f"One network was trained for each fold. Of the first: {finished[0].card['methods']}",
        "labels": dossier.labels_record(rule),
        "answers_by": UNCALIBRATED.record(),
        "cohort": {**pooled_cohort, "id": None, "digest": key},
        "folds": {fold.name: fold.card for fold in finished},
        "provenance": {
            "task digest": task.digest,
            "cohorts": ", ".join(fold.cohort.id for fold in wanted),
            "code": run.house.code.digest,
        },
    }
    return {
        dossier.PREDICTIONS: written(rule, rows).encode(),
        dossier.METRICS: dossier.as_json(pooled),
        dossier.CARD: dossier.as_json(card),
        dossier.MARKDOWN: markdown(card, pooled).encode(),
    }
