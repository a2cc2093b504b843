"""Erasure: what is here of a person is removed, and what was made of it is marked.

The order makes it safe to be killed anywhere: the request is on record first, with the person on the opt-out list;
then files go; then the vault's keys; then ONE transaction marks the rows. A request that was not finished is finished
by the next erasure of the same person, or by the night's retention.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from medflow.domain.safe import Pseudonym
from medflow.errors import Reason, StateError
from medflow.steps import exported
from medflow.steps.copies import clear_expired
from medflow.steps.exported import Removed
from medflow.steps.house import House
from medflow.steps.optouts import names_of
from medflow.steps.purpose import Purpose
from medflow.steps.removal import Removal, remove
from medflow.steps.rights import Person, flagged
from medflow.steps.run import Run, opened
from medflow.store import erasures, exclusions, exports, jobs, predictions, runs
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.erasures import Erasure
from medflow.store.flags import Touched
from medflow.store.series import SeriesRow
from medflow.store.vault_copies import forget_copies

UNFINISHED = Purpose(words="finishing what was interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReport:
    """What was erased of a person, and which models used them."""

    run: str
    patient: Pseudonym
    series: int
    """Rows that are marked as erased now, and were not before."""
    predictions: int
    """Of all the person's series; they stay, marked "input erased"."""
    copies: int
    """Folders of the safe store."""
    volumes: int
    pictures: int
    """In reports of evaluations, which are drawn again without them."""
    exports: int
    exports_left: int
    """Remembered exports whose place cannot be reached: mount it and erase again."""
    quarantined: int
    """Encrypted copies of quarantined files."""
    identities: int
    models: tuple[Touched, ...]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        named = sorted({touched.model for touched in self.models})
        return {"run": self.run, "patient": self.patient, **self.counts(), "models": named}

    def counts(self) -> dict[str, int]:
        """Give the numbers."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in {"run", "patient", "models"}}


def erase(house: House, person: Person, *, purpose: Purpose | None = None) -> ErasureReport:
    """Erase a person: safe copies, volumes, pictures, exports and quarantine copies made here, the vault's data keys.

    The person stands on the opt-out list from then on, so that no later ingest brings them back. Rows stay, marked as
    erased, with pseudonyms and digests; so do predictions and labels.

    Raises:
        StateError: the purpose, which the trail would keep, names the person.
    """
    with opened(house, "erase") as run:
        rows = _requested(run, person, purpose)
        removal, removed = _files_removed(house, person, rows)
        identities, copies = _forgotten(house, person, rows)
        with writing(house.engine) as connection:
            exports.forget_exports(connection, [export.id for export in removed.gone])
            report = ErasureReport(
                run=run.id,
                patient=person.patient,
                series=len(_marked(connection, rows)),
                predictions=predictions.counted(connection, [row.id for row in rows]),
                copies=removal.copies,
                volumes=removal.volumes,
                pictures=removal.pictures,
                exports=len(removed.gone),
                exports_left=len(removed.unreached),
                quarantined=copies,
                identities=identities,
                models=flagged(run, connection, "erased", person),
            )
            _recorded(run, connection, person, report)
        exported.forget_places(house, removed.gone)
    return report


def finish_erasures(house: House) -> tuple[ErasureReport, ...]:
    """Finish every erasure that was interrupted, or that a run of ingest was faster than."""
    return tuple(
        erase(house, Person(patient=patient, names=names_of(house, patient)), purpose=UNFINISHED)
        for patient in unfinished(house)
    )


def unfinished(house: House) -> tuple[Pseudonym, ...]:
    """Name the persons who were to be erased, and of whom something is here."""
    persons = house.same_patient
    with reading(house.engine) as connection:
        waiting = set(erasures.unfinished(connection))
        erased = {step.patient for step in erasures.erasures(connection) if step.state == "done"}
        left = series_rows.opted_out(connection)
    return tuple(sorted(waiting | {person for patient in left if (person := persons.get(patient, patient)) in erased}))


def _requested(run: Run, person: Person, purpose: Purpose | None) -> tuple[SeriesRow, ...]:
    """Put the request on record, and let nobody begin anything with the person's series any more."""
    house = run.house
    if purpose is not None:
        _check(run, person, purpose)
    with writing(house.engine) as connection:
        exclusions.exclude(connection, person.names, run_id=run.id, at=house.now())
        rows = series_rows.series_of(connection, person.names)
        cancelled = jobs.cancel(connection, [row.id for row in rows])
        asked = Erasure(patient=person.patient, state="requested", counts={}, run=run.id, at=house.now())
        erasures.save_erasure(connection, asked)
        detail = {"pseudonyms": len(person.names), "series": len(rows), "jobs": len(cancelled)}
        said = "" if purpose is None else purpose.words
        run.append(connection, "erase-requested", person.patient, purpose=said, **detail)
    return rows


def _check(run: Run, person: Person, purpose: Purpose) -> None:
    """Refuse a purpose that names the person, before it is written anywhere."""
    vault = run.house.vault
    with writing(run.house.engine) as connection:
        run.append(connection, "vault-comparison-requested", person.patient, patient=person.patient)
    if purpose.names(identity for name in person.names for identity in vault.identities(patient=name)):
        raise StateError("the purpose names the person, and it would stand in the audit trail: say it without")


def _files_removed(house: House, person: Person, rows: tuple[SeriesRow, ...]) -> tuple[Removal, Removed]:
    """Remove every file that was made of the person, but copies that somebody else's rows stand on."""
    places = {(row.study, row.uid) for row in rows if row.study is not None} | set(house.vault.places(person.names))
    with reading(house.engine) as connection:
        made = exports.exports(connection, patients=person.names)
        others = series_rows.folders_of_others(connection, [uid for _, uid in places], person.names)
        inputs = predictions.input_digests(connection, [row.id for row in rows])
    removed = exported.remove(house, made)
    folders = [house.safe / study / uid for study, uid in sorted(places)]
    return remove(house, folders, inputs=inputs, series=[row.id for row in rows], but=others), removed


def _forgotten(house: House, person: Person, rows: tuple[SeriesRow, ...]) -> tuple[int, int]:
    """Destroy the person's data keys, and all that only the vault knows; give the identities and quarantine copies."""
    with reading(house.engine) as connection:
        keys = runs.keys_of_series(connection, [row.id for row in rows])
    house.vault.forget_files(keys)
    others = forget_copies(house.vault, keys)  # of files that nobody had said the patient of
    forgotten = house.vault.forget(person.patient)
    clear_expired(house, house.now())
    return forgotten.series, len(forgotten.copies) + others


def _marked(connection: Connection, rows: tuple[SeriesRow, ...]) -> tuple[str, ...]:
    """Mark the rows of the person's series and files."""
    ids = [row.id for row in rows]
    runs.set_files_aside(connection, ids, Reason.PATIENT_ERASED)
    return series_rows.erase_series(connection, ids, reason=Reason.PATIENT_ERASED)


def _recorded(run: Run, connection: Connection, person: Person, report: ErasureReport) -> None:
    done = Erasure(patient=person.patient, state="done", counts=report.counts(), run=run.id, at=run.house.now())
    erasures.save_erasure(connection, done)
    run.append(connection, "erase-done", person.patient, **report.counts())
