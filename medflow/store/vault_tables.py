"""The vault's database: who is behind a pseudonym and a file key, every value sealed.

A patient's rows are sealed with the patient's data key, and the data keys with the vault key. `key_version` of a row
in `series` and `file` is 0 for that; a number is the version of the vault key that sealed the value itself, as the
first medflow did. In every other table it is the version of the vault key that the row was sealed or wrapped with.
"""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

from medflow.store.columns import Instant
from medflow.store.tables import NAMES

metadata = MetaData(naming_convention=NAMES)

data_key = Table(
    "data_key",
    metadata,
    Column("patient", Text, primary_key=True),  # "" is the house's own: for files of nobody known, aliases and links
    Column("key_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)

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
    Column("patient", Text),  # NULL where nobody knows whose it is
    Index(None, "patient"),
)

alias = Table(  # a merged patient's pseudonym -> the one that stands for the person now
    "alias",
    metadata,
    Column("old", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

link = Table(  # a patient's pseudonym of one epoch of the pseudonym key -> that of the next
    "link",
    metadata,
    Column("old", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

quarantine_copy = Table(  # the key of each encrypted copy; the copies lie in files
    "quarantine_copy",
    metadata,
    Column("file_key", Text, primary_key=True),
    Column("patient", Text, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Index(None, "patient"),
    Index(None, "expires"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key_version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
