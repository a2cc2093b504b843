"""The engine: what becomes of each element of a data set, at any depth. What no rule keeps does not come out."""

import struct
import zlib
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_sequence

from medflow.deid.codes import CODE_VALUE, MEANING, SCHEME, known_meaning
from medflow.deid.encode import Clean, Items, text_element
from medflow.deid.fates import (
    OPTIONAL,
    PIXELS,
    forced,
    letter_of,
    need_of,
    otherwise,
    private_treatment,
    treatment_of,
)
from medflow.deid.original import (
    CHARACTER_SET,
    NUMBER_FORMATS,
    TEXT_VRS,
    Original,
    encodings_of,
    hides_text,
    is_empty,
    numbers_of,
    packed,
    pointers_of,
    public_vr,
    table_of,
    text_of,
    texts_of,
)
from medflow.deid.own import are_own_bytes, is_own_binary, is_own_number
from medflow.deid.palette import colours_of
from medflow.deid.profile import Action, Profile, Treatment
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.report import CONTENT, TEMPLATE, content, template
from medflow.deid.rules import fitted, text_rule
from medflow.deid.values import (
    are_pointers,
    dummy,
    is_counted,
    is_decimal,
    is_integer,
    is_measured,
    is_measured_by_vendor,
    is_registered_uid,
    is_time,
    is_unset,
    shifted_date,
    shifted_date_time,
)
from medflow.deid.vocabulary import NOBODY, Allowed, Words

NUMERIC = {"number": is_measured, "count": is_counted, "private": is_measured_by_vendor}
"""Rules of measured numbers; of counts, doses and durations that may be large; and of what vendors measure."""
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
SHORT, MOST_DONE = 256, 1024
"""Bytes of an element's value up to which its outcome is remembered, and of how many elements at a time."""
FIRST_VR = slice(12, 14)
"""Where the VR of its first element stands in a sequence in explicit VR: after the tags and lengths of item and tag."""
EXPLICIT_VR = frozenset({*TEXT_VRS, *NUMBER_FORMATS, "AT", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """Cleans the elements of one patient's objects; what differs between objects is in the last fields."""

    profile: Profile
    pseudonyms: Pseudonyms = field(repr=False)
    days: int = field(repr=False)
    iod: str = ""
    encodings: tuple[str, ...] = ("iso8859",)
    identity: Words = field(default=NOBODY, repr=False)
    """Words of the object's own names and numbers."""
    signed: bool = False
    codes: bool = False
    """Codes that no dictionary has stay as they are written, in sequences that an option keeps."""
    done: dict[object, Clean | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What became of short elements of the standard lately, under this very cleaner: most come again in a series."""

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
        if forced(tag) is not None:
            return None
        original: Original = dataset.get_item(tag)
        if tag >> 16 & 1:
            return self.private(dataset, original, tag)
        if tag == CONTENT or not isinstance(original, RawDataElement) or len(original.value or b"") > SHORT:
            return self.public(dataset, original, tag, path)
        key = path, tag, original.VR, original.value, original[5:]  # all but where it stood in its file
        if key not in self.done:
            if len(self.done) >= MOST_DONE:
                self.done.clear()
            self.done[key] = self.public(dataset, original, tag, path)
        return self.done[key]

    def public(self, dataset: Dataset, original: Original, tag: int, path: str) -> Clean | None:
        """Clean an element of the standard."""
        vr = public_vr(tag, original.VR, signed=self.signed)
        if vr is None:
            return None
        keyword = keyword_of(tag)
        where = f"{path}.{keyword}" if path else keyword
        treatment = treatment_of(self.profile, tag, vr)
        if tag == CONTENT:
            return content(self, dataset) if treatment.action is Action.RECURSE and not path else None
        if vr == "SQ":
            cleaned = self.sequence(dataset, tag, treatment, where)
            return template(cleaned) if tag == TEMPLATE else cleaned
        letter = letter_of(treatment.action, self.need(where))
        if letter:
            return self.basic(original, tag, vr, letter)
        if is_empty(original, vr):
            return Clean(tag=tag, vr=vr, value=b"")
        return self.value(original, tag, vr, treatment) or self.nothing(tag, vr, where)

    def value(self, original: Original, tag: int, vr: str, treatment: Treatment) -> Clean | None:
        """Clean a value that may stay if it passes its rule; None where it does not."""
        if vr in TEXT_VRS:
            values = self.texts(original, vr, treatment) if _is_text(original) else []
            coding = "utf-8" if treatment.rule == "whole" else "ascii"
            return Clean(tag=tag, vr=vr, value="\\".join(values).encode(coding)) if any(values) else None
        if treatment.rule == "lut":
            table = table_of(original)
            return None if table is None else Clean(tag=tag, vr="OW", value=table)  # US has no room for 65536 entries
        if treatment.rule == "palette":
            colours = colours_of(original)
            return (
                None
                if colours is None or are_own_bytes(colours, self.identity)
                else Clean(tag=tag, vr="OW", value=colours)
            )
        if vr == "AT":
            pointers = pointers_of(original)
            return Clean(tag=tag, vr=vr, value=pointers) if pointers and are_pointers(pointers) else None
        value = self.numbers(original, vr, treatment)
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
                return dates(values, vr, self.days)
            case Action.DATE:
                return dates(values, vr, 0)
            case _ if treatment.rule in NUMERIC:
                return values if self.are_numbers(values, vr, treatment.rule) else []
            case _:
                allowed = Allowed(own=self.identity, extra=self.profile.words)
                return [fitted(vr, value) for value in text_rule(treatment.rule)(values, allowed)]

    def are_numbers(self, values: list[str], vr: str, rule: str) -> bool:
        """Say whether texts are numbers of their VR that were measured or counted, and none of the patient's own."""
        is_one = is_integer if vr == "IS" else is_decimal
        numbers = [value for value in values if value]
        if not all(map(is_one, numbers)) or is_own_number(numbers, self.identity):
            return False
        return all(NUMERIC[rule](float(number)) for number in numbers)

    def uid(self, original: str) -> str:
        """Map a UID; those that the standard registered stay."""
        return original if is_registered_uid(original) else self.pseudonyms.uid(original)

    def numbers(self, original: Original, vr: str, treatment: Treatment) -> bytes | None:
        """Give binary numbers, written as the dictionary's VR; None for anything else."""
        if treatment.rule not in NUMERIC or vr not in NUMBER_FORMATS:
            return None
        if original.VR not in NUMBER_FORMATS and original.VR not in {"UN", None}:
            return None
        found = numbers_of(original, vr)
        if found is None or hides_text(original.value) or is_own_binary(found, self.identity):
            return None
        if are_own_bytes(original.value, self.identity):
            return None
        return packed(vr, found) if all(map(NUMERIC[treatment.rule], found)) else None

    def sequence(self, dataset: Dataset, tag: int, treatment: Treatment, where: str) -> Clean | None:
        """Clean the items of a sequence in turn. A dummy sequence is the cleaned one: its own attributes have rules."""
        need = self.need(where)
        letter = letter_of(treatment.action, need)
        if letter == "X":
            return None
        if letter == "Z":
            return Clean(tag=tag, vr="SQ", value=())
        read = _sequence(dataset, tag)
        cleaner = replace(self, codes=True) if treatment.rule == "codes" else self
        cleaned = tuple(cleaner.items(item, where) for item in read)
        if keyword_of(tag) not in ONE_ITEM_PER_FRAME:
            cleaned = tuple(items for items, item in zip(cleaned, read, strict=True) if items or len(item) == 0)
        if not cleaned and need == OPTIONAL and read:
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
        return self.value(original, tag, vr, private_treatment(self.profile, vr))

    def creators(self, dataset: Dataset, blocks: set[int]) -> list[Clean]:
        """Reserve the blocks of the private elements that stay; a block is its tags without their last byte."""
        holders = [(block >> 8 << 16 | block & 0xFF) for block in sorted(blocks)]
        return [text_element(tag, "LO", text_of(dataset.get_item(tag), self.encodings)) for tag in holders]

    def code(self, dataset: Dataset) -> list[Clean]:
        """Rebuild the coded entry of an item from the dictionary; nothing where the code is not in it."""
        value, scheme = (text_of(dataset.get_item(tag), self.encodings) for tag in (CODE_VALUE, SCHEME))
        meaning = known_meaning(value, scheme)
        if meaning is not None:
            found = {CODE_VALUE: value, SCHEME: scheme, MEANING: meaning}
        elif self.codes and value:
            found = {CODE_VALUE: value, SCHEME: scheme, MEANING: text_of(dataset.get_item(MEANING), self.encodings)}
            found = found if text_rule("codes")(list(found.values()), Allowed(own=self.identity)) else {}
        else:
            found = {}
        vrs = {tag: "LO" if tag == MEANING else "SH" for tag in found}
        return [Clean(tag=tag, vr=vr, value=fitted(vr, found[tag]).encode("utf-8")) for tag, vr in vrs.items()]

    def need(self, where: str) -> int:
        """Say whether the object's IOD requires the attribute at `where`."""
        return need_of(self.profile, self.iod, where)

    def nothing(self, tag: int, vr: str, where: str) -> Clean | None:
        """Leave of a value that may not stay what the IOD needs: a dummy, an empty value, or nothing."""
        letter = otherwise(vr, self.need(where))
        return None if letter == "X" else Clean(tag=tag, vr=vr, value=dummy(vr) if letter == "D" else b"")


keyword_of = cache(keyword_for_tag)


def dates(values: list[str], vr: str, days: int) -> list[str]:
    """Shift dates by `days` and keep times of day; all values must be what their VR says."""
    if vr == "TM":
        return values if all(map(is_time, values)) else []
    if days and any(map(is_unset, values)):
        return []
    move = shifted_date if vr == "DA" else shifted_date_time
    moved = [move(value, days) for value in values]
    return [value for value in moved if value is not None] if None not in moved else []


def _is_text(original: Original) -> bool:
    """Say whether an element declares a text VR, or none."""
    return original.VR in TEXT_VRS or original.VR in {"UN", None}


def _sequence(dataset: Dataset, tag: int) -> list[Dataset]:
    """Read the items of a sequence; none where it is damaged or no sequence.

    One that stands under UN is written in implicit VR (PS3.5 6.2.2), and by some writers in explicit VR.
    """
    original = dataset.get_item(tag)
    try:
        if original.VR == "UN" and isinstance(original.value, bytes):
            content = original.value
            implicit = content[FIRST_VR].decode("latin-1") not in EXPLICIT_VR
            return list(read_sequence(BytesIO(content), implicit, True, len(content), "iso8859"))  # noqa: FBT003
        element = dataset[tag]
        return list(element.value) if element.VR == "SQ" and element.value else []
    except DAMAGE:
        return []  # nothing of a damaged sequence stays
