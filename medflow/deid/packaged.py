"""The packaged tables, read: lines of text, and rows of named fields."""

from collections.abc import Iterator
from importlib import resources


def rows(name: str) -> Iterator[dict[str, str]]:
    """Read a packaged table: comment lines, a head line, then tab-separated fields."""
    head, *body = lines(name)
    fields = head.split("\t")
    for line in body:
        yield dict(zip(fields, line.split("\t"), strict=True))


def lines(name: str) -> list[str]:
    """Read the lines of a packaged table, comments left out."""
    text = (resources.files("medflow.deid") / "tables" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
