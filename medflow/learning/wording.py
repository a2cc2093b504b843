"""Words and tables of a report."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any


def said(entry: Mapping[str, Any]) -> str:
    """Say a figure with its interval."""
    if entry.get("value") is None:
        return "not measurable"
    value = f"{entry['value']:.3f}"
    if entry.get("low") is None or entry.get("high") is None:
        return value
    return f"{value} ({entry['low']:.3f} to {entry['high']:.3f})"


def is_entry(value: Any) -> bool:  # noqa: ANN401  (any JSON value)
    """Tell a figure with its n from other values."""
    return isinstance(value, Mapping) and {"value", "n"} <= set(value)


def entries(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Draw figures as a table, with how their intervals were found."""
    cells = [(name, said(entry), entry["n"], _found_by(entry)) for name, entry in rows]
    return table(("figure", "value (95 % interval)", "n", "interval by"), cells)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Draw a table; without a head where that is empty."""
    titles = "".join(f"<th>{escape(str(one))}</th>" for one in head)
    lines = "".join(
        f"<tr>{''.join(f'<td{_numeric(cell)}>{escape(plain(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table>{f'<tr>{titles}</tr>' if any(head) else ''}{lines}</table>"


def _numeric(cell: Any) -> str:  # noqa: ANN401  (any JSON value)
    return ' class="n"' if isinstance(cell, int | float) else ""


def plain(value: Any) -> str:  # noqa: ANN401  (any JSON value)
    """Spell any value for a reader."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{spelt(key)} {plain(one)}" for key, one in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Give what is not nested any more, with the names that lead to it."""
    for name, one in value.items():
        if isinstance(one, Mapping) and not is_entry(one):
            yield from flat(one, f"{before}{name} ")
        else:
            yield f"{before}{name}", one


def spelt(name: str) -> str:
    """Spell a key as words."""
    return name.replace("_", " ")


def _found_by(entry: Mapping[str, Any]) -> str:
    chance = entry.get("p")
    return f"{entry.get('method', '')}{'' if chance is None else f'; p = {chance:.3g}'}"
