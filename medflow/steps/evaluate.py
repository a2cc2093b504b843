"""What a model is worth on a part of a cohort; a test part is opened once, and that is on record before it is seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from medflow.domain.digests import instant
from medflow.domain.evaluation import Evaluation, Opening
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Part
from medflow.errors import BatchError, ConfigurationError, IntegrityError
from medflow.learning import dossier
from medflow.learning.assess import assessed
from medflow.learning.card import cohort_card, markdown
from medflow.learning.cases import cases
from medflow.learning.heatmaps import method
from medflow.learning.judged import Arrays, pictured, scored
from medflow.learning.predicted import Predicted, read, written
from medflow.learning.score import Scorer
from medflow.steps import cohort as cohorts
from medflow.steps.beside import NOTHING, Asked, beside, check_place, copied, folder_of, known_of, rival
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.steps.subject import Subject, openings_said, subject_of, warnings
from medflow.store import evaluations as rows
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What a model was found to be worth."""

    run: str
    evaluation: Evaluation
    model: str
    folder: Path
    new: bool
    """False where it had been measured before: nothing was scored."""
    openings: tuple[str, ...]
    """Who looked at this part, in sentences."""
    comparison: Mapping[str, Any] | None

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        found = self.evaluation
        return {
            "run": self.run,
            "evaluation": found.id,
            "model": self.model,
            "model_digest": found.model_digest,
            "cohort_digest": found.cohort_digest,
            "part": found.part,
            "new": self.new,
            "evaluated_at": instant(found.at),
            "openings": list(self.openings),
            "folder": self.folder.as_posix(),
            "files": found.files,
            "metrics": found.metrics,
            "comparison": None if self.comparison is None else dict(self.comparison),
        }


def evaluate(
    house: House,
    model: str,
    *,
    part: Part = Part.TEST,
    cohort: str | None = None,
    asked: Asked = NOTHING,
    progress: Progress = SILENT,
) -> EvaluationReport:
    """Measure a model (`NAME` or `NAME:VERSION`) on a part of its own cohort, or of the one whose id begins so.

    What was measured before is found and not scored again. That a test part is opened is on record before it is seen.

    Raises:
        StateError: there is no such model, cohort or part.
        ConfigurationError: the cohort shares patients with what the model was made from, or what is asked beside the
            figures does not fit.
        BatchError: examples of the part are gone, or cannot be scored.
        IntegrityError: files of the model, or of its evaluation, are not what their digests say.
    """
    subject = subject_of(house, model, part, cohort)
    if asked.prevalence is not None and not subject.bundle.task.labels.binary:
        raise ConfigurationError("a prevalence is that of the finding of a task of two classes")
    other = None if asked.against is None else rival(house, subject, asked.against)
    if asked.out is not None:
        check_place(house, asked.out)
    with opened(house, "evaluate", source=subject.name) as run:
        evaluating = _Evaluating(run=run, subject=subject, progress=progress)
        known = known_of(house, subject)
        if known is None:
            evaluation = evaluating.measure(asked.prevalence)
        else:
            evaluation = known
            evaluating.mend(known)
        said = openings_said(house, subject)
        added = {"openings": said, **beside(house, subject, evaluation, asked.prevalence, other)}
        folder = folder_of(house, evaluation)
        dossier.ask(folder, added)
        dossier.forget([folder], {member.series_id for member in subject.members} - _showable(house))
        if asked.out is not None:
            copied(run, subject, folder, asked.out)
        run.detail = {"new": known is None, "part": part.value}
    return EvaluationReport(
        run=run.id,
        evaluation=evaluation,
        model=subject.name,
        folder=folder,
        new=known is None,
        openings=tuple(said),
        comparison=added.get("comparison"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluating:
    """One measurement under way."""

    run: Run
    subject: Subject
    progress: Progress

    def measure(self, prevalence: float | None) -> Evaluation:
        """Open the part, score it, and write files and row."""
        house, subject = self.run.house, self.subject
        task, model = subject.bundle.task, subject.model
        if subject.unseen:
            self._open()
        at = house.now()
        scorer = Scorer(subject.bundle)
        arrays = self._arrays()
        said = self._scored(scorer, arrays)
        figures = assessed(
            task.labels,
            subject.bundle.calibration,
            said,
            about=_about(subject),
            seed=task.schedule.seed,
            prevalence=task.calibration.prevalence if prevalence is None else prevalence,
        )
        evaluation = Evaluation(
            model_id=model.id,
            model_digest=model.model_digest,
            cohort_digest=subject.cohort.digest,
            part=subject.part.value,
            examples=len(said),
            patients=len({row.member.patient for row in said}),
            files={},
            metrics=figures,
            code=house.code.digest,
            run=self.run.id,
            at=at,
        )
        contents = self._contents(said, figures, at)
        files = dossier.write(folder_of(house, evaluation), contents, self._pictures(scorer, arrays, said))
        evaluation = replace(evaluation, files=files)
        with writing(house.engine) as connection:
            new = rows.save_evaluation(connection, evaluation)
            if new:
                self.run.append(connection, "model-evaluated", evaluation.id, **_audited(evaluation))
        return evaluation if new else known_of(house, subject) or evaluation  # another process was faster

    def mend(self, known: Evaluation) -> None:
        """Write again what is gone of the files of an evaluation; they come out as they were, or are refused.

        Raises:
            IntegrityError: a file is not what the row says, or cannot be made so again.
        """
        folder = folder_of(self.run.house, known)
        absent, rule = dossier.missing(folder, known.files), self.subject.bundle.task.labels
        pictures = dossier.pictures(folder)
        if not absent and pictures is not None:
            return
        scorer = Scorer(self.subject.bundle)
        if dossier.PREDICTIONS in absent:
            said = self._scored(scorer, self._arrays())
        else:
            said = read(rule, (folder / dossier.PREDICTIONS).read_text("utf-8"))
        contents = self._contents(said, known.metrics, known.at)
        if dossier.digests(contents) != known.files:
            raise IntegrityError("files of the evaluation are gone, and what is computed now is not what they held")
        if pictures is None:
            try:
                pictures = self._pictures(scorer, self._arrays(), said)
            except BatchError:  # somebody was erased since: the report does without
                pictures = {}
        dossier.write(folder, contents, pictures)

    def _open(self) -> None:
        """Put on record that the model looks at the part now, and commit that before it does."""
        house, subject = self.run.house, self.subject
        patients = len({member.patient for member in subject.members})
        with writing(house.engine) as connection:
            before = rows.opened(connection, subject.test_digest)
            opening = Opening(
                model_id=subject.model.id,
                test_digest=subject.test_digest,
                cohort_digest=subject.cohort.digest,
                patients=patients,
                run=self.run.id,
                at=house.now(),
            )
            if rows.save_opening(connection, opening):
                detail = {"test_digest": opening.test_digest, "cohort_digest": opening.cohort_digest}
                self.run.append(
                    connection, "test-opened", subject.model.id, **detail, patients=patients, models_before=before
                )

    def _arrays(self) -> Arrays:
        subject = self.subject
        return cohorts.recalled(
            self.run.house, subject.bundle.task, subject.cohort, parts=[subject.part], progress=self.progress
        )

    def _scored(self, scorer: Scorer, arrays: Arrays) -> tuple[Predicted, ...]:
        subject = self.subject
        self.progress.start(f"evaluating {subject.name}", len(subject.members))
        return scored(subject.bundle, scorer, subject.members, arrays, progress=self.progress)

    def _contents(self, said: Sequence[Predicted], figures: Mapping[str, Any], at: datetime) -> dict[str, bytes]:
        """Write the digested files; what was opened by `at` stands on the card."""
        subject, house = self.subject, self.run.house
        card = {
            **subject.bundle.card,
            "title": f"{subject.name} on the {subject.part.value} part of {subject.cohort.id}",
            "warnings": warnings(subject),
            "openings": openings_said(house, subject, until=at),
            "heat": method(subject.bundle.task.network),
            "labels": dossier.labels_record(subject.bundle.task.labels),
            "answers_by": subject.bundle.calibration.record(),
            "cohort": cohort_card(subject.bundle.task.labels, subject.cohort, subject.members),
            "provenance": _provenance(subject),
        }
        return {
            dossier.PREDICTIONS: written(subject.bundle.task.labels, said).encode(),
            dossier.METRICS: dossier.as_json(figures),
            dossier.CARD: dossier.as_json(card),
            dossier.MARKDOWN: markdown(card, figures).encode(),
        }

    def _pictures(self, scorer: Scorer, arrays: Arrays, said: Sequence[Predicted]) -> dict[str, bytes]:
        """Draw what the model looked at in the examples that the report shows, but of nobody who opted out."""
        task, showable = self.subject.bundle.task, _showable(self.run.house)
        return {
            case.file(said): pictured(task, scorer, arrays[series_id], case)
            for case in cases(task.labels, said)
            if (series_id := said[case.row].member.series_id) in showable
        }


def _about(subject: Subject) -> dict[str, Any]:
    model = subject.model
    return {
        "model": {"id": model.id, "name": model.name, "version": model.version, "digest": model.model_digest},
        "task": {"name": subject.bundle.task.name, "digest": subject.bundle.task.digest},
        "cohort": {"id": subject.cohort.id, "digest": subject.cohort.digest},
        "part": subject.part.value,
        "unseen": subject.unseen,
    }


def _provenance(subject: Subject) -> dict[str, str]:
    model = subject.model
    return {
        "model": f"{subject.name} ({model.id})",
        "model digest": model.model_digest,
        "task digest": model.task_digest,
        "cohort": f"{subject.cohort.id}, digest {subject.cohort.digest}",
        "trained": instant(model.at),
        "code that trained": model.code,
    }


def _audited(evaluation: Evaluation) -> dict[str, Any]:
    names = ("model_id", "model_digest", "cohort_digest", "part", "examples", "patients", "files")
    return {name: getattr(evaluation, name) for name in names}


def _showable(house: House) -> set[str]:
    """Name the series whose pictures may be shown: they stand, and nobody opted out."""
    with reading(house.engine) as connection:
        return {row.id for row in series_rows.accepted_series(connection)}
