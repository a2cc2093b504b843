"""The series of each study, held against a task: which of them it takes, and why it takes none of the others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries, StudyUID
from medflow.domain.selection import Selection
from medflow.domain.task import Task
from medflow.errors import Reason, SeriesError
from medflow.steps.house import House
from medflow.steps.rules import failures, most_slices
from medflow.steps.run import Run
from medflow.store import files, selections
from medflow.store.engine import reading, writing
from medflow.store.runs import batches
from medflow.store.series import SeriesRow, accepted_series

CHOOSE = "choose"
"""What a series fails that passes every rule, and is not the one that `series.choose` takes."""
DAMAGED = Reason.STORED_COPY_DIFFERS.value
"""What a series fails whose stored copy cannot be read: nobody knows whether the task wants it."""
SAME_THICKNESS = 3
"""Decimals (mm) to which slices of one thickness agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One accepted series, and the rules of a task that it fails."""

    row: SeriesRow
    series: DeidentifiedSeries | None
    """None where the series is of another modality, or its stored copy cannot be read."""
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The series of one study, and what the task takes of them."""

    selection: Selection
    candidates: tuple[Candidate, ...]

    @property
    def taken(self) -> tuple[Candidate, ...]:
        """Give the series that the task takes."""
        return tuple(one for one in self.candidates if one.row.id in self.selection.chosen)

    @property
    def foreign(self) -> bool:
        """True where no series is of the task's modality: nobody made the study for it."""
        return all("modality" in one.failed for one in self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One task's look at every study of the house."""

    task: Task
    studies: tuple[Study, ...]

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "task": self.task.name,
            "task_digest": self.task.digest,
            "studies": [study.selection.record() for study in self.studies],
            "unmatched": unmatched(self.studies),
            "failed": failed_rules(self.studies),
        }


def look(house: House, task: Task, progress: Progress = SILENT) -> Look:
    """Hold every accepted series against `task`, study by study; nothing is written."""
    with reading(house.engine) as connection:
        rows = accepted_series(connection)
    by_study: dict[StudyUID, list[Candidate]] = defaultdict(list)
    progress.start("selecting series", len(rows))
    for row in rows:
        if row.study is not None:
            by_study[row.study].append(_candidate(house, task, row))
        progress.advance()
    return Look(task=task, studies=tuple(_study(task, name, by_study[name]) for name in sorted(by_study)))


def record_selections(run: Run, studies: Iterable[Study]) -> None:
    """Write what was chosen in each study, and why nothing was, with an audit event; what is known is left as it is.

    A task that takes every series that passes chooses nothing where one does, and a study of other modalities was not
    made for it: neither has a row.
    """
    made = [s.selection for s in studies if not s.foreign and (s.selection.reason or s.selection.rule != "every")]
    with reading(run.house.engine) as connection:
        known = selections.known_selections(connection, [one.id for one in made])
    for batch in batches(one for one in made if one.id not in known):
        with writing(run.house.engine) as connection:
            new = [
                one for one in batch if selections.save_selection(connection, one, run_id=run.id, at=run.house.now())
            ]
            for one in new:
                run.append(connection, _kind(one), one.id, **_audited(one))


def unmatched(studies: Iterable[Study]) -> dict[str, int]:
    """Count the studies of which no series is taken, by reason."""
    return dict(Counter(s.selection.reason.value for s in studies if s.selection.reason is not None))


def failed_rules(studies: Iterable[Study]) -> dict[str, int]:
    """Count the series of the studies of which none is taken, by each rule that they fail."""
    left = [study for study in studies if study.selection.reason is not None]
    return dict(Counter(rule for study in left for one in study.candidates for rule in one.failed))


def _candidate(house: House, task: Task, row: SeriesRow) -> Candidate:
    if row.modality not in task.series.modalities:
        return Candidate(row=row, series=None, failed=("modality",))
    try:
        series = files.described(house.safe, row)
    except SeriesError:
        return Candidate(row=row, series=None, failed=(DAMAGED,))
    return Candidate(row=row, series=series, failed=failures(task.series, series))


def _study(task: Task, name: StudyUID, candidates: list[Candidate]) -> Study:
    """Choose among the series of one study."""
    choosing = _Choosing(rule=task.series.choose, candidates=candidates)
    outcome = choosing.outcome()
    chosen = () if isinstance(outcome, SeriesError) else outcome
    ranked = tuple(choosing.judged(chosen))
    return Study(
        selection=Selection(
            task_digest=task.digest,
            study=name,
            rule=task.series.choose,
            failures={one.row.id: one.failed for one in ranked},
            chosen=tuple(one.row.id for one in chosen),
            reason=outcome.reason if isinstance(outcome, SeriesError) else None,
            detail=outcome.detail if isinstance(outcome, SeriesError) else "",
        ),
        candidates=ranked,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choosing:
    """The candidates of one study, and the rule that chooses among those that pass."""

    rule: str
    candidates: list[Candidate]

    def outcome(self) -> tuple[Candidate, ...] | SeriesError:
        """Give what is taken, or say why nothing is; no order of rows or UIDs decides."""
        passing = [one for one in self.candidates if not one.failed]
        damaged = [one for one in self.candidates if DAMAGED in one.failed]
        if self.rule == "every":  # a damaged one is judged all the same: that turns it away, on the record
            taken = tuple(one for one in self.candidates if not one.failed or DAMAGED in one.failed)
            return taken or SeriesError(Reason.NO_MATCHING_SERIES)
        if damaged:
            return SeriesError(Reason.STORED_COPY_DIFFERS, f"{len(damaged)} series may be the one that is meant")
        ranked = {one.row.id: rank for one in passing if (rank := self._rank(one)) is not None}
        if not ranked:
            return SeriesError(Reason.NO_MATCHING_SERIES)
        best = [one for one in passing if ranked.get(one.row.id) == max(ranked.values())]
        if len(best) > 1:
            return SeriesError(Reason.SEVERAL_SERIES, f"{len(best)} of {len(passing)} are {self.rule} alike")
        return tuple(best)

    def judged(self, chosen: tuple[Candidate, ...]) -> Iterator[Candidate]:
        """Give the candidates with what each fails; one that passes and is not taken fails the choice itself."""
        for one in self.candidates:
            outranked = chosen and not one.failed and one not in chosen
            unranked = self.rule != "every" and not one.failed and self._rank(one) is None
            failed = (CHOOSE,) if outranked or unranked else one.failed
            yield Candidate(row=one.row, series=one.series, failed=failed)

    def _rank(self, one: Candidate) -> float | None:
        """Say how well a series answers the rule; None where it does not say what the rule asks."""
        if one.series is None:
            return None
        if self.rule == "most-slices":
            return most_slices(one.series)
        thickness = one.series.descriptors.slice_thickness
        return None if thickness is None else -round(thickness, SAME_THICKNESS)


def _kind(selection: Selection) -> str:
    return "series-selected" if selection.reason is None else "study-unmatched"


def _audited(selection: Selection) -> Mapping[str, Any]:
    return {
        "task": selection.task_digest,
        "study": selection.study,
        "rule": selection.rule,
        "chosen": list(selection.chosen),
        "reason": None if selection.reason is None else selection.reason.value,
        "candidates": len(selection.failures),
        "failed": dict(Counter(rule for failed in selection.failures.values() for rule in failed)),
    }
