"""Siemens' CSA header: named values in a private element, in two layouts (no public specification; as observed)."""

import struct
from collections.abc import Mapping

from medflow.errors import Reason, SeriesError

MAGIC = b"SV10\4\3\2\1"
"""How the second layout begins (syngo VB and later); the first has no mark."""
CHECKS = frozenset({77, 205})
"""What stands behind the number of tags in either layout."""
MOST_TAGS, MOST_ITEMS = 1000, 10_000
_TAG = struct.Struct("<64si4siii")
"""name, multiplicity, value representation, type, number of items, check number"""
_ITEM = struct.Struct("<4i")


def is_csa(data: bytes) -> bool:
    """Tell by its first bytes whether `data` is a CSA header."""
    return data.startswith(MAGIC) or (len(data) > 8 and int.from_bytes(data[4:8], "little") in CHECKS)  # noqa: PLR2004


def read_csa(data: bytes) -> Mapping[str, tuple[str, ...]]:
    """Read the values of each name; an item without text is left out.

    Raises:
        SeriesError: this is no CSA header, or it breaks off.
    """
    if not is_csa(data):
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "CSA header of another kind")
    try:
        return _values(data, second=data.startswith(MAGIC))
    except struct.error:
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "CSA header breaks off") from None


def _values(data: bytes, *, second: bool) -> dict[str, tuple[str, ...]]:
    start = len(MAGIC) if second else 0
    count, _ = struct.unpack_from("<II", data, start)
    offset = start + 8
    surplus: int | None = None if not second else 0
    values: dict[str, tuple[str, ...]] = {}
    for _ in range(min(count, MOST_TAGS)):
        name, _, _, _, items, _ = _TAG.unpack_from(data, offset)
        offset += _TAG.size
        if surplus is None:
            surplus = items  # in the first layout every length is too large by the first tag's number of items
        texts = []
        for _ in range(min(max(items, 0), MOST_ITEMS)):
            first, length, _, _ = _ITEM.unpack_from(data, offset)
            offset += _ITEM.size
            if not second:
                length = max(first - surplus, 0)
            if not 0 <= length <= len(data) - offset:
                raise struct.error
            text = _text(data[offset : offset + length])
            if text:
                texts.append(text)
            offset += length + -length % 4
        values[_text(name)] = tuple(texts)
    return values


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("latin-1").strip()
