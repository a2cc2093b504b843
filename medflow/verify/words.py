"""Words of a text, and of bytes that may be text in any character set: folded, so that spelling tells nothing apart."""

import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

NO_ASCII = re.compile(rb"[^\x20-\x7e]+")
WORDS = re.compile(r"[^\W\d_]+|\d+")
UID = re.compile(r"[0-2](?:\.\d+){3,}")
ESCAPES = re.compile(rb"\x1b[\x20-\x2f]*[\x30-\x7e]")
"""Escape sequences of ISO 2022 (PS3.3 C.12.1.1.2)."""
SINGLE = ("latin-1", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8",
          "iso8859_9", "cp1251", "cp1252", "koi8_r", "tis_620")  # fmt: skip
DOUBLE = ("utf-8", "gb18030", "big5", "euc_kr", "euc_jp", "shift_jis")
PLAIN = ("utf-8", "latin-1")
"""Where names in ASCII may stand with accents."""
ESCAPED = ("iso2022_jp_2", "iso2022_kr")
WIDE = ("utf-16-le", "utf-16-be")
LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"})
"""Letters that Unicode does not take apart."""
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
NUMBERS = {b"UL": "I", b"SL": "i", b"US": "H", b"SS": "h", b"FL": "f", b"FD": "d", b"UV": "Q", b"SV": "q"}
DECIMAL = re.compile(rb"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
LARGEST = 1e15
"""Above it a float does not tell whole numbers apart."""


def folded(text: str) -> str:
    """Write a text without case, accents and width.

    >>> folded("Müllér^JÜRGEN")
    'muller^jurgen'
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", bare).translate(LETTERS)


def spellings(text: str) -> tuple[str, str]:
    """Give a text folded, and as it is spelled where there are no umlauts.

    >>> spellings("Müller")
    ('muller', 'mueller')
    """
    if text.isascii():
        return text.lower(), text.lower()
    return folded(text), folded(unicodedata.normalize("NFC", text).lower().translate(UMLAUTS))


def words(text: str) -> list[str]:
    """Split a folded text into runs of letters and runs of digits."""
    return WORDS.findall(text)


def has_ideographs(text: str) -> bool:
    """Say whether a text has signs that are written without gaps: Han, kana, Hangul, Thai."""
    return any("\u0e00" <= sign <= "\u0e7f" or "\u1100" <= sign <= "\u11ff" or sign >= "\u2e80" for sign in text)


def readings(content: bytes, codecs: Sequence[str]) -> Iterator[str]:
    """Give what bytes say in ASCII and, where they could, in UTF-16 and in `codecs`; folded.

    Whatever is no ASCII parts words in the first reading.
    """
    yield NO_ASCII.sub(b" ", content).decode("ascii").lower()
    if WIDE[0] in codecs or b"\0" in content.strip(b"\0"):
        for codec in WIDE:
            yield from (folded(content[start:].decode(codec, "replace")) for start in (0, 1))
    if b"\x1b" in content:
        yield from (folded(content.decode(codec, "replace")) for codec in codecs if codec in ESCAPED)
        content = ESCAPES.sub(b"", content)
    if not content.isascii():
        for codec in codecs:
            starts = () if codec in (*ESCAPED, *WIDE) else (0, 1) if codec in DOUBLE else (0,)
            yield from (folded(content[start:].decode(codec, "replace")) for start in starts)


def codecs_for(texts: Iterable[str]) -> tuple[str, ...]:
    """Choose the character sets in which one of `texts` could stand otherwise than in ASCII.

    UTF-16 is among them where it has a sign that UTF-16 writes without a zero.
    """
    foreign = [text for text in texts if not text.isascii()]
    wide = WIDE if any(max(text) > "\u00ff" for text in foreign) else ()
    found = [codec for codec in (*DOUBLE, *SINGLE, *ESCAPED) if any(_writable(text, codec) for text in foreign)]
    return (*found, *wide) if found else PLAIN


def _writable(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeError:
        return False
    return True


def numbers(vr: bytes, content: bytes) -> list[str]:
    """Give the whole numbers that a binary or decimal value holds, as digits; an empty list for anything else."""
    if vr in {b"DS", b"IS"}:
        told = content.strip(b" \0").split(b"\\")
        if all(DECIMAL.fullmatch(each) for each in told):
            return _whole(float(each) for each in told)
        return []
    code = NUMBERS.get(vr)
    if code is None or len(content) % struct.calcsize(code):
        return []
    count = len(content) // struct.calcsize(code)
    return _whole(struct.unpack(f"<{count}{code}", content))


def _whole(found: Iterable[float]) -> list[str]:
    return [str(abs(int(each))) for each in found if abs(each) < LARGEST and each == int(each)]


def is_decimal(vr: bytes, content: bytes) -> bool:
    """Say whether a value is numbers in decimal, none of whose digits are a text."""
    return vr in {b"DS", b"IS"} and all(DECIMAL.fullmatch(each) for each in content.strip(b" \0").split(b"\\"))
