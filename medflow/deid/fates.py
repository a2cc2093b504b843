"""What is decided of an attribute before its value is seen: for the cleaner, and for whoever asks what it would do."""

from functools import cache

from medflow.deid.codes import is_about_the_code
from medflow.deid.original import CHARACTER_SET, TEXT_VRS
from medflow.deid.profile import Action, Option, Profile, Treatment
from medflow.deid.report import CONTENT

PIXELS = 0x7FE00000
OVERLAYS = 0x6000
LAST_STANDARD = 0x08
"""Odd groups up to it are nobody's (PS3.5 7.8.1)."""
GONE = {
    0x0000: "fail closed: commands are no part of an object",
    0x0002: "file meta is written afresh",
    0x0004: "fail closed: a media directory is no part of an object",
    0x0400: "fail closed: encrypted values and signatures always go",
    0xFFFA: "fail closed: encrypted values and signatures always go",
    0xFFFC: "fail closed: padding may hold anything",
    0xFFFE: "fail closed: a delimiter is no attribute",
}
"""Groups that no cleaned data set has."""
UNKNOWN = Treatment(action=Action.REMOVE, rule="", source="fail closed: no rule keeps it")
NO_CONTENT = Treatment(action=Action.REMOVE, rule="", source="fail closed: a report's content is cleaned, or gone")
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
REQUIRED, POSSIBLY_EMPTY, OPTIONAL = 1, 2, 3
PRIVATE = {
    "DS": "private",
    "IS": "private",
    "FD": "private",
    "FL": "private",
    "SL": "private",
    "UL": "private",
    "CS": "terms",
}
"""The rule of a safe private element by its VR; texts keep their allowed words."""


@cache
def forced(tag: int) -> Treatment | None:
    """Treat what goes whatever it holds, or is written afresh; None where a table or the value decides."""
    group, reason = tag >> 16, ""
    if group in GONE:
        reason = GONE[group]
    elif tag & 0xFFFF == 0:
        reason = "fail closed: group lengths are written nowhere"
    elif 0x5000 <= group <= 0x50FF:  # noqa: PLR2004
        reason = "E.1-1: curves always go"
    elif OVERLAYS <= group <= OVERLAYS + 0xFF:
        reason = "E.1-1: overlays always go"
    elif tag == CHARACTER_SET:
        reason = "written afresh where a text needs it"
    elif is_about_the_code(tag):
        reason = "coded entry: rebuilt from the standard's dictionary, or gone"
    elif tag > PIXELS:
        reason = "pixels are written by themselves, and nothing after them"
    return Treatment(action=Action.REMOVE, rule="", source=reason) if reason else None


def treatment_of(profile: Profile, tag: int, vr: str) -> Treatment:
    """Treat an attribute of the dictionary that nothing forces."""
    if tag == CONTENT and Option.CLEAN_STRUCTURED_CONTENT not in profile.options:
        return NO_CONTENT
    return profile.treatments.get(tag) or profile.unlisted.get(vr, UNKNOWN)


def private_treatment(profile: Profile, vr: str) -> Treatment:
    """Treat a private element that is listed as safe."""
    if vr in profile.unlisted:
        return profile.unlisted[vr]
    return Treatment(action=Action.RULE, rule=PRIVATE.get(vr, "words"), source="safe private: E.3.10-1 or the site's")


def need_of(profile: Profile, iod: str, where: str) -> int:
    """Say whether an IOD requires the attribute at `where`: 1 with a value, 2 possibly empty, 3 not at all."""
    required, possibly_empty = profile.types.get(where, ("", ""))
    if iod and iod in required:
        return REQUIRED
    return POSSIBLY_EMPTY if iod and iod in possibly_empty else OPTIONAL


def letter_of(action: Action, need: int) -> str:
    """Resolve a composite action to X, Z or D; empty for an action that the value decides."""
    return COMPOSITE[action][need - 1] if action in COMPOSITE else ""


def otherwise(vr: str, need: int) -> str:
    """Say what is left of a value that fails its rule: X, Z or D by what the IOD needs.

    A number that was never measured is worse than none: numbers get no dummy.
    """
    if need == REQUIRED and vr in TEXT_VRS - {"DS", "IS"}:
        return "D"
    return "Z" if need == POSSIBLY_EMPTY else "X"
