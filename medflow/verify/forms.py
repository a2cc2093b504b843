"""The forms in which a value may stand: phrases of words, and runs of bytes that hide it."""

import base64
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, permutations

from medflow.verify.identity import Kind, Value
from medflow.verify.words import ESCAPES, codecs_for, has_ideographs, spellings, words

LETTERS = 3
"""A name's part of fewer letters is looked for with its neighbours only."""
IDEOGRAPHS = 2
LONG = 8
"""Bytes from which on a value is looked for in pixels."""
SHORTEST = 7
"""Bytes that a pattern must have."""
PACKED = 6
"""Bytes from which on a value is looked for in base 64, in hexadecimal and as a binary number."""
PARTS = 3
"""Parts of a name that are combined: family, given, middle."""
JOINTS = ("^", " ", ",", ", ", "_", "-", ".", "")
DIGITS = b"0123456789"
PEOPLE = frozenset({Kind.NAME, Kind.STAFF})
DAYS = frozenset({Kind.DATE, Kind.BIRTH_DATE})
FEWEST_SIGNS = 3
"""Different signs of a run that says anything in pixels."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A run of bytes, whatever the case of its ASCII letters."""

    content: bytes = field(repr=False)
    pixels: bool
    """True where it is looked for in pixels too."""
    parted: bytes = b""
    """Signs that would make another number of it, where they stood beside it outside of pixels."""
    headers: bool = True
    """True where it is looked for outside of pixels too."""


def phrases(value: Value) -> set[Phrase]:
    """Give the phrases any of which tells the value."""
    if value.kind in PEOPLE:
        return _of_name(value.text)
    if value.kind in DAYS:
        return _of_date(value.text)
    if value.kind is Kind.UID:
        return {(value.text,)}
    found = {tuple(words(spelled)) for spelled in spellings(value.text)}
    found |= {("".join(phrase),) for phrase in found if len({word.isdigit() for word in phrase}) == 1}
    return {phrase for phrase in found if phrase}


def _of_name(text: str) -> set[Phrase]:
    found: set[Phrase] = set()
    for parts in name_parts(text):
        for spelled in zip(*map(spellings, parts), strict=True):
            split = [words(part) for part in spelled]
            apart = [words(each) for part in spelled for each in re.findall(r"[^\W_]+", part)]
            found |= {(each[0],) for each in apart if len(each) == 1 and _tells_alone(each[0])}
            found |= {tuple(part) for part in split if len(part) > 1 and _tells_alone("".join(part))}
            for chosen in _orders(split):
                found |= {tuple(word for part in chosen for word in part), ("".join(map("".join, chosen)),)}
    return found


def _orders(parts: list[list[str]]) -> Iterator[tuple[list[str], ...]]:
    """Give two or three parts of a name, together long enough, in each order."""
    for count in (2, PARTS):
        for chosen in permutations(parts[:PARTS], count):
            if sum(map(len, map("".join, chosen))) > LETTERS and all(chosen):
                yield chosen


def name_parts(text: str) -> list[list[str]]:
    """Take a PN apart: its groups (alphabetic, ideographic, phonetic), each in up to three parts (PS3.5 6.2.1).

    >>> name_parts("Yamada^Tarou=山田^太郎")
    [['Yamada', 'Tarou'], ['山田', '太郎']]
    """
    groups = [re.split(r"\^" if "^" in group else r"[\s,;]+", group) for group in text.split("=")]
    return [parts for group in groups if (parts := [part.strip() for part in group[:PARTS] if part.strip()])]


def _tells_alone(word: str) -> bool:
    return len(word) >= (IDEOGRAPHS if has_ideographs(word) else LETTERS) and not word.isdigit()


def _of_date(day: str) -> set[Phrase]:
    year, month, number = day[:4], day[4:6], day[6:8]
    name = MONTHS[int(month) - 1]
    orders = ((year, month, number), (number, month, year), (month, number, year))
    named = ((number, name, year), (name, number, year), (year, name, number))
    short = tuple(tuple(str(int(part)) for part in order) for order in orders)
    joined = tuple(("".join(order),) for order in orders)
    return {*orders, *named, *short, *joined}


def patterns(value: Value) -> set[Pattern]:
    """Give the runs of bytes that tell the value wherever they stand."""
    if value.kind is Kind.UID:
        return {Pattern(value.text.encode("ascii"), pixels=True, parted=DIGITS + b".")}
    found: set[Pattern] = set()
    for text in _texts(value):
        found |= set(_of_text(text, value.kind))
    found |= set(_joined(value))
    found |= set(_packed(value))
    told = {replace(each, pixels=each.pixels and not is_plain(each.content)) for each in found}
    return {pattern for pattern in told if len(pattern.content) >= SHORTEST and (pattern.pixels or pattern.headers)}


def is_plain(written: bytes) -> bool:
    """Say whether a run reads like pixels of a plain or a slope, so that it says nothing where it stands in pixels."""
    signs = [sign for sign in written if sign]
    return len(set(signs)) < FEWEST_SIGNS or len({later - earlier for earlier, later in pairwise(signs)}) == 1


def _texts(value: Value) -> set[str]:
    """Give the texts that stand for a value whole, or for a part of a name."""
    if value.kind in DAYS:
        day = value.text
        return {day, f"{day[:4]}-{day[4:6]}-{day[6:]}", f"{day[6:]}.{day[4:6]}.{day[:4]}"}
    if value.kind in PEOPLE:
        return {value.text, *(part for parts in name_parts(value.text) for part in parts)}
    return {value.text, "".join(re.findall(r"\w+", value.text))}


def _joined(value: Value) -> Iterator[Pattern]:
    """Join two parts of a name in either order, as they may stand in pixels; words tell them everywhere else."""
    for parts in name_parts(value.text) if value.kind in PEOPLE else []:
        for chosen in permutations(parts, 2):
            for joint in JOINTS:
                text = joint.join(chosen)
                for written in {text.encode("utf-8"), *(spelled.encode("utf-8") for spelled in spellings(text))}:
                    if len(written) >= LONG:
                        yield Pattern(written, pixels=True)


def _of_text(text: str, kind: Kind) -> Iterator[Pattern]:
    """Write a text in each character set, as it is and packed for a journey as text."""
    digits = text.isdigit()
    for written in _encoded(text):
        if len(written) >= LONG:
            # a date in a header is told by its words, which know a date that was moved from one that was not
            yield Pattern(written, pixels=True, parted=DIGITS if digits else b"", headers=not (kind in DAYS and digits))
            yield from (Pattern(swapped, pixels=True) for swapped in _swapped(written))
        if len(written) >= PACKED:
            yield from _disguised(written, pixels=len(written) >= LONG)
    if has_ideographs(text) or len(text) >= LONG // 2:
        for spelled in sorted({text} if text.isascii() else {text, text.upper(), text.lower(), text.title()}):
            yield Pattern(spelled.encode("utf-16-be").lstrip(b"\0"), pixels=len(text) >= LONG)
            yield Pattern(spelled.encode("utf-16-le").rstrip(b"\0"), pixels=len(text) >= LONG)


def _encoded(text: str) -> set[bytes]:
    """Write a text, and its spellings in ASCII, as bytes."""
    if text.isascii():
        return {text.encode("ascii")}
    found = {spelled.encode("ascii") for spelled in spellings(text) if spelled.isascii()}
    for spelled in {text, text.upper(), text.lower(), text.title()}:
        for codec in ("utf-8", *codecs_for([spelled])):
            try:
                found.add(ESCAPES.sub(b"", spelled.encode(codec)) if has_ideographs(spelled) else spelled.encode(codec))
            except UnicodeError:
                continue  # another case has signs that the character set lacks
    return {written for written in found if b"\x1b" not in written}


def _swapped(written: bytes) -> Iterator[bytes]:
    """Swap the bytes of each 16-bit word, as a writer of the other byte order does; at even and at odd places."""
    for start in (0, 1):
        pairs = written[start : start + (len(written) - start) // 2 * 2]
        yield b"".join(pairs[at + 1 : at + 2] + pairs[at : at + 1] for at in range(0, len(pairs), 2))


def _disguised(written: bytes, *, pixels: bool) -> Iterator[Pattern]:
    """Write bytes in base 64, at each of the three places they may have in its groups, and in hexadecimal."""
    for cased in {written, written.upper(), written.lower()}:
        for lead in range(3):
            encoded = base64.b64encode(bytes(lead) + cased)
            core = encoded[(lead * 8 + 5) // 6 : (lead + len(cased)) * 8 // 6]
            if len(core) >= LONG:
                yield Pattern(core, pixels=pixels)
        yield Pattern(cased.hex().encode("ascii"), pixels=pixels)


def _packed(value: Value) -> Iterator[Pattern]:
    """Write a number in binary; shorter than eight bytes it would be found everywhere."""
    digits = "".join(re.findall(r"\d+", value.text)) if value.kind in {Kind.PATIENT_ID, Kind.ORDER} else ""
    if PACKED <= len(digits) <= 15 and len(digits) >= len(value.text) - 2:  # noqa: PLR2004  (digits of a float)
        for code in ("<d", ">d"):
            yield Pattern(struct.pack(code, float(digits)), pixels=False)
