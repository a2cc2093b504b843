"""The verbs for series: ingest, deidentify, watch, quarantine, export, labels."""

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.screen import out, print_json, print_table, progress, say
from medflow.settings import Settings, open_house, read_settings
from medflow.steps.house import House

if TYPE_CHECKING:
    from medflow.steps.export import ExportReport

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Data folder [MEDFLOW_DATA_DIR, ./medflow-data].")]
"""Options that several verbs take."""

quarantine = typer.Typer(no_args_is_help=True, help="What was set aside, and where it lies.")
export = typer.Typer(no_args_is_help=True, help="Data for people.")
labels = typer.Typer(no_args_is_help=True, help="What is known of patients, studies and series.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("ingest")(ingest)
    app.command("deidentify")(deidentify)
    app.command("watch")(watch)
    app.add_typer(quarantine, name="quarantine")
    app.add_typer(export, name="export")
    app.add_typer(labels, name="labels")


def opened(data_dir: Path | None, *, writing: bool = True, beside: Path | None = None) -> tuple[Settings, House]:
    """Open the house that options and settings name; tell the operator what was made on first use.

    `beside` is an export folder, which nothing may be made in.
    """
    settings = read_settings(data_dir=data_dir)
    if beside is not None:
        settings.check_apart(beside)
    house = open_house(settings, writing=writing)
    if house.made:
        say(f"first use: made {', '.join(house.made)} in {settings.data_dir}; back up its keys folder")
    return settings, house


def finish(*, clean: bool) -> None:
    """End the verb: 0 where nothing was refused, 1 where something was, and it was listed."""
    raise typer.Exit(0 if clean else 1)


def ingest(
    folder: Annotated[Path, typer.Argument(help="Export folder; it is only read.")],
    source: Annotated[str | None, typer.Option(help="Name of the source [the one set for the folder].")] = None,
    quiet: Annotated[float, typer.Option(help="Leave series with a file younger than this (s).")] = 0.0,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take in what is new below FOLDER: scan, group, de-identify, write rows.

    Example: medflow ingest /mnt/pacs/export --json
    """
    from medflow.cli.show import show_ingest
    from medflow.steps.ingest import ingest as step

    settings, house = opened(data_dir, beside=folder)
    with progress() as bars:
        report = step(house, folder, source=settings.source(folder, source, house), quiet=quiet, progress=bars)
    if as_json:
        print_json("ingest", report.record())
    else:
        show_ingest(report)
    finish(clean=report.clean)


def deidentify(
    folder: Annotated[Path, typer.Argument(metavar="IN", help="Folder of DICOM files; it is only read.")],
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the de-identified copy.")],
    profile: Annotated[Path | None, typer.Option(help="Profile file [the default profile].")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Pseudonym key file; without one, the data folder's, else a throw-away key.")
    ] = None,
    recipient: Annotated[
        str, typer.Option(help="Whom it is for: each label gets pseudonyms, UIDs and dates of its own.")
    ] = "",
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the frames in which text was blanked into this folder.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the series.")] = 1,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write a de-identified copy of every series, picture and report below IN: the engine alone, no database.

    OUT/report.json says what was done, and what was withheld and why; withheld files are named by their number among
    the sorted paths below IN.

    Example: medflow deidentify ./export ./safe --key ./pseudonym.key --processes 4
    """
    from medflow.cli.show import show_deidentified
    from medflow.deid.keys import new_key, read_key
    from medflow.deid.profile import default_profile
    from medflow.deid.profile_file import read_profile
    from medflow.deid.pseudonyms import Pseudonyms
    from medflow.steps.deidentify import deidentify as step

    settings = read_settings(data_dir=data_dir, pseudonym_key_file=key)
    file = settings.places().keys.pseudonym
    if key is None and not file.exists():
        say("no pseudonym key: a throw-away key is used, so another run gives other pseudonyms (see --key)")
        secret = new_key()
    else:
        secret = read_key(file)
    pseudonyms = Pseudonyms(key=secret, default_issuer=settings.default_issuer)
    with progress() as bars:
        report = step(
            folder,
            out_folder,
            pseudonyms=pseudonyms.for_recipient(recipient) if recipient else pseudonyms,
            profile=default_profile() if profile is None else read_profile(profile),
            pictures=pictures,
            processes=processes,
            progress=bars,
        )
    if as_json:
        print_json("deidentify", report.record())
    else:
        show_deidentified(report)
    finish(clean=report.clean)


def watch(
    folder: Annotated[Path, typer.Argument(help="Export folder; it is only read.")],
    source: Annotated[str | None, typer.Option(help="Name of the source [the one set for the folder].")] = None,
    quiet: Annotated[float, typer.Option(help="Take a series in when no file of it changed for this long (s).")] = 30.0,
    interval: Annotated[float, typer.Option(help="Look this often (s).")] = 5.0,
    data_dir: DataDir = None,
) -> None:
    """Watch FOLDER by polling, take in and score what is quiet; Ctrl-C or SIGTERM stops after the series at hand.

    Example: medflow watch /mnt/pacs/export --quiet 60
    """
    from medflow.steps.watch import Rhythm
    from medflow.steps.watch import watch as step

    settings, house = opened(data_dir, beside=folder)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rhythm = Rhythm(quiet=quiet, wait=lambda: not stop.wait(interval), clock=time.monotonic)
    say(f"watching; a series is taken in after {quiet:g} s without a change; stop with Ctrl-C")
    for done in step(house, folder, source=settings.source(folder, source, house), rhythm=rhythm):
        files, series = done.ingested.files, done.ingested.series
        scored = "" if done.scored is None else f"; {done.scored.scored} predictions written"
        refused = series.refused + series.withheld
        out.print(f"{files.seen} files seen, {series.new} series new, {refused} turned away{scored}")
    house.close()
    say("stopped")


@quarantine.command("list")
def quarantine_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List what stands in quarantine, by key and reason.

    Example: medflow quarantine list --json
    """
    from medflow.steps.quarantine import listed

    _, house = opened(data_dir, writing=False)
    rows = listed(house)
    if as_json:
        files = [{"id": row.file_key, "reason": row.reason, "detail": row.detail, "size": row.size} for row in rows]
        print_json("quarantine-list", {"files": files})
        return
    print_table(
        f"{len(rows)} files in quarantine",
        ("id", "reason", "what it means", "detail"),
        [(row.file_key[:12], row.reason, row.reason.sentence if row.reason else "", row.detail) for row in rows],
    )


@quarantine.command("show")
def quarantine_show(
    key: Annotated[str, typer.Argument(metavar="ID", help="Key of the file, or how it begins.")],
    copy_to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Decrypt the copy that is kept of it into this new file.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show where one file lies. The path may name a patient: the asking is audited.

    Example: medflow quarantine show 3f2a91
    """
    from medflow.steps.quarantine import show

    _, house = opened(data_dir)
    found = show(house, key, copy_to=copy_to)
    if as_json:
        record = {"id": found.row.file_key, "reason": found.row.reason, "detail": found.row.detail, "path": found.path}
        print_json("quarantine-show", record)
        return
    out.print(f"{found.row.file_key}  {found.row.reason}", markup=False)
    out.print(found.row.reason.sentence if found.row.reason else "", markup=False)
    out.print(found.path, markup=False)


Recipient = Annotated[str, typer.Option(help="Whom it is for: each label gets pseudonyms, UIDs and dates of its own.")]
AcceptFaces = Annotated[
    bool, typer.Option("--accept-recognizable-heads", help="Export heads too, though they show a face.")
]


@export.command("volumes")
def export_volumes(
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the NIfTI files.")],
    native: Annotated[bool, typer.Option("--native", help="Keep the geometry of the acquisition.")] = False,
    task: Annotated[Path | None, typer.Option(help="Task file whose grid to export on.")] = None,
    recipient: Recipient = "",
    accept_faces: AcceptFaces = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write every accepted volume as NIfTI with a JSON sidecar, natively or on a task's grid.

    Example: medflow export volumes ./nifti --native
    """
    from medflow.learning.task_file import read_task
    from medflow.steps.export import Wish
    from medflow.steps.export import export_volumes as step

    if native == (task is not None):
        raise typer.BadParameter("say either --native or --task TASK.yaml")
    _, house = opened(data_dir)
    wish = Wish(task=None if task is None else read_task(task), faces=accept_faces, recipient=recipient)
    with progress() as bars:
        report = step(house, out_folder, wish, progress=bars)
    _show_export("export-volumes", report, as_json=as_json)


@export.command("dicom")
def export_dicom(
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the DICOM files.")],
    recipient: Recipient,
    accept_faces: AcceptFaces = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write every accepted series as de-identified DICOM, under names that only this recipient knows.

    Example: medflow export dicom ./for-the-trial --recipient TRIAL-7
    """
    from medflow.steps.export import Wish
    from medflow.steps.export import export_dicom as step

    _, house = opened(data_dir)
    with progress() as bars:
        report = step(house, out_folder, Wish(task=None, faces=accept_faces, recipient=recipient), progress=bars)
    _show_export("export-dicom", report, as_json=as_json)


def _show_export(verb: str, report: "ExportReport", *, as_json: bool) -> None:
    """Tell what was written, and end the verb."""
    if as_json:
        print_json(verb, report.record())
    else:
        out.print(f"{report.written} {report.what} written")
        if report.refused:
            print_table("not written", ("reason", "series"), sorted(report.refused.items()))
    finish(clean=not report.refused)


@labels.command("import")
def labels_import(
    file: Annotated[Path, typer.Argument(help="CSV: one key column, and a column for each label.")],
    source: Annotated[str, typer.Option(help="Who says so: a registry, a reader, a trial.")] = "import",
    version: Annotated[str, typer.Option(help="Version of what they say.")] = "1",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Store labels keyed by original PatientID, StudyInstanceUID or SeriesInstanceUID.

    Lines that cannot be stored are reported by their number, never by their content.

    Example: medflow labels import nodules.csv --source radiology --version 2026-03
    """
    from medflow.steps.labels import import_labels

    _, house = opened(data_dir)
    report = import_labels(house, file, source=source, version=version)
    if as_json:
        print_json("labels-import", report.record())
    else:
        out.print(f"{report.new} labels new, {report.already} known already, {report.blank} cells blank")
        for what in ("unknown", "contradictory", "malformed"):
            numbers = getattr(report, what)
            if numbers:
                out.print(f"{what}: line {', '.join(map(str, numbers))}", markup=False)
    finish(clean=report.complete)
