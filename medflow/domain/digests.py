"""Names made of content: one canonical form, one digest, and the ids that follow from natural keys."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

RULE = 1
"""Number of the digest rule; a changed rule takes a new number, so old digests keep their meaning."""


def canonical(value: Any) -> str:  # noqa: ANN401  (any JSON value, checked below)
    r"""Write `value` as JSON in exactly one way: sorted keys, no spaces, ASCII, text in NFC, bytes as hex.

    Floats are refused because their text differs between writers: pass `float.hex()`. Instants are written in
    UTC with microseconds and `Z`.

    >>> canonical({"b": [1, None], "a": b"\x01"})
    '{"a":"01","b":[1,null]}'

    Raises:
        TypeError: a float, or a type that has no canonical form.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(label: str, value: Any) -> str:  # noqa: ANN401
    """Name `value` by 64 hex digits of SHA-256 over `medflow/<label>/<rule>`, a newline and its canonical form."""
    return hashlib.sha256(f"medflow/{label}/{RULE}\n{canonical(value)}".encode("ascii")).hexdigest()


def natural_id(prefix: str, table: str, key: Any) -> str:  # noqa: ANN401
    """Turn a row's natural key into its id: `prefix` and 32 hex digits of the digest of (table, key).

    >>> natural_id("prd_", "prediction", ["a", 0])[:4]
    'prd_'
    """
    return prefix + digest("id", [table, key])[:32]


def instant(at: datetime) -> str:
    """Write an aware instant in UTC with microseconds and `Z`.

    >>> instant(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    '2026-01-02T03:04:05.000006Z'
    """
    if at.tzinfo is None:
        raise TypeError("an instant needs a time zone")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Any) -> Any:  # noqa: ANN401
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"no canonical form for {type(value).__name__}; write a float as float.hex()")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("keys of a canonical object are text")
    return unicodedata.normalize("NFC", key)
