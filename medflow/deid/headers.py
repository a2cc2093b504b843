"""The headers of a series, parsed one after the other: what one repeats of the one before it is not parsed again.

Every element is what pydicom makes of it. The first file is parsed by pydicom whole; of the next one, what stands at
the same place byte for byte is taken over, and what does not is parsed by itself. A file in which anything is unusual
(no preamble, big endian, deflated, elements out of order or cut off) is parsed by pydicom whole again.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import cast

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medflow.deid.original import CHARACTER_SET, Original
from medflow.dicom.walking import LONG_VRS, SHORT_VRS, UNDEFINED

PREFIX = 132
"""Bytes of preamble and "DICM" (PS3.10 7.1)."""
TRANSFER_SYNTAX = 0x00020010
FIRST_TAG, FIRST_OF_PIXELS, PIXEL_DATA, ITEM_GROUP = 0x00040000, 0x7FE00000, 0x7FE00010, 0xFFFE0000
SHORT, LONG, IMPLICIT, TAG = struct.Struct("<HH2sH"), struct.Struct("<I"), struct.Struct("<HHI"), struct.Struct("<HH")
BEHIND_ALL = 1 << 32


class _Unusual(Exception):
    """A file that pydicom has to parse whole."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An element as it stands in a file: all of its bytes, and what pydicom makes of them."""

    tag: int
    """The element's own, as a plain number: pydicom's tags compare slowly."""
    raw: bytes = field(repr=False)
    element: Original = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """How the files of a series are written, as the last one that pydicom parsed whole told."""

    implicit: bool
    encoding: str | list[str]
    """Python's names of the character sets; sequences are parsed under them."""
    meta: FileMetaDataset
    """Nothing but the transfer syntax."""


@dataclass(slots=True, kw_only=True)
class _Page:
    """The header that was read last, so that the next one is read by what is different in it."""

    known: list[_Known]
    elements: dict[BaseTag, Original] = field(repr=False)
    """Of `known`."""
    changing: set[int]
    """Places in `known` of the elements that differed between files so far."""
    runs: list[tuple[bytes, int, int]] = field(repr=False)
    """Bytes that are compared at once, and the places in `known` where they begin and end."""

    @classmethod
    def of(cls, known: list[_Known], changing: set[int]) -> "_Page":
        """Join what does not change into runs."""
        edges = sorted({0, len(known), *changing, *(place + 1 for place in changing)})
        runs = [(b"".join([each.raw for each in known[a:b]]), a, b) for a, b in pairwise(edges)]
        elements = {each.element.tag: each.element for each in known}
        return cls(known=known, elements=elements, changing=changing, runs=runs)

    def turn(self, changed: Mapping[int, _Known]) -> None:
        """Take over what differs in another header, by its place."""
        for place, new in changed.items():
            self.known[place] = new
            self.elements[new.element.tag] = new.element
        if changed.keys() <= self.changing:  # each of these is a run of its own
            self.runs = [
                (changed[first].raw, first, end) if first in changed else (raw, first, end)
                for raw, first, end in self.runs
            ]
        else:
            remade = _Page.of(self.known, self.changing | changed.keys())
            self.changing, self.runs = remade.changing, remade.runs


class Headers:
    """Parses the files of one series in turn."""

    def __init__(self) -> None:
        self._page: _Page | None = None
        self._spelling: _Spelling | None = None

    def dataset(self, content: bytes) -> Dataset:
        """Parse a file; nothing is converted yet, and the value of uncompressed pixels may be a view of `content`.

        Call it where pydicom is hushed. It raises what pydicom raises over a damaged file.
        """
        if self._spelling is not None and self._page is not None:
            try:
                return self._repeated(content, self._page, self._spelling)
            except _Unusual:
                self._spelling = None
        dataset = dcmread(BytesIO(content), force=True)
        with suppress(_Unusual):  # then the next one is parsed whole, too
            self._spelling, known = _learned(content, dataset)
            self._page = _Page.of(known, set())
        return dataset

    def _repeated(self, content: bytes, page: _Page, spelling: _Spelling) -> Dataset:
        """Parse a file that is written as the last one was.

        Raises:
            _Unusual: it is not.
        """
        start = _data_set(content, spelling.meta.TransferSyntaxUID)
        if _is_implicit(content, start) != spelling.implicit:
            raise _Unusual
        at = _turned(page, content, start, spelling)
        if at is None:
            known, at = _compared(page.known, content, start, spelling)
            if _character_set(known) != _character_set(page.known):
                raise _Unusual  # sequences are parsed under it
            page = self._page = _Page.of(known, set())
        elements = dict(page.elements)
        while _tag_at(content, at) != BEHIND_ALL:
            element, at = _parsed(content, at, spelling)
            elements[element.tag] = element
        dataset = Dataset(elements)
        dataset.file_meta = spelling.meta
        dataset.set_original_encoding(spelling.implicit, is_little_endian=True, character_encoding=spelling.encoding)
        return dataset


def _turned(page: _Page, content: bytes, at: int, spelling: _Spelling) -> int | None:
    """Read a header with the same tags as the last, and give the offset of its pixels; None where it has others."""
    changed: dict[int, _Known] = {}
    for raw, first, end in page.runs:
        if content.startswith(raw, at):
            at += len(raw)
            continue
        for place in range(first, end):
            old = page.known[place]
            if not content.startswith(old.raw, at):
                element, behind = _parsed(content, at, spelling)
                if element.tag != old.tag or old.tag == CHARACTER_SET:
                    return None
                changed[place] = _Known(old.tag, content[at:behind], element)
            at += len(changed[place].raw if place in changed else old.raw)
    if _tag_at(content, at) < FIRST_OF_PIXELS:
        return None
    page.turn(changed)
    return at


def _compared(before: list[_Known], content: bytes, at: int, spelling: _Spelling) -> tuple[list[_Known], int]:
    """Read a header element by element, and give the offset of its pixels."""
    known: list[_Known] = []
    for old in before:
        if content.startswith(old.raw, at):
            known.append(old)
            at += len(old.raw)
            continue
        while _tag_at(content, at) <= old.tag:
            at = _append(known, content, at, spelling)
    while _tag_at(content, at) < FIRST_OF_PIXELS:
        at = _append(known, content, at, spelling)
    return known, at


def _learned(content: bytes, dataset: Dataset) -> tuple[_Spelling, list[_Known]]:
    """Find where the elements of a file that was parsed whole stand in it."""
    implicit, little = dataset.original_encoding
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if not little or implicit is None or syntax == DeflatedExplicitVRLittleEndian:
        raise _Unusual
    at = _data_set(content, syntax)
    if implicit != _is_implicit(content, at):
        raise _Unusual
    elements = [element for tag, element in dataset.items() if tag < FIRST_OF_PIXELS]
    known = []
    for element, (start, end) in zip(elements, pairwise(_starts(content, at, elements, implicit)), strict=True):
        if _tag_at(content, start) != element.tag:
            raise _Unusual
        known.append(_Known(int(element.tag), content[start:end], element))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    encoding = cast("str | list[str]", dataset.original_character_set)
    return _Spelling(implicit=implicit, encoding=encoding, meta=meta), known


def _starts(content: bytes, first: int, elements: Iterable[Original], implicit: bool) -> Iterator[int]:  # noqa: FBT001
    """Give the offset of each element, and behind the last one; a sequence of undefined length begins where it must."""
    at, last = first, FIRST_TAG - 1
    for element in elements:
        if element.tag <= last:
            raise _Unusual
        yield at
        last = int(element.tag)
        if isinstance(element, RawDataElement) and element.length != UNDEFINED:
            long = not implicit and str(element.VR).encode("ascii", "replace") in LONG_VRS
            if element.value_tell != at + (12 if long else 8):
                raise _Unusual
            at = element.value_tell + element.length
        else:
            stream = BytesIO(content)
            stream.seek(at)
            next(data_element_generator(stream, implicit, is_little_endian=True))
            at = stream.tell()
    yield at


def _append(known: list[_Known], content: bytes, at: int, spelling: _Spelling) -> int:
    """Parse the element at `at` and give the offset behind it; it must come behind those that are known already."""
    element, end = _parsed(content, at, spelling)
    tag = int(element.tag)
    if tag < FIRST_TAG or (known and tag <= known[-1].tag):
        raise _Unusual
    known.append(_Known(tag, content[at:end], element))
    return end


def _parsed(content: bytes, at: int, spelling: _Spelling) -> tuple[Original, int]:
    """Parse one element, and give the offset behind it."""
    tag, vr, length, start = _head(content, at, implicit=spelling.implicit)
    if length == UNDEFINED:
        stream = BytesIO(content)
        stream.seek(at)
        generator = data_element_generator(stream, spelling.implicit, is_little_endian=True, encoding=spelling.encoding)
        for element in generator:
            return element, stream.tell()
        raise _Unusual
    end = start + length
    if end > len(content) or tag >= ITEM_GROUP:
        raise _Unusual
    if tag == PIXEL_DATA:
        value = cast("bytes", memoryview(content)[start:end])  # as long as the image; nobody needs a copy
    else:
        value = content[start:end] if length else cast("bytes", empty_value_for_VR(vr, raw=True))
    return RawDataElement(BaseTag(tag), vr, length, value, start, spelling.implicit, is_little_endian=True), end


def _head(content: bytes, at: int, *, implicit: bool) -> tuple[int, str | None, int, int]:
    """Read tag, VR and length of an element, and where its value begins (PS3.5 7.1.2, 7.1.3)."""
    if len(content) < at + 12:
        raise _Unusual
    if implicit:
        group, number, length = IMPLICIT.unpack_from(content, at)
        return group << 16 | number, None, length, at + 8
    group, number, vr, length = SHORT.unpack_from(content, at)
    if vr in LONG_VRS:
        return group << 16 | number, vr.decode("ascii"), LONG.unpack_from(content, at + 8)[0], at + 12
    if vr not in SHORT_VRS:
        raise _Unusual
    return group << 16 | number, vr.decode("ascii"), length, at + 8


def _data_set(content: bytes, syntax: str) -> int:
    """Give the offset of the data set, in a file whose meta information (PS3.10 7.1) names this transfer syntax."""
    if content[128:PREFIX] != b"DICM":
        raise _Unusual
    at, found = PREFIX, b""
    while content[at : at + 2] == b"\2\0":
        tag, _, length, start = _head(content, at, implicit=False)
        at = start + length
        if tag == TRANSFER_SYNTAX:
            found = content[start:at].strip(b" \0")
    if not syntax or found != syntax.encode("ascii", "replace"):
        raise _Unusual
    return at


def _is_implicit(content: bytes, at: int) -> bool:
    """Say whether the first element names no VR, by two capital letters as pydicom looks for them."""
    return not all(0x40 < letter < 0x5B for letter in content[at + 4 : at + 6])  # noqa: PLR2004  (A-Z)


def _tag_at(content: bytes, at: int) -> int:
    """Read the tag at `at`; fewer bytes than the shortest element has are the end, as for pydicom."""
    if len(content) < at + 8:
        return BEHIND_ALL
    group, number = TAG.unpack_from(content, at)
    return int(group) << 16 | int(number)


def _character_set(known: list[_Known]) -> bytes:
    return next((each.raw for each in known if each.tag == CHARACTER_SET), b"")
