"""The shapes that others rely on, drawn from the code: golden DDL of both databases, and the reasons."""

import json

from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from medflow.domain.audit import START
from medflow.errors import Reason
from medflow.store import tables, vault_tables
from medflow.store.triggers import triggers
from medflow.store.views import VIEWS

DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}
HEAD_ROW = f"INSERT INTO audit_head (id, seq, hash, signature) VALUES (1, 0, '{START}', '')"  # noqa: S608
"""The one row that a new main database holds."""


def statements(metadata: MetaData, dialect: str) -> tuple[str, ...]:
    """Spell what makes a database of this shape on "sqlite" or "postgresql", in an order that works."""
    spoken = DIALECTS[dialect]()
    made = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=spoken)).strip().replace("\t", "    ").replace(" \n", "\n"))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=spoken)) for index in indexes]
    if metadata is tables.metadata:
        made += [*triggers(dialect, tables.APPEND_ONLY), *VIEWS.values(), HEAD_ROW]
    return tuple(made)


def golden() -> dict[str, str]:
    """Draw every generated file of `schemas/`, by name."""
    drawn = {}
    for name, metadata in (("database", tables.metadata), ("vault", vault_tables.metadata)):
        for dialect in DIALECTS:
            drawn[f"{name}.{dialect}.sql"] = "".join(f"{line};\n\n" for line in statements(metadata, dialect))[:-1]
    drawn["reasons.json"] = json.dumps({reason.value: reason.sentence for reason in Reason}, indent=2) + "\n"
    return drawn
