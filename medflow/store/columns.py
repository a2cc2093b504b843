"""Column types that mean the same on SQLite and PostgreSQL, and the database's own clock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import TIMESTAMP, Dialect, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from medflow.domain.digests import instant
from medflow.errors import Reason

REASONS = {reason.value: reason for reason in Reason}
Insert = postgresql.Insert | sqlite.Insert


class Instant(TypeDecorator[datetime]):
    """A moment in UTC with microseconds: timestamptz on PostgreSQL, sortable text ending in `Z` on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take the database's own type where it has one that keeps the zone."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Write the instant; one without a time zone is refused."""
        if value is None:
            return None
        written = instant(value)
        return value.astimezone(UTC) if dialect.name == "postgresql" else written

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ANN401, ARG002
        """Read the instant back, in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class ReasonCode(TypeDecorator[Reason]):
    """Why something was turned away, by the code that is never renamed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Reason | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write the code."""
        return None if value is None else str(value.value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Reason | None:  # noqa: ARG002
        """Find the reason of a code."""
        return None if value is None else REASONS[value]


class DatabaseClock(FunctionElement[datetime]):
    """The database's own time, `seconds` ahead of now: the only clock that leases are measured by."""

    type = Instant()
    inherit_cache = False

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = float(seconds)
        super().__init__()


@compiles(DatabaseClock, "postgresql")
def _postgresql_clock(element: DatabaseClock, compiler: SQLCompiler, **_: object) -> str:  # noqa: ARG001
    return f"(clock_timestamp() + interval '{element.seconds:.6f} seconds')"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(element: DatabaseClock, compiler: SQLCompiler, **_: object) -> str:  # noqa: ARG001
    return f"(strftime('%Y-%m-%dT%H:%M:%f', 'now', '{element.seconds:+.3f} seconds') || '000Z')"


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one stands in its way; tell whether it was new."""
    statement = insert(connection, table).values(dict(row)).on_conflict_do_nothing()
    # what RETURNING gives is certain; an INSERT's row count is lost on PostgreSQL
    return connection.execute(statement.returning(*table.primary_key.columns)).first() is not None


def insert(connection: Connection, table: Table) -> Insert:
    """Start an INSERT in the connection's own dialect: both know ON CONFLICT, under two names."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
