"""Labels: what people said of a patient, a study or a series. Rows are added, never changed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from medflow.domain.calibration import ABSENT
from medflow.domain.digests import natural_id
from medflow.domain.safe import Pseudonym
from medflow.domain.task import LabelKind, LabelRule, Level
from medflow.store import tables
from medflow.store.columns import insert_new

ROW = tables.label.c
NOBODY: Mapping[Pseudonym, Pseudonym] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One statement. `subject` is a pseudonym, or the pseudonymous UID of a study or series."""

    level: Level
    subject: str
    name: str
    value: str
    source: str
    """Who says so: a reader, a report, a registry."""
    version: str
    line: int | None = None
    """Line of the imported file, from 1."""

    @property
    def id(self) -> str:
        """Name the row by its natural key."""
        return natural_id("lab_", "label", [self.level, self.subject, self.name, self.source, self.version])


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of rows that were to be added."""

    new: int
    known: int
    """There already, with the same value."""
    contradictory: tuple[LabelRow, ...]
    """Not added: the same source says something else of the subject in the same version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is said under one name."""

    values: Mapping[str, str]
    """Subject to value, where nobody disagrees."""
    contradictory: tuple[str, ...]
    """Subjects on whom sources disagree, sorted; they have no value."""
    foreign: tuple[str, ...] = ()
    """Of a multi-label task: subjects of whom some finding is said in a word that is none of its values, sorted."""


def add_labels(connection: Connection, rows: Iterable[LabelRow], *, run_id: str, at: datetime) -> Added:
    """Add labels; a source that changes its mind says so in a new version."""
    new = known = 0
    contradictory = []
    for row in rows:
        values = {**asdict(row), "id": row.id, "run": run_id, "at": at}
        if insert_new(connection, tables.label, values):
            new += 1
        elif connection.scalar(select(ROW.value).where(ROW.id == row.id)) == row.value:
            known += 1
        else:
            contradictory.append(row)
    return Added(new=new, known=known, contradictory=tuple(contradictory))


def labels_for(connection: Connection, rule: LabelRule, same: Mapping[Pseudonym, Pseudonym] = NOBODY) -> Labels:
    """Read what a task learns: of each source its latest word, unless the rule names a version.

    A source's latest word on a subject is the one that was imported last. Sources that disagree leave the subject
    without a value, unless the rule names one of them. Whom nobody speaks of is absent, not negative.
    `same` leads from pseudonyms to the one that stands for the person: what is said of either is said of that one, and
    a source that contradicts itself over the two is one that disagrees.

    A subject of a multi-label task has a value where every finding is said to be there or not: the findings joined by
    `+` in the rule's order, or `none`.
    """
    if rule.kind is not LabelKind.MULTI_LABEL:
        return _named(connection, rule, rule.name, same)
    found = {name: _named(connection, rule, name, same) for name in rule.findings}
    contradictory = {subject for labels in found.values() for subject in labels.contradictory}
    said = [labels.values for labels in found.values()]
    whole = set.intersection(*(set(values) for values in said)) - contradictory if said else set()
    foreign = {subject for subject in whole if not {values[subject] for values in said} <= set(rule.classes)}
    present = rule.classes[-1]
    return Labels(
        values={
            subject: "+".join(name for name in rule.findings if found[name].values[subject] == present) or ABSENT
            for subject in sorted(whole - foreign)
        },
        contradictory=tuple(sorted(contradictory)),
        foreign=tuple(sorted(foreign)),
    )


def _named(connection: Connection, rule: LabelRule, name: str, same: Mapping[Pseudonym, Pseudonym]) -> Labels:
    """Read what is said under one name."""
    query = select(ROW.subject, ROW.source, ROW.value).where(ROW.name == name, ROW.level == rule.level)
    if rule.source is not None:
        query = query.where(ROW.source == rule.source)
    if rule.version is not None:
        query = query.where(ROW.version == rule.version)
    said: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for subject, source, value in connection.execute(query.order_by(ROW.at, ROW.version)):
        person = same.get(subject, subject)
        said[person][source, subject] = value  # a later import replaces the same source's earlier word
    agreed = {subject: set(words.values()) for subject, words in sorted(said.items())}
    return Labels(
        values={subject: values.pop() for subject, values in agreed.items() if len(values) == 1},
        contradictory=tuple(subject for subject, values in agreed.items() if len(values) > 1),
    )
