"""The vault's database: who is behind a pseudonym and a file key, every value sealed."""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

from medflow.store.tables import NAMES

metadata = MetaData(naming_convention=NAMES)

series = Table(
    "series",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("source_digest", Text, primary_key=True),
    Column("study", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index(None, "patient"),
    Index(None, "study"),
)

file = Table(
    "file",
    metadata,
    Column("file_key", Text, primary_key=True),
    Column("key_version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key_version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
