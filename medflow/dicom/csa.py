"""Siemens' CSA header: named values in a private element, laid out as `SV10` (no public specification; as observed)."""

import struct
from collections.abc import Mapping

from medflow.errors import Reason, SeriesError

MAGIC = b"SV10\4\3\2\1"
MOST_TAGS, MOST_ITEMS = 1000, 10_000
_TAG = struct.Struct("<64si4siii")
"""name, multiplicity, value representation, type, number of items, check number"""
_ITEM = struct.Struct("<4i")


def read_csa(data: bytes) -> Mapping[str, tuple[str, ...]]:
    """Read the values of each name; an item without text is left out.

    Raises:
        SeriesError: this is no CSA header, or it breaks off.
    """
    if not data.startswith(MAGIC):
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "CSA header of another kind")
    try:
        return _values(data)
    except struct.error:
        raise SeriesError(Reason.IMPOSSIBLE_GEOMETRY, "CSA header breaks off") from None


def _values(data: bytes) -> dict[str, tuple[str, ...]]:
    count, _ = struct.unpack_from("<II", data, len(MAGIC))
    offset = len(MAGIC) + 8
    values: dict[str, tuple[str, ...]] = {}
    for _ in range(min(count, MOST_TAGS)):
        name, _, _, _, items, _ = _TAG.unpack_from(data, offset)
        offset += _TAG.size
        texts = []
        for _ in range(min(max(items, 0), MOST_ITEMS)):
            _, length, _, _ = _ITEM.unpack_from(data, offset)
            offset += _ITEM.size
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
