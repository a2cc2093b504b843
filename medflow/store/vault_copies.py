"""The keys of the quarantine's encrypted copies: a copy lives as long as its key lies here."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, select

from medflow.domain.safe import Pseudonym
from medflow.errors import StateError
from medflow.store import vault_tables as tables
from medflow.store.columns import insert_new
from medflow.store.runs import batches
from medflow.store.vault import Vault
from medflow.store.vault_room import HOUSE
from medflow.store.vault_seal import new_data_key

COPY = tables.quarantine_copy


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyKey:
    """What opens one copy, and until when."""

    file_key: str
    key: bytes = field(repr=False)
    expires: datetime


def new_copy_key(vault: Vault, file_key: str, *, patient: Pseudonym | None, expires: datetime) -> CopyKey | None:
    """Draw a key for the copy of a file; None where a copy is kept already."""
    key = new_data_key()
    with vault.writing() as connection:
        row = {"file_key": file_key, "patient": patient or HOUSE, "expires": expires}
        new = insert_new(connection, COPY, {**row, **vault.wrapped(COPY.name, [file_key], key)})
    return CopyKey(file_key=file_key, key=key, expires=expires) if new else None


def copy_key(vault: Vault, file_key: str) -> CopyKey:
    """Find what opens a copy.

    Raises:
        StateError: no copy of the file is kept.
    """
    with vault.reading() as connection:
        row = connection.execute(select(COPY).where(COPY.c.file_key == file_key)).first()
    if row is None:
        raise StateError(f"no copy of file {file_key[:12]} is kept")
    return CopyKey(file_key=file_key, key=vault.unwrapped(COPY.name, [file_key], row), expires=row.expires)


def expired_copies(vault: Vault, now: datetime) -> tuple[str, ...]:
    """Name the copies whose time has come."""
    with vault.reading() as connection:
        return tuple(connection.scalars(select(COPY.c.file_key).where(COPY.c.expires <= now).order_by(COPY.c.file_key)))


def kept_copies(vault: Vault) -> frozenset[str]:
    """Name every copy that has a key."""
    with vault.reading() as connection:
        return frozenset(connection.scalars(select(COPY.c.file_key)))


def forget_copies(vault: Vault, file_keys: Collection[str]) -> int:
    """Destroy the keys of copies, and say how many there were."""
    gone = 0
    with vault.writing() as connection:
        for some in batches(file_keys):
            gone += len(
                connection.execute(delete(COPY).where(COPY.c.file_key.in_(some)).returning(COPY.c.file_key)).all()
            )
    return gone
