"""The verb that looks and touches nothing: inspect."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medflow.cli.data import Json, finish
from medflow.cli.screen import out, print_json, print_table, progress
from medflow.settings import read_settings

if TYPE_CHECKING:
    from medflow.steps.inspect import Wanted
    from medflow.steps.pictures import Pictures
    from medflow.steps.seen import InspectReport


def register(app: typer.Typer) -> None:
    """Add this verb to `medflow`."""
    app.command("inspect")(inspect)


def inspect(
    folder: Annotated[Path, typer.Argument(help="Export folder; it is only read.")],
    png: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a picture of each volume into this folder.")
    ] = None,
    accept_faces: Annotated[
        bool, typer.Option("--accept-recognizable-heads", help="Draw all planes of heads, though they show a profile.")
    ] = False,
    task: Annotated[Path | None, typer.Option(help="Task file: say which series it would take.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is below FOLDER: series, geometry, what each would become, what would be refused and why.

    Nothing is written, but for the pictures of --png. No database and no key is needed, and nothing names a patient.

    Example: medflow inspect /mnt/pacs/export --png ./pictures
    """
    from medflow.deid.keys import new_key
    from medflow.deid.profile import default_profile
    from medflow.deid.profile_file import read_profile
    from medflow.deid.pseudonyms import Pseudonyms
    from medflow.steps.inspect import inspect as step
    from medflow.steps.pictures import check_places, draw

    if png is not None:
        check_places(folder, png)
    wanted = None if task is None else _wanted(task)
    throw_away, file = Pseudonyms(key=new_key()), read_settings().profile
    profile = default_profile() if file is None else read_profile(file)
    pictures = None
    with _terminated_as_interrupted(), progress() as bars:
        report = step(folder, pseudonyms=throw_away, profile=profile, wanted=wanted, progress=bars)
        if png is not None:
            pictures = draw(report, png, pseudonyms=throw_away, profile=profile, faces=accept_faces, progress=bars)
    if as_json:
        print_json("inspect", report.record() | ({} if pictures is None else {"pictures": pictures.record()}))
    else:
        _show(report)
        if pictures is not None:
            _show_pictures(pictures)
    finish(clean=report.clean and (pictures is None or pictures.clean))


def _wanted(task: Path) -> "Wanted":
    from medflow.learning.task_file import read_task
    from medflow.steps.rules import failures

    return partial(failures, read_task(task).series)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the verb as Ctrl-C does, so that what stands in a temporary folder is removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(report: "InspectReport") -> None:
    """Draw the conservation table, the series, and the volumes of those that would be accepted."""
    from medflow.cli.show import show_files

    show_files(report.files, report.members, report.reasons)
    records = [seen.record() for seen in report.series]
    if not records:
        out.print("no series")
        return
    print_table(
        f"{len(records)} series",
        ("series", "what", "scanner", "files", "would be", "unit", "complete", "why not"),
        [_series_row(one) for one in records],
    )
    rows = [_volume_row(one, volume) for one in records for volume in one.get("volumes", ())]
    if rows:
        titles = ("volume", "matrix", "spacing (mm)", "slices", "tilt", "run", "off by (mm)", "labels")
        print_table("volumes", titles, rows)
    planes = [_plane_row(one, plane) for one in records for plane in one.get("planes", ())]
    if planes:
        print_table("planar images", ("image", "pixels", "spacing (mm)", "stored for", "shows"), planes)


def _series_row(record: dict[str, Any]) -> tuple[object, ...]:
    what = " ".join(filter(None, (record["modality"], record["body_part"], record["description"])))
    return (
        record["number"],
        what,
        record["scanner"],
        record["files"],
        record["state"],
        record.get("unit"),
        record["completeness"]["verdict"] if "completeness" in record else None,
        "; ".join(_reasons(record)),
    )


def _reasons(record: dict[str, Any]) -> Iterator[str]:
    """Say why a series, a part of it, a unit of it, or its choice by the task, would be refused."""
    refusal = record["refusal"]
    if refusal is not None:
        yield f"{_spelled(refusal)}: {refusal['sentence']}"
    for reason, count in record["set_aside"].items():
        yield f"{count} files {reason}"
    for unit, lacking in record.get("units_missing", {}).items():
        yield f"not in {unit}: {_spelled(lacking)}"
    for source, announced, found, binding in record.get("completeness", {"evidence": ()})["evidence"]:
        if binding and found < announced:
            yield f"{source} announces {announced}, {found} are here"
    if record.get("task", {}).get("failed"):
        yield f"fails the task's {', '.join(record['task']['failed'])}"
    elif "task" in record:
        yield "the task wants it"


def _spelled(refusal: dict[str, str]) -> str:
    return f"{refusal['reason']} ({refusal['detail']})" if refusal["detail"] else refusal["reason"]


def _volume_row(record: dict[str, Any], volume: dict[str, Any]) -> tuple[object, ...]:
    which, of = volume["run"]
    return (
        f"{record['number']}.{volume['number']}",
        " x ".join(map(str, volume["matrix"])),
        " x ".join(f"{step:g}" for step in volume["spacing"]),
        volume["orientation"],
        f"{volume['tilt']:.1f} degrees" if volume["tilt"] else "",
        "" if of == 1 else f"{which} of {of}",
        f"{volume['residual']:g}",
        ", ".join(f"{keyword} {value:g}" for keyword, value in volume["labels"].items()),
    )


def _plane_row(record: dict[str, Any], plane: dict[str, Any]) -> tuple[object, ...]:
    spacing = plane["spacing"]
    return (
        f"{record['number']}.{plane['number']}",
        " x ".join(map(str, plane["matrix"])) + (" in colour" if plane["colour"] else ""),
        "not known" if spacing is None else " x ".join(f"{step:g}" for step in spacing),
        plane["intent"].lower(),
        " ".join(filter(None, (plane["laterality"], plane["view"]))),
    )


def _show_pictures(pictures: "Pictures") -> None:
    out.print(f"{len(pictures.drawn)} pictures written")
    rows = [(one.name, f"{', '.join(one.withheld)}: text may be burned in") for one in pictures.drawn if one.withheld]
    rows += [
        (f"{one.series}" if one.volume is None else f"{one.series}.{one.volume}", _spelled(one.refusal.record()))
        for one in pictures.missing
    ]
    if rows:
        print_table("withheld or not drawn", ("what", "why"), rows)
