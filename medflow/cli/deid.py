"""The verbs around de-identification: what the profile does, and a second look at what came out."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.data import Json
from medflow.cli.screen import out, print_json, print_table
from medflow.cli.verify import verify
from medflow.errors import ConfigurationError
from medflow.settings import read_settings

if TYPE_CHECKING:
    from medflow.deid.statement import Statement

deid = typer.Typer(no_args_is_help=True, help="What the profile does, and a second look at what came out.")
deid.command("verify")(verify)


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.add_typer(deid, name="deid")


@deid.command("profile")
def profile(
    file: Annotated[
        Path | None, typer.Option("--profile", help="Profile file; without one, the set one, else the shipped profile.")
    ] = None,
    sop_class: Annotated[
        str, typer.Option(help="SOP class (UID or keyword) whose types decide; without one, all is optional.")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV, its head as comments.")] = False,
    as_json: Json = False,
) -> None:
    """Say what becomes of every attribute under a profile, and which rule says so: a table to sign.

    Example: medflow deid profile --sop-class CTImageStorage --csv > profile.csv
    """
    from medflow.deid.profile import default_profile
    from medflow.deid.profile_file import read_profile
    from medflow.deid.statement import iod_of, statement

    if as_csv and as_json:
        raise ConfigurationError("the table is printed as CSV or as JSON: give one of the two")
    chosen = file or read_settings().profile
    found = statement(
        default_profile() if chosen is None else read_profile(chosen), iod_of(sop_class) if sop_class else ""
    )
    if as_json:
        print_json("deid-profile", found.record())
    elif as_csv:
        _print_csv(found)
    else:
        _show(found)


def _print_csv(found: "Statement") -> None:
    from medflow.deid.statement import as_lines

    sys.stdout.writelines(f"# {line}\n" for line in as_lines(found.head()))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("tag", "keyword", "vr", "outcome", "rule", "otherwise", "source"))
    writer.writerows((row.tag, row.keyword, row.vr, row.outcome, row.rule, row.fails, row.source) for row in found.rows)


def _show(found: "Statement") -> None:
    from medflow.deid.statement import as_lines

    for line in as_lines(found.head()):
        out.print(line, markup=False)
    print_table(
        "attributes",
        ("tag", "keyword", "VR", "what becomes of it", "rule", "otherwise", "which rule says so"),
        [(row.tag, row.keyword, row.vr, row.outcome, row.rule, row.fails, row.source) for row in found.rows],
    )
    print_table("counts", ("what becomes of it", "attributes"), list(found.counts().items()))
