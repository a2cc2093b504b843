"""Labels from a spreadsheet: keyed by original identifiers there, by pseudonyms here."""

import csv
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medflow.domain.task import Level
from medflow.errors import ConfigurationError
from medflow.steps.house import House
from medflow.steps.run import opened
from medflow.store import labels
from medflow.store.engine import reading, writing
from medflow.store.labels import LabelRow
from medflow.store.series import accepted_series, turned_away

KEYS = {
    "PatientID": Level.PATIENT,
    "StudyInstanceUID": Level.STUDY,
    "SeriesInstanceUID": Level.SERIES,
}
ISSUER = "IssuerOfPatientID"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReport:
    """What became of each line. Lines are told by their number in the file, never by their content."""

    run: str
    new: int
    already: int
    blank: int
    """Cells without a value: unlabelled, which is not negative."""
    unknown: tuple[int, ...]
    """Lines whose subject was never taken in."""
    contradictory: tuple[int, ...]
    """Lines that contradict each other, or what is stored under the same source and version. None is stored."""
    malformed: tuple[int, ...]
    """Lines without a key, or with more cells than the header."""

    @property
    def complete(self) -> bool:
        """True where every line is stored, now or before."""
        return not (self.unknown or self.contradictory or self.malformed)

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def _plain(value: str | int | tuple[int, ...]) -> str | int | list[int]:
    return list(value) if isinstance(value, tuple) else value


@dataclass(slots=True)
class _Read:
    """What the lines of a file said."""

    said: dict[str, list[LabelRow]] = field(default_factory=lambda: defaultdict(list))
    """Labels by the natural key of what they say; more than one where lines repeat or contradict each other."""
    blank: int = 0
    unknown: set[int] = field(default_factory=set)
    malformed: set[int] = field(default_factory=set)


def import_labels(house: House, path: Path, *, source: str, version: str) -> LabelReport:
    """Store the labels of a CSV file whose first line names its columns.

    One column is the key (PatientID, StudyInstanceUID or SeriesInstanceUID; IssuerOfPatientID may stand beside the
    first); every other column is a label of that name. Lines that cannot be stored are reported by their number.

    Raises:
        ConfigurationError: the file cannot be read as such a table.
    """
    read = _read(house, path, source, version)
    agreed = [lines[0] for lines in read.said.values() if len({row.value for row in lines}) == 1]
    disputed = [row for lines in read.said.values() if len({row.value for row in lines}) > 1 for row in lines]
    with opened(house, "labels", source=source) as run:
        with writing(house.engine) as connection:
            added = labels.add_labels(connection, agreed, run_id=run.id, at=house.now())
            if added.new:
                run.append(connection, "labels-imported", "", new=added.new, source=source, version=version)
        against_stored = [row for said in added.contradictory for row in read.said[said.id]]
        contradictory = {row.line for row in (*disputed, *against_stored) if row.line is not None}
        run.detail = {"new": added.new, "unknown": len(read.unknown), "contradictory": len(contradictory)}
        return LabelReport(
            run=run.id,
            new=added.new,
            already=added.known,
            blank=read.blank,
            unknown=tuple(sorted(read.unknown)),
            contradictory=tuple(sorted(contradictory)),
            malformed=tuple(sorted(read.malformed)),
        )


def _read(house: House, path: Path, source: str, version: str) -> _Read:
    """Turn every line into labels of pseudonymous subjects, or note its number."""
    key, rows = table(path)
    level = KEYS[key]
    known = _subjects(house, level)
    read = _Read()
    for number, cells in rows:
        if not cells.get(key) or None in cells:
            read.malformed.add(number)
            continue
        subject = subject_of(house, level, cells[key], cells.get(ISSUER, ""))
        if subject is None or subject not in known:
            read.unknown.add(number)
            continue
        for name in cells.keys() - {key, ISSUER}:
            if not cells[name]:
                read.blank += 1
                continue
            label = LabelRow(
                level=level,
                subject=subject,
                name=name,
                value=cells[name],
                source=source,
                version=version,
                line=number,
            )
            read.said[label.id].append(label)
    return read


def _subjects(house: House, level: Level) -> frozenset[str | None]:
    """Name everybody and everything of a level that was ever taken in, or turned away by name."""
    with reading(house.engine) as connection:
        rows = (*accepted_series(connection), *turned_away(connection))
    column = {Level.PATIENT: "patient", Level.STUDY: "study", Level.SERIES: "uid"}[level]
    return frozenset(getattr(row, column) for row in rows)


def subject_of(house: House, level: Level, original: str, issuer: str) -> str | None:
    """Give the pseudonym, or the pseudonymous UID, of what an original identifier names."""
    if level is Level.PATIENT:
        return house.pseudonyms.patient_of_id(original, issuer)
    return house.pseudonyms.uid(original)


def table(
    path: Path, *, keys: Collection[str] = tuple(KEYS), what: str = "label"
) -> tuple[str, Iterator[tuple[int, dict[str, str]]]]:
    """Read the header and give back the key column and the lines, each with its number in the file.

    Raises:
        ConfigurationError: it is no such table; `what` says which file is meant.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"the {what} file cannot be read as UTF-8 text") from None
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(lines, delimiter=delimiter)
    columns = [column.strip() for column in reader.fieldnames or ()]
    found = [column for column in columns if column in keys]
    if len(found) != 1 or len(set(columns)) != len(columns) or not set(columns) - {*found, ISSUER}:
        raise ConfigurationError(
            f"the first line of the {what} file must name exactly one of {', '.join(keys)} "
            f"and at least one {what}, each once"
        )
    reader.fieldnames = columns
    return found[0], (
        (reader.line_num, {name: value.strip() if isinstance(value, str) else "" for name, value in row.items()})
        for row in reader
    )
