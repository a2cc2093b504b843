"""The verbs for frozen cohorts: build, list, show."""

import typer


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
