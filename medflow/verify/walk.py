"""The bytes of a DICOM file by element: a walk of its own that loses no byte, however the file is damaged."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

Path = tuple[int, ...]
Piece = tuple[Path, bytes, int, int]
"""Tags from the outermost sequence to the element, VR (empty where none is told), first byte, byte after the last."""

UNDEFINED = 0xFFFFFFFF
ITEM, SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
ITEMS = frozenset({b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"})
ITEM_ENDS = frozenset({b"\xfe\xff\x0d\xe0", b"\xff\xfe\xe0\x0d"})
"""Tags of an item and of its end, in either byte order."""
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs whose length takes four bytes (PS3.5 7.1.2)."""
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
DEFLATED = b"1.2.840.10008.1.2.1.99"
BIG_ENDIAN = b"1.2.840.10008.1.2.2"
TRANSFER_SYNTAX = (0x00020010,)
FRAGMENTS, BEFORE, BEHIND = b"frg", b"pre", b"end"
"""Instead of a VR, of pieces that have none: fragments of pixels, the preamble, what no element explains."""
PREAMBLE, MAGIC = 128, b"DICM"
OVERLAP = 64
"""Bytes before the place where elements end that are read again: a value may lie across it."""
DEEPEST = 64
"""Sequences within sequences that are followed; what lies deeper is looked at as bytes."""
MOST = 1 << 30
"""Bytes that a deflated data set may unfold to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes that belong together, and their pieces: the file as it lies, or what its data set inflates to."""

    content: bytes = field(repr=False)
    pieces: tuple[Piece, ...] = field(repr=False)
    where: str = ""
    """Said before the tags of its pieces: "inflated"."""


class _Shape:
    """How the elements of a data set are written."""

    __slots__ = ("explicit", "long", "short")

    def __init__(self, *, explicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self.explicit = explicit
        self.short = struct.Struct(f"{order}HH2sH" if explicit else f"{order}HHI").unpack_from
        self.long = struct.Struct(f"{order}I").unpack_from


EXPLICIT = _Shape(explicit=True, big=False)
IMPLICIT_LITTLE = _Shape(explicit=False, big=False)
EXPLICIT_BIG = _Shape(explicit=True, big=True)


def parts_of(content: bytes) -> Iterator[Part]:
    """Take a DICOM file apart: every byte of the file is in a piece or in an element's own header.

    A deflated data set is a second part.
    """
    walk = _Walk(content)
    start, syntax = walk.meta() if content[PREAMBLE : PREAMBLE + 4] == MAGIC else (0, b"")
    if syntax == DEFLATED:
        inflated, used = _inflated(content[start:])
        walk.pieces.append(((), BEHIND, start + used, len(content)))
        yield Part(content=content, pieces=tuple(walk.pieces))
        inner = _Walk(inflated)
        inner.data_set(0, EXPLICIT)
        yield Part(content=inflated, pieces=tuple(inner.pieces), where="inflated")
        return
    walk.data_set(start, _shape(content, start, syntax))
    yield Part(content=content, pieces=tuple(walk.pieces))


def _shape(content: bytes, start: int, syntax: bytes) -> _Shape:
    """Choose how to read a data set: by the file meta, unless the first element shows that it lies."""
    if syntax == BIG_ENDIAN:
        return EXPLICIT_BIG
    return EXPLICIT if _is_vr(content[start + 4 : start + 6]) else IMPLICIT_LITTLE


def _is_vr(two: bytes) -> bool:
    return two.isalpha() and two.isupper()


def _inflated(content: bytes) -> tuple[bytes, int]:
    """Inflate what can be inflated; say how many bytes it took."""
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(content, MOST)
    except zlib.error:
        return b"", 0
    return found, len(content) - len(inflater.unused_data) - len(inflater.unconsumed_tail)


class _Walk:
    """Goes through one run of bytes and collects its pieces."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.pieces: list[Piece] = []

    def meta(self) -> tuple[int, bytes]:
        """Walk the preamble and the file meta group; say where the data set begins, and its transfer syntax."""
        self.pieces.append(((), BEFORE, 0, PREAMBLE))
        at, end, syntax = PREAMBLE + 4, len(self.content), b""
        while at + 8 <= end and self.content[at : at + 2] == b"\2\0" and _is_vr(self.content[at + 4 : at + 6]):
            following = self._element((), at, end, EXPLICIT, 0)
            if following == at:
                break
            at = following
            path, _, first, last = self.pieces[-1]
            if path == TRANSFER_SYNTAX:
                syntax = self.content[first:last].rstrip(b"\0 ")
        return at, syntax

    def data_set(self, start: int, shape: _Shape) -> None:
        """Walk a data set to the end of the bytes."""
        end = len(self.content)
        at = self.elements((), start, end, shape, 0)
        if at < end:
            self.pieces.append(((), BEHIND, max(at - OVERLAP, 0), end))

    def elements(self, path: Path, start: int, end: int, shape: _Shape, depth: int) -> int:
        """Walk elements until an item ends, or something is no element; say where."""
        at = start
        while at + 8 <= end:
            if self.content[at : at + 4] in ITEM_ENDS:
                return at
            following = self._element(path, at, end, shape, depth)
            if following == at:
                return at
            at = following
        return at

    def _element(self, path: Path, at: int, end: int, shape: _Shape, depth: int) -> int:
        """Walk one element and say where the next one begins; where `at` holds no element, say `at`."""
        if shape.explicit:
            group, number, vr, length = shape.short(self.content, at)
            at_value = at + 8
            if vr in LONG:
                if at + 12 > end:
                    return at
                (length,) = shape.long(self.content, at + 8)
                at_value = at + 12
            elif not _is_vr(vr):
                return at
        else:
            group, number, length = shape.short(self.content, at)
            vr, at_value = b"", at + 8
        here = (*path, group << 16 | number)
        if length != UNDEFINED and at_value + length > end:
            return at  # no element: the rest is looked at as bytes
        return self._value(here, vr, at_value, length, end, shape, depth)

    def _value(  # noqa: PLR0913, PLR0917  (called for every element of every file)
        self, here: Path, vr: bytes, at: int, length: int, end: int, shape: _Shape, depth: int
    ) -> int:
        """Note a value, or walk the items that it is made of; say where it ends."""
        if length != UNDEFINED:
            last = at + length
            nests = vr == b"SQ" or (vr in {b"", b"UN"} and self._item_at(at, last))
            if nests and here[-1] not in PIXELS and depth < DEEPEST:
                # a sequence under UN is implicit VR little endian, whatever the file is (PS3.5 6.2.2)
                self._items(here, at, last, IMPLICIT_LITTLE if vr == b"UN" else shape, depth)
            else:
                self.pieces.append((here, vr, at, last))
            return last
        if here[-1] in PIXELS:
            return self._fragments(here, at, end)
        if depth >= DEEPEST:
            self.pieces.append((here, vr, at, end))
            return end
        return self._items(here, at, end, IMPLICIT_LITTLE if vr == b"UN" else shape, depth)

    def _item_at(self, at: int, end: int) -> bool:
        return end - at >= 8 and self.content[at : at + 4] in ITEMS  # noqa: PLR2004

    def _items(self, here: Path, start: int, end: int, shape: _Shape, depth: int) -> int:
        """Walk the items of a sequence; what stands where an item should is looked at as bytes."""
        at, tag = start, 0
        while at + 8 <= end:
            group, number, length = self._mark(at)
            tag = group << 16 | number
            if tag == SEQUENCE_END:
                return at + 8
            if tag != ITEM:
                break
            last = end if length == UNDEFINED else min(at + 8 + length, end)
            at = self.elements(here, at + 8, last, shape, depth + 1)
            if length == UNDEFINED and self.content[at : at + 4] in ITEM_ENDS:
                at += 8
            elif at < last:
                self.pieces.append((here, b"UN", at, last))
                at = last
        if at < end:
            self.pieces.append((here, b"UN", at, end))
        return end

    def _mark(self, at: int) -> tuple[int, int, int]:
        group, number, length = struct.unpack_from("<HHI", self.content, at)
        if group == 0xFEFF:  # noqa: PLR2004  (an item of a big endian sequence)
            group, number, length = struct.unpack_from(">HHI", self.content, at)
        return group, number, length

    def _fragments(self, here: Path, start: int, end: int) -> int:
        """Note the fragments of encapsulated pixels (PS3.5 A.4); the marks between them belong to them."""
        at = start
        while at + 8 <= end:
            group, number, length = self._mark(at)
            if group << 16 | number == SEQUENCE_END:
                at += 8
                break
            if group << 16 | number != ITEM or at + 8 + length > end:
                break
            at += 8 + length
        self.pieces.append((here, FRAGMENTS, start, at))
        return at
