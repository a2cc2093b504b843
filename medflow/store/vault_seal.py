"""Seals: AES-256-GCM over one value, bound to the one place that it may be opened in."""

import json
import os
from collections.abc import Iterable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from medflow.domain.digests import canonical
from medflow.errors import IntegrityError

KEY_BYTES = 32
NONCE_BYTES = 12


def new_data_key() -> bytes:
    """Draw a key for the rows of one patient, or for one copy of a file."""
    return os.urandom(KEY_BYTES)


def wrapped(key: bytes, inner: bytes, *, table: str, place: Iterable[str], version: int) -> bytes:
    """Seal bytes, such as another key, for the row of `table` whose primary key is `place`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, inner, _cell(table, place, version))


def unwrapped(key: bytes, sealed: bytes, *, table: str, place: Iterable[str], version: int) -> bytes:
    """Open what `wrapped` sealed.

    Raises:
        IntegrityError: the key is another one, or the value was changed or moved.
    """
    nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, text, _cell(table, place, version))
    except (InvalidTag, ValueError):
        raise IntegrityError(f"a row of the vault's table {table} was changed or moved") from None


def sealed_value(key: bytes, value: Any, *, table: str, place: Iterable[str], version: int) -> bytes:  # noqa: ANN401
    """Seal a JSON value."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii")
    return wrapped(key, text, table=table, place=place, version=version)


def opened_value(key: bytes, sealed: bytes, *, table: str, place: Iterable[str], version: int) -> Any:  # noqa: ANN401
    """Open what `sealed_value` sealed.

    Raises:
        IntegrityError: the key is another one, or the value was changed or moved.
    """
    return json.loads(unwrapped(key, sealed, table=table, place=place, version=version))


def _cell(table: str, place: Iterable[str], version: int) -> bytes:
    """Name the cell that a value is sealed for, so that it opens in no other."""
    return canonical(["medflow/vault", table, "sealed", list(place), version]).encode("ascii")
