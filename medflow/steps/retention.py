"""Retention: what is kept longer than the settings allow is removed, night by night, and the trail says how much.

The trail itself, runs, predictions and labels have no period: they are the record of what was done, without identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medflow.deid.folder import clear_abandoned
from medflow.domain.keep import Keep
from medflow.domain.safe import Pseudonym
from medflow.errors import Reason
from medflow.imaging.cache import VolumeCache
from medflow.steps import exported
from medflow.steps.copies import clear_expired
from medflow.steps.erase import finish_erasures, unfinished
from medflow.steps.house import House
from medflow.steps.optouts import names_of
from medflow.steps.removal import remove
from medflow.steps.run import Run, opened
from medflow.store import erasures, exports, jobs, models, predictions, runs
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.erasures import Erasure
from medflow.store.exports import Export
from medflow.store.runs import batches
from medflow.store.series import SeriesRow
from medflow.store.vault_copies import expired_copies


@dataclass(slots=True, kw_only=True)
class RetentionReport:
    """What was removed because its time had ended; or what would be."""

    run: str = ""
    dry_run: bool
    erasures: int = 0
    """Interrupted erasures that were finished."""
    series: int = 0
    """Rows of which nothing is stored any more."""
    copies: int = 0
    """Folders of the safe store."""
    examples: int = 0
    """Examples of models among these series: replaying them is impossible from now on."""
    volumes: int = 0
    exports: int = 0
    exports_left: int = 0
    """Exports whose place cannot be reached: they are tried again the next night."""
    identities: int = 0
    """Patients whom the vault knows no more."""
    quarantined: int = 0
    """Encrypted copies of quarantined files."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for flows."""
        return {name: getattr(self, name) for name in self.__slots__}


def retention(house: House, keep: Keep, *, dry_run: bool = False) -> RetentionReport:
    """Remove what is kept longer than `keep` allows, and finish erasures that were interrupted; `dry_run` only counts.

    A series whose copy went is not taken in again from the same files. Rows stay, marked, and predictions with them.
    """
    due = _due(house, keep)
    if dry_run:
        return due.counted(house)
    report = RetentionReport(dry_run=False, erasures=len(finish_erasures(house)))
    clear_abandoned(house.safe)
    report.quarantined = clear_expired(house, due.now)
    with opened(house, "retention") as run:
        report.run = run.id
        _remove_series(run, due.series, report)
        report.volumes += VolumeCache(root=house.volumes).drop(due.oldest_volume)
        _remove_exports(run, due.exports, report)
        _forget(run, due.patients, report)
        run.detail = {name: value for name, value in report.record().items() if name not in {"run", "dry_run"}}
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """What is to go now."""

    now: datetime
    series: tuple[SeriesRow, ...]
    oldest_volume: float
    """Unix time (s): what is older goes."""
    exports: tuple[Export, ...]
    patients: tuple[Pseudonym, ...]

    def counted(self, house: House) -> RetentionReport:
        """Say what would be removed."""
        with reading(house.engine) as connection:
            used = models.examples_of(connection, [row.id for row in self.series])
        old = VolumeCache(root=house.volumes).older(self.oldest_volume)
        return RetentionReport(
            dry_run=True,
            erasures=len(unfinished(house)),
            series=len(self.series),
            copies=len({row.folder for row in self.series}),
            examples=used,
            volumes=sum(path.suffix == ".npy" for path in old),
            exports=len(self.exports),
            identities=len(self.patients),
            quarantined=len(expired_copies(house.vault, self.now)),
        )


def _due(house: House, keep: Keep) -> _Due:
    now = house.now()
    with reading(house.engine) as connection:
        rows: dict[str, SeriesRow] = {}
        if keep.superseded is not None:
            rows |= {row.id: row for row in series_rows.replaced_before(connection, now - keep.superseded)}
        if keep.series is not None:
            rows |= {row.id: row for row in series_rows.stored_before(connection, now - keep.series)}
        made = () if keep.exports is None else exports.exports(connection, before=now - keep.exports)
        seen = {} if keep.identities is None else series_rows.last_seen(connection)
    volumes = 0.0 if keep.volumes is None else (now - keep.volumes).timestamp()
    patients = () if keep.identities is None else _unseen(house, seen, now - keep.identities)
    return _Due(now=now, series=tuple(rows.values()), oldest_volume=volumes, exports=made, patients=patients)


def _unseen(house: House, seen: Mapping[Pseudonym, datetime], before: datetime) -> tuple[Pseudonym, ...]:
    """Name the persons whom the vault knows, and of whom nothing came since, under any of their pseudonyms."""
    persons, newest = house.same_patient, dict[Pseudonym, datetime]()
    for patient, at in seen.items():
        person = persons.get(patient, patient)
        newest[person] = max(at, newest.get(person, at))
    old = (person for person, at in sorted(newest.items()) if at < before)
    return tuple(person for person in old if house.vault.places(names_of(house, person)))


def _remove_series(run: Run, rows: Iterable[SeriesRow], report: RetentionReport) -> None:
    """Remove the stored copies of series and what was made of them, and mark the rows."""
    house = run.house
    for batch in batches(rows):
        ids = [row.id for row in batch]
        with reading(house.engine) as connection:
            inputs = predictions.input_digests(connection, ids)
        removal = remove(house, [house.safe / str(row.folder) for row in batch], inputs=inputs)
        with writing(house.engine) as connection:
            report.examples += models.examples_of(connection, ids)
            series_rows.erase_series(connection, ids, reason=Reason.RETENTION_ENDED)
            runs.set_files_aside(connection, ids, Reason.RETENTION_ENDED)
            jobs.cancel(connection, ids)
            for row in batch:
                run.append(connection, "series-retention-ended", row.id, state=row.state)
        report.series += len(batch)
        report.copies += removal.copies
        report.volumes += removal.volumes


def _remove_exports(run: Run, due: tuple[Export, ...], report: RetentionReport) -> None:
    removed = exported.remove(run.house, due)
    if removed.gone:
        with writing(run.house.engine) as connection:
            exports.forget_exports(connection, [export.id for export in removed.gone])
            run.append(connection, "exports-retention-ended", "", exports=len(removed.gone))
        exported.forget_places(run.house, removed.gone)
    report.exports, report.exports_left = len(removed.gone), len(removed.unreached)


def _forget(run: Run, patients: Iterable[Pseudonym], report: RetentionReport) -> None:
    """Destroy the data keys of patients; no ingest of the same files brings the identities back."""
    house = run.house
    for patient in patients:
        forgotten = house.vault.forget(patient)
        with writing(house.engine) as connection:
            for name in names_of(house, patient):
                step = Erasure(patient=name, state="forgotten", counts={}, run=run.id, at=house.now())
                erasures.save_erasure(connection, step)
            run.append(connection, "identity-retention-ended", patient, identities=forgotten.series)
        report.identities += 1
