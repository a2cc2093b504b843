"""What a profile file must not say: contradictions, and rules that a privacy officer would refuse."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword

from medflow.deid.packaged import rows
from medflow.deid.profile import is_single, table_treatments
from medflow.deid.treatments import DATES, NUMBERS, OPTION_COLUMNS, TEXTS, Action, Option
from medflow.documents import Keys, Mistake

NEVER_KEPT = frozenset({0x0000, 0x0002, 0x0004, 0x0400, 0xFFFA, 0xFFFC, 0xFFFE})
"""Groups that no site can keep: commands, file meta, media folders, encrypted values and signatures, delimiters."""
BIRTH_AND_DEATH = frozenset({0x00100033, 0x00100034, 0x00100035})
"""Dates of birth and death in another calendar, which are texts to the dictionary."""
PIXEL_MODULE = 0x0028
NEEDED = frozenset(
    {
        0x00080005, 0x00080016, 0x00080018, 0x00080060, 0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064,
        0x0020000D, 0x0020000E, 0x00200032, 0x00200037, 0x52009229, 0x52009230,
    }
)  # fmt: skip
"""Without these an object cannot be read, or does not say what was done to it."""
TAG = re.compile(r"[0-9A-Fa-f]{8}")


def contradictions(profile: dict[str, Any]) -> Iterator[Mistake]:
    """Name what cannot be in a profile whose keys and types are all right."""
    yield from _options(profile)
    yield from _twice(profile)
    for key, wrong in (("stricter", partial(_not_stricter, profile)), ("keep", _not_kept)):
        for number, rule in enumerate(profile.get(key, [])):
            for place, attribute in enumerate(rule["attributes"]):
                text = "nobody knows this attribute" if not is_known(attribute) else wrong(rule, tag_of(attribute))
                if text:
                    yield Mistake(path=(key, number, "attributes", place), text=f"{attribute}: {text}")
    yield from _private(profile)


def is_known(attribute: str) -> bool:
    """Say whether the dictionary has an attribute of this keyword or tag."""
    return (int(attribute, 16) if TAG.fullmatch(attribute) else tag_for_keyword(attribute)) in DicomDictionary


def tag_of(attribute: str) -> int:
    """Give the tag of a keyword, or of a tag in hexadecimal digits, that the dictionary knows."""
    return int(attribute, 16) if TAG.fullmatch(attribute) else tag_for_keyword(attribute) or 0


def _options(profile: Mapping[str, Any]) -> Iterator[Mistake]:
    options = set(profile["options"])
    if {Option.FULL_DATES, Option.MODIFIED_DATES} <= options:
        yield Mistake(path=("options",), text="dates stay as they are or are moved, not both: choose one of the two")
    if "text" in profile and Option.CLEAN_PIXELS not in options:
        yield Mistake(path=("text",), text="nobody looks for text in pixels without the option clean_pixels")
    if profile.get("safe_private") and Option.SAFE_PRIVATE not in options:
        yield Mistake(path=("safe_private",), text="without the option safe_private no private element stays")


def _twice(profile: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find attributes that have two rules, under whatever name."""
    seen: set[int] = set()
    for key in ("stricter", "keep"):
        for number, rule in enumerate(profile.get(key, [])):
            for place, attribute in enumerate(rule["attributes"]):
                if is_known(attribute) and tag_of(attribute) in seen:
                    path: Keys = (key, number, "attributes", place)
                    yield Mistake(path=path, text=f"{attribute}: another rule of this file names it already")
                seen |= {tag_of(attribute)} if is_known(attribute) else set()


def _not_stricter(profile: Mapping[str, Any], rule: Mapping[str, Any], tag: int) -> str:
    """Say why an attribute cannot be treated more strictly; empty where it can."""
    if tag in NEEDED or tag >> 16 == PIXEL_MODULE:
        return "an image cannot be read without it, or does not say what was done to it"
    treatment = table_treatments(frozenset(map(Option, profile["options"]))).get(tag)
    removed = treatment.action is Action.REMOVE if treatment else DicomDictionary[tag][0] not in DATES | {"UI"}
    if removed and rule["action"] == "empty":
        return "it is removed already, which is stricter"
    return ""


def _not_kept(rule: Mapping[str, Any], tag: int) -> str:
    """Say why a site cannot keep an attribute under a rule; empty where it can."""
    vr, group = DicomDictionary[tag][0], tag >> 16
    row = next((row for row in rows("attributes.tsv") if is_single(row["tag"]) and int(row["tag"], 16) == tag), None)
    if row is not None:
        options = [name for name in OPTION_COLUMNS if row[name]]
        return "Table E.1-1 names it: " + (
            f"choose the option {' or '.join(options)}" if options else "it goes under every option"
        )
    if group in NEVER_KEPT or tag in BIRTH_AND_DEATH:
        return "what it holds may be encrypted, signed or a date of birth, and never stays"
    if vr in DATES | {"UI"}:
        return "dates are treated by the options of dates, UIDs are mapped"
    if any(int(row["tag"], 16) == tag for row in rows("keep.tsv")):
        return "it is kept already"
    return "" if _fits(rule["rule"], vr) else f"the rule {rule['rule'].split(':')[0]} cannot tell what may stay of {vr}"


def _fits(rule: str, vr: str) -> bool:
    """Say whether a rule can check values of a VR; none can look into names of persons, addresses or bytes."""
    if rule == "sequence" or vr == "SQ":
        return rule == "sequence" and vr == "SQ"
    if rule == "number":
        return vr in NUMBERS or vr == "US or SS"
    if rule == "age" or vr == "AS":
        return rule == "age" and vr == "AS"
    return vr in TEXTS


def _private(profile: Mapping[str, Any]) -> Iterator[Mistake]:
    listed = {(row["creator"], int(row["group"], 16), int(row["element"], 16)) for row in rows("safe_private.tsv")}
    for number, entry in enumerate(profile.get("safe_private", [])):
        key = (entry["creator"], int(entry["group"], 16), int(entry["element"], 16))
        if key in listed:
            yield Mistake(path=("safe_private", number), text="this element is safe already: a table or a line before")
        if key[1] <= 0x0008:  # noqa: PLR2004
            yield Mistake(path=("safe_private", number, "group"), text="private groups begin at 0009")
        listed.add(key)
