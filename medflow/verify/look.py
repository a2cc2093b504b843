"""One file looked through for all that is wanted: its elements in words, all of its bytes for runs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from pydicom.datadict import dictionary_VR

from medflow.verify.chance import Scanned, admitted, expected_bytes, expected_date, expected_phrase
from medflow.verify.files import RAW
from medflow.verify.forms import Pattern
from medflow.verify.identity import MOMENTS, Kind, moment
from medflow.verify.walk import BEFORE, BEHIND, FRAGMENTS, PIXELS, Part, Path, Piece
from medflow.verify.wanted import Form, Wanted
from medflow.verify.words import UID, is_decimal, numbers, readings, words

DAY = re.compile(rb"\s*(\d{4})[.]?(\d{2})[.]?(\d{2})\s*")
INSTANT = re.compile(rb"\s*(\d{8})(\d*)(?:\.\d*)?(?:[-+]\d{4})?\s*")
CLOCK = re.compile(rb"\s*[0-2]\d(?::?[0-5]\d(?::?[0-6]\d(?:\.\d{1,6})?)?)?\s*")
STANDARD = re.compile(rb"1\.2\.840\.10008\.[0-9.]+")
"""A UID that the standard registered (PS3.6 annex A)."""
MANY = 4096
"""Bytes above which binary numbers are a table, and not one of them a number of somebody's."""
METHODS = (0x00120064, 0x00080100)
RETAINED: Mapping[bytes, frozenset[Kind]] = {
    b"113106": frozenset({Kind.DATE}),
    b"113109": frozenset({Kind.DEVICE}),
    b"113110": frozenset({Kind.UID}),
    b"113112": frozenset({Kind.INSTITUTION}),
}
"""CID 7050 (PS3.16): options under which values of these kinds stay; full dates, device, UIDs, institution."""
ROWS, COLUMNS, SAMPLES, FRAMES, BITS = 0x00280010, 0x00280011, 0x00280002, 0x00280008, 0x00280100
CLOCKS = frozenset({*MOMENTS, *MOMENTS.values()})


@dataclass(frozen=True, slots=True)
class Hit:
    """A form that was met, and where: never what it says."""

    form: Form
    place: str


@dataclass(slots=True, kw_only=True)
class Looker:
    """Looks through files one after the other; a text that stood in an earlier one is not read again."""

    wanted: Wanted
    scanned: Scanned = field(default_factory=Scanned)
    retained: set[Kind] = field(default_factory=set)
    """Kinds that some object says it retains; they are not looked for in it."""
    _seen: dict[tuple[bytes, bytes], frozenset[Form]] = field(default_factory=dict, repr=False)

    def look(self, parts: Iterable[Part], name: str = "") -> tuple[Hit, ...]:
        """Give all that is met in the parts of a file, each form once at each place, and in `name`, its path."""
        found = [Hit(form, "file name") for form in sorted(self._told(b"", name.encode("utf-8", "surrogateescape")))]
        retained: frozenset[Kind] = frozenset()
        for part in parts:
            kept = _retained(part)
            retained |= kept
            found += self._in_pieces(part)
            found += self._in_bytes(part)
        self.retained |= retained
        return tuple(dict.fromkeys(hit for hit in found if not self.wanted.kinds(hit.form) <= retained))

    def expected(self) -> Mapping[Form, float]:
        """Say how often chance alone would have shown each form in what was looked through."""
        found = {form: expected_phrase(phrase, self.scanned) for form, phrase in self.wanted.phrases.items()}
        for form, pattern in self.wanted.patterns.items():
            places = self.scanned.header_bytes * pattern.headers + self.scanned.pixel_bytes * pattern.pixels
            found[form] = expected_bytes(pattern.content, self.scanned, places)
        for day, form in self.wanted.days.items():
            found[form] = expected_date(day, self.wanted.days)
        clock = 1 / 86400
        return found | {
            form: expected_date(each[:8], self.wanted.days) * clock for each, form in self.wanted.moments.items()
        }

    def admitted(self, budget: float) -> tuple[frozenset[Form], float]:
        """Choose the forms whose being met is no chance, and give the false alarms that are expected of them."""
        return admitted(self.expected(), budget)

    def _in_pieces(self, part: Part) -> Iterator[Hit]:
        """Look through the elements, one by one, and at dates beside their times."""
        clocks: dict[Path, bytes] = {}
        for path, told, start, end in _beside_pixels(part):
            vr = told or _vr(path)
            content = part.content[start:end]
            if path and path[-1] in CLOCKS:
                clocks[path] = content
            forms = self._told(vr, content)
            if forms:
                place = _place(part, path, told)
                yield from (Hit(form, place) for form in sorted(forms))
        for path, date in clocks.items():
            time = clocks.get((*path[:-1], MOMENTS.get(path[-1], 0)))
            if time is not None:
                found = moment(date.decode("latin-1").strip(" \0"), time.decode("latin-1").strip(" \0"))
                if found is not None and found in self.wanted.moments:
                    yield Hit(self.wanted.moments[found], _place(part, path, b""))

    def _in_bytes(self, part: Part) -> Iterator[Hit]:
        """Look through all bytes for runs; where they are pixels, for long ones alone."""
        content = part.content
        spans = [(start, end) for path, _, start, end in part.pieces if _is_pixels(path)]
        pixels = sum(end - start for start, end in spans)
        self.scanned.add_bytes(content, pixels)
        first = min((start for start, _ in spans), default=len(content))
        last = max((end for _, end in spans), default=len(content))
        for (sieve, forms), start, end in (
            (self.wanted.beside_pixels, 0, first),
            (self.wanted.in_pixels, first, last),
            (self.wanted.beside_pixels, last, len(content)),
        ):
            for number, place in sieve.found_in(content, start, end):
                if any(begin <= place < stop for begin, stop in spans):
                    within = self.wanted.patterns[forms[number]].pixels
                else:
                    within = _stands(self.wanted.patterns[forms[number]], content, place)
                if within:
                    yield Hit(forms[number], _place_at(part, place))

    def _told(self, vr: bytes, content: bytes) -> frozenset[Form]:
        """Give the forms that a value tells; a value is read once."""
        key = vr, content
        if key not in self._seen:
            self._seen[key] = frozenset(self._read(vr, content))
        return self._seen[key]

    def _read(self, vr: bytes, content: bytes) -> Iterator[Form]:
        """Read a value by its VR; one that is not what its VR says is read as text and as bytes."""
        bare = content.strip(b"\0 ")
        if vr in {b"DA", b"DT"} and (DAY.fullmatch(bare) or INSTANT.fullmatch(bare)):
            yield from self._dated(bare)
        elif vr == RAW or (vr == b"TM" and CLOCK.fullmatch(bare)) or (vr == b"UI" and STANDARD.fullmatch(bare)):
            return
        elif is_decimal(vr, content):
            yield from self._counted([[number] for number in numbers(vr, content)])
        else:
            if len(content) <= MANY:
                yield from self._counted([[number] for number in numbers(vr, content)])
            yield from self._spelled(content)

    def _dated(self, bare: bytes) -> Iterator[Form]:
        """Read a date, or a date with its time, among those that are moved."""
        digits = bare.replace(b".", b"").decode("ascii")
        if digits[:8] in self.wanted.days:
            yield self.wanted.days[digits[:8]]
        found = moment(digits[:8], digits[8:14])
        if found is not None and found in self.wanted.moments:
            yield self.wanted.moments[found]

    def _spelled(self, content: bytes) -> Iterator[Form]:
        """Read bytes as text, in every character set in which a wanted value could stand."""
        for reading in readings(content, self.wanted.codecs):
            yield from (self.wanted.uids[uid] for uid in UID.findall(reading) if uid in self.wanted.uids)
            found = words(reading)
            yield from self._counted([found])
            yield from (form for word in found for form in self._days_in(word))
            if not reading.isascii():
                yield from (form for word, form in self.wanted.ideographs.items() if word in reading)

    def _days_in(self, word: str) -> Iterator[Form]:
        """Find a date that its time of day follows without a gap."""
        if len(word) > 8 and word[:2] in {"19", "20"} and word.isdigit():  # noqa: PLR2004
            yield from self.wanted.told_in([word[:8]])

    def _counted(self, texts: Iterable[list[str]]) -> Iterator[Form]:
        """Look for phrases in the words of texts that were not seen before, and count them for chance's sake."""
        for text in texts:
            self.scanned.add_words(text)
            yield from self.wanted.told_in(text)


def _beside_pixels(part: Part) -> Iterator[Piece]:
    """Give the pieces that are no pixels, and of native pixels what stands behind the last of them."""
    sizes: dict[int, int] = {}
    for piece in part.pieces:
        path, vr, start, end = piece
        if not _is_pixels(path):
            if len(path) == 1 and path[0] >> 16 == 0x28:  # noqa: PLR2004
                sizes[path[0]] = _size(path[0], part.content[start:end])
            yield piece
        elif len(path) == 1 and vr != FRAGMENTS:
            filled = sizes.get(ROWS, 0) * sizes.get(COLUMNS, 0) * sizes.get(SAMPLES, 1) * sizes.get(FRAMES, 1)
            behind = start + (filled * sizes.get(BITS, 0) + 7) // 8
            if start < behind < end:
                yield path, BEHIND, behind, end


def _stands(pattern: Pattern, content: bytes, place: int) -> bool:
    """Say whether a run outside of pixels is one that is looked for there, and no part of a longer number."""
    end = place + len(pattern.content)
    beside = content[max(place - 1, 0) : place] + content[end : end + 1]
    return pattern.headers and not any(sign in pattern.parted for sign in beside)


def _size(tag: int, content: bytes) -> int:
    text = content.strip(b" \0")
    if tag == FRAMES:
        return int(text) if text.isdigit() else 1
    return int.from_bytes(content, "little") if len(content) == 2 else 0  # noqa: PLR2004


def _is_pixels(path: Path) -> bool:
    return bool(path) and path[-1] in PIXELS


@cache
def _vr_of(tag: int) -> bytes:
    try:
        return dictionary_VR(tag).encode("ascii")[:2]
    except KeyError:
        return b"UN"


def _vr(path: Path) -> bytes:
    return _vr_of(path[-1]) if path else b"UN"


def _retained(part: Part) -> frozenset[Kind]:
    """Read what an object says that it retains."""
    found: frozenset[Kind] = frozenset()
    for path, _, start, end in part.pieces:
        if path == METHODS:
            found |= RETAINED.get(part.content[start:end].strip(b" \0"), frozenset())
    return found


def _place(part: Part, path: Path, vr: bytes) -> str:
    """Name a place by its tags, or by what stands there."""
    tags = ">".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in path)
    place = tags or {BEFORE: "preamble", BEHIND: "behind the data set"}.get(vr, "file")
    if _is_pixels(path):
        place = "behind the pixels" if vr == BEHIND else "pixel data"
    return f"{part.where} {place}".strip()


def _place_at(part: Part, at: int) -> str:
    """Name the place of a byte."""
    for path, vr, start, end in part.pieces:
        if start <= at < end:
            return _place(part, path, vr)
    return f"{part.where} between elements".strip()
