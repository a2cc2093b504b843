"""What one run of ingest does with each file, series and archive, and the rows and audit events that tell of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from medflow.deid.identity import identity_of
from medflow.deid.ledger import Ledger
from medflow.deid.series import Source, deidentify_series, source_digest_of, source_sha256s
from medflow.dicom.ask import Asking
from medflow.dicom.completeness import judge
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import Archive
from medflow.domain.safe import DeidentifiedSeries, SeriesUID, StudyUID, series_id
from medflow.domain.series import FileState, Series, SetAside, SourceFile
from medflow.errors import Reason, SeriesError
from medflow.steps.account import NONE_OF_OURS, WITHHELD, Tally
from medflow.steps.copies import keep_copies
from medflow.steps.house import House
from medflow.steps.owners import patient_of
from medflow.steps.run import Run
from medflow.steps.settle import Settler
from medflow.steps.verify import Verified, check
from medflow.store import erasures, runs
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing
from medflow.store.runs import FileRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What stays the same while one run takes in its series, and what it has counted."""

    house: House
    run: Run
    source: Source
    keys: Mapping[tuple[str, str], str]
    """Key of each file and member, by its name."""
    pacs: Asking
    tally: Tally = field(default_factory=Tally)
    verified: Verified = field(default_factory=Verified)

    def set_aside(self, asides: Collection[SetAside]) -> None:
        """Write down the files that belong to no series."""
        rows = []
        for item in asides:
            self.tally.note(item.file, item.state, item.reason)
            rows.append(self._row(item.file, item.state, item.reason, item.detail))
        self._keep_copies(asides, self._write(rows))

    def close_archives(self, archives: Collection[Archive]) -> None:
        """Write down what became of the archives, once all of their members are dealt with."""
        rows = []
        for archive in archives:
            state, reason = self.tally.fate_of(archive)
            self.tally.note(archive.file, state, reason)
            rows.append(self._row(archive.file, state, reason, archive.detail))
        new = self._write(rows)
        keep_copies(self.run, [(one.file, None) for one in archives if self.keys[one.file.name] in new], self.keys)

    def _keep_copies(self, asides: Iterable[SetAside], keys: Collection[str]) -> None:
        """Keep encrypted copies of those set-aside files that `keys` names, where the house keeps any."""
        files = [
            (item.file, None if item.owner is None else patient_of(self.house.pseudonyms, item.owner))
            for item in asides
            if self.keys[item.file.name] in keys
        ]
        keep_copies(self.run, files, self.keys)

    def _write(self, rows: list[FileRow]) -> frozenset[str]:
        """Write rows of files; each change of a file's state is audited once. Name the newly quarantined."""
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
        return frozenset(row.file_key for row in changed if row.state is FileState.QUARANTINED)

    def take_in(self, series: Series, settler: Settler) -> None:
        """Take one series in, or turn it away on the record."""
        known = self._known(series)
        if known is not None:
            for file, row in zip(series.files(), known, strict=True):
                self.tally.note(file, row.state, row.reason)
            self.tally.series["accepted"] += any(row.state is FileState.ACCEPTED for row in known)
            return
        outcome = settler.settle(lambda: self._deidentified(series))
        if isinstance(outcome, SeriesError):
            self._turn_away(series, outcome)
        else:
            self._accept(*outcome)

    def _known(self, series: Series) -> list[FileRow] | None:
        """Find the rows of a series that was taken in before and has not changed since, or None."""
        files = list(series.files())
        with reading(self.house.engine) as connection:
            rows = runs.known_files(connection, [self.keys[file.name] for file in files])
            unchanged = [
                row
                for file in files
                if (row := rows.get(self.keys[file.name])) is not None
                and (row.size, row.mtime_ns) == (file.size, file.mtime_ns)
            ]
            owners = {row.series_id for row in unchanged if row.series_id is not None}
            if len(unchanged) < len(files) or len(owners) != 1:
                return None
            owner = series_rows.series_row(connection, owners.pop())
            forgotten = erasures.is_forgotten(connection, owner.patient)
        stands = owner.state in {"accepted", "superseded"} and owner.profile_digest == self.house.profile.digest
        in_place = owner.folder is not None and (self.house.safe / owner.folder / "series.json").is_file()
        ended = owner.reason is Reason.RETENTION_ENDED
        remembered = forgotten or self.house.vault.knows(owner.uid, owner.source_digest)  # else filled again
        return unchanged if ended or (stands and in_place and remembered) else None

    def _deidentified(self, series: Series) -> tuple[DeidentifiedSeries, LaidOut, Ledger]:
        """Series -> layouts and facts -> identity into the vault -> safe files, looked at once more."""
        ledger = Ledger()
        laid = lay_out(series)
        facts = intensity_facts(laid.series)
        sha256s = source_sha256s(laid.series)
        digest = source_digest_of(laid.series, self.house.pseudonyms, sha256s)
        self.house.vault.put_identity(identity_of(laid.series, self.house.pseudonyms, digest))
        safe = deidentify_series(
            laid.series,
            laid.layouts,
            facts,
            planes=laid.planes,
            pseudonyms=self.house.pseudonyms,
            profile=self.house.profile,
            source=self._source_of(digest),
            sha256s=sha256s,
            root=self.house.safe,
            ledger=ledger,
        )
        check(self.house, laid.series, safe, self.verified)
        return safe, laid, ledger

    def _source_of(self, digest: str) -> Source:
        """Name the source; files that another one brought before keep its site, which their stored copy holds."""
        with reading(self.house.engine) as connection:
            known = series_rows.known_series(connection, digest, self.house.profile.digest)
        return self.source if known is None or known.site is None else replace(self.source, site=known.site)

    def _accept(self, safe: DeidentifiedSeries, laid: LaidOut, ledger: Ledger) -> None:
        rows = [self._row(file, FileState.ACCEPTED, None, "", safe.id) for file in laid.series.files()]
        rows += [self._row(item.file, item.state, item.reason, item.detail, safe.id) for item in laid.set_aside]
        related = self.pacs.related(laid.series.study_instance_uid, laid.series.series_instance_uid)
        verdict = judge(laid.series, laid.layouts, related=related, aside=len(laid.set_aside))
        with writing(self.house.engine) as connection:
            new = series_rows.save_series(
                connection, safe, completeness=verdict, run_id=self.run.id, at=self.house.now()
            )
            runs.save_files(connection, self.run.id, rows)
            if new:
                detail = {"series_digest": safe.series_digest, "profile": safe.profile_digest, "files": len(safe.files)}
                detail["completeness"] = verdict.verdict.value
                if ledger.pixels["blanked"]:
                    detail["text-blanked"] = ledger.pixels["blanked"]
                self.run.append(connection, "series-accepted", safe.id, volumes=len(safe.layouts), **detail)
                for older in series_rows.revisions(connection, safe.uid):
                    if older.superseded_by == safe.id:
                        self.run.append(connection, "series-superseded", older.id, by=safe.id)
        if new:
            aside = [(item.file, safe.patient) for item in laid.set_aside if item.state is FileState.QUARANTINED]
            keep_copies(self.run, aside, self.keys)
        for file in laid.series.files():
            self.tally.note(file, FileState.ACCEPTED)
        for item in laid.set_aside:
            self.tally.note(item.file, item.state, item.reason)
        self.tally.series["accepted"] += 1
        self.tally.series["new"] += new

    def _turn_away(self, series: Series, refusal: SeriesError) -> None:
        state = "withheld" if refusal.reason in WITHHELD else "refused"
        file_state = FileState.IGNORED if refusal.reason in NONE_OF_OURS else FileState.QUARANTINED
        pseudonyms, profile = self.house.pseudonyms, self.house.profile.digest
        patient, barred = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
        source_digest = source_digest_of(series, pseudonyms, _readable_sha256s(series))
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
        if new and file_state is FileState.QUARANTINED:
            keep_copies(self.run, [(file, patient) for file in series.files()], self.keys)
        for file in series.files():
            self.tally.note(file, file_state, refusal.reason)
        self.tally.series[state] += 1

    def _row(
        self, file: SourceFile, state: FileState, reason: Reason | None, detail: str = "", series: str | None = None
    ) -> FileRow:
        return FileRow(
            file_key=self.keys[file.name],
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
