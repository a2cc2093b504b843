"""Finding a row by the first digits of its id."""

from sqlalchemy import Column, Connection, select

from medflow.errors import StateError

SHOWN = 12
"""Hex digits of an id that people see."""


def find_id(connection: Connection, column: Column[str], start: str, *, prefix: str = "") -> str:
    """Complete the beginning of an id; `prefix` ("ser_" ...) may be left out of what the user typed.

    Raises:
        StateError: no row's id begins so, or several do.
    """
    wanted = start if start.startswith(prefix) else prefix + start
    table = column.table
    kind = getattr(table, "name", "row")
    if wanted == prefix:
        raise StateError(f"an id of a {kind} is needed")
    if connection.scalar(select(column).where(column == wanted)) is not None:
        return wanted
    begins = column.startswith(wanted, autoescape=True)
    found = connection.scalars(select(column).where(begins).order_by(column).limit(2)).all()
    if not found:
        raise StateError(f"there is no {kind} whose id begins with {wanted!r}")
    if len(found) > 1:
        raise StateError(f"{wanted!r} is ambiguous: several ids of a {kind} begin with it; give more of it")
    return found[0]
