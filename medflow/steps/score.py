"""The third journey: accepted series that a model wants and has not judged yet become predictions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medflow.domain.completeness import Verdict
from medflow.domain.model import Model, Stage
from medflow.domain.prediction import Prediction
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import LabelKind, Task
from medflow.errors import Reason, SeriesError, StateError
from medflow.learning.bundle import Bundle, load_bundle
from medflow.learning.score import Scorer
from medflow.steps.candidates import failed_rules, look, record_selections, unmatched
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.steps.selection import check_complete, chosen_input, input_on_grid
from medflow.steps.settle import Settler
from medflow.store import files, jobs, models, predictions
from medflow.store.engine import reading, writing
from medflow.store.jobs import Job, LeaseLost
from medflow.store.models import Registered
from medflow.store.series import SeriesRow

STEP = "score"
LEASE = 180
"""Seconds for which a worker holds a series; scoring one takes a small part of that."""

MENDABLE = {Reason.STORED_COPY_DIFFERS, Reason.UNEXPECTED_ERROR}
"""Reasons that are ours and not the series': whoever mends them finds the series scored by a later run."""
AGAIN_AFTER = 300
"""Seconds for which a series is left alone that was turned away for such a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """What one run of score did, over all the models it ran. What shadows did is counted apart."""

    run: str
    models: tuple[str, ...]
    """`name:version` of each, shadows aside."""
    scored: int
    withheld: int
    """Of those scored: predictions that the model abstains from."""
    already: int
    """Series that these models had judged, or turned away, before."""
    refused: Mapping[str, int]
    """Series turned away in this run, by reason."""
    elsewhere: int
    """Series that another worker holds right now."""
    unmatched: Mapping[str, int]
    """Studies of a task's modality of which it took no series, by reason; counted once for each model."""
    failed: Mapping[str, int]
    """Series of these studies, by each rule of the task that they fail."""
    outdated: tuple[str, ...]
    """`name:version` of each model that was passed over, because it was trained under rules of another version."""
    shadow: Mapping[str, Any]
    """Of the models that scored beside the others, undelivered: `models`, `scored`, `withheld`, `already`, `refused`
    and `elsewhere`, as above; {} where there was none."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {
            "run": self.run,
            "models": list(self.models),
            "scored": self.scored,
            "withheld": self.withheld,
            "already": self.already,
            "refused": dict(self.refused),
            "elsewhere": self.elsewhere,
            "unmatched": dict(self.unmatched),
            "failed": dict(self.failed),
            "outdated": list(self.outdated),
            "shadow": dict(self.shadow),
        }


@dataclass(slots=True)
class _Tally:
    scored: int = 0
    withheld: int = 0
    already: int = 0
    elsewhere: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unmatched: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def record(self) -> dict[str, Any]:
        """Write what is told of shadows."""
        counts = {name: getattr(self, name) for name in ("scored", "withheld", "already", "elsewhere")}
        return {**counts, "refused": dict(self.refused)}


def score(house: House, model: str | None = None, *, progress: Progress = SILENT) -> ScoreReport:
    """Score what `model` (`NAME` or `NAME:VERSION`) wants and has not judged; a second run scores nothing.

    Without a name: of each name the active version, or the newest candidate where none is active; then, beside them,
    every shadow. One that must be trained again is passed over then, and named in the report.

    Raises:
        StateError: there is no such model, or none at all; or what was asked for must be trained again.
        IntegrityError: a model's files are not what its digest says. What a damaged shadow stands beside was scored.
    """
    chosen = _standing(house) if model is None else (_asked(house, model),)
    speaking = tuple(item for item in chosen if item.stage is not Stage.SHADOW)
    shadows = tuple(item for item in chosen if item.stage is Stage.SHADOW)
    with opened(house, STEP) as run:
        ran, outdated, tally = _scored(run, speaking, progress, alone=len(chosen) == 1)
        beside, aged, apart = _scored(run, shadows, progress, alone=len(chosen) == 1)
        report = ScoreReport(
            run=run.id,
            models=ran,
            scored=tally.scored,
            withheld=tally.withheld,
            already=tally.already,
            refused=dict(tally.refused),
            elsewhere=tally.elsewhere,
            unmatched=dict(tally.unmatched),
            failed=dict(tally.failed),
            outdated=outdated + aged,
            shadow={"models": list(beside), **apart.record()} if beside else {},
        )
        told = ("models", "scored", "withheld", "refused", "unmatched", "outdated", "shadow")
        run.detail = {name: value for name, value in report.record().items() if name in told}
    return report


def _scored(
    run: Run, chosen: tuple[Registered, ...], progress: Progress, *, alone: bool
) -> tuple[tuple[str, ...], tuple[str, ...], "_Tally"]:
    """Load some models and score with each; name those that ran and those that this code cannot run as trained."""
    scoring = _Scoring(run=run, progress=progress)
    bundles, outdated = _bundles(run.house, chosen, alone=alone)
    for item, bundle in bundles:
        scoring.score_with(item, bundle)
    return tuple(_called(item.model) for item, _ in bundles), outdated, scoring.tally


def _bundles(
    house: House, chosen: tuple[Registered, ...], *, alone: bool
) -> tuple[list[tuple[Registered, Bundle]], tuple[str, ...]]:
    """Load the models, and name those that this code cannot run as they were trained; one that stands alone raises."""
    bundles, outdated = [], []
    for item in chosen:
        try:
            bundles.append((item, load_bundle(house.models / item.model.folder, item.model.model_digest)))
        except StateError:
            if alone:
                raise
            outdated.append(_called(item.model))
    return bundles, tuple(outdated)


def _called(model: Model) -> str:
    return f"{model.name}:{model.version}"


def chosen_models(house: House, model: str | None) -> tuple[Model, ...]:
    """Resolve what the operator named, or what stands to score when nobody names one, shadows last.

    Raises:
        StateError: there is no such model, or none at all.
    """
    return tuple(item.model for item in (_standing(house) if model is None else (_asked(house, model),)))


def _asked(house: House, model: str) -> Registered:
    name, _, version = model.partition(":")
    if version and not version.isdecimal():
        raise StateError("a model is named NAME or NAME:VERSION, and a version is a number")
    with reading(house.engine) as connection:
        return models.model(connection, name, int(version) if version else None)


def _standing(house: House) -> tuple[Registered, ...]:
    """Find, of each name, the version that speaks, then all shadows; a name whose versions retired has neither."""
    with reading(house.engine) as connection:
        rows = [item for item in models.models(connection) if item.stage is not Stage.RETIRED]
        names = sorted({item.model.name for item in rows})
        found = [models.model(connection, name) for name in names]
    if not found:
        raise StateError("no model was trained yet, or all are retired; run `medflow train TASK.yaml`")
    shadows = [item for item in rows if item.stage is Stage.SHADOW]
    return (*(item for item in found if item.stage is not Stage.SHADOW), *shadows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """One model at work."""

    house: House
    model: Model
    stage: Stage
    bundle: Bundle
    scorer: Scorer

    def judged(self, row: SeriesRow) -> Prediction:
        """Compute the prediction for one series.

        Raises:
            SeriesError: the task cannot use the series, or its stored copy is damaged.
        """
        series = files.described(self.house.safe, row)
        selected = chosen_input(self.bundle.task, series)
        check_complete(self.bundle.task.series, row.completeness)
        voxels = input_on_grid(self.house, self.bundle.task, selected)
        probabilities = self.scorer.probabilities(voxels)
        return Prediction(
            subject=series.uid,
            patient=series.patient,
            series_id=series.id,
            series_digest=series.series_digest,
            layout_digest=selected.layout_digest,
            input_digest=selected.input_digest,
            model_id=self.model.id,
            model_digest=self.model.model_digest,
            grid_digest=self.model.grid_digest,
            generation=0,
            classes=self.bundle.task.labels.outputs,
            probabilities=probabilities,
            label=self.scorer.answer(probabilities),
            withheld=abstention(self.bundle.task, probabilities),
            code=self.house.code.digest,
            runtime=self.scorer.runtime,
            at=self.house.now(),
            completeness=(row.completeness or Verdict.QUIET_ONLY).value,
            stage=self.stage.value,
        )


def abstention(task: Task, probabilities: tuple[float, ...]) -> str | None:
    """Say why a model abstains: its highest probability is below what the task asks for; None where it speaks.

    A model whose findings do not exclude each other never does: that all are unlikely is an answer.
    """
    if task.labels.kind is LabelKind.MULTI_LABEL or task.abstain_below is None:
        return None
    if max(probabilities) < task.abstain_below:
        return "below-abstention-threshold"
    return None


@dataclass(slots=True, kw_only=True)
class _Scoring:
    """One run of score over its models."""

    run: Run
    progress: Progress
    settler: Settler = field(default_factory=Settler)
    tally: _Tally = field(default_factory=_Tally)

    def score_with(self, item: Registered, bundle: Bundle) -> None:
        """Offer a job for each series that the model wants, and do those that nobody has done or holds."""
        house, model = self.run.house, item.model
        wanted = self._wanted(bundle.task)
        with writing(house.engine) as connection:
            for series_id in wanted:
                jobs.offer(connection, step=STEP, subject=series_id, model_digest=model.model_digest, at=house.now())
            jobs.reopen(connection, step=STEP, model_digest=model.model_digest, subjects=wanted)
            for dead in jobs.bury(connection, step=STEP):
                self.run.append(connection, "job-dead", dead.subject, attempts=dead.attempts)
            standing = jobs.jobs(connection, step=STEP, state="ready")
        ready = sum(job.model_digest == model.model_digest for job in standing)
        judge = _Judge(house=house, model=model, stage=item.stage, bundle=bundle, scorer=Scorer(bundle))
        self.progress.start(f"scoring with {model.name}:{model.version}", ready)
        handled = 0
        while (job := self._claimed(model)) is not None:
            handled += self._settle(judge, job, wanted.get(job.subject))
            self.progress.advance()
        with reading(house.engine) as connection:
            held = jobs.jobs(connection, step=STEP, state="leased")
        leased = sum(job.model_digest == model.model_digest for job in held)
        self.tally.elsewhere += leased
        self.tally.already += len(wanted) - leased - handled

    def _wanted(self, task: Task) -> dict[str, SeriesRow]:
        """Find every accepted series that the task takes, by its id, and put on record how it chose."""
        studies = look(self.run.house, task, self.progress).studies
        record_selections(self.run, studies)
        asked = [study for study in studies if not study.foreign]
        self.tally.unmatched.update(unmatched(asked))
        self.tally.failed.update(failed_rules(asked))
        return {one.row.id: one.row for study in studies for one in study.taken}

    def _claimed(self, model: Model) -> Job | None:
        """Take the lease of the next series that nobody holds."""
        with writing(self.run.house.engine) as connection:
            return jobs.claim(
                connection,
                step=STEP,
                model_digest=model.model_digest,
                owner=self.run.id,
                token=self.run.house.outside.token(),
                seconds=LEASE,
            )

    def _settle(self, judge: _Judge, job: Job, row: SeriesRow | None) -> bool:
        """Judge one series and close its job; True where it was one of the series that the task wants."""
        if row is None:  # superseded, or the task no longer sees it: the newer revision has a job of its own
            with writing(self.run.house.engine) as connection:
                jobs.close(connection, job, state="cancelled")
            return False
        outcome = self.settler.settle(lambda: judge.judged(row))
        try:
            self._write(judge, job, row, outcome)
        except LeaseLost:  # another worker took over; what it writes is the same
            return True
        if isinstance(outcome, SeriesError):
            self.tally.refused[outcome.reason.value] += 1
        else:
            self.tally.scored += 1
            self.tally.withheld += outcome.withheld is not None
        return True

    def _write(self, judge: _Judge, job: Job, row: SeriesRow, outcome: Prediction | SeriesError) -> None:
        """Write prediction, audit event and job state in one transaction, or none of them."""
        with writing(self.run.house.engine) as connection:
            if isinstance(outcome, SeriesError):
                if outcome.reason in MENDABLE:
                    jobs.release(connection, job, seconds=AGAIN_AFTER, reason=outcome.reason)
                else:
                    jobs.close(connection, job, state="refused", reason=outcome.reason)
                detail = {"model": judge.model.id, "reason": outcome.reason.value, "detail": outcome.detail}
                self.run.append(connection, "scoring-refused", row.id, **detail)
            else:
                jobs.close(connection, job, state="done")
                if predictions.save_prediction(connection, outcome):
                    self.run.append(connection, "prediction-written", outcome.id, **_audited(outcome))


def _audited(prediction: Prediction) -> dict[str, Any]:
    return {
        "series": prediction.series_id,
        "model": prediction.model_id,
        "input_digest": prediction.input_digest,
        "model_digest": prediction.model_digest,
        "grid_digest": prediction.grid_digest,
        "generation": prediction.generation,
        "label": prediction.label,
        "probabilities": [value.hex() for value in prediction.probabilities],
        "withheld": prediction.withheld,
        "completeness": prediction.completeness,
        "stage": prediction.stage,
    }
