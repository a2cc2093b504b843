"""The items of encapsulated pixel data, and which of them make up each frame (PS3.5 A.4)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from medflow.dicom.walking import ITEM, SEQUENCE_END, Window
from medflow.errors import Reason, SeriesError

STARTS = (
    b"\xff\xd8\xff",  # JPEG and JPEG-LS: SOI and another marker
    b"\xff\x4f\xff\x51",  # JPEG 2000: SOC, SIZ
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000 in a file of its own, JP2
)
"""How a codestream begins; RLE is never cut into several fragments (PS3.5 A.4.2)."""

Fragment = tuple[int, int]
"""Offset and length of an item's value."""


def fragments(window: Window, offset: int, *, delimited: bool = True) -> list[Fragment]:
    """List the items of encapsulated pixel data; the first is the Basic Offset Table.

    Raises:
        SeriesError: they break off, or something else stands between them.
    """
    found: list[Fragment] = []
    while offset < window.size:
        head = window.bytes(offset, 8)
        if len(head) < 8:  # noqa: PLR2004
            break
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        size = int.from_bytes(head[4:], "little")
        if tag == SEQUENCE_END:
            return found
        if tag != ITEM or offset + 8 + size > window.size:
            break
        found.append((offset + 8, size))
        offset += 8 + size
    if delimited or offset != window.size:
        raise _broken("breaks off")
    return found


def check_fragments(found: Sequence[Fragment], frames: int, *, whole: bool) -> None:
    """See that there are fragments for `frames` frames; `whole` ones are never cut.

    Raises:
        SeriesError: there are too few, or too many.
    """
    count = len(found) - 1
    if count < frames or (whole and count != frames):
        raise _broken("fragments")


def frames_of(window: Window, found: Sequence[Fragment], frames: int) -> list[bytes]:
    """Put each frame together.

    One frame is all fragments; as many fragments as frames are one for each, as an Extended Offset Table demands
    (PS3.5 A.4): no other division leaves none empty. Otherwise the Basic Offset Table says where frames begin, and
    where it is empty, the codestreams do.

    Raises:
        SeriesError: the fragments cannot be divided into that many frames.
    """
    table, items = found[0], found[1:]
    if frames == 1:
        firsts = [0]
    elif len(items) == frames:
        firsts = list(range(frames))
    elif table[1]:
        firsts = _listed(window, table, items)
    else:
        firsts = [number for number, (at, _) in enumerate(items) if window.bytes(at, 12).startswith(STARTS)]
    if len(firsts) != frames or firsts[0] != 0:
        raise _broken("fragments")
    return list(_joined(window, items, [*firsts, len(items)]))


def _listed(window: Window, table: Fragment, items: Sequence[Fragment]) -> list[int]:
    """Read the Basic Offset Table: where frames begin, counted from the first item behind it."""
    numbers = {at - items[0][0]: number for number, (at, _) in enumerate(items)}
    data = window.bytes(*table)
    offsets = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) // 4 * 4, 4)]
    if any(later <= earlier for earlier, later in pairwise(offsets)) or not numbers.keys() >= set(offsets):
        raise _broken("offset table")
    return [numbers[offset] for offset in offsets]


def _joined(window: Window, items: Sequence[Fragment], firsts: Sequence[int]) -> Iterator[bytes]:
    for first, end in pairwise(firsts):
        yield b"".join(window.bytes(at, size) for at, size in items[first:end])


def _broken(detail: str) -> SeriesError:
    return SeriesError(Reason.DAMAGED_PIXELS, detail)
