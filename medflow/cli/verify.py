"""`medflow deid verify`: a second look at what came out, for values of the patients whom it was made of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import out, print_json, print_table, progress

if TYPE_CHECKING:
    from medflow.verify.report import VerifyReport

LISTED = 50
"""Findings that are drawn; --json gives all."""
FOUND, NOT_DONE = 1, 2


def verify(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="De-identified folder; it is only read.")],
    originals: Annotated[
        Path | None, typer.Option(metavar="IN", help="What it was made of [the vault's identities].")
    ] = None,
    purpose: Annotated[str, typer.Option(help="Why the vault is asked; it is audited.")] = "deid-verify",
    seed: Annotated[int, typer.Option(help="Chooses what is planted to prove that the look can see.")] = 1,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Look through OUT once more, by other code, for any value of its patients' identity, in every encoding.

    Exit 0: nothing found. 1: something was, and it is listed by file number, kind and place, never by its value. 2: the
    look could not be finished, is not proved to see, or the identity of some objects is not known.

    Example: medflow deid verify ./safe --originals ./export
    """
    from medflow.steps.verify import verify_against_originals, verify_against_vault

    with progress() as bars:
        if originals is not None:
            report = verify_against_originals(folder, originals, seed=seed, progress=bars)
        else:
            _, house = opened(data_dir)
            report = verify_against_vault(house, folder, purpose=purpose, seed=seed, progress=bars)
    if as_json:
        print_json("deid-verify", report.record())
    else:
        _show(report)
    raise typer.Exit(FOUND if not report.clean else 0 if report.complete else NOT_DONE)


def _show(report: "VerifyReport") -> None:
    """Draw what was looked for, how well the look sees, and what it found."""
    kinds = sorted(report.values)
    rows = [(kind.value, report.values[kind], report.partly.get(kind, 0), report.common.get(kind, 0)) for kind in kinds]
    print_table("looked for", ("kind", "values", "in some forms only", "not told from chance"), rows)
    put, seen = sum(report.proof.planted.values()), sum(report.proof.found.values())
    out.print(
        f"{report.files} files, {report.objects} of them DICOM, {report.bytes} bytes; "
        f"{report.expected:.1e} false alarms expected of chance; {seen} of {put} planted values found again"
    )
    if report.retained:
        kept = ", ".join(kind.value for kind in report.retained)
        out.print(f"not looked for in objects whose codes say that it is retained: {kept}")
    if report.findings:
        listed = [(found.file, found.uid, found.kind.value, found.place) for found in report.findings[:LISTED]]
        title = f"{len(report.findings)} findings; files are numbered in the order of their paths"
        print_table(title, ("file", "SOP Instance UID", "kind", "place"), listed)
    _complain(report, put - seen)


def _complain(report: "VerifyReport", missed: int) -> None:
    """Say what could not be checked."""
    lacking = {
        "objects of whose patient no identity is known": report.unmatched,
        "files that could not be read": report.unread,
        "planted values that were not found": missed,
    }
    for what, count in lacking.items():
        if count:
            out.print(f"not checked: {count} {what}")
    if not report.proof.planted:
        out.print("not proved: there is no object, or no value, that could be planted")
