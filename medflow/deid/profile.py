"""What is done to each attribute: tables that a privacy officer can read, and what a profile chooses on top.

Table E.1-1 of DICOM PS3.15 stands re-expressed in `tables/attributes.tsv` (basic actions of edition 2026c, options of
2024b), Table E.3.10-1 in `tables/safe_private.tsv` (2020b), CID 7050 in `tables/methods.tsv`. Attributes without a row
are removed unless `tables/keep.tsv` or the profile names them with a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from medflow.deid.packaged import lines, rows
from medflow.deid.treatments import OPTION_COLUMNS, Action, Option, Treatment, kept, treated, unlisted
from medflow.domain.digests import digest

__all__ = ["Action", "Option", "Treatment"]  # they stand in this module's own types

ENGINE = 3
"""Version of the rules in this package; any change in what comes out takes a new number."""
EDITIONS = (
    ("PS3.15 Table E.1-1, basic profile", "2026c"),
    ("PS3.15 Table E.1-1, options", "2024b"),
    ("PS3.15 Table E.3.10-1, safe private", "2020b"),
)
"""The tables of the standard, and which edition of each the data files hold."""


class TextPolicy(StrEnum):
    """What becomes of an object in whose pixels text is found, under `Option.CLEAN_PIXELS`."""

    WITHHOLD = "withhold"
    BLANK = "blank"
    """Blanked where it can be; what cannot be cleaned is withheld."""


DEFAULT_OPTIONS = frozenset(
    {
        Option.MODIFIED_DATES,
        Option.PATIENT_CHARACTERISTICS,
        Option.SAFE_PRIVATE,
        Option.CLEAN_DESCRIPTORS,
        Option.CLEAN_GRAPHICS,
        Option.CLEAN_PIXELS,
    }
)
"""What the shipped profile chooses on top of the Basic Profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stricter:
    """A site's rule for an attribute that the tables would keep, or treat more mildly."""

    tag: int
    action: Action
    """X/Z/D: removed, or what an attribute that the IOD requires needs instead. Z/D: emptied, likewise."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A site's reason to keep an attribute that no table names, and the rule that its values must pass."""

    tag: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SafePrivate:
    """A private element that a site vouches for; `element` is the low byte of its tag."""

    creator: str
    group: int
    element: int
    vr: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a profile file says: options of PS3.15 E.3, the text policy, and the site's own rules."""

    name: str
    options: frozenset[Option]
    text: TextPolicy = TextPolicy.WITHHOLD
    stricter: tuple[Stricter, ...] = ()
    keep: tuple[Keep, ...] = ()
    words: frozenset[str] = frozenset()
    """Words that may stay in a description beside the packaged vocabulary, in upper case."""
    safe_private: tuple[SafePrivate, ...] = ()


CONTENT = 0x0040A730
"""ContentSequence, the tree of a structured report."""
BURNED_IN = 0x00280301
"""BurnedInAnnotation: what the original says of itself proves nothing, once every frame was looked at."""
NOT_NEEDED = "of a patient's characteristics, research needs sex, age, size and weight alone"
DEFAULT = Choices(
    name="medflow-default",
    options=DEFAULT_OPTIONS,
    stricter=tuple(
        Stricter(tag=tag, action=Action.REMOVE_EMPTY_OR_DUMMY, reason=NOT_NEEDED)
        for tag in (0x00102160, 0x001021A0, 0x001021C0, 0x00102203, 0x00380050, 0x00400012, 0x0072005F)
    ),
)
"""The shipped profile; `tables/default.yaml` writes it as a profile file, for sites to copy."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The tables and the choices, resolved to one treatment for each attribute; built by `profile_of`."""

    name: str
    options: frozenset[Option]
    treatments: Mapping[int, Treatment]
    unlisted: Mapping[str, Treatment]
    """VR -> treatment of the attributes without a row; those of other VRs are removed."""
    safe_private: Mapping[tuple[str, int, int], str]
    """(creator, group, low byte of the element) -> VR."""
    types: Mapping[str, tuple[str, str]]
    """Path of keywords -> IODs that require it with a value, IODs that require it possibly empty."""
    methods: tuple[tuple[str, str], ...]
    """CID 7050 codes of what is applied, and their meanings."""
    digest: str
    """Names all that decides what comes out: profiles of equal meaning have equal digests."""
    text: TextPolicy = TextPolicy.WITHHOLD
    words: frozenset[str] = frozenset()
    """The site's own allowed words."""

    @property
    def keeps_uids(self) -> bool:
        """Say whether UIDs stay as they are (PS3.15 E.3.9)."""
        return Option.UIDS in self.options


@lru_cache(maxsize=1)
def default_profile() -> Profile:
    """Build the profile of this house: `DEFAULT` over the packaged tables."""
    return profile_of(DEFAULT)


def profile_of(choices: Choices) -> Profile:
    """Resolve choices that do not contradict one another (`profile_checks`) over the packaged tables."""
    treatments = table_treatments(choices.options)
    for each in choices.keep:
        treatments[each.tag] = kept(each.rule, f"site: kept, {each.reason}")
    for rule in choices.stricter:
        if rule.tag not in treatments or treatments[rule.tag].action is not Action.REMOVE:
            treatments[rule.tag] = Treatment(action=rule.action, rule="", source=f"site: stricter, {rule.reason}")
    if Option.CLEAN_STRUCTURED_CONTENT not in choices.options:
        treatments[CONTENT] = Treatment(action=Action.REMOVE, rule="", source="E.1-1: basic D; uncleaned content goes")
    if Option.CLEAN_PIXELS in choices.options:
        treatments[BURNED_IN] = Treatment(action=Action.REMOVE, rule="", source="written afresh: NO")
    private = safe_private(choices)
    by_vr = unlisted(choices.options)
    return Profile(
        name=choices.name,
        options=choices.options,
        treatments=treatments,
        unlisted=by_vr,
        safe_private=private,
        types={row["path"]: (row["required"], row["possibly_empty"]) for row in rows("types.tsv")},
        methods=tuple(
            (row["code"], row["meaning"]) for row in rows("methods.tsv") if row["option"] in {"basic", *choices.options}
        ),
        digest=digest(
            "profile",
            [
                ENGINE,
                sorted(choices.options),
                choices.text,
                sorted([tag, str(each.action), each.rule] for tag, each in treatments.items()),
                sorted([vr, str(each.action), each.rule] for vr, each in by_vr.items()),
                sorted([*key, vr] for key, vr in private.items()),
                sorted(choices.words),
                [lines(name) for name in ("concepts.tsv", "types.tsv", "methods.tsv", "vocabulary.txt")],
            ],
        ),
        text=choices.text,
        words=choices.words,
    )


def table_treatments(options: frozenset[Option]) -> dict[int, Treatment]:
    """Resolve the packaged tables alone: Table E.1-1 under `options`, and the list of what is kept without a row."""
    found = {
        int(row["tag"], 16): treated(row, options) or _basic(row)
        for row in rows("attributes.tsv")
        if is_single(row["tag"])
    }
    for row in rows("keep.tsv"):
        found[int(row["tag"], 16)] = kept(row["rule"], f"keep list: {row['class']}")
    return found


def is_single(tag: str) -> bool:
    """Say whether a row of Table E.1-1 is about one tag, and not about a repeating group or private attributes."""
    return len(tag) == 8 and "X" not in tag  # noqa: PLR2004


def safe_private(choices: Choices) -> dict[tuple[str, int, int], str]:
    """Give the private elements that stay under these choices, with the VR that each is read as."""
    if Option.SAFE_PRIVATE not in choices.options:
        return {}
    found = {
        (row["creator"], int(row["group"], 16), int(row["element"], 16)): row["vr"] for row in rows("safe_private.tsv")
    }
    return found | {(each.creator, each.group, each.element): each.vr for each in choices.safe_private}


def _basic(row: Mapping[str, str]) -> Treatment:
    declined = [name for name in OPTION_COLUMNS if row[name]]
    unless = f" (not chosen: {', '.join(declined)})" if declined else ""
    return Treatment(action=Action(row["basic"]), rule="", source=f"E.1-1: basic {row['basic']}{unless}")
