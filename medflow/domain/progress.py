"""How a long step tells whoever waits that it is still going."""

from typing import Protocol


class Progress(Protocol):
    """Something that shows how far a step has come: a bar on a terminal, or nothing."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a stage of `total` parts (None where the number is not known yet)."""

    def advance(self, parts: int = 1) -> None:
        """Say that `parts` more are done."""


class Silent:
    """Shows nothing: for tests, and for flows whose log is elsewhere."""

    def start(self, what: str, total: int | None) -> None:
        """Show nothing."""

    def advance(self, parts: int = 1) -> None:
        """Show nothing."""


SILENT = Silent()
"""For whoever has nobody to tell."""
