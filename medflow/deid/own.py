"""The words and numbers by which an object names its patient and its people: they go whatever a rule would keep."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from pydicom import Dataset

from medflow.deid.original import text_of
from medflow.deid.vocabulary import Words, folded, words_of

NAMES = (
    0x00080090, 0x0008009C, 0x00081048, 0x00081050, 0x00081060, 0x00081070, 0x00100010, 0x00101001, 0x00101005,
    0x00101060, 0x00102297, 0x00321032, 0x00400006,
)  # fmt: skip
"""Names of people."""
NUMBERS = (
    0x00080050, 0x00100020, 0x00101000, 0x00101050, 0x00101090, 0x00102154, 0x00200010, 0x00380010, 0x00380060,
    0x00400009, 0x00400253, 0x00401001, 0x00402016, 0x00402017,
)  # fmt: skip
"""Numbers of the patient, the visit and the orders; those of orders may hold words that name nobody."""
PATIENT_NUMBERS = frozenset({0x00080050, 0x00100020, 0x00101000})
DATES = (0x00100030, 0x00080020, 0x00080021, 0x00080022, 0x00080023)
"""When the patient was born, and when this was done."""
OTHER_IDS = 0x00101002
BETWEEN_DIGITS = re.compile(r"(?<=\d)[^0-9A-Za-z]+(?=\d)", re.ASCII)
"""What people write between the digits of one number."""
SHORTEST_NAME = 3
SHORTEST_NUMBER = 4
"""Digits of a number that is looked for among measured ones: shorter ones meet by chance."""
LONG_NUMBER = 6
"""Digits from which a number is looked for with a point in it as well, and in binary values."""
WRITTEN = 12
"""Signs up to which a broken number may be one that a person wrote; measured ones have more."""
FEWEST_BYTES = 4
"""Bytes of a name that are looked for among numbers."""
CODECS = ("utf-8", "gb18030", "big5", "euc_kr", "euc_jp", "shift_jis", "utf-16-le", "utf-16-be",
          "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "koi8_r", "tis_620")  # fmt: skip
CERTAIN = 8
"""Digits from which a number is looked for inside longer ones too."""


def own_words(dataset: Dataset, encodings: tuple[str, ...]) -> Words:
    """Collect the words, numbers and dates (as they are and written day or month first) of an object's own identity.

    They are the same for all objects of a series whose headers repeat.
    """
    said = tuple((tag, _said(dataset, tag, encodings)) for tag in (*NAMES, *NUMBERS, *DATES) if tag in dataset)
    others: tuple[str, ...] = ()
    if OTHER_IDS in dataset:
        others = tuple(_said(item, 0x00100020, encodings) for item in _items(dataset))
    return _own_words(said, others)


def _said(dataset: Dataset, tag: int, encodings: tuple[str, ...]) -> str:
    return text_of(dataset.get_item(tag), encodings)


def _items(dataset: Dataset) -> Iterable[Dataset]:
    value = dataset[OTHER_IDS].value if dataset[OTHER_IDS].VR == "SQ" else None
    return value or ()


@lru_cache(maxsize=4)
def _own_words(said: tuple[tuple[int, str], ...], others: tuple[str, ...]) -> Words:
    found: set[str] = set()
    for tag, text in (*said, *((0x00100020, other) for other in others)):
        if tag in DATES:
            found |= _dates(text)
            continue
        words = {word for word in words_of([text]) if len(word) >= SHORTEST_NAME or not word.isascii()}
        if tag in NAMES or tag in PATIENT_NUMBERS:
            found |= words
        if tag not in NAMES:
            runs = {*re.findall(r"\d+", text), *(re.sub(r"\D", "", value) for value in text.split("\\"))}
            found |= {run for run in runs if run.isascii() and len(run.lstrip("0")) >= SHORTEST_NUMBER}
    return frozenset(found)


def _dates(text: str) -> set[str]:
    days = [re.sub(r"\D", "", value)[:8] for value in text.split("\\")]
    return {
        form
        for day in days
        if len(day) == CERTAIN
        for form in (day, day[6:] + day[4:6] + day[:4], day[4:6] + day[6:] + day[:4])
    }


def names_somebody(text: str, own: Words) -> bool:
    """Say whether a whole text holds any word of an object's own identity: as a word, or in a longer one.

    >>> own = frozenset({"MEYER", "4711", "EVA"})
    >>> [names_somebody(text, own) for text in ("CT 4", "Praxis Meyers", "evaluation", "Eva's", "SN004711")]
    [False, True, False, True, True]
    """
    if not own:
        return False
    words = words_of([text])
    runs = [run.lstrip("0") for run in re.findall(r"\d+", BETWEEN_DIGITS.sub("", text))]
    plain = text.upper() if text.isascii() else f"{folded(text)} {unicodedata.normalize('NFKC', text)}".upper()
    return any(
        word in words
        or (_is_number(word) and _stands_in(word.lstrip("0"), runs))
        or (not word.isdigit() and (len(word) > SHORTEST_NAME or not word.isascii()) and word in plain)
        for word in own
    )


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _stands_in(number: str, runs: Sequence[str]) -> bool:
    return number in runs or (len(number) >= LONG_NUMBER and any(number in run for run in runs))


def is_own_number(texts: Sequence[str], own: Words) -> bool:
    """Say whether one of these numbers, written as texts, is one of an object's own: padded, with a point, or inside.

    >>> own = frozenset({"4830192", "20240229", "1200"})
    >>> [is_own_number([text], own) for text in ("0004830192", "48301.92", "120240229.5", "1200.0", "1.200", "12001")]
    [True, True, True, True, False, False]
    """
    pattern = _pattern(own)
    return pattern is not None and pattern.search("\\".join(texts)) is not None


def is_own_binary(numbers: Sequence[float], own: Words) -> bool:
    """Say whether one of these binary numbers is a long one of an object's own, whatever its sign and its point.

    >>> own = frozenset({"83920174"})
    >>> [is_own_binary([number], own) for number in (-83920174, 83920.174, 8392.25)]
    [True, True, False]
    """
    whole = _whole_numbers(own)
    if not whole:
        return False
    if not whole.isdisjoint(map(abs, numbers)):
        return True
    broken = (repr(number) for number in numbers if number % 1)
    return is_own_number([text for text in broken if len(text) <= WRITTEN], own)


def are_own_bytes(value: object, own: Words) -> bool:
    """Say whether a name of an object's own stands, in any of its byte forms, among bytes that should be numbers.

    >>> are_own_bytes("王小东".encode("gb18030") + bytes(2), frozenset({"王小东"}))
    True
    """
    return isinstance(value, bytes) and any(form in value for form in _forms(own))


@lru_cache(maxsize=64)
def _forms(own: Words) -> tuple[bytes, ...]:
    found = set()
    for word in own:
        for cased in {word, word.lower(), word.title()} if not word.isdigit() else ():
            for codec in CODECS if not word.isascii() else CODECS[:1]:
                with suppress(UnicodeError):
                    found.add(cased.encode(codec))
    return tuple(sorted(form for form in found if len(form) >= FEWEST_BYTES))


@lru_cache(maxsize=64)
def _whole_numbers(own: Words) -> frozenset[float]:
    return frozenset(int(word) for word in _digits(own) if len(word) >= LONG_NUMBER)


@lru_cache(maxsize=64)
def _pattern(own: Words) -> re.Pattern[str] | None:
    alternatives = []
    for digits in sorted(_digits(own)):
        if len(digits) >= CERTAIN:
            alternatives.append(r"[.\\]?".join(digits))
        elif len(digits) >= LONG_NUMBER:
            alternatives.append(r"(?<![\d.])[0.]*" + r"\.?".join(digits) + r"[0.]*(?:[eE][-+]?\d+)?(?![\d.])")
        else:
            alternatives.append(rf"(?<![-\d.])0*{digits}(?:\.0*)?(?![\d.])")
    return re.compile("|".join(alternatives), re.ASCII) if alternatives else None


def _digits(own: Words) -> set[str]:
    found = {word.lstrip("0") for word in own if _is_number(word)}
    return {digits for digits in found if len(digits) >= SHORTEST_NUMBER}
