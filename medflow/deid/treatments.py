"""From a row of PS3.15 Table E.1-1 and the options chosen to what is done with the attribute."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What becomes of an attribute, by the letters of PS3.15 Table E.1-1a where it has one."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    REMOVE_OR_EMPTY = "X/Z"
    REMOVE_OR_DUMMY = "X/D"
    EMPTY_OR_DUMMY = "Z/D"
    REMOVE_EMPTY_OR_DUMMY = "X/Z/D"
    REFERENCES = "X/Z/U*"
    """A sequence of references: its UIDs are mapped, in optional ones too, since a mapped UID names nobody."""
    SHIFT = "shift"
    """Dates by the patient's days; times of day as they are."""
    DATE = "date"
    """Dates and times as they are, where they are ones."""
    WORDS = "words"
    """Allowed words only."""
    RECURSE = "sequence"
    RULE = "rule"
    """Kept where the value passes its rule."""


class Option(StrEnum):
    """Options of PS3.15 E.3, by the names of `tables/methods.tsv` and of the columns of `tables/attributes.tsv`."""

    MODIFIED_DATES = "modified_dates"
    FULL_DATES = "full_dates"
    PATIENT_CHARACTERISTICS = "patient_characteristics"
    DEVICE_IDENTITY = "device_identity"
    INSTITUTION_IDENTITY = "institution_identity"
    UIDS = "uids"
    SAFE_PRIVATE = "safe_private"
    CLEAN_DESCRIPTORS = "clean_descriptors"
    CLEAN_GRAPHICS = "clean_graphics"
    CLEAN_STRUCTURED_CONTENT = "clean_structured_content"
    CLEAN_PIXELS = "clean_pixels"
    CLEAN_FACES = "clean_faces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """One attribute's fate: the action, the value rule that goes with it, and where that is written."""

    action: Action
    rule: str
    source: str


OPTION_COLUMNS = (
    Option.FULL_DATES,
    Option.MODIFIED_DATES,
    Option.UIDS,
    Option.DEVICE_IDENTITY,
    Option.INSTITUTION_IDENTITY,
    Option.PATIENT_CHARACTERISTICS,
    Option.CLEAN_DESCRIPTORS,
    Option.CLEAN_STRUCTURED_CONTENT,
    Option.CLEAN_GRAPHICS,
)
"""The columns of the table that speak of single attributes; where two options do, the first decides."""
DATES = frozenset({"DA", "TM", "DT"})
DATE_ACTIONS = {Option.FULL_DATES: Action.DATE, Option.MODIFIED_DATES: Action.SHIFT}
TEXTS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT"})
NUMBERS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})


def treated(row: Mapping[str, str], options: frozenset[Option]) -> Treatment | None:
    """Give the treatment that one of `options` means for a row of the table; None where the basic action stands."""
    for option in OPTION_COLUMNS:
        if option in options and row[option]:
            found = _under(option, row)
            if found is not None:
                action, rule = found
                return Treatment(action=action, rule=rule, source=f"E.1-1: {option} {row[option]}")
    return None


def unlisted(options: frozenset[Option]) -> dict[str, Treatment]:
    """Treat attributes without a row by their VR: a UID is mapped, a date is a date, all else is removed."""
    found = {"UI": Treatment(action=Action.UID, rule="", source="no row: a UID is mapped")}
    for option, action in DATE_ACTIONS.items():
        if option in options:
            each = Treatment(action=action, rule="", source=f"no row: a date or time is one, {option}")
            found |= dict.fromkeys(DATES, each)
    return found


def kept(rule: str, source: str) -> Treatment:
    """Keep an attribute under a rule of `rules.py`, or a sequence whose items are cleaned in turn."""
    return Treatment(action=Action.RECURSE if rule == "sequence" else Action.RULE, rule=rule, source=source)


def _under(option: Option, row: Mapping[str, str]) -> tuple[Action, str] | None:
    """Say what an option that has an entry in the row does there; None where it can do nothing that is safe."""
    vr = row["vr"]
    if option is Option.CLEAN_GRAPHICS:
        return Action.REMOVE, ""  # what is drawn or written over an image goes whole
    if vr == "SQ":
        return Action.RECURSE, "codes" if option in {Option.DEVICE_IDENTITY, Option.INSTITUTION_IDENTITY} else ""
    if row["rule"]:
        return (Action.WORDS if row["rule"] == "words" else Action.RULE), row["rule"]
    if vr in DATES:  # a device's dates too stay or move as the date options say, or go
        action = DATE_ACTIONS.get(option)
        return None if action is None else (action, "")
    return _by_vr(option, vr)


def _by_vr(option: Option, vr: str) -> tuple[Action, str] | None:
    if vr == "UI":
        return Action.RULE, "uid"
    if option is Option.CLEAN_DESCRIPTORS or vr == "AE":
        return (Action.WORDS, "words") if vr in TEXTS else None
    if vr in TEXTS:
        return Action.RULE, "whole"
    return (Action.RULE, "number") if vr in NUMBERS else None
