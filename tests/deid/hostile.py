"""Data sets written byte for byte, as no library would write them: each hiding place has a token of its own."""

import random
import struct
import zlib
from dataclasses import dataclass, field
from datetime import date, timedelta

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
)

LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
UNDEFINED = 0xFFFFFFFF
CODECS = (
    "utf-8", "utf-16-le", "utf-16-be", "gb18030", "latin-1", "euc_kr", "iso2022_jp", "shift_jis", "iso8859_5",
)  # fmt: skip
"""In which a secret may come out."""
CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass(kw_only=True)
class Secrets:
    """Draws what must not come out, and finds it again in whatever came out."""

    seed: int
    words: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  (a test's data)
        self.year = self.chance.randrange(1930, 2020)

    def word(self, place: str, length: int = 10) -> bytes:
        """Draw a word of capital letters that nobody uses."""
        word = "QX" + "".join(self.chance.choices(CONSONANTS, k=length - 2))
        self.words[self._free(place)] = word
        return word.encode("ascii")

    def text(self, place: str, codec: str, letters: str) -> bytes:
        """Draw a word of another script, in the bytes of its character set."""
        word = "".join(self.chance.choices(letters, k=7))
        self.words[self._free(place)] = word
        return word.encode(codec)

    def number(self, place: str, digits: int = 9) -> bytes:
        """Draw a number as long as a patient's."""
        number = str(self.chance.randrange(3 * 10 ** (digits - 1), 10**digits))
        self.words[self._free(place)] = number
        return number.encode("ascii")

    def date(self, place: str) -> bytes:
        """Draw a day of one year, so that none is another one moved by the year and more that days are moved."""
        day = (date(self.year, 1, 1) + timedelta(days=self.chance.randrange(350))).strftime("%Y%m%d")
        self.words[self._free(place)] = day
        return day.encode("ascii")

    def packed(self, place: str, form: str) -> bytes:
        """Draw a patient's number as a binary one."""
        number = self.chance.randrange(10**8, 2**31)
        packed = struct.pack(form, number)
        packed *= 8 // len(packed)  # four bytes may meet by chance
        self.patterns[self._free(place)] = packed
        return packed

    def found_in(self, content: bytes) -> list[str]:
        """Name the places whose secret stands in `content`, in any coding."""
        lower = content.lower()
        found = [place for place, pattern in self.patterns.items() if pattern in content]
        for place, word in self.words.items():
            forms = {word.encode(codec, "ignore") for codec in CODECS}
            if any(len(form) >= 7 and (form in content or form.lower() in lower) for form in forms):
                found.append(place)
        return found

    def _free(self, place: str) -> str:
        number = sum(each.split(" #")[0] == place for each in (*self.words, *self.patterns))
        return f"{place} #{number}" if number else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How elements are written."""

    explicit: bool = True
    little: bool = True

    def element(self, tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
        """Write one element; `length` says something else than the truth where it is given."""
        if length is None:
            value += (b"\0" if vr in LONG | {"UI"} else b" ") * (len(value) % 2)
            length = len(value)
        order = "<" if self.little else ">"
        head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit:
            return head + struct.pack(f"{order}I", length) + value
        if vr in LONG:
            return head + vr.encode("ascii") + struct.pack(f"{order}HI", 0, length) + value
        return head + vr.encode("ascii") + struct.pack(f"{order}H", length) + value

    def sequence(self, tag: int, *items: bytes, defined: bool = True, vr: str = "SQ") -> bytes:
        """Write a sequence of items, of defined or undefined length."""
        order = "<" if self.little else ">"
        content = b""
        for item in items:
            content += struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(item) if defined else UNDEFINED) + item
            content += b"" if defined else struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
        if defined:
            return self.element(tag, vr, content, length=len(content))
        return self.element(tag, vr, content + struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0), length=UNDEFINED)


Pieces = dict[int, bytes]
"""Tag -> the bytes of its element."""


def pieces(ds: Dataset, spelling: Spelling) -> Pieces:
    """Write a data set element by element."""
    found = {}
    ds["PixelData"].VR = "OW"
    for element in ds:
        stream = DicomBytesIO()
        stream.is_implicit_VR, stream.is_little_endian = not spelling.explicit, spelling.little
        write_data_element(stream, element)
        found[int(element.tag)] = stream.getvalue()
    return found


def file_of(content: Pieces | bytes, syntax: str, *, preamble: bytes = bytes(128), meta: bytes = b"") -> bytes:
    """Write a file around the elements: sorted by tag, or as they are; `meta` rides in the meta group."""
    if isinstance(content, dict):
        content = b"".join(content[tag] for tag in sorted(content))
    plain = Spelling()
    group = plain.element(0x00020001, "OB", b"\0\1") + plain.element(0x00020010, "UI", syntax.encode("ascii")) + meta
    head = preamble + b"DICM" + plain.element(0x00020000, "UL", struct.pack("<I", len(group))) + group
    if syntax == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = packer.compress(content) + packer.flush()
        content += b"\0" * (len(content) % 2)
    return head + content
