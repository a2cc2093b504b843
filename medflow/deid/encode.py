"""Cleaned elements as bytes: little endian, sequences and items of defined length (PS3.5 chapter 7)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
BLANK_PADDED = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """One element that may stay: its value in little endian bytes, or the items of a sequence."""

    tag: int
    vr: str
    value: "bytes | tuple[Items, ...]"


Items: TypeAlias = tuple[Clean, ...]


def text_element(tag: int, vr: str, *values: str) -> Clean:
    """Make an element of ASCII texts."""
    return Clean(tag=tag, vr=vr, value="\\".join(values).encode("ascii"))


def encoded(elements: Iterable[Clean], *, implicit: bool) -> bytes:
    """Write elements, sorted by tag, in implicit or explicit VR little endian."""
    return b"".join(encoded_element(element, implicit=implicit) for element in sorted(elements, key=_tag))


def encoded_element(element: Clean, *, implicit: bool) -> bytes:
    """Write one element."""
    if isinstance(element.value, bytes):
        value = padded(element.vr, element.value)
    else:
        value = b"".join(_item(item, implicit=implicit) for item in element.value)
    return header(element.tag, element.vr, len(value), implicit=implicit) + value


def header(tag: int, vr: str, length: int, *, implicit: bool) -> bytes:
    """Write tag, VR and length of an element (PS3.5 7.1.2, 7.1.3)."""
    group, number = tag >> 16, tag & 0xFFFF
    if implicit:
        return struct.pack("<HHI", group, number, length)
    if vr in LONG_VRS:
        return struct.pack("<HH2sHI", group, number, vr.encode("ascii"), 0, length)
    return struct.pack("<HH2sH", group, number, vr.encode("ascii"), length)


def padded(vr: str, value: bytes) -> bytes:
    """Pad a value to even length: text with a blank, all else with a zero byte."""
    if len(value) % 2 == 0:
        return value
    return value + (b" " if vr in BLANK_PADDED else b"\0")


def _item(item: Items, *, implicit: bool) -> bytes:
    content = encoded(item, implicit=implicit)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _tag(element: Clean) -> int:
    return element.tag
