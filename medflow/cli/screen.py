"""What the verbs show: tables and JSON on stdout, progress and messages on stderr."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from medflow.domain.progress import Progress, Silent

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

WORD = 12
"""A column is never narrower than its longest word, or than this: "contradicted" stays in one piece."""


def say(message: str) -> None:
    """Tell the operator something, on stderr."""
    err.print(message)


def print_json(verb: str, record: Mapping[str, Any]) -> None:
    """Write the one JSON object of a verb's result to stdout."""
    sys.stdout.write(json.dumps({"schema": f"medflow/{verb}/1", **record}, indent=2) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Draw a table on stdout; numbers stand to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        whole = min(WORD, _longest_word([column, *(_shown(row[index]) for row in rows)]))
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", min_width=whole)
    for row in rows:
        table.add_row(*map(_shown, row))
    out.print(table)


def _longest_word(cells: Sequence[str]) -> int:
    return max((len(word) for cell in cells for word in cell.split()), default=0)


def _shown(cell: object) -> str:
    """Spell a cell: nothing for None, three decimals for a float, and no text taken for markup."""
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return "" if cell is None else escape(str(cell))


class Shown:
    """A progress bar for each stage of a step."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage: TaskID | None = None

    def start(self, what: str, total: int | None) -> None:
        """Begin a bar of `total` parts; the one before it is done."""
        self._stage = self._bars.add_task(what, total=total)

    def advance(self, parts: int = 1) -> None:
        """Fill the bar by `parts`."""
        if self._stage is not None:
            self._bars.advance(self._stage, parts)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show bars on stderr while a step runs; nothing where stderr is no terminal."""
    if not err.is_terminal:
        yield Silent()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=err) as bars:
        yield Shown(bars)
