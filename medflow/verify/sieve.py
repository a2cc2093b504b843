"""Many runs of bytes looked for at once in large files, whatever the case of their letters: a few passes of vectors.

A pattern of 15 bytes and more covers, wherever it stands, a whole word of 8 bytes at a multiple of 8; one of 7 and more
a word of 4 bytes at a multiple of 4. So it is enough to look at whole words. Words of text differ from words of an
image in their top bits, which one comparison sees; what is left is looked up by its value, and what is found there is
compared byte for byte. Patterns that are no text are few, and looked for one by one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medflow.verify.forms import Pattern

WIDTHS: Mapping[int, "np.dtype[Any]"] = {8: np.dtype(np.uint64), 4: np.dtype(np.uint32)}
CASE = 0xDF
"""All bits of a byte but the one that tells small letters from capitals."""
WIDEST, NARROWEST = 8, 4
CASELESS = bytes(byte & CASE for byte in range(256))
BLOCK = 1 << 17
"""Bytes that are looked at in one go: they stay in the processor's cache."""
ODD = 0x2000
"""Least 16-bit word whose odd byte is no control sign."""

SIGNS = b"0" + b"." * 31 + b"t" * 96 + b"h" * 128
"""Kind of each byte: zero, other control signs, ASCII, high."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Words of one width and kind, made ready to be looked for; masks are repeated over the width."""

    width: int
    dtype: "np.dtype[Any]"
    top: Any
    """Bits that must be 0 in such words."""
    mask: Any
    common: Any
    bit: Any
    case: Any
    shifts: tuple[Any, ...]
    odd: type[np.int16 | np.uint16] | None
    known: Numbers
    """The words without case, sorted."""
    places: Mapping[int, Sequence[tuple[int, int]]]
    """Of each word the patterns that show it, and where in them it stands."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What words of one kind have in common: after `bits` were gathered, `word & mask == common`."""

    mask: bytes
    common: bytes
    shifts: tuple[int, ...]
    """Bits 5, 6 (and 7) of a byte say together that it is no control sign: each is shifted onto bit 5."""
    odd: type[np.int16 | np.uint16] | None
    """As what a block's 16-bit words have a maximum of `ODD` at least, or its odd bytes hold none of this kind."""

    signs: bytes
    """The kinds of signs (`SIGNS`) that take turns in such words; empty where text signs of all kinds do."""


LOOKS = (
    _Look(b"\xa0\xa0", b"\x20\x20", (1,), np.int16, b"t"),  # ASCII
    _Look(b"\xa0\xff", b"\x20\x00", (1,), None, b"t0"),  # ASCII in UTF-16
    _Look(b"\xff\xa0", b"\x00\x20", (1,), np.int16, b"0t"),  # the same, one byte further
    _Look(b"\x20\x20", b"\x20\x20", (1, 2), np.uint16, b""),  # text in any character set that has no zeros
)


def _look(signs: bytes) -> _Look | None:
    """Choose how a word is looked for, by the kinds of its signs."""
    for look in LOOKS[:-1]:
        if signs == look.signs * (len(signs) // len(look.signs)):
            return look
    return LOOKS[-1] if not {*signs} - {*b"th"} else None


class Sieve:
    """Patterns made ready to be looked for."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = [pattern.content for pattern in patterns]
        self._lower = [pattern.lower() for pattern in self._patterns]
        self._places: dict[tuple[int, _Look], defaultdict[int, list[tuple[int, int]]]] = {}
        self._single: list[int] = []
        for number, pattern in enumerate(self._lower):
            self._put(number, pattern)
        self._searches = tuple(_search(width, look, places) for (width, look), places in self._places.items())
        self._kinds = {each.odd for each in self._searches if each.odd is not None}

    def found_in(self, content: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Give each pattern's number and place among the bytes of `content` from `start` to `end`, and around them."""
        for block in range(start - start % BLOCK, max(start, end), BLOCK):
            first = max(block, start - start % WIDEST)
            count = min(block + BLOCK, end) - first
            if count < NARROWEST:
                continue
            most = {kind: int(np.frombuffer(content, kind, count // 2, first).max()) for kind in self._kinds}
            for each in self._searches:
                if each.odd is None or most[each.odd] >= ODD:
                    for place, word in _met(np.frombuffer(content, each.dtype, count // each.width, first), each):
                        yield from self._at(content, first + place * each.width, each.places[word])
        for number in self._single:
            place = content.find(self._patterns[number], start, end)
            if place >= 0:
                yield number, place

    def _put(self, number: int, pattern: bytes) -> None:
        """Note the words that a pattern may show at a multiple of their width, under the kind that they are of.

        They are taken from its end: UIDs of one scanner begin alike.
        """
        width = next((width for width in WIDTHS if len(pattern) >= 2 * width - 1), 0)
        signs, caseless = pattern.translate(SIGNS), pattern.translate(CASELESS)
        offsets = range(len(pattern) - 2 * width + 1, len(pattern) - width + 1) if width else ()
        looks = [_look(signs[offset : offset + width]) for offset in offsets]
        if None in looks or not looks:
            self._single.append(number)
            return
        for offset, look in zip(offsets, looks, strict=True):
            if look is not None:
                places = self._places.setdefault((width, look), defaultdict(list))
                places[int.from_bytes(caseless[offset : offset + width], "little")].append((number, offset))

    def _at(self, content: bytes, place: int, candidates: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Compare patterns with what stands around the word at `place`."""
        for number, offset in candidates:
            start, pattern = place - offset, self._lower[number]
            end = start + len(pattern)
            if start >= 0 and content[start:end].lower() == pattern:
                yield number, start


def _met(words: Numbers, search: _Search) -> Iterator[tuple[int, int]]:
    """Give the place and the value without case of each word that is looked for."""
    at = np.flatnonzero((words & search.top) == 0) if search.top else np.arange(len(words))
    if not len(at):
        return
    values = words[at]
    gathered = values.copy()
    for shift in search.shifts:
        gathered |= (values >> shift) & search.bit
    fit = np.flatnonzero((gathered & search.mask) == search.common)
    if not len(fit):
        return
    values = values[fit] & search.case
    slots = np.minimum(np.searchsorted(search.known, values), len(search.known) - 1)
    for index in np.flatnonzero(search.known[slots] == values):
        yield int(at[fit[index]]), int(values[index])


def _search(width: int, look: _Look, places: Mapping[int, list[tuple[int, int]]]) -> _Search:
    """Make the words of one kind ready to be looked for."""
    dtype = WIDTHS[width]

    def repeated(pattern: bytes) -> Any:  # noqa: ANN401  (a numpy scalar of `dtype`)
        return dtype.type(int.from_bytes(pattern * (width // len(pattern)), "little"))

    return _Search(
        width=width,
        dtype=dtype,
        top=repeated(bytes(byte & ~0x20 & 0xFF for byte in look.mask)),
        mask=repeated(look.mask),
        common=repeated(look.common),
        bit=repeated(b"\x20"),
        case=repeated(bytes([CASE])),
        shifts=tuple(dtype.type(shift) for shift in look.shifts),
        odd=look.odd,
        known=np.array(sorted(places), dtype),
        places=places,
    )
