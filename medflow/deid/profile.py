"""What is done to each attribute: tables that a privacy officer can read, and the options chosen on top.

Table E.1-1 of DICOM PS3.15 stands re-expressed in `tables/attributes.tsv` (basic actions of edition 2026c, options of
2024b), Table E.3.10-1 in `tables/safe_private.tsv` (2020b), CID 7050 in `tables/methods.tsv`. Attributes without a row
are removed unless `tables/keep.tsv` names them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from medflow.domain.digests import digest

ENGINE = 1
"""Version of the rules in this package; any change in what comes out takes a new number."""


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
    WORDS = "words"
    """Allowed words only."""
    RECURSE = "sequence"
    RULE = "rule"
    """Kept where the value passes its rule."""


class Option(StrEnum):
    """Options of PS3.15 E.3, by the names of `tables/methods.tsv`."""

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
    }
)
"""What the shipped profile chooses on top of the Basic Profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """One attribute's fate: the action, the value rule that goes with `Action.RULE`, and where that is written."""

    action: Action
    rule: str
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The tables and the options, resolved to one treatment for each attribute; built by `default_profile`."""

    options: frozenset[Option]
    treatments: Mapping[int, Treatment]
    safe_private: Mapping[tuple[str, int, int], str]
    """(creator, group, low byte of the element) -> VR."""
    types: Mapping[str, tuple[str, str]]
    """Path of keywords -> IODs that require it with a value, IODs that require it possibly empty."""
    methods: tuple[tuple[str, str], ...]
    """CID 7050 codes of what is applied, and their meanings."""
    digest: str
    text: TextPolicy = TextPolicy.WITHHOLD


CHARACTERISTICS = {0x00100040: "enum:M|F|O", 0x00101010: "age", 0x00101020: "number", 0x00101030: "number"}
"""Sex, age, size and weight: what the default profile retains of a patient. Other characteristics go."""
UTC_OFFSET = 0x00080201


@lru_cache(maxsize=1)
def default_profile() -> Profile:
    """Build the profile of this house.

    Basic + modified dates + patient characteristics (sex, age, size, weight) + safe private + clean descriptors +
    clean graphics (all are removed).
    """
    options = DEFAULT_OPTIONS
    treatments = {int(row["tag"], 16): _treatment(row) for row in rows("attributes.tsv") if "X" not in row["tag"]}
    for row in rows("keep.tsv"):
        action = Action.RECURSE if row["rule"] == "sequence" else Action.RULE
        treatments[int(row["tag"], 16)] = Treatment(action=action, rule=row["rule"], source=f"keep: {row['class']}")
    methods = [(row["code"], row["meaning"]) for row in rows("methods.tsv") if row["option"] in {"basic", *options}]
    names = ("attributes.tsv", "keep.tsv", "safe_private.tsv", "types.tsv", "methods.tsv", "vocabulary.txt")
    return Profile(
        options=options,
        treatments=treatments,
        safe_private={
            (row["creator"], int(row["group"], 16), int(row["element"], 16)): row["vr"]
            for row in rows("safe_private.tsv")
        },
        types={row["path"]: (row["required"], row["possibly_empty"]) for row in rows("types.tsv")},
        methods=tuple(methods),
        digest=digest("profile", [ENGINE, sorted(options), [[name, lines(name)] for name in names]]),
    )


def _treatment(row: Mapping[str, str]) -> Treatment:
    """Resolve a row of Table E.1-1 under the options of the default profile."""
    tag, vr = int(row["tag"], 16), row["vr"]
    if tag == UTC_OFFSET:
        return Treatment(action=Action.RULE, rule="offset", source="E.1-1, modified dates")
    if row["modified_dates"] and vr in {"DA", "TM", "DT"}:
        return Treatment(action=Action.SHIFT, rule="", source="E.1-1, modified dates")
    if tag in CHARACTERISTICS:
        return Treatment(action=Action.RULE, rule=CHARACTERISTICS[tag], source="E.1-1, patient characteristics")
    if row["clean_descriptors"] and vr == "SQ":
        return Treatment(action=Action.RECURSE, rule="", source="E.1-1, clean descriptors")
    if row["clean_descriptors"] and vr in {"LO", "SH", "ST", "LT", "UT", "UC", "CS"}:
        return Treatment(action=Action.WORDS, rule="words", source="E.1-1, clean descriptors")
    return Treatment(action=Action(row["basic"]), rule="", source="E.1-1")


def rows(name: str) -> Iterator[dict[str, str]]:
    """Read a packaged table: comment lines, a head line, then tab-separated fields."""
    head, *body = lines(name)
    fields = head.split("\t")
    for line in body:
        yield dict(zip(fields, line.split("\t"), strict=True))


def lines(name: str) -> list[str]:
    """Read the lines of a packaged table, comments left out."""
    text = (resources.files("medflow.deid") / "tables" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
