"""The first journey: an export folder becomes safe series and rows, and every file is accounted for."""

from pathlib import Path

from medflow.deid.folder import clear_abandoned
from medflow.deid.series import Source
from medflow.dicom.archives.entries import WITHIN
from medflow.dicom.ask import asking
from medflow.dicom.content import archives_kept_open
from medflow.dicom.scan import Scan, scan_folder
from medflow.domain.progress import SILENT, Progress
from medflow.domain.series import SourceFile
from medflow.errors import ConfigurationError
from medflow.steps.account import IngestReport, SeriesCounts, Tally, fields
from medflow.steps.copies import clear_expired
from medflow.steps.house import House
from medflow.steps.journey import Journey
from medflow.steps.optouts import remembered, without_opted_out
from medflow.steps.owners import note_places
from medflow.steps.run import Run, opened
from medflow.steps.settle import Settler, check_scan


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
    house = house.renewed()
    with opened(house, "ingest", source=source.name, **house.naming) as run:
        scan, waiting = _quiet_part(scan_folder(folder, progress=progress), house, quiet)
        return _take_in_all(run, scan, source, waiting, progress)


def take_in(house: House, scan: Scan, *, source: Source) -> IngestReport:
    """Take in what was scanned already: the watcher knows what is quiet.

    Raises:
        BatchError: the counts do not add up, or too much failed in ways nobody foresaw.
    """
    house = house.renewed()
    with opened(house, "ingest", source=source.name, **house.naming) as run:
        return _take_in_all(run, scan, source, 0, SILENT)


def _take_in_all(run: Run, scan: Scan, source: Source, waiting: int, progress: Progress) -> IngestReport:
    house = run.house
    check_scan(scan)
    scan = without_opted_out(house, scan)
    clear_abandoned(house.safe)
    clear_expired(house, house.now())
    keys = {file.name: house.pseudonyms.file_key(source.name, *file.name) for file in scan.files()}
    note_places(house, scan, {keys[file.name]: _where(file) for file in remembered(scan)}, keys)
    settler = Settler()
    progress.start("taking in series", len(scan.series))
    with archives_kept_open(), asking(house.pacs) as pacs:
        journey = Journey(house=house, run=run, source=source, keys=keys, pacs=pacs)
        journey.set_aside(scan.set_aside)
        for series in scan.series:
            journey.take_in(series, settler)
            progress.advance()
        journey.close_archives(scan.archives)
    run.detail = {"verified": journey.verified.record()} | ({"pacs": pacs.record()} if house.pacs else {})
    return _closed(run, journey.tally, scan, waiting)


def _closed(run: Run, tally: Tally, scan: Scan, waiting: int) -> IngestReport:
    """Hand the counts to the run; refuse counts that do not add up."""
    files, members = tally.counted(scan)
    report = IngestReport(
        run=run.id,
        files=files,
        members=members,
        series=SeriesCounts(**tally.series),
        reasons=tally.reasons,
        waiting=waiting,
    )
    for what, counts in (("files", files), ("members", members), ("series", report.series)):
        run.counts |= {f"{what}_{name}": count for name, count in fields(counts).items()}
    run.detail |= {"reasons": report.record()["reasons"]}
    return report


def _where(file: SourceFile) -> str:
    """Say where a file lies, for the vault."""
    return f"{file.path}{WITHIN}{file.member}" if file.member else str(file.path)


def _quiet_part(scan: Scan, house: House, quiet: float) -> tuple[Scan, int]:
    """Split off what is younger than `quiet` seconds; give back the rest and the number of files left out."""
    if quiet <= 0:
        return scan, 0
    youngest = (house.now().timestamp() - quiet) * 1e9
    rest = scan.part(lambda file: file.mtime_ns <= youngest)
    return rest, scan.seen - rest.seen
