"""The verbs around de-identification: what the profile does, and a second look at what came out."""

import typer

deid = typer.Typer(no_args_is_help=True, help="What the profile does, and a second look at what came out.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.add_typer(deid, name="deid")
