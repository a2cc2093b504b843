"""From bytes to a header: elements are read once, no further than the pixels.

A reader of our own, because it must tell a header that ends from one that breaks off, must raise nothing but
`SeriesError`, and must never print a value. PS3.5 chapter 7 and annex A say how data sets are written.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from medflow.dicom.header import Header, PixelElement, damaged
from medflow.dicom.tags import PRIVATE_GROUPS, TILES, WANTED, Tag

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a length of 32 bits (PS3.5 7.1.2)."""
OTHER_VRS = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"})
SHORT_VRS = OTHER_VRS | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
TEXTS = frozenset({b"AE", b"CS", b"DS", b"IS", b"LO", b"LT", b"SH", b"ST", b"UC", b"UN", b"UT"})
"""Value representations under which other readers see a number that is spelled in digits."""
NUMBERS = frozenset(
    {
        Tag.ImagePositionPatient,
        Tag.ImageOrientationPatient,
        Tag.PixelSpacing,
        Tag.NumberOfFrames,
        Tag.RescaleSlope,
        Tag.RescaleIntercept,
    }
)
"""What decides a voxel's place and value; under another value representation these bytes are other numbers."""
CHUNK = 16 * 1024
LONGEST = 64 * 1024 * 1024
"""Bytes of the longest value that is kept."""
SHORT_VALUE = 1024
DEEPEST = 24


class Window:
    """A file seen through a buffer that moves along; asking beyond its end gives fewer bytes."""

    __slots__ = ("base", "data", "size", "stream")

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream, self.size = stream, size
        self.base, self.data = 0, b""

    def bytes(self, offset: int, length: int) -> bytes:
        """Read `length` bytes at `offset`."""
        start = offset - self.base
        if start < 0 or start + length > len(self.data):
            self.stream.seek(offset)
            self.data, self.base, start = self.stream.read(max(length, CHUNK)), offset, 0
        return self.data[start : start + length]


@dataclass(frozen=True, slots=True)
class Coding:
    """How a data set is written: whether it names its value representations, and its byte order for `struct`."""

    explicit: bool
    order: str = "<"


def read_meta(window: Window, offset: int) -> tuple[Header, int]:
    """Read the file meta information (PS3.10 7.1), always explicit little endian; its group length is not trusted."""
    walker = _Walker(window, "<")
    elements: dict[int, bytes | list[Header]] = {}
    while window.bytes(offset, 2) == b"\x02\0":
        tag, _, length, at = walker.element(offset, explicit=True)
        if length == UNDEFINED or at + length > window.size:
            raise damaged("file meta information")
        if tag in WANTED:
            elements[tag] = window.bytes(at, length)
        offset = at + length
    return Header(elements), offset


def read_header(window: Window, offset: int, coding: Coding) -> Header:
    """Read the wanted elements of the data set at `offset`, up to the pixels or the end of the file.

    Raises:
        SeriesError: the header breaks off, or is not a data set.
    """
    return _Walker(window, coding.order).top(offset, explicit=coding.explicit)


class _Walker:
    """Walks through elements, keeps what is wanted, and passes over the rest by its length."""

    def __init__(self, window: Window, order: str) -> None:
        self.window, self.order = window, order
        self.short = struct.Struct(order + "HH2sH").unpack_from
        self.long = struct.Struct(order + "I").unpack_from
        self.implicit = struct.Struct(order + "HHI").unpack_from

    def top(self, offset: int, *, explicit: bool) -> Header:
        """Read a data set up to its pixels."""
        elements: dict[int, bytes | list[Header]] = {}
        explicit = self._spelled(offset, explicit=explicit, nested=False)
        size, pixels = self.window.size, None
        while offset < size:
            if explicit:
                offset = self._behind_unwanted(offset)
            tag, vr, length, at = self.element(offset, explicit=explicit)
            if 0x7FE00008 <= tag <= 0x7FE00010:  # noqa: PLR2004  (float, double and integer pixel data)
                pixels = PixelElement(tag, vr.decode("ascii", "replace"), length, at)
                break
            if tag >> 16 == 0 or tag >> 16 == 0xFFFE:  # noqa: PLR2004
                raise damaged("element outside a data set")
            keep = tag in WANTED or _private(tag, length, elements)
            offset = self._value(elements, (tag, vr, length, at), explicit=explicit, keep=keep, depth=0)
        return Header(elements, self.order, pixels)

    def _behind_unwanted(self, offset: int) -> int:
        """Pass over short elements that nobody wants, which most are, as far as the buffer and the file reach."""
        data, base = self.window.data, self.window.base
        at, last = offset - base, len(data) - 12
        while 0 <= at <= last:
            group, number, vr, length = self.short(data, at)
            behind = at + 8 + length
            wanted = (group << 16 | number) in WANTED or group in PRIVATE_GROUPS
            if vr not in SHORT_VRS or wanted or not 0 < group < 0x7FE0 or base + behind >= self.window.size:  # noqa: PLR2004
                break
            at = behind
        return base + at

    def element(self, offset: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
        """Read the head of an element: tag, value representation (empty if not written), length, where its value is."""
        head = self.window.bytes(offset, 12)
        if len(head) < 8:  # noqa: PLR2004
            raise damaged("breaks off")
        group, number, vr, length = self.short(head)
        if not explicit or group == 0xFFFE:  # noqa: PLR2004
            _, _, length = self.implicit(head)
            return group << 16 | number, b"", length, offset + 8
        if vr not in LONG_VRS:
            return group << 16 | number, vr, length, offset + 8
        if len(head) < 12:  # noqa: PLR2004
            raise damaged("breaks off")
        return group << 16 | number, vr, self.long(head, 8)[0], offset + 12

    def _value(
        self,
        elements: dict[int, bytes | list[Header]],
        head: tuple[int, bytes, int, int],
        *,
        explicit: bool,
        keep: bool,
        depth: int,
    ) -> int:
        """Keep or pass over one value; give the offset behind it."""
        tag, vr, length, at = head
        if length == UNDEFINED:
            if vr in {b"OB", b"OW"} or tag == 0x7FE00010:  # noqa: PLR2004
                return self._fragments(at)
            items, end = self._items(at, None, explicit=explicit and vr != b"UN", keep=keep, depth=depth)
            if keep:
                elements[tag] = items
            return end
        end = at + length
        if end > self.window.size:
            raise damaged("breaks off")
        if keep and (vr == b"SQ" or (vr in {b"", b"UN"} and self._is_sequence(tag, at, length))):
            elements[tag] = self._items(at, end, explicit=explicit and vr == b"SQ", keep=True, depth=depth)[0]
        elif keep:
            elements[tag] = self._kept(tag, vr, length, at)
        return end

    def _kept(self, tag: int, vr: bytes, length: int, at: int) -> bytes:
        if vr and vr not in TEXTS and tag in NUMBERS:
            raise damaged(Tag(tag).name)
        if length > LONGEST:
            raise damaged("a value is too long")
        return self.window.bytes(at, length)

    def _items(
        self, offset: int, end: int | None, *, explicit: bool, keep: bool, depth: int
    ) -> tuple[list[Header], int]:
        """Read the items of a sequence up to `end`, or up to its delimiter where its length is undefined."""
        if depth > DEEPEST:
            raise damaged("sequences too deep")
        items: list[Header] = []
        while end is None or offset < end:
            tag, length, offset = self._item(offset)
            if tag == SEQUENCE_END:
                return items, offset
            stop = None if length == UNDEFINED else offset + length
            if stop is not None and stop > (self.window.size if end is None else end):
                raise damaged("an item breaks off")
            if keep or stop is None:
                item, offset = self._dataset(offset, stop, explicit=explicit, keep=keep, depth=depth + 1)
                items.append(item)
            else:
                offset = stop
        return items, offset

    def _item(self, offset: int) -> tuple[int, int, int]:
        head = self.window.bytes(offset, 8)
        if len(head) < 8:  # noqa: PLR2004
            raise damaged("a sequence breaks off")
        group, number, length = self.implicit(head)
        tag = group << 16 | number
        if tag not in {ITEM, SEQUENCE_END}:
            raise damaged("a sequence without items")
        return tag, length, offset + 8

    def _dataset(self, offset: int, end: int | None, *, explicit: bool, keep: bool, depth: int) -> tuple[Header, int]:
        """Read an item up to `end` or to its delimiter; everything standard in it is kept if `keep`."""
        elements: dict[int, bytes | list[Header]] = {}
        explicit = self._spelled(offset, explicit=explicit, nested=True)
        while end is None or offset < end:
            head = self.element(offset, explicit=explicit)
            tag, at = head[0], head[3]
            if tag == ITEM_END:
                offset = at
                break
            offset = self._value(elements, head, explicit=explicit, keep=keep and not tag & 0x10000, depth=depth)
        if end is not None and offset != end:
            raise damaged("an item has another length than it says")
        return Header(elements, self.order), offset

    def _fragments(self, offset: int) -> int:
        """Pass over an encapsulated value, whose items are no data sets (an icon's pixels)."""
        while True:
            tag, length, offset = self._item(offset)
            if tag == SEQUENCE_END:
                return offset
            offset += length
            if offset > self.window.size:
                raise damaged("fragments break off")

    def _spelled(self, offset: int, *, explicit: bool, nested: bool) -> bool:
        """Look at the first element: some writers spell a data set other than they declare."""
        head = self.window.bytes(offset, 6)
        vr = head[4:6]
        if head[:2] in {b"\xfe\xff", b"\xff\xfe"} or len(vr) < 2:  # noqa: PLR2004
            return explicit
        if explicit:
            return all(0x40 < letter < 0x5B for letter in vr)  # noqa: PLR2004  (A-Z)
        return not nested and vr in LONG_VRS | SHORT_VRS

    def _is_sequence(self, tag: int, at: int, length: int) -> bool:
        """Tell a sequence of defined length that names no VR by its first item; empty ones are of no interest."""
        return length >= 8 and tag != 0x7FE00010 and self._first_tag(at) == ITEM  # noqa: PLR2004

    def _first_tag(self, at: int) -> int:
        group, number, _ = self.implicit(self.window.bytes(at, 8))
        return int(group) << 16 | int(number)


def _private(tag: int, length: int, elements: Mapping[int, bytes | list[Header]]) -> bool:
    """Tell whether a private value is kept: short ones of the groups we know, and where a picture's tiles stand."""
    group = tag >> 16
    if group not in PRIVATE_GROUPS:
        return False
    image_type = elements.get(Tag.ImageType)
    mark = TILES.get(group)
    return length <= SHORT_VALUE or (mark is not None and isinstance(image_type, bytes) and mark in image_type)
