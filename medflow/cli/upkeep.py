"""The verbs for the house itself: db, audit, status, retention."""

import json
from typing import Annotated

import typer

from medflow.cli.data import DataDir, Json, finish, opened
from medflow.cli.screen import out, print_json, print_table, say

audit = typer.Typer(no_args_is_help=True, help="The audit trail.")
db = typer.Typer(no_args_is_help=True, help="The databases.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("status")(status)
    app.command("retention")(retention)
    app.add_typer(audit, name="audit")
    app.add_typer(db, name="db")


def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show what was taken in, set aside, trained and scored, and the newest runs.

    Example: medflow status --json
    """
    from medflow.steps.status import status as step

    _, house = opened(data_dir, writing=False)
    found = step(house)
    if as_json:
        print_json("status", found.record())
        return
    rows = []
    for name, value in found.record()["counts"].items():
        said = ", ".join(f"{state} {number}" for state, number in value.items()) if isinstance(value, dict) else value
        rows.append((name, said or "none"))
    print_table("what stands", ("what", "how many"), rows)
    print_table(
        "newest runs",
        ("run", "step", "state", "opened"),
        [(run.id[:16], run.kind, run.state, f"{run.opened:%Y-%m-%d %H:%M:%S}") for run in found.runs],
    )


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Remove what is kept longer than MEDFLOW_KEEP_* allow, and finish erasures that were interrupted.

    Example: medflow retention --dry-run
    """
    from medflow.steps.retention import retention as step

    settings, house = opened(data_dir, writing=False)
    report = step(house, settings.keep(), dry_run=dry_run)
    if as_json:
        print_json("retention", report.record())
    else:
        rows = [(name, count) for name, count in report.record().items() if name not in {"run", "dry_run"}]
        print_table("would be removed" if dry_run else "removed", ("what", "how many"), rows)
    finish(clean=not report.exports_left)


@audit.command("verify")
def audit_verify(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Walk the chain and name every row that was edited, removed, reordered or added by another hand.

    Example: medflow audit verify
    """
    from medflow.steps.audit import verify

    _, house = opened(data_dir, writing=False)
    report = verify(house)
    if as_json:
        faults = [{"seq": fault.seq, "what": fault.what} for fault in report.faults]
        print_json("audit-verify", {"rows": report.rows, "whole": not faults, "faults": faults})
    elif report.faults:
        print_table(f"{len(report.faults)} faults", ("row", "what"), [(f.seq, f.what) for f in report.faults])
    else:
        out.print(f"{report.rows} audit rows verified: the chain is whole and its head is signed")
    finish(clean=not report.faults)


@audit.command("show")
def audit_show(
    subject: Annotated[str | None, typer.Option(help="Only what happened to this id.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run's.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.")] = 50,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the newest events of the trail, oldest of them first.

    Example: medflow audit show --subject ser_3f2a
    """
    from medflow.steps.audit import events

    _, house = opened(data_dir, writing=False)
    lines = events(house, subject=subject, run=run, limit=limit)
    if as_json:
        print_json("audit-show", {"events": lines})
        return
    print_table(
        f"{len(lines)} events",
        ("seq", "at", "actor", "kind", "subject", "detail"),
        [
            (e["seq"], e["at"], e["actor"], e["kind"], e["subject"][:16], json.dumps(e["detail"], sort_keys=True))
            for e in lines
        ],
    )


@db.command("upgrade")
def db_upgrade(data_dir: DataDir = None) -> None:
    """Bring both databases to the newest schema; on an empty place, make the keys as well.

    Example: MEDFLOW_DATABASE_URL=postgresql+psycopg://medflow@db/medflow medflow db upgrade
    """
    from medflow.settings import read_settings
    from medflow.steps.house import make

    made = make(read_settings(data_dir=data_dir).places())
    say(f"current: {', '.join(made)}")
