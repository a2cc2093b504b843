"""Who is learned from: labelled series that a task wants, dealt by patient, refused if one would leak, and frozen."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.domain.cohort import Duplicates, FrozenCohort, Member, age_band
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import Pseudonym
from medflow.domain.task import FORMER_SELECT, Level, Part, Task
from medflow.errors import BatchError, ConfigurationError, Reason, SeriesError, StateError
from medflow.imaging.fingerprint import Fingerprint, Fingerprints, fingerprint, fingerprint_of_plane
from medflow.imaging.plane import read_plane
from medflow.imaging.read import read_volume
from medflow.learning.cohort import by_class, check, deal, deal_fold, deal_rest
from medflow.learning.duplicates import ALIKE, Pair, alike, identical, joined
from medflow.steps import labels as label_files
from medflow.steps.candidates import Candidate, Study, look
from medflow.steps.house import House
from medflow.steps.planes import SelectedPlane
from medflow.steps.run import Run
from medflow.steps.selection import Selected, check_complete, chosen_input, input_on_grid
from medflow.steps.settle import Settler
from medflow.store import cohorts as rows
from medflow.store import files, labels
from medflow.store.engine import reading, writing
from medflow.store.series import series_row

Arrays = Mapping[str, NDArray[np.float32]]
PSEUDONYM, PART = "pseudonym", "part"
"""Columns of a split file."""
PARTS = {part.value: part for part in Part} | {FORMER_SELECT: Part.SELECT, "val": Part.SELECT}
NAMED = 10
"""How many a message names."""
FEWEST_FOLDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """How patients come to their parts: by the task's shares, unless a fold, a site or a file says otherwise."""

    folds: int | None = None
    fold: int | None = None
    """From 0: which of the folds is the test part."""
    site: str | None = None
    """The site that is left out: its patients are the test part."""
    split_file: Path | None = None
    duplicates: Duplicates = Duplicates.REFUSE
    reason: str = ""
    """Why duplicates may stay; it is audited."""

    def __post_init__(self) -> None:
        if self.duplicates is not Duplicates.REFUSE and not self.reason.strip():
            raise ConfigurationError("duplicates are dealt together or accepted for a reason: say it with --reason")
        ways = (self.folds is not None, self.site is not None, self.split_file is not None)
        if sum(ways) > 1 or (self.folds is None) != (self.fold is None):
            raise ConfigurationError("patients are dealt by folds, by sites or by a split file: choose one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One cohort as it was frozen, or found to have been."""

    cohort: FrozenCohort
    new: bool
    arrays: Arrays
    """On the task's grid, by series id."""


@dataclass(slots=True)
class Candidates:
    """What is gathered while the series are looked through."""

    labelled: dict[str, tuple[Selected | SelectedPlane, str]] = field(default_factory=dict)
    """Volume and label by series id."""
    left_out: Counter[str] = field(default_factory=Counter)
    persons: Mapping[Pseudonym, Pseudonym] = field(default_factory=dict, repr=False)
    """For a pseudonym that another one stands for, that one: whoever has two is one patient of the split."""
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    prints: dict[str, Fingerprint] = field(default_factory=dict, repr=False)

    def person(self, patient: Pseudonym) -> Pseudonym:
        """Give the one pseudonym that a patient is counted under."""
        return self.persons.get(patient, patient)

    def owner(self, series_id: str) -> Pseudonym:
        """Give the person whose series it is."""
        return self.person(self.labelled[series_id][0].series.patient)

    def leave_out(self, series_id: str, reason: str) -> None:
        """Take a series out again, and count why."""
        del self.labelled[series_id]
        self.left_out[reason] += 1


def freeze(
    run: Run, task: Task, dealing: Dealing = Dealing(), progress: Progress = SILENT
) -> tuple[FrozenCohort, Arrays]:
    """Build the cohort of `task`, or find that it was frozen before; give it with its arrays, by series id.

    Raises:
        BatchError: a part would stand without a class, or a patient, study or image would leak.
    """
    (built,) = build(run, task, (dealing,), progress)
    return built.cohort, built.arrays


def build(run: Run, task: Task, wanted: Sequence[Dealing], progress: Progress = SILENT) -> tuple[Built, ...]:
    """Build a cohort for each dealing; series are looked through, and compared with each other, once.

    All of them are saved in one transaction with their audit events, or none is.

    Raises:
        BatchError: as `freeze`.
    """
    found = gather(run.house, task, progress)
    _bring_onto_grid(run.house, task, found, progress)
    linked = _Linked.of(found, progress)
    made = [_Deal(house=run.house, task=task, found=found, linked=linked, dealing=one).cohort() for one in wanted]
    built = []
    with writing(run.house.engine) as connection:
        for one in made:
            new = rows.save_cohort(connection, one, run_id=run.id)
            if new:
                run.append(connection, "cohort-frozen", one.id, **_audited(one))
            stored = one if new else rows.cohort(connection, one.id)
            arrays = {member.series_id: found.arrays[member.series_id] for member in stored.members}
            built.append(Built(cohort=stored, new=new, arrays=arrays))
    return tuple(built)


def recalled(
    house: House, task: Task, cohort: FrozenCohort, *, parts: Collection[Part], progress: Progress = SILENT
) -> Arrays:
    """Give the arrays of a frozen cohort's members of some parts, by series id.

    Raises:
        BatchError: some are not there any more, or are not what they were; the message says how many.
    """
    members = [member for member in cohort.members if member.part in parts]
    arrays: dict[str, NDArray[np.float32]] = {}
    progress.start("reading the cohort", len(members))
    for member in members:
        with suppress(SeriesError, StateError):  # counted below
            arrays[member.series_id] = _recalled(house, task, member)
        progress.advance()
    if gone := len(members) - len(arrays):
        raise BatchError(
            f"{gone} of {len(members)} series of {cohort.id} are gone or are not what they were; "
            "build a new cohort with `medflow cohort build`"
        )
    return arrays


def found(house: House, start: str) -> FrozenCohort:
    """Find a cohort by the beginning of its id.

    Raises:
        StateError: there is none, or several begin so.
    """
    with reading(house.engine) as connection:
        return rows.cohort(connection, start)


def listed(house: House) -> tuple[FrozenCohort, ...]:
    """Give every cohort, oldest first."""
    with reading(house.engine) as connection:
        return tuple(rows.cohorts(connection))


def checked_for(task: Task, cohort: FrozenCohort) -> None:
    """Make sure that a task learns what a cohort is labelled with.

    Raises:
        ConfigurationError: it does not.
    """
    wanted = task.record()["labels"]
    differing = [
        name for name in ("name", "level", "kind", "classes", "findings") if cohort.labels.get(name) != wanted[name]
    ]
    if differing:
        raise ConfigurationError(
            f"{cohort.id} was built for other labels than the task's: labels.{', labels.'.join(differing)} differ"
        )


def dealings(
    house: House,
    task: Task,
    *,
    folds: int | None,
    sites: bool,
    duplicates: Duplicates = Duplicates.REFUSE,
    reason: str = "",
) -> tuple[Dealing, ...]:
    """Give one dealing for each fold, or for each site that is left out.

    Raises:
        ConfigurationError: neither or both are asked for, or there are fewer than two.
    """
    if (folds is None) != sites:
        raise ConfigurationError("say how: --folds K, or --leave-one-site-out")
    if folds is not None:
        if folds < FEWEST_FOLDS:
            raise ConfigurationError("cross-validation takes at least two folds")
        return tuple(Dealing(folds=folds, fold=fold, duplicates=duplicates, reason=reason) for fold in range(folds))
    there = sorted({one.series.descriptors.site for one, _ in gather(house, task, SILENT).labelled.values()})
    if len(there) < FEWEST_FOLDS:
        raise ConfigurationError("leaving one site out takes labelled series of at least two sites")
    return tuple(Dealing(site=site, duplicates=duplicates, reason=reason) for site in there)


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
            elif subject in known.foreign or not (label is None or rule.findings or label in rule.classes):
                found.left_out["label-not-among-classes"] += 1
            elif label is None:
                found.left_out["unlabelled"] += 1
            else:
                found.labelled[one.row.id] = (outcome, label)
    return found


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


def _bring_onto_grid(house: House, task: Task, found: Candidates, progress: Progress) -> None:
    """Bring the volumes onto the grid and take their fingerprints; what cannot be brought is left out."""
    settler = Settler()
    progress.start("resampling", len(found.labelled))
    for series_id, (selected, _) in list(found.labelled.items()):
        outcome = settler.settle(partial(_brought, house, task, selected))
        progress.advance()
        if isinstance(outcome, SeriesError):
            found.leave_out(series_id, outcome.reason.value)
        else:
            found.arrays[series_id], found.prints[series_id] = outcome


def _brought(house: House, task: Task, selected: Selected | SelectedPlane) -> tuple[NDArray[np.float32], Fingerprint]:
    array, kept = input_on_grid(house, task, selected), Fingerprints(root=house.volumes)
    taken = kept.get(selected.input_digest)
    if taken is None:
        if isinstance(selected, SelectedPlane):
            taken = fingerprint_of_plane(read_plane(selected.series, selected.plane).pixels)
        else:
            taken = fingerprint(read_volume(selected.series, selected.layout).voxels)
        kept.put(selected.input_digest, taken)
    return array, taken


def _recalled(house: House, task: Task, member: Member) -> NDArray[np.float32]:
    with reading(house.engine) as connection:
        row = series_row(connection, member.series_id)
    selected = chosen_input(task, files.described(house.safe, row))
    if selected.input_digest != member.input_digest:
        raise SeriesError(Reason.STORED_COPY_DIFFERS)
    return input_on_grid(house, task, selected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linked:
    """Images that stand under two patients, by the places of their series among the sorted candidates."""

    series: tuple[str, ...]
    owners: tuple[str, ...]
    identical: tuple[Pair, ...]
    alike: tuple[Pair, ...]
    """Nearly the same, and not identical."""

    @classmethod
    def of(cls, found: Candidates, progress: Progress) -> "_Linked":
        """Compare all candidates with each other."""
        series = tuple(sorted(found.labelled))
        owners = tuple(found.owner(name) for name in series)
        prints = [found.prints[name] for name in series]
        progress.start("looking for duplicates", None)
        same = identical(prints, owners)
        near = tuple(pair for pair in alike(prints, owners) if prints[pair.one].pixels != prints[pair.other].pixels)
        return cls(series=series, owners=owners, identical=same, alike=near)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Give the pairs of both kinds."""
        return self.identical + self.alike

    def patients(self, pairs: Sequence[Pair]) -> list[str]:
        """Name the two patients of each pair, once."""
        return sorted({" and ".join(sorted((self.owners[one.one], self.owners[one.other]))) for one in pairs})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deal:
    """One dealing of the candidates."""

    house: House
    task: Task
    found: Candidates
    linked: _Linked
    dealing: Dealing

    def cohort(self) -> FrozenCohort:
        """Deal the candidates, look for leaks, and give the cohort as it would be frozen."""
        self._refuse_duplicates()
        self._refuse_shared_studies()
        left_out = Counter(self.found.left_out)
        parts = self._parts(left_out)
        self._refuse_leaks(parts)
        members = tuple(
            _member(series_id, self.found.owner(series_id), *self.found.labelled[series_id], part)
            for series_id, part in sorted(parts.items())
        )
        return FrozenCohort(
            task=self.task.name,
            task_digest=self.task.digest,
            labels=self.task.record()["labels"],
            dealing=self._record(),
            left_out=dict(sorted(left_out.items())),
            members=members,
            at=self.house.now(),
        )

    def _record(self) -> dict[str, Any]:
        split, dealing = self.task.split, self.dealing
        return {
            "shares": {part.value: getattr(split, part.value).hex() for part in Part},
            "seed": split.seed,
            "folds": dealing.folds,
            "fold": dealing.fold,
            "site": dealing.site,
            "split_file": dealing.split_file is not None,
            "duplicates": dealing.duplicates.value,
            "reason": dealing.reason.strip(),
            "thresholds": {"pictures": ALIKE[2].hex(), "volumes": ALIKE[3].hex()},
            "identical": len(self.linked.identical),
            "alike": len(self.linked.alike),
            "linked": self.linked.patients(self.linked.pairs)[:100],
        }

    def _units(self) -> dict[str, str]:
        """Give whom each patient is dealt as: the first of those that duplicates link, where these stay together."""
        leaders = (
            joined(self.linked.pairs, self.linked.owners) if self.dealing.duplicates is Duplicates.TOGETHER else {}
        )
        return {
            series: leaders.get(owner, owner)
            for series, owner in zip(self.linked.series, self.linked.owners, strict=True)
        }

    def _parts(self, left_out: Counter[str]) -> dict[str, Part]:
        """Give each series its part; those that stay out are counted."""
        units, split = self._units(), self.task.split
        if self.dealing.split_file is not None:
            return self._by_file(units, self.dealing.split_file, left_out)
        if self.dealing.site is not None:
            return self._by_site(units, self.dealing.site, left_out)
        classes = self._classes(units)
        if self.dealing.folds is not None and self.dealing.fold is not None:
            dealt = deal_fold(classes, split, folds=self.dealing.folds, fold=self.dealing.fold)
        else:
            dealt = deal(classes, split)
        return {series: dealt[unit] for series, unit in units.items()}

    def _classes(self, units: Mapping[str, str]) -> dict[str, set[str]]:
        said: dict[str, set[str]] = defaultdict(set)
        for series, unit in units.items():
            said[unit].add(self.found.labelled[series][1])
        return by_class(said, self.task.labels)

    def _by_site(self, units: Mapping[str, str], site: str, left_out: Counter[str]) -> dict[str, Part]:
        """Test on all of one site; what its patients have at other sites stays out, for they are known there."""
        here = {series for series in units if self.found.labelled[series][0].series.descriptors.site == site}
        tested = {units[series] for series in here}
        dealt = deal_rest(self._classes(units), self.task.split, tested)
        elsewhere = [series for series, unit in units.items() if unit in tested and series not in here]
        if elsewhere:
            left_out["elsewhere-of-a-tested-patient"] += len(elsewhere)
        return dict.fromkeys(here, Part.TEST) | {
            series: dealt[unit] for series, unit in units.items() if unit not in tested
        }

    def _by_file(self, units: Mapping[str, str], path: Path, left_out: Counter[str]) -> dict[str, Part]:
        said = _split_file(self.house, path, self.found.persons)
        parts: dict[str, Part] = {}
        for series in units:
            known = self.found.labelled[series][0].series
            names = (self.found.person(known.patient), known.study, known.uid)
            part = next((said[name] for name in names if name in said), None)
            if part is None:
                left_out["not-in-split-file"] += 1
            else:
                parts[series] = part
        whole: dict[str, Part] = {}
        torn = set()
        for series, part in parts.items():
            if whole.setdefault(units[series], part) is not part:
                torn.add(units[series])
        if torn:
            raise BatchError(f"the split file puts {_some(torn, 'patients')} on both sides: name each in one part")
        for part in (Part.TRAIN, Part.SELECT):
            inside = {series: units[series] for series in parts if parts[series] is part}
            check(self._classes(inside), dict.fromkeys(inside.values(), part), (part,))
        return parts

    def _refuse_duplicates(self) -> None:
        if self.dealing.duplicates is not Duplicates.REFUSE or not self.linked.pairs:
            return
        kind, pairs = ("identical", self.linked.identical) if self.linked.identical else ("alike", self.linked.alike)
        what = (
            "identical images"
            if kind == "identical"
            else f"nearly identical images (correlation from {ALIKE[2]} on, of volumes {ALIKE[3]})"
        )
        raise BatchError(
            f"{what} stand under different patients ({_some(self.linked.patients(pairs), 'pairs')}): a split by "
            "patient would leak them. Remove or merge what is the same, or deal their patients as one: "
            "--duplicates together --reason TEXT"
        )

    def _refuse_shared_studies(self) -> None:
        owners: dict[str, set[str]] = defaultdict(set)
        for series_id, (selected, _) in self.found.labelled.items():
            owners[selected.series.study].add(self.found.owner(series_id))
        shared = {study for study, patients in owners.items() if len(patients) > 1}
        if shared:
            raise BatchError(f"{_some(shared, 'studies')} stand under two patients each: merge them, or remove one")

    def _refuse_leaks(self, parts: Mapping[str, Part]) -> None:
        """Refuse identical images on two sides, and near ones too where their patients were to stay together."""
        pairs = self.linked.identical if self.dealing.duplicates is Duplicates.ACCEPT else self.linked.pairs
        series = self.linked.series
        torn = []
        for one in pairs:
            sides = {parts.get(series[one.one]), parts.get(series[one.other])} - {None}
            if len(sides) > 1:
                torn.append(one)
        if torn:
            raise BatchError(
                f"identical images stand on two sides of the split ({_some(self.linked.patients(torn), 'pairs')}); "
                "deal their patients as one: --duplicates together --reason TEXT"
            )


def _split_file(house: House, path: Path, persons: Mapping[Pseudonym, Pseudonym]) -> dict[str, Part]:
    """Read a split file: part by pseudonym, or by pseudonymous UID of a study or series.

    Raises:
        ConfigurationError: it is no such file, or a line of it names no part.
        BatchError: it names somebody in two parts.
    """
    key, lines = label_files.table(path, keys=(*label_files.KEYS, PSEUDONYM), what="split")
    said: dict[str, set[Part]] = defaultdict(set)
    for number, cells in lines:
        part = PARTS.get(cells.get(PART, "").lower())
        if part is None or not cells.get(key):
            names = ", ".join(PARTS)
            raise ConfigurationError(f"line {number} of the split file: the column `part` is one of {names}")
        if key == PSEUDONYM:
            name: str | None = cells[key]
        else:
            issuer = cells.get(label_files.ISSUER, "")
            name = label_files.subject_of(house, label_files.KEYS[key], cells[key], issuer)
        if name is not None:
            said[persons.get(Pseudonym(name), Pseudonym(name))].add(part)
    torn = {name for name, parts in said.items() if len(parts) > 1}
    if torn:
        raise BatchError(f"the split file puts {_some(torn, 'subjects')} into two parts: name each in one")
    return {name: parts.pop() for name, parts in said.items()}


def _member(series_id: str, patient: str, selected: Selected | SelectedPlane, label: str, part: Part) -> Member:
    told = selected.series.descriptors
    return Member(
        patient=patient,
        study=selected.series.study,
        series_id=series_id,
        subject=selected.series.uid,
        input_digest=selected.input_digest,
        layout_digest=selected.layout_digest,
        label=label,
        part=part.value,
        site=told.site,
        scanner=told.scanner,
        sex=told.sex,
        age_band=age_band(told.age),
        slice_thickness=told.slice_thickness,
    )


def _some(names: Collection[str], what: str) -> str:
    """Name up to ten, and say how many there are."""
    first = "; ".join(sorted(names)[:NAMED])
    return f"{len(names)} {what}: {first}{' ...' if len(names) > NAMED else ''}"


def _audited(cohort: FrozenCohort) -> dict[str, Any]:
    counts = Counter(member.part for member in cohort.members)
    return {
        "cohort_digest": cohort.digest,
        "task": cohort.task,
        "task_digest": cohort.task_digest,
        "parts": {part.value: counts[part.value] for part in Part},
        "dealing": cohort.dealing,
    }
