"""Content of a structured report: each item judged by its value type and what it asks for, at any depth.

PS3.15 E.3.4 (Clean Structured Content): what is asked of the header is asked of the content tree. An item stays as its
value type has it (PS3.3 C.17.3, C.18), made of cleaned elements alone; one whose value cannot stay goes with all below
it, a text with something below it becomes a dummy, and a number becomes a measurement without a value. Items that
refer to others by their place follow them to where they stand now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from pydicom import Dataset

from medflow.deid.codes import CODE_VALUE, SCHEME, current
from medflow.deid.encode import Clean, Items, text_element
from medflow.deid.original import CHARACTER_SET, encodings_of, numbers_of, packed, text_of
from medflow.deid.packaged import rows
from medflow.deid.values import DAYS_OF, OLDEST, dummy
from medflow.deid.vocabulary import words_of

if TYPE_CHECKING:
    from medflow.deid.cleaner import Cleaner

CONTENT = 0x0040A730
NAME = 0x0040A043
VALUE_TYPE = 0x0040A040
TEXT_VALUE = 0x0040A160
PERSON_NAME = 0x0040A123
MEASURED = 0x0040A300
UNITS = 0x004008EA
NUMBER = 0x0040A30A
PRECISE_NUMBERS = frozenset({0x0040A161, 0x0040A162, 0x0040A163})
TARGET = 0x0040DB73
TEMPLATE = 0x0040A504
TEMPLATE_NUMBER = 0x0040DB00
RESOURCE = 0x00080105
RELATIONSHIP = 0x0040A010
COMMON = (RELATIONSHIP, VALUE_TYPE, NAME, 0x0040A032, 0x0040A171)
"""RelationshipType, ValueType, ConceptNameCodeSequence, ObservationDateTime, ObservationUID."""
REFERENCES = 0x00081199
PATH = "ContentSequence"
"""Where every item stands, however deep."""
SHORTEST_NAME = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The elements of a value: those without which the item says nothing, and those that may come with them."""

    needs: tuple[int, ...] = ()
    takes: tuple[int, ...] = ()


SHAPES: Mapping[str, Shape] = {
    "TEXT": Shape(needs=(TEXT_VALUE,)),
    "NUM": Shape(takes=(MEASURED, 0x0040A301)),
    "CODE": Shape(needs=(0x0040A168,)),
    "DATETIME": Shape(needs=(0x0040A120,)),
    "DATE": Shape(needs=(0x0040A121,)),
    "TIME": Shape(needs=(0x0040A122,)),
    "UIDREF": Shape(needs=(0x0040A124,)),
    "COMPOSITE": Shape(needs=(REFERENCES,)),
    "IMAGE": Shape(needs=(REFERENCES,)),
    "WAVEFORM": Shape(needs=(REFERENCES,)),
    "SCOORD": Shape(needs=(0x00700022, 0x00700023), takes=(0x00480301, 0x0070031A)),
    "SCOORD3D": Shape(needs=(0x00700022, 0x00700023, 0x30060024), takes=(0x0070031A,)),
    "TCOORD": Shape(needs=(0x0040A130,), takes=(0x0040A132, 0x0040A138, 0x0040A13A)),
    "CONTAINER": Shape(takes=(0x0040A050, TEMPLATE)),
}
"""Value types whose items may stay. PNAME is none of them, and neither is TABLE."""


@dataclass(slots=True, kw_only=True)
class Item:
    """A content item that may stay: its place in the original tree, its elements, and what stands below it."""

    place: tuple[int, ...]
    elements: Items
    children: "list[Item]"
    target: tuple[int, ...] = ()
    """Place of the item that this one refers to."""


def content(cleaner: "Cleaner", root: Dataset) -> Clean | None:
    """Clean the content tree below the root of a report; None where nothing of it stays."""
    names = words_of(_names(cleaner, root))
    cleaner = replace(cleaner, identity=cleaner.identity | {name for name in names if len(name) >= SHORTEST_NAME})
    items = _children(cleaner, root, (1,))
    known = {(1,)} | {item.place for item in _all(items) if not item.target}
    items = _referring(items, known)
    now = dict(_numbered(items, (1,))) | {(1,): (1,)}
    return Clean(tag=CONTENT, vr="SQ", value=_written(items, now)) if items else None


def is_titled(cleaner: "Cleaner", root: Dataset) -> bool:
    """Say whether the title of a report is a code that stays; a tree without one is no report (PS3.3 C.17.3)."""
    return NAME in root and _says_something(cleaner.element(root, NAME, ""))


def template(element: Clean | None) -> Clean | None:
    """Name the template of a container by its number alone, which the standard gave it (PS3.16); others go."""
    if element is None or isinstance(element.value, bytes):
        return None
    resource = text_element(RESOURCE, "CS", "DCMR")
    numbers = [each for item in element.value for each in item if each.tag == TEMPLATE_NUMBER and each.value]
    return replace(element, value=((resource, numbers[0]),)) if numbers else None


@cache
def _identifying() -> dict[tuple[str, str], str]:
    """Read the concepts that ask for what the header must not say, and the option that retains each."""
    return {(row["scheme"], row["code"]): row["option"] for row in rows("concepts.tsv")}


def _children(cleaner: "Cleaner", parent: Dataset, place: tuple[int, ...]) -> list[Item]:
    found = (_item(cleaner, item, (*place, number)) for number, item in enumerate(_items(parent, CONTENT), 1))
    return [item for item in found if item is not None]


def _item(cleaner: "Cleaner", item: Dataset, place: tuple[int, ...]) -> Item | None:
    """Clean an item and what stands below it; None where it goes."""
    if CHARACTER_SET in item:
        cleaner = replace(cleaner, encodings=encodings_of(item))
    if TARGET in item:
        target = numbers_of(item.get_item(TARGET), "UL") or []
        relation = cleaner.element(item, RELATIONSHIP, PATH) if RELATIONSHIP in item else None
        if relation is None or not target:
            return None
        return Item(place=place, elements=(relation,), children=[], target=tuple(map(int, target)))
    shape = SHAPES.get(text_of(item.get_item(VALUE_TYPE), ()) if VALUE_TYPE in item else "")
    if shape is None or _asks_for_identity(cleaner, item):
        return None
    children = _children(cleaner, item, place)
    elements = _elements(cleaner, item, shape, dummies=bool(children))
    return None if elements is None else Item(place=place, elements=elements, children=children)


def _elements(cleaner: "Cleaner", item: Dataset, shape: Shape, *, dummies: bool) -> Items | None:
    """Clean the elements that an item of this shape has; None where its value, or its concept, does not stay."""
    cleaned = {
        tag: element
        for tag in (*COMMON, *shape.needs, *shape.takes)
        if tag in item and (element := cleaner.element(item, tag, PATH)) is not None
    }
    if dummies and TEXT_VALUE in shape.needs and not _says_something(cleaned.get(TEXT_VALUE)):
        cleaned[TEXT_VALUE] = Clean(tag=TEXT_VALUE, vr="UT", value=dummy("UT"))
    if not all(_says_something(cleaned.get(tag)) for tag in (RELATIONSHIP, VALUE_TYPE, *shape.needs)):
        return None
    if NAME in item and not _says_something(cleaned.get(NAME)):
        if shape is not SHAPES["CONTAINER"]:
            return None
        cleaned.pop(NAME, None)
    if MEASURED in shape.takes:
        cleaned[MEASURED] = Clean(tag=MEASURED, vr="SQ", value=_measured(cleaned.get(MEASURED)))
    return tuple(element for element in cleaned.values() if element.value or element.tag == MEASURED)


def _asks_for_identity(cleaner: "Cleaner", item: Dataset) -> bool:
    option = _identifying().get(_code(cleaner, item, NAME))
    return option is not None and option not in cleaner.profile.options


def _code(cleaner: "Cleaner", item: Dataset, tag: int) -> tuple[str, str]:
    """Give (scheme, code) of the first coded entry of a sequence, empty where there is none."""
    for entry in _items(item, tag):
        value, scheme = (text_of(entry.get_item(each), cleaner.encodings) for each in (CODE_VALUE, SCHEME))
        value, scheme = current(value, scheme)
        return scheme, value
    return "", ""


def _says_something(element: Clean | None) -> bool:
    """Say whether anything of an element is left, and of a sequence any of the first item."""
    return element is not None and bool(element.value) and element.value[0] != ()


def _measured(element: Clean | None) -> tuple[Items, ...]:
    """Keep a measured value that has a number and a known unit; years of age beyond 89 become 90."""
    items = () if element is None or isinstance(element.value, bytes) else element.value
    for item in items[:1]:
        by_tag = {each.tag: each for each in item}
        number, unit = by_tag.get(NUMBER), _unit(by_tag.get(UNITS))
        if number is None or not isinstance(number.value, bytes) or not number.value or not unit:
            return ()
        if float(number.value) * YEARS.get(unit, 0.0) <= OLDEST:
            return (item,)
        plain = [each for each in item if each.tag not in PRECISE_NUMBERS | {NUMBER}]
        return ((*plain, text_element(NUMBER, "DS", "90")),) if unit == "a" else ()
    return ()


YEARS = {"a": 1.0, "mo": 1 / 12, "wk": DAYS_OF["W"] / DAYS_OF["Y"], "d": 1 / DAYS_OF["Y"]}
"""UCUM's unit of time -> years."""


def _unit(element: Clean | None) -> str:
    items = () if element is None or isinstance(element.value, bytes) else element.value
    codes = [each.value for item in items[:1] for each in item if each.tag == CODE_VALUE]
    return codes[0].decode("ascii") if codes and isinstance(codes[0], bytes) else ""


def _names(cleaner: "Cleaner", dataset: Dataset) -> Iterator[str]:
    """Give every name of a person in the tree: their words do not stay in its texts."""
    for tag in (0x0040A075, PERSON_NAME):
        if tag in dataset:
            yield text_of(dataset.get_item(tag), cleaner.encodings)
    for sequence in (0x0040A073, CONTENT):
        for item in _items(dataset, sequence):
            yield from _names(cleaner, item)


def _items(dataset: Dataset, tag: int) -> list[Dataset]:
    """Read the items of a sequence; none where it is absent, or no sequence."""
    if tag not in dataset:
        return []
    element = dataset[tag]
    return list(element.value) if element.VR == "SQ" and element.value else []


def _all(items: list[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _all(item.children)


def _referring(items: list[Item], known: set[tuple[int, ...]]) -> list[Item]:
    """Leave out items that refer to what went."""
    return [
        replace(item, children=_referring(item.children, known))
        for item in items
        if not item.target or item.target in known
    ]


def _numbered(items: list[Item], above: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Give each item's place in the original tree, and its place now."""
    for number, item in enumerate(items, 1):
        yield item.place, (*above, number)
        yield from _numbered(item.children, (*above, number))


def _written(items: list[Item], now: Mapping[tuple[int, ...], tuple[int, ...]]) -> tuple[Items, ...]:
    written = []
    for item in items:
        elements = list(item.elements)
        if item.target:
            elements.append(Clean(tag=TARGET, vr="UL", value=packed("UL", now[item.target]) or b""))
        if item.children:
            elements.append(Clean(tag=CONTENT, vr="SQ", value=_written(item.children, now)))
        written.append(tuple(elements))
    return tuple(written)
