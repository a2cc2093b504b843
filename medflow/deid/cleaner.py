"""The engine: what becomes of each element of a data set, at any depth. What no rule keeps does not come out."""

import struct
import zlib
from dataclasses import dataclass, field, replace

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.errors import BytesLengthException, InvalidDicomError

from medflow.deid.codes import CODE_VALUE, MEANING, SCHEME, is_about_the_code, known_meaning
from medflow.deid.encode import Clean, Items, text_element
from medflow.deid.original import (
    CHARACTER_SET,
    NUMBER_FORMATS,
    TEXT_VRS,
    Original,
    encodings_of,
    is_empty,
    numbers_of,
    packed,
    pointers_of,
    public_vr,
    table_of,
    text_of,
    texts_of,
)
from medflow.deid.profile import Action, Profile, Treatment
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.rules import fitted, text_rule, words
from medflow.deid.values import (
    dummy,
    is_decimal,
    is_integer,
    is_registered_uid,
    is_time,
    shifted_date,
    shifted_date_time,
)
from medflow.deid.vocabulary import NOBODY, Words

NEVER = frozenset({0x0000, 0x0002, 0x0400, 0xFFFA, 0xFFFC})
"""Groups that no cleaned data set has: commands, file meta, encrypted values and signatures, trailing padding."""
ONE_ITEM_PER_FRAME = frozenset({"PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"})
DAMAGE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises over a damaged element or file."""
PIXELS = 0x7FE00000
UNKNOWN = Treatment(action=Action.REMOVE, rule="", source="no rule keeps it")
MAPPED = Treatment(action=Action.UID, rule="", source="a UID without a row is mapped")
DATED = Treatment(action=Action.SHIFT, rule="", source="a date or time without a row is one")
COMPOSITE = {
    Action.REMOVE: "XXX",
    Action.EMPTY: "ZZZ",
    Action.DUMMY: "DDD",
    Action.REMOVE_OR_EMPTY: "ZZX",
    Action.REMOVE_OR_DUMMY: "DDX",
    Action.EMPTY_OR_DUMMY: "DZZ",
    Action.REMOVE_EMPTY_OR_DUMMY: "DZX",
}
"""What a basic action means for an attribute that is required, possibly empty, or optional (PS3.15 Table E.1-1a)."""
SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "c",
    "1.2.840.10008.5.1.4.1.1.2.1": "C",
    "1.2.840.10008.5.1.4.1.1.2.2": "L",
    "1.2.840.10008.5.1.4.1.1.4": "m",
    "1.2.840.10008.5.1.4.1.1.4.1": "M",
    "1.2.840.10008.5.1.4.1.1.4.3": "M",
    "1.2.840.10008.5.1.4.1.1.4.4": "L",
    "1.2.840.10008.5.1.4.1.1.128": "p",
    "1.2.840.10008.5.1.4.1.1.130": "P",
    "1.2.840.10008.5.1.4.1.1.128.1": "L",
    "1.2.840.10008.5.1.4.1.1.1": "r",
    "1.2.840.10008.5.1.4.1.1.1.1": "d",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "d",
    "1.2.840.10008.5.1.4.1.1.1.2": "g",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "g",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "o",
    "1.2.840.10008.5.1.4.1.1.77.1.5.2": "o",
    "1.2.840.10008.5.1.4.1.1.77.1.5.5": "w",
    "1.2.840.10008.5.1.4.1.1.77.1.5.6": "w",
}
"""SOP class -> the letter of its IOD in `tables/types.tsv`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """Cleans the elements of one patient's objects; what differs between objects is in the last four fields."""

    profile: Profile
    pseudonyms: Pseudonyms = field(repr=False)
    days: int = field(repr=False)
    iod: str = ""
    encodings: tuple[str, ...] = ("iso8859",)
    identity: Words = field(default=NOBODY, repr=False)
    """Words of the object's own names and numbers."""
    signed: bool = False

    @property
    def context(self) -> tuple[object, ...]:
        """All on which the cleaning of an element may depend, beside the element itself, within one patient."""
        return self.iod, self.encodings, self.identity, self.signed

    def items(self, dataset: Dataset, path: str = "") -> Items:
        """Clean a data set or an item whose sequence stands at `path` (keywords with dots)."""
        cleaner = self
        if path and CHARACTER_SET in dataset:
            cleaner = replace(self, encodings=encodings_of(dataset))
        found = []
        for tag in sorted(dataset.keys()):
            if tag > PIXELS:
                break
            cleaned = cleaner.element(dataset, int(tag), path)
            if cleaned is not None:
                found.append(cleaned)
        found += cleaner.creators(dataset, {each.tag >> 8 for each in found if each.tag >> 16 & 1})
        if path:
            found += cleaner.code(dataset)
        return tuple(found)

    def element(self, dataset: Dataset, tag: int, path: str) -> Clean | None:
        """Clean one element of `dataset`; None where nothing of it stays."""
        if _never_stays(tag):
            return None
        original: Original = dataset.get_item(tag)
        if tag >> 16 & 1:
            return self.private(dataset, original, tag)
        return self.public(dataset, original, tag, path)

    def public(self, dataset: Dataset, original: Original, tag: int, path: str) -> Clean | None:
        """Clean an element of the standard."""
        vr = public_vr(tag, original.VR, signed=self.signed)
        if vr is None:
            return None
        keyword = keyword_for_tag(tag)
        where = f"{path}.{keyword}" if path else keyword
        treatment = self.profile.treatments.get(tag) or _by_vr(vr)
        if vr == "SQ":
            return self.sequence(dataset, tag, treatment.action, where)
        if treatment.action in COMPOSITE:
            return self.basic(original, tag, vr, COMPOSITE[treatment.action][self.need(where) - 1])
        if is_empty(original, vr):
            return Clean(tag=tag, vr=vr, value=b"")
        return self.value(original, tag, vr, treatment) or self.nothing(tag, vr, where)

    def value(self, original: Original, tag: int, vr: str, treatment: Treatment) -> Clean | None:
        """Clean a value that may stay if it passes its rule; None where it does not."""
        if vr in TEXT_VRS:
            values = self.texts(original, vr, treatment) if _is_text(original) else []
            return text_element(tag, vr, *values) if any(values) else None
        if treatment.rule == "lut":
            table = table_of(original)
            return None if table is None else Clean(tag=tag, vr="OW", value=table)  # US has no room for 65536 entries
        value = pointers_of(original) if vr == "AT" else self.numbers(original, vr)
        return None if value is None else Clean(tag=tag, vr=vr, value=value)

    def basic(self, original: Original, tag: int, vr: str, letter: str) -> Clean | None:
        """Remove, empty or replace a value; one that is empty already stays so."""
        if letter == "X":
            return None
        if letter == "Z" or is_empty(original, vr):
            return Clean(tag=tag, vr=vr, value=b"")
        return Clean(tag=tag, vr=vr, value=dummy(vr))

    def texts(self, original: Original, vr: str, treatment: Treatment) -> list[str]:
        """Give the texts that may stay of an element's."""
        values = texts_of(original, vr, self.encodings)
        match treatment.action:
            case Action.UID:
                return [self.uid(value) for value in values if value]
            case Action.SHIFT:
                return self.dates(values, vr)
            case Action.WORDS:
                return [fitted(vr, value) for value in words(values, self.identity)]
            case _ if treatment.rule == "number":
                return values if all(not value or self.is_number(value, vr) for value in values) else []
            case _:
                return [fitted(vr, value) for value in text_rule(treatment.rule)(values, self.identity)]

    def is_number(self, value: str, vr: str) -> bool:
        """Say whether a text is a number of its VR, and none of the patient's own."""
        return value not in self.identity and (is_integer if vr == "IS" else is_decimal)(value)

    def dates(self, values: list[str], vr: str) -> list[str]:
        """Shift dates and keep times of day; all values must be what their VR says."""
        if vr == "TM":
            return values if all(map(is_time, values)) else []
        move = shifted_date if vr == "DA" else shifted_date_time
        moved = [move(value, self.days) for value in values]
        return [value for value in moved if value is not None] if None not in moved else []

    def uid(self, original: str) -> str:
        """Map a UID; those that the standard registered stay."""
        return original if is_registered_uid(original) else self.pseudonyms.uid(original)

    def numbers(self, original: Original, vr: str) -> bytes | None:
        """Give binary numbers, written as the dictionary's VR; None for anything else."""
        if vr not in NUMBER_FORMATS or (original.VR not in NUMBER_FORMATS and original.VR not in {"UN", None}):
            return None
        found = numbers_of(original, vr)
        return None if found is None else packed(vr, found)

    def sequence(self, dataset: Dataset, tag: int, action: Action, where: str) -> Clean | None:
        """Clean the items of a sequence in turn. A dummy sequence is the cleaned one: its own attributes have rules."""
        need = self.need(where)
        letter = COMPOSITE[action][need - 1] if action in COMPOSITE else ""
        if letter == "X":
            return None
        if letter == "Z":
            return Clean(tag=tag, vr="SQ", value=())
        read = _sequence(dataset, tag)
        cleaned = tuple(self.items(item, where) for item in read)
        if keyword_for_tag(tag) not in ONE_ITEM_PER_FRAME:
            cleaned = tuple(items for items, item in zip(cleaned, read, strict=True) if items or len(item) == 0)
        if not cleaned and need == 3 and read:  # noqa: PLR2004
            return None
        return Clean(tag=tag, vr="SQ", value=cleaned)

    def private(self, dataset: Dataset, original: Original, tag: int) -> Clean | None:
        """Keep a private element that Table E.3.10-1 lists for its creator, wherever its block lies."""
        group, block = tag >> 16, tag >> 8 & 0xFF
        if block < 0x10:  # noqa: PLR2004
            return None
        creator = text_of(dataset.get_item(group << 16 | block), self.encodings)
        vr = self.profile.safe_private.get((creator, group, tag & 0xFF))
        if vr is None or is_empty(original, vr):
            return None
        return self.value(original, tag, vr, PRIVATE.get(vr, PRIVATE_WORDS))

    def creators(self, dataset: Dataset, blocks: set[int]) -> list[Clean]:
        """Reserve the blocks of the private elements that stay; a block is its tags without their last byte."""
        holders = [(block >> 8 << 16 | block & 0xFF) for block in sorted(blocks)]
        return [text_element(tag, "LO", text_of(dataset.get_item(tag), self.encodings)) for tag in holders]

    def code(self, dataset: Dataset) -> list[Clean]:
        """Rebuild the coded entry of an item from the dictionary; nothing where the code is not in it."""
        value, scheme = (text_of(dataset.get_item(tag), self.encodings) for tag in (CODE_VALUE, SCHEME))
        meaning = known_meaning(value, scheme)
        if meaning is None:
            return []
        return [
            text_element(CODE_VALUE, "SH", value),
            text_element(SCHEME, "SH", scheme),
            text_element(MEANING, "LO", meaning),
        ]

    def need(self, where: str) -> int:
        """Say whether the IOD requires the attribute at `where`: 1 with a value, 2 possibly empty, 3 not at all."""
        required, possibly_empty = self.profile.types.get(where, ("", ""))
        if self.iod and self.iod in required:
            return 1
        return 2 if self.iod and self.iod in possibly_empty else 3

    def nothing(self, tag: int, vr: str, where: str) -> Clean | None:
        """Leave of a value what the IOD needs: a dummy, an empty value, or nothing.

        A number that was never measured is worse than none: numbers get no dummy.
        """
        need = self.need(where)
        if need == 1 and vr in TEXT_VRS - {"DS", "IS"}:
            return Clean(tag=tag, vr=vr, value=dummy(vr))
        return Clean(tag=tag, vr=vr, value=b"") if need == 2 else None  # noqa: PLR2004


PRIVATE_WORDS = Treatment(action=Action.RULE, rule="words", source="E.3.10-1")
PRIVATE = {
    "DS": Treatment(action=Action.RULE, rule="number", source="E.3.10-1"),
    "IS": Treatment(action=Action.RULE, rule="number", source="E.3.10-1"),
    "CS": Treatment(action=Action.RULE, rule="terms", source="E.3.10-1"),
    "UI": MAPPED,
}


def _by_vr(vr: str) -> Treatment:
    """Treat what has no row: dates are shifted, UIDs mapped, all else is removed."""
    if vr == "UI":
        return MAPPED
    return DATED if vr in {"DA", "TM", "DT"} else UNKNOWN


def _never_stays(tag: int) -> bool:
    """Say whether a tag goes whatever it holds: group lengths, curves and overlays, and what is written afresh."""
    group, number = tag >> 16, tag & 0xFFFF
    repeats = 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF  # noqa: PLR2004
    return repeats or number == 0 or group in NEVER or tag == CHARACTER_SET or is_about_the_code(tag)


def _is_text(original: Original) -> bool:
    """Say whether an element declares a text VR, or none."""
    return original.VR in TEXT_VRS or original.VR in {"UN", None}


def _sequence(dataset: Dataset, tag: int) -> list[Dataset]:
    """Read the items of a sequence; none where it is damaged or no sequence."""
    try:
        element = dataset[tag]
        return list(element.value) if element.VR == "SQ" and element.value else []
    except DAMAGE:
        return []  # nothing of a damaged sequence stays
