"""The verbs for patients' rights and merged records, and those of the vault."""

import typer

patients = typer.Typer(no_args_is_help=True, help="Opt-outs, erasure and merged records.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.add_typer(patients, name="patients")
