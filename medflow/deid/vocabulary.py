"""Which words may stay in a text: radiology's own, and short tokens of its trade. Never a list of what to hide."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from medflow.deid.packaged import lines

Words = frozenset[str]
NOBODY: Words = frozenset()

UNITS = frozenset(
    ["MM", "CM", "ML", "KV", "KVP", "KEV", "MA", "MAS", "SEC", "MIN", "MS", "HZ", "KHZ", "DEG", "HU", "MBQ", "PCT", "%"]
)
NOTHING = re.compile(r"(?!)")
NUMBER = re.compile(r"\d{1,3}(\.\d{1,3})?")
SHORT = re.compile(
    r"""
      \d{1,3}(\.\d{1,3})?(MM|CM|ML|KVP?|KEV|MAS?|SEC|S|MIN|MS|K?HZ|DEG|HU|MBQ|PCT|%)   # a length, a dose, a voltage
    | \d(\.\d{1,2})?X\d(\.\d{1,2})?(X\d(\.\d{1,2})?)?(MM)?                             # a voxel's or a kernel's size
    | [0-9]{1,2}(\.\d)?T                                                               # a field strength
    | B(0|50|[1-9][05]0|[1-9][05]00)                                                   # a b-value
    | [CLTS]([1-9]|1[0-2])                                                             # a vertebra, a T1, a T2
    | [BDHIJQTU][CFLMPRSV]?[1-9]\d[A-Z]?                                               # a reconstruction kernel
    | FC\d{2} | YA | YB | YC | [PXE]\d                                                 # kernels, acceleration, echo
    | T[ERI]\d{1,3}                                                                    # echo, repetition, inversion
    | [2-9]D | R[12] | F\d                                                             #
    | F18|C11|N13|O15|GA68|RB82|ZR89|CU64|I124|TC99M?|LU177|18F|11C|13N|15O|68GA|82RB  # isotopes
    | 1H|2H|3HE|7LI|13C|19F|23NA|31P|129XE                                             # nuclei
    | \d{1,3}(BEAT|BEATS|CH|DIR|DIRS|SCAN|ECHO|ECHOES|PHASE|PHASES|BEDS?|FRAMES?|I|S|I\d{1,2}S|SUBSETS?|ITER)
    | \*?(TSE|TFL|FL|SE|EP|EPSE|EPFID|FID|SPC|SPCR|SPCIR|TIR|TIRM|TSER|H|HR|CISS|TFI|FI|PC|TOF|TGSE|ME|DE|QFI|PSIF)
      [123]D\d{0,2}(_?[A-Z]{1,2}\d{0,3})?
    """,
    re.VERBOSE,
)
VERSION = re.compile(r"(V[A-E]|XA|E|D|R|V|DM|HL)\d{1,2}[A-Z]?\d?|\d{1,2}\.\d{1,2}", re.ASCII)
MODEL = re.compile(r"\d{1,3}|(CT|MR|UCT|UMR|PET|PQ|MX|XR)\d{2,4}[A-Z]?", re.ASCII)
FOREIGN = "\x7f"
"""Stands in a folded text for a character that ASCII has no form for; no word with one may stay."""
BETWEEN = re.compile(r"[^0-9A-Za-z.\-*%'\x7f]+")
SPELLED = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]([^0-9A-Za-z]+[0-9A-Za-z]){3}(?![0-9A-Za-z])")
"""Four letters or digits one by one: a name that is spelled."""
LETTER = re.compile(r"[A-Za-z]")
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+(?:\.\d+)?[a-zA-Z]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The allowed words by what they speak of, all in upper case."""

    words: Words
    """Anatomy, technique and equipment: what a description may say."""
    terms: Words
    """These and the terms of coded strings."""
    head: Words
    """Words after which a picture may show a face."""


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """Read the packaged vocabulary."""
    sections: dict[str, set[str]] = {}
    section = ""
    for line in lines("vocabulary.txt"):
        if line.startswith("["):
            section = line.strip("[]")
        else:
            sections.setdefault(section, set()).update(line.split())
    terms = frozenset().union(*sections.values())
    return Vocabulary(words=terms - sections["term"], terms=terms, head=frozenset(sections["head"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What one text may say beside the vocabulary, and what it must not say."""

    own: Words = NOBODY
    """Words of this data set's own names and numbers: they go even where they are allowed elsewhere (a patient may be
    called Bone)."""
    extra: Words = NOBODY
    """Words that the profile allows."""
    also: re.Pattern[str] = NOTHING
    """Tokens that may stay in this kind of text."""

    def __contains__(self, token: str) -> bool:
        word = token.upper()
        if word in self.own or not token:
            return False
        if word in vocabulary().words or word in self.extra or SHORT.fullmatch(word):
            return True
        return self.also.fullmatch(word) is not None


NOTHING_ELSE = Allowed()


def allowed_words(text: str, allowed: Allowed = NOTHING_ELSE) -> str:
    """Keep what may stay of a description: all of it as it is written, or its allowed words in their order.

    Single letters and bare numbers stay only in a text that stays as a whole: one that spells nothing letter by
    letter, and holds no more than one bare number.

    >>> allowed_words("AX T1 FLAIR 5mm"), allowed_words("AX T1 Jane Meyer, 12.03.1950, 94 J")
    ('AX T1 FLAIR 5mm', 'AX T1')
    """
    plain = folded(text)
    kept: list[str] = []
    bare: list[str] = []
    chunks = [chunk for chunk in BETWEEN.split(plain) if chunk.strip(".-*%'")]
    whole = not is_spelled(plain)
    for place, chunk in enumerate(chunks):
        following = chunks[place + 1].upper() if place + 1 < len(chunks) else ""
        if NUMBER.fullmatch(chunk) and following in UNITS and chunk not in allowed.own:
            kept.append(chunk)
            continue
        pieces, complete = _pieces(chunk, allowed)
        bare += [piece for piece in pieces if piece.isdigit()]
        kept += [piece for piece in pieces if len(piece) > 1 and not piece.isdigit()]
        whole = whole and complete
    if whole and len(bare) <= 1:
        return " ".join(plain.split()) if chunks else ""
    return " ".join(kept)


def is_spelled(text: str) -> bool:
    """Say whether a text spells a word letter by letter, whatever stands between them.

    >>> is_spelled("M.E.Y.E.R"), is_spelled("L R A P B1"), is_spelled("A P S")
    (True, True, False)
    """
    return SPELLED.search(text) is not None


def is_term(value: str, extra: Words = NOBODY) -> bool:
    """Say whether a coded string is made of allowed terms only.

    >>> is_term("HELICAL MODE"), is_term("DOE_JOHN")
    (True, False)
    """
    tokens = [token for token in re.split(r"[ _\-/.]+", value.upper()) if token]
    known = vocabulary().terms
    return (
        value.isascii()
        and not is_spelled(value)
        and bool(tokens)
        and all(token in known or token in extra or SHORT.fullmatch(token) for token in tokens)
    )


def speaks_of_head(texts: Iterable[str]) -> bool:
    """Say whether any word of `texts` means a part of the head or the neck."""
    head = vocabulary().head
    return any(
        piece.upper() in head or chunk.upper() in head
        for text in texts
        for chunk in BETWEEN.split(folded(text))
        for piece in CAMEL.findall(chunk)
    )


def words_of(texts: Iterable[str]) -> Words:
    """Collect the words of names and numbers, in upper case without accents, single letters left out.

    Words that ASCII has no form for are there as they are written, too.
    """
    found: set[str] = set()
    for text in texts:
        found.update(word for word in re.findall(r"[0-9A-Z]+", folded(text).upper()) if len(word) > 1)
        if not text.isascii():
            written = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).upper())
            found.update(word for word in written if not word.isascii() and len(word) > 1)
    return frozenset(found)


def folded(text: str) -> str:
    """Write `text` without accents; what has no ASCII form becomes `FOREIGN`, control characters become blanks."""
    if not text.isascii():
        text = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    return re.sub(r"[^\x20-\x7e]", FOREIGN, re.sub(r"[\x00-\x1f\x7f]", " ", text))


def _pieces(chunk: str, allowed: Allowed) -> tuple[list[str], bool]:
    """Give the allowed parts of a chunk without blanks, and whether they are all of it."""
    if FOREIGN in chunk:
        return [], False
    bare = chunk.strip(".-'")
    if bare in allowed:
        return [bare], True
    if not LETTER.search(bare):  # what is left is a date, or a number of somebody
        return [], False
    parts = [part for part in re.split(r"[-.']+", bare) if part]
    if len(parts) == 1:
        parts = CAMEL.findall(bare)
        if len(parts) <= 1:
            return [], False
    kept = [part for part in parts if part in allowed]
    return kept, len(kept) == len(parts) and "*" not in bare
