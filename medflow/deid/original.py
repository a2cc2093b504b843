"""An element as it was read: its texts, its numbers, and what VR it really has."""

import re
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from pydicom import DataElement, Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import TEXT_VR_DELIMS

Original: TypeAlias = RawDataElement | DataElement

TEXT_VRS = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
WHOLE_TEXT_VRS = frozenset(["ST", "LT", "UT", "UR"])
CHARACTER_SET = 0x00080005
LETTERS = re.compile(rb"[A-Za-z0-9^]{8}|(?:[A-Za-z0-9]\0){4}|(?:\0[A-Za-z0-9]){4}")
NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
AMBIGUOUS = {
    "US or SS": ("US", "SS"),
    "OB or OW": ("OW", "OB"),
    "US or OW": ("US", "OW"),
    "US or SS or OW": ("US", "SS", "OW"),
}


def public_vr(tag: int, declared: str | None, *, signed: bool) -> str | None:
    """Give the VR that the dictionary has for `tag`; of several, the declared one, else by the pixels' sign."""
    entry = DicomDictionary.get(tag)
    if entry is None:
        return None
    choices = AMBIGUOUS.get(entry[0])
    if choices is None:
        return entry[0]
    if declared in choices:
        return declared
    return "SS" if signed and "SS" in choices else choices[0]


def is_empty(element: Original, vr: str) -> bool:
    """Say whether an element has no value; in text, blanks and padding are none."""
    value = element.value
    if isinstance(value, bytes):
        return not (value.strip(b" \0") if vr in TEXT_VRS else value)
    return value is None or (isinstance(value, str | MultiValue) and len(value) == 0)


def encodings_of(dataset: Dataset) -> tuple[str, ...]:
    """Give the character sets of a data set as Python codecs; unknown ones fall back to Latin 1."""
    element = dataset.get_item(CHARACTER_SET) if CHARACTER_SET in dataset else None
    if element is None or is_empty(element, "CS"):
        return ("iso8859",)
    value = element.value
    names = value.decode("latin-1").split("\\") if isinstance(value, bytes) else value
    try:
        found = convert_encodings([name.strip(" \0") for name in ([names] if isinstance(names, str) else list(names))])
    except (LookupError, ValueError):
        return ("iso8859",)
    return tuple(found)


def text_of(element: Original | None, encodings: Sequence[str]) -> str:
    """Decode an element's value as text, whatever its VR claims, padding removed; an absent one is empty."""
    value = None if element is None else element.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii").strip(" \0")
        try:
            return decode_bytes(value, list(encodings), TEXT_VR_DELIMS).strip(" \0")
        except (LookupError, UnicodeError, ValueError):
            return value.decode("latin-1").strip(" \0")
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(each) for each in value)
    return str(value)


def texts_of(element: Original, vr: str, encodings: Sequence[str]) -> list[str]:
    """Decode an element's values as texts."""
    text = text_of(element, encodings)
    if vr in WHOLE_TEXT_VRS:
        return [text]
    return [each.strip(" \0") for each in text.split("\\")]


def numbers_of(element: Original, vr: str) -> list[float] | None:
    """Read binary numbers under the number VR that the element declares, else `vr`; None for what is not numbers."""
    value = element.value
    if not isinstance(value, bytes):
        values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        found = [each for each in values if isinstance(each, int | float)]
        return found if len(found) == len(values) else None
    declared = element.VR if element.VR in NUMBER_FORMATS else vr
    letter = NUMBER_FORMATS[declared]
    size = struct.calcsize(letter)
    if len(value) % size or spells(value):
        return None
    little = element.is_little_endian if isinstance(element, RawDataElement) else True
    return list(struct.unpack(f"{'<' if little else '>'}{len(value) // size}{letter}", value))


def spells(value: bytes) -> bool:
    """Say whether bytes that should be numbers read as letters and digits throughout (six and more).

    >>> spells(b"DOE^JOHN"), spells(bytes(8))
    (True, False)
    """
    text = value.strip(b" \0")
    return len(text) >= 6 and text.isascii() and all(chr(each).isalnum() or each in b"^ .-,_" for each in text)  # noqa: PLR2004


def hides_text(value: object) -> bool:
    """Say whether eight letters in a row, or four of UTF-16, stand among the bytes of binary numbers.

    >>> hides_text(bytes(4) + b"DOEJOHNX"), hides_text("MEYER".encode("utf-16-le")), hides_text(bytes(16))
    (True, True, False)
    """
    return isinstance(value, bytes) and LETTERS.search(value) is not None


def packed(vr: str, numbers: Sequence[float]) -> bytes | None:
    """Write numbers as little endian bytes of `vr`; None where they do not fit."""
    try:
        if vr in {"FL", "FD"}:
            return struct.pack(f"<{len(numbers)}{NUMBER_FORMATS[vr]}", *numbers)
        whole = [int(number) for number in numbers]
        if any(number != exact for number, exact in zip(numbers, whole, strict=True)):
            return None
        return struct.pack(f"<{len(whole)}{NUMBER_FORMATS[vr]}", *whole)
    except (struct.error, OverflowError, ValueError):
        return None


def table_of(element: Original) -> bytes | None:
    """Read the 16-bit entries of a look-up table as little endian bytes; None unless they rise or fall throughout.

    Tables for looking at images do, and bytes that say something else do not.
    """
    numbers = numbers_of(element, "US")
    if not numbers:
        return None
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    return None if min(steps, default=0) < 0 < max(steps, default=0) else packed("US", numbers)


def pointers_of(element: Original) -> bytes | None:
    """Read AT values (tags) as little endian bytes; None for what is not tags."""
    value = element.value
    if not isinstance(value, bytes):
        tags = [] if value is None else list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in tags)
    if len(value) % 4:
        return None
    little = element.is_little_endian if isinstance(element, RawDataElement) else True
    halves = struct.unpack(f"{'<' if little else '>'}{len(value) // 2}H", value)
    return struct.pack(f"<{len(halves)}H", *halves)
