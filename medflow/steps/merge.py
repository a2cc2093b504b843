"""Two records, one person: the patient's series come to stand under one pseudonym and one shift of dates."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from medflow.deid.relabel import Renaming, relabelled_series
from medflow.domain.completeness import Completeness
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries, Pseudonym
from medflow.errors import SeriesError, StateError
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.steps.settle import Settler
from medflow.store import exclusions, files, flags
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.flags import Touched
from medflow.store.series import SeriesRow


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeReport:
    """What the merge changed, and whom it concerns."""

    run: str
    patient: Pseudonym
    into: Pseudonym
    series: int
    """New revisions, under the pseudonym and the dates of `into`."""
    refused: Mapping[str, int]
    """Series that stay as they were, by reason: their stored copy is damaged."""
    models: tuple[Touched, ...]
    """Models that were trained on one of the two, or on both."""
    across: tuple[str, ...]
    """Those (`name:version`) whose split dealt the two to different parts: their test figures flatter."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "run": self.run,
            "patient": self.patient,
            "into": self.into,
            "series": self.series,
            "refused": dict(self.refused),
            "models": sorted({touched.model for touched in self.models}),
            "across_parts": list(self.across),
        }


def merge(house: House, patient: Pseudonym, into: Pseudonym, *, progress: Progress = SILENT) -> MergeReport:
    """Let `into` stand for `patient` from now on: new series, and those that were taken in before.

    Each standing series gets a new revision with the pseudonym and the shifted dates of `into`; pixels, UIDs and
    predictions stay as they are. Models whose cohort held either of the two are flagged. Doing it again does what is
    left, such as a series that another process took in meanwhile.

    Raises:
        StateError: the two are the same, one of them is nobody's name or one of an older epoch, opted out, or is a
            placeholder that stands for one study.
    """
    house = house.renewed()
    _check_names(house, patient, into)
    into = house.pseudonyms.aliases.get(into, into)
    rows = _standing(house, _joined(house, patient, into))
    _check(house, patient, into, rows)
    with opened(house, "merge") as run:
        with writing(house.engine) as connection:
            run.append(connection, "merge-requested", patient, into=into)
        _remember(house, patient, into, rows)
        moved, refused = _moved(house, rows, into, progress)
        with writing(house.engine) as connection:
            _check_listed(connection, patient, into)
            for row, series in moved:
                _save(run, connection, row, series)
            models = flags.touched(connection, [patient, into])
            across = _flag(run, connection, patient, models)
            detail = {"into": into, "series": len(moved), "refused": dict(refused), "models": len(across)}
            run.append(connection, "patients-merged", patient, **detail)
    return MergeReport(
        run=run.id,
        patient=patient,
        into=into,
        series=len(moved),
        refused=refused,
        models=models,
        across=tuple(sorted(name for name, apart in across.items() if apart)),
    )


def _check_names(house: House, *names: Pseudonym) -> None:
    """Refuse what nobody is called today: a slip of the pen would join two strangers' dates for good."""
    linked, persons = house.vault.linked(), house.same_patient
    with reading(house.engine) as connection:
        unknown = {name for name in names if not series_rows.series_of(connection, [name])} - persons.keys()
    if unknown - set(persons.values()):
        raise StateError("nobody here has such a pseudonym; `medflow reidentify` says whose a pseudonym is")
    for former in sorted(linked.keys() & set(names)):
        raise StateError(f"{former} is a name of an older epoch; say the present one, {linked[former]}")


def _joined(house: House, patient: Pseudonym, into: Pseudonym) -> frozenset[Pseudonym]:
    """Name all whom `into` will stand for: earlier merges may have been cut off, or overtaken by another process."""
    ends = house.pseudonyms.aliases
    return frozenset({patient, *(old for old, end in ends.items() if end in {patient, into})} - {into})


def _standing(house: House, patients: Collection[Pseudonym]) -> tuple[SeriesRow, ...]:
    with reading(house.engine) as connection:
        return tuple(row for row in series_rows.accepted_series(connection) if row.patient in patients)


def _check(house: House, patient: Pseudonym, into: Pseudonym, rows: tuple[SeriesRow, ...]) -> None:
    if patient == into:
        raise StateError("these are one patient already")
    if any(row.barred for row in (*rows, *_standing(house, [into]))):
        raise StateError("a pseudonym that stands for a placeholder ID is one study's, and cannot be merged")
    with reading(house.engine) as connection:
        _check_listed(connection, patient, into)


def _check_listed(connection: Connection, patient: Pseudonym, into: Pseudonym) -> None:
    if {patient, into} & exclusions.excluded(connection):
        raise StateError(
            "one of the two opted out; exclude both, or lift it with `medflow patients exclude --lift` first"
        )


def _remember(house: House, patient: Pseudonym, into: Pseudonym, rows: tuple[SeriesRow, ...]) -> None:
    """Write down in the vault who stands for whom, and whom the new revisions will belong to."""
    house.vault.put_alias(patient, into)
    for row in rows:
        digest = _new_digest(house, row, into)
        for identity in house.vault.identities(series=row.uid):
            if identity.source_digest == row.source_digest:
                house.vault.put_identity(replace(identity, patient=into, source_digest=digest))


def _new_digest(house: House, row: SeriesRow, into: Pseudonym) -> str:
    """Name the files of a series as the next ingest will, whomever they were merged into before."""
    merged = house.pseudonyms.merged_digest
    with reading(house.engine) as connection:
        known = [one.source_digest for one in series_rows.revisions(connection, row.uid)]
    own = next((one for one in known if row.patient and merged(one, row.patient) == row.source_digest), None)
    return merged(own or row.source_digest, into)


def _moved(
    house: House, rows: tuple[SeriesRow, ...], into: Pseudonym, progress: Progress
) -> tuple[list[tuple[SeriesRow, DeidentifiedSeries]], Counter[str]]:
    """Write the new revisions into the safe store."""
    settler = Settler()
    moved: list[tuple[SeriesRow, DeidentifiedSeries]] = []
    refused: Counter[str] = Counter()
    progress.start("renaming series", len(rows))
    for row in rows:
        outcome = settler.settle(partial(_renamed, house, row, into))
        if isinstance(outcome, SeriesError):
            refused[outcome.reason.value] += 1
        else:
            moved.append((row, outcome))
        progress.advance()
    return moved, refused


def _renamed(house: House, row: SeriesRow, into: Pseudonym) -> DeidentifiedSeries:
    series = files.load(house.safe, row)
    days = house.pseudonyms.day_shift(into) - house.pseudonyms.day_shift(series.patient)
    renaming = Renaming(patient=into, days=days)
    return relabelled_series(series, renaming, house.safe, source_digest=_new_digest(house, row, into))


def _save(run: Run, connection: Connection, row: SeriesRow, series: DeidentifiedSeries) -> None:
    """Let the new revision take the place of the old one."""
    judged = None if row.completeness is None else Completeness(verdict=row.completeness, evidence=row.evidence)
    series_rows.save_series(
        connection, series, completeness=judged, run_id=run.id, at=run.house.now(), source=row.source
    )
    run.append(connection, "series-superseded", row.id, by=series.id)


def _flag(run: Run, connection: Connection, patient: Pseudonym, models: tuple[Touched, ...]) -> dict[str, bool]:
    """Flag the models; give the name of each, and whether its split dealt the two to different parts."""
    by_model: dict[str, list[Touched]] = defaultdict(list)
    for touched in models:
        by_model[touched.model_id].append(touched)
    details = {
        model: {
            "patients": {touched.patient: touched.detail() for touched in found},
            "across_parts": len({part for touched in found for part in touched.parts}) > 1,
        }
        for model, found in by_model.items()
    }
    for flag in flags.save(connection, "merged", patient, details, run_id=run.id, at=run.house.now()):
        run.append(connection, "model-flagged", flag.model_id, flag="merged", **flag.detail)
    return {found[0].model: bool(details[model]["across_parts"]) for model, found in by_model.items()}
