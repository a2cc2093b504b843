"""The verbs that measure: evaluate, cross-validate."""

import typer


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
