"""The first journey: an export folder becomes safe series and rows, and every file is accounted for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medflow.deid.folder import clear_abandoned
from medflow.deid.identity import identity_of
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import Scan, scan_folder
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries, SeriesUID, StudyUID, series_id
from medflow.domain.series import FileState, Series, SetAside, SourceFile
from medflow.errors import BatchError, ConfigurationError, Reason, SeriesError
from medflow.steps.account import NONE_OF_OURS, IngestReport, SeriesCounts, Tally, fields
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.steps.settle import Settler
from medflow.store import runs
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.runs import FileRow

WITHHELD = {Reason.BURNED_IN_TEXT, Reason.IDENTITY_REMAINS}
"""Reasons that speak of identity: the series is readable, and is not let through."""


ABANDONED = 3600.0
"""Seconds after which a half-written folder that nobody writes to is what a killed process left."""


def ingest(
    house: House,
    folder: Path,
    *,
    source: Source,
    quiet: float = 0.0,
    progress: Progress = SILENT,
) -> IngestReport:
    """Take in what is new below `folder`; what was taken in before is recognised and left as it is.

    `quiet` (s) leaves out series with a younger file, for the next run.

    Raises:
        ConfigurationError: the folder cannot be read.
        BatchError: the counts do not add up, or too much failed in ways nobody foresaw.
    """
    if not folder.is_dir():
        raise ConfigurationError("the folder to take in is not there, or is no folder")
    with opened(house, "ingest", source=source.name) as run:
        scan, waiting = _quiet_part(scan_folder(folder, progress=progress), house, quiet)
        return _take_in_all(run, scan, source, waiting, progress)


def take_in(house: House, scan: Scan, *, source: Source) -> IngestReport:
    """Take in what was scanned already: the watcher knows what is quiet.

    Raises:
        BatchError: the counts do not add up, or too much failed in ways nobody foresaw.
    """
    with opened(house, "ingest", source=source.name) as run:
        return _take_in_all(run, scan, source, 0, SILENT)


def _take_in_all(run: Run, scan: Scan, source: Source, waiting: int, progress: Progress) -> IngestReport:
    house = run.house
    clear_abandoned(house.safe, before=house.now().timestamp() - ABANDONED)
    everything = [*(aside.file for aside in scan.set_aside), *(f for series in scan.series for f in series.files())]
    keys = {file.relative: house.pseudonyms.file_key(source.name, file.relative) for file in everything}
    house.vault.put_files({keys[file.relative]: str(file.path) for file in everything})
    journey = _Journey(house=house, run=run, source=source, keys=keys)

    tally, settler = Tally(), Settler()
    journey.set_aside(scan.set_aside, tally)
    progress.start("taking in series", len(scan.series))
    for series in scan.series:
        journey.take_in(series, settler, tally)
        progress.advance()
    return _closed(run, tally, seen=len(everything), waiting=waiting)


def _closed(run: Run, tally: Tally, *, seen: int, waiting: int) -> IngestReport:
    """Hand the counts to the run; refuse counts that do not add up."""
    report = IngestReport(
        run=run.id,
        files=tally.counts(seen),
        series=SeriesCounts(**tally.series),
        reasons=tally.reasons,
        waiting=waiting,
    )
    if not report.files.add_up:
        raise BatchError(f"{seen} files were seen but {tally.files.total()} are accounted for")
    run.counts = {f"files_{name}": count for name, count in fields(report.files).items()}
    run.counts |= {f"series_{name}": count for name, count in fields(report.series).items()}
    run.detail = {"reasons": report.record()["reasons"]}
    return report


def _quiet_part(scan: Scan, house: House, quiet: float) -> tuple[Scan, int]:
    """Split off what is younger than `quiet` seconds; give back the rest and the number of files left out."""
    if quiet <= 0:
        return scan, 0
    youngest = (house.now().timestamp() - quiet) * 1e9
    series = tuple(s for s in scan.series if all(file.mtime_ns <= youngest for file in s.files()))
    aside = tuple(item for item in scan.set_aside if item.file.mtime_ns <= youngest)
    rest = Scan(series=series, set_aside=aside)
    return rest, scan.seen - rest.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Journey:
    """What stays the same while one run takes in its series."""

    house: House
    run: Run
    source: Source
    keys: Mapping[str, str]

    def set_aside(self, asides: Iterable[SetAside], tally: Tally) -> None:
        """Write down the files that belong to no series; each change of a file's state is audited once."""
        rows = [self._row(item.file, item.state, item.reason, item.detail) for item in asides]
        with writing(self.house.engine) as connection:
            known = runs.known_files(connection, [row.file_key for row in rows])
            changed = [row for row in rows if _differs(row, known.get(row.file_key))]
            runs.save_files(connection, self.run.id, rows)
            for row in changed:
                if row.state is FileState.QUARANTINED:
                    self.run.append(connection, "file-quarantined", row.file_key, reason=str(row.reason))
            ignored = Counter(str(row.reason) for row in changed if row.state is FileState.IGNORED)
            if ignored:
                self.run.append(connection, "files-ignored", "", reasons=dict(ignored))
        tally.note(rows)

    def take_in(self, series: Series, settler: Settler, tally: Tally) -> None:
        """Take one series in, or turn it away on the record."""
        known = self._known(series)
        if known is not None:
            tally.note(known)
            tally.series["accepted"] += 1
            return
        outcome = settler.settle(lambda: self._deidentified(series))
        if isinstance(outcome, SeriesError):
            self._turn_away(series, outcome, tally)
        else:
            self._accept(*outcome, tally)

    def _known(self, series: Series) -> list[FileRow] | None:
        """Find the rows of a series that was taken in before and has not changed since, or None."""
        files = list(series.files())
        with reading(self.house.engine) as connection:
            rows = runs.known_files(connection, [self.keys[file.relative] for file in files])
            unchanged = [
                row
                for file in files
                if (row := rows.get(self.keys[file.relative])) is not None
                and (row.size, row.mtime_ns) == (file.size, file.mtime_ns)
            ]
            owners = {row.series_id for row in unchanged if row.series_id is not None}
            if len(unchanged) < len(files) or len(owners) != 1:
                return None
            owner = series_rows.series_row(connection, owners.pop())
        stands = owner.state in {"accepted", "superseded"} and owner.profile_digest == self.house.profile.digest
        in_place = owner.folder is not None and (self.house.safe / owner.folder / "series.json").is_file()
        return unchanged if stands and in_place else None

    def _deidentified(self, series: Series) -> tuple[DeidentifiedSeries, LaidOut]:
        """Series -> layouts and facts -> identity into the vault -> safe files."""
        laid = lay_out(series)
        facts = intensity_facts(laid.series)
        sha256s = source_sha256s(laid.series)
        identity = identity_of(laid.series, self.house.pseudonyms, self.house.pseudonyms.source_digest(sha256s))
        self.house.vault.put_identity(identity)
        safe = deidentify_series(
            laid.series,
            laid.layouts,
            facts,
            pseudonyms=self.house.pseudonyms,
            profile=self.house.profile,
            source=self.source,
            sha256s=sha256s,
            root=self.house.safe,
        )
        return safe, laid

    def _accept(self, safe: DeidentifiedSeries, laid: LaidOut, tally: Tally) -> None:
        rows = [self._row(file, FileState.ACCEPTED, None, "", safe.id) for file in laid.series.files()]
        rows += [self._row(item.file, item.state, item.reason, item.detail, safe.id) for item in laid.set_aside]
        with writing(self.house.engine) as connection:
            new = series_rows.save_series(connection, safe, run_id=self.run.id, at=self.house.now())
            runs.save_files(connection, self.run.id, rows)
            if new:
                detail = {"series_digest": safe.series_digest, "profile": safe.profile_digest, "files": len(safe.files)}
                self.run.append(connection, "series-accepted", safe.id, volumes=len(safe.layouts), **detail)
                for older in series_rows.revisions(connection, safe.uid):
                    if older.superseded_by == safe.id:
                        self.run.append(connection, "series-superseded", older.id, by=safe.id)
        tally.note(rows)
        tally.series["accepted"] += 1
        tally.series["new"] += new

    def _turn_away(self, series: Series, refusal: SeriesError, tally: Tally) -> None:
        state = "withheld" if refusal.reason in WITHHELD else "refused"
        file_state = FileState.IGNORED if refusal.reason in NONE_OF_OURS else FileState.QUARANTINED
        pseudonyms, profile = self.house.pseudonyms, self.house.profile.digest
        patient, barred = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
        source_digest = pseudonyms.source_digest(_readable_sha256s(series))
        name = series_id(source_digest, profile)
        rows = [self._row(file, file_state, refusal.reason, refusal.detail, name) for file in series.files()]
        with writing(self.house.engine) as connection:
            new = series_rows.save_refused_series(
                connection,
                series_id=name,
                patient=patient,
                barred=barred,
                study=StudyUID(pseudonyms.uid(series.study_instance_uid)),
                uid=SeriesUID(pseudonyms.uid(series.series_instance_uid)),
                modality=series.modality,
                source_digest=source_digest,
                profile_digest=profile,
                state=state,
                reason=refusal.reason,
                detail=refusal.detail,
                run_id=self.run.id,
                at=self.house.now(),
            )
            runs.save_files(connection, self.run.id, rows)
            if new:
                detail = {"reason": refusal.reason.value, "detail": refusal.detail, "files": len(rows)}
                self.run.append(connection, f"series-{state}", name, **detail)
        tally.note(rows)
        tally.series[state] += 1

    def _row(
        self, file: SourceFile, state: FileState, reason: Reason | None, detail: str = "", series: str | None = None
    ) -> FileRow:
        return FileRow(
            file_key=self.keys[file.relative],
            size=file.size,
            mtime_ns=file.mtime_ns,
            state=state,
            reason=reason,
            detail=detail,
            series_id=series,
        )


def _differs(row: FileRow, known: FileRow | None) -> bool:
    """Tell whether a file is new, or not what it was when it was last seen."""
    return known is None or any(
        getattr(row, name) != getattr(known, name) for name in ("size", "mtime_ns", "state", "reason", "detail")
    )


def _readable_sha256s(series: Series) -> tuple[str, ...]:
    """Name the files of a refused series; where one cannot be read any more, by size and time instead."""
    try:
        return source_sha256s(series)
    except (OSError, SeriesError):
        return tuple(f"{file.size}-{file.mtime_ns}" for file in series.files())
