"""Who is learned from: labelled series that a task wants, dealt by patient, refused where one would leak."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from medflow.domain.model import Example
from medflow.domain.progress import Progress
from medflow.domain.safe import Pseudonym
from medflow.domain.task import Level, Task
from medflow.errors import BatchError, Reason, SeriesError
from medflow.learning.cohort import deal
from medflow.steps.candidates import Candidate, Study, look
from medflow.steps.house import House
from medflow.steps.planes import SelectedPlane
from medflow.steps.selection import Selected, check_complete, chosen_input
from medflow.steps.settle import Settler
from medflow.store import files, labels
from medflow.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Examples with the volume behind each, and how many series stayed out, by reason."""

    examples: tuple[Example, ...]
    inputs: Mapping[str, Selected | SelectedPlane]
    """By series id."""
    left_out: Mapping[str, int]


@dataclass(slots=True)
class Candidates:
    """What is gathered while the series are looked through."""

    labelled: dict[str, tuple[Selected | SelectedPlane, str]] = field(default_factory=dict)
    """Volume and label by series id."""
    left_out: Counter[str] = field(default_factory=Counter)
    persons: Mapping[Pseudonym, Pseudonym] = field(default_factory=dict, repr=False)
    """For a pseudonym that another one stands for, that one: whoever has two is one patient of the split."""

    def person(self, patient: Pseudonym) -> Pseudonym:
        """Give the one pseudonym that a patient is counted under."""
        return self.persons.get(patient, patient)

    def leave_out(self, series_id: str, reason: str) -> None:
        """Take a series out again, and count why."""
        del self.labelled[series_id]
        self.left_out[reason] += 1


def gather(house: House, task: Task, progress: Progress) -> Candidates:
    """Find every accepted series that `task` wants and that bears its label.

    Unlabelled is not negative: such series are left out, and counted.

    Raises:
        BatchError: too much failed in ways nobody foresaw.
    """
    rule, persons = task.labels, house.same_patient
    with reading(house.engine) as connection:
        known = labels.labels_for(connection, rule, persons)
    studies = [study for study in look(house, task, progress).studies if not study.foreign]
    looked = sorted(((one, study) for study in studies for one in study.candidates), key=lambda pair: pair[0].row.id)
    found, settler = Candidates(persons=persons), Settler()
    progress.start("building the cohort", len(looked))
    for one, study in looked:
        outcome = settler.settle(partial(_selected, house, task, one, study))
        progress.advance()
        if isinstance(outcome, SeriesError):
            found.left_out[outcome.reason.value] += 1
        elif isinstance(outcome, str):
            found.left_out[outcome] += 1
        else:
            owner = outcome.series
            names = {Level.PATIENT: found.person(owner.patient), Level.STUDY: owner.study, Level.SERIES: owner.uid}
            subject = names[rule.level]
            label = known.values.get(subject)
            if subject in known.contradictory:
                found.left_out["contradictory-labels"] += 1
            elif label is None:
                found.left_out["unlabelled"] += 1
            elif label in rule.classes:
                found.labelled[one.row.id] = (outcome, label)
            else:
                found.left_out["label-not-among-classes"] += 1
    return found


def freeze(found: Candidates, task: Task) -> Cohort:
    """Deal the patients of the candidates to the parts of the split.

    Raises:
        BatchError: a part of the split would stand without a class, or identical images stand under different
            patients.
    """
    _refuse_leaks(found)
    patients: dict[str, set[str]] = {label: set() for label in task.labels.classes}
    for selected, label in found.labelled.values():
        patients[label].add(found.person(selected.series.patient))
    parts = deal(patients, task.split)
    examples = tuple(
        Example(
            patient=found.person(selected.series.patient),
            series_id=selected.series.id,
            subject=selected.series.uid,
            input_digest=selected.input_digest,
            layout_digest=selected.layout_digest,
            label=label,
            part=parts[found.person(selected.series.patient)],
        )
        for _, (selected, label) in sorted(found.labelled.items())
    )
    return Cohort(
        examples=examples,
        inputs={name: selected for name, (selected, _) in found.labelled.items()},
        left_out=dict(found.left_out),
    )


def _selected(house: House, task: Task, one: Candidate, study: Study) -> Selected | SelectedPlane | str:
    """Select the volume of one series; or say, in a word, why the task does not ask for it."""
    if one not in study.taken:
        return f"not-wanted:{one.failed[0]}" if one.failed else str(study.selection.reason)
    series = one.series or files.described(house.safe, one.row)
    if series.barred:
        raise SeriesError(Reason.PLACEHOLDER_PATIENT)
    selected = chosen_input(task, series)
    check_complete(task.series, one.row.completeness)
    return selected


def _refuse_leaks(found: Candidates) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for selected, _ in found.labelled.values():
        owners[selected.input_digest].add(found.person(selected.series.patient))
    shared = sorted(tuple(sorted(patients)) for patients in owners.values() if len(patients) > 1)
    if shared:
        named = "; ".join(" and ".join(patients) for patients in shared[:10])
        raise BatchError(
            f"identical images stand under different patients ({named}): a split by patient would leak them. "
            "Remove or merge what is the same, then train again"
        )
