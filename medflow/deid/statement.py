"""What a profile does to every attribute of the DICOM dictionary, and which rule says so: a table to be signed.

It asks what the cleaner asks (`fates`), before any value is seen; where the value decides, it names the rule.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

from medflow.deid.fates import UNKNOWN, forced, letter_of, need_of, otherwise, private_treatment, treatment_of
from medflow.deid.iods import SOP_CLASSES
from medflow.deid.marks import MARKS, Person, marks, temporal
from medflow.deid.original import public_vr
from medflow.deid.packaged import rows
from medflow.deid.profile import EDITIONS, ENGINE, Profile
from medflow.deid.treatments import Action, Treatment
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError

ANYBODY = Person(pseudonym=Pseudonym("P"), days=0)
KEYWORD = 4
"""Place of the keyword in an entry of the dictionaries."""


class Outcome(StrEnum):
    """What becomes of an attribute."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    DUMMY = "replaced by a dummy"
    MAPPED = "mapped, where it is no UID of the standard's own"
    SHIFTED = "moved by the patient's days; times of day stay"
    DATED = "kept where it is a date or time"
    CHECKED = "kept where it passes the rule"
    ITEMS = "its items cleaned in turn"
    AFRESH = "written afresh"


LETTERS = {"X": Outcome.REMOVED, "Z": Outcome.EMPTIED, "D": Outcome.DUMMY}
ACTIONS = {
    Action.UID: Outcome.MAPPED,
    Action.SHIFT: Outcome.SHIFTED,
    Action.DATE: Outcome.DATED,
    Action.WORDS: Outcome.CHECKED,
    Action.RULE: Outcome.CHECKED,
}


MEANINGS = {
    "age": "an age; above 89 years it becomes 090Y",
    "class": "the UID of a SOP class of the standard",
    "count": "a number, and none of the patient's own",
    "creator": "the name of a private creator that the dictionary has",
    "enum": "one of the values that stand behind it",
    "image-type": "terms of the vocabulary; another value becomes OTHER",
    "index": "a number of four digits at most",
    "lut": "numbers that rise or fall throughout",
    "model": "words of the vocabulary, and a number of a model",
    "number": "a number of seven digits at most, and none of the patient's own",
    "offset": "an offset from UTC",
    "orientation": "directions in the patient",
    "palette": "colours that spell nothing",
    "pointer": "a tag of the dictionary",
    "private": "a number as vendors write it, and none of the patient's own",
    "template": "the number of a template of PS3.16",
    "terms": "terms of the vocabulary, whole",
    "uid": "a UID, as it is",
    "version": "words of the vocabulary, and a version",
    "whole": "as it is written, unless it holds a word or number of the patient or of the people named beside",
    "words": "its words that the vocabulary allows",
}
"""What each rule of a value lets stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attribute, or one class of them."""

    tag: str
    keyword: str
    vr: str
    outcome: Outcome
    rule: str
    """What a value must pass to stay, by its name in the tables; empty where no value decides."""
    fails: str
    """What is left of a value that does not pass."""
    source: str
    """Where that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The whole table, and what stands above it."""

    profile: Profile
    iod: str
    """Letter of the IOD whose types decide; empty for an object of no IOD in particular."""
    rows: tuple[Row, ...]

    def counts(self) -> dict[str, int]:
        """Count the attributes by what becomes of them."""
        found = Counter(str(row.outcome) for row in self.rows)
        return {str(outcome): found[outcome] for outcome in Outcome}

    def head(self) -> dict[str, Any]:
        """Give what is signed beside the table."""
        profile = self.profile
        return {
            "profile": profile.name,
            "digest": profile.digest,
            "engine": ENGINE,
            "editions": dict(EDITIONS),
            "options": [
                {"option": row["option"], "code": row["code"], "meaning": row["meaning"]}
                for row in rows("methods.tsv")
                if row["option"] in {"basic", *profile.options}
            ],
            "dates": temporal(profile),
            "text": str(profile.text),
            "words": sorted(profile.words),
            "iod": self.iod,
            "rules": {name: MEANINGS[name] for name in sorted({_name(row.rule) for row in self.rows} - {""})},
        }

    def record(self) -> dict[str, Any]:
        """Give all of it as plain values."""
        return self.head() | {"counts": self.counts(), "attributes": [asdict(row) for row in self.rows]}


def statement(profile: Profile, iod: str = "") -> Statement:
    """Say what becomes of every attribute at the top level of an object of an IOD."""
    written = {each.tag for each in marks(profile, ANYBODY, head=True)} | MARKS
    found = [*_attributes(profile, iod, written), *_repeating(), *_private(profile), *_classes()]
    return Statement(profile=profile, iod=iod, rows=tuple(found))


def iod_of(name: str) -> str:
    """Find the letter of an IOD by the UID, the keyword or the name of its SOP class, or by the letter itself.

    Raises:
        ConfigurationError: objects of that kind are not cleaned, or nobody knows it.
    """
    if name in SOP_CLASSES.values():
        return name
    for uid, entry in UID_dictionary.items():
        if uid in SOP_CLASSES and name in {uid, entry[0], entry[KEYWORD]}:
            return SOP_CLASSES[uid]
    raise ConfigurationError("no SOP class that is cleaned has this UID, keyword or name, such as CTImageStorage")


def _name(rule: str) -> str:
    return rule.split(":", maxsplit=1)[0]


def _attributes(profile: Profile, iod: str, written: set[int]) -> Iterator[Row]:
    for tag, entry in sorted(DicomDictionary.items()):
        keyword, vr = entry[KEYWORD], public_vr(tag, None, signed=False) or ""
        name = f"{tag >> 16:04X},{tag & 0xFFFF:04X}"
        if tag in written:
            source = "marks: whose it is and what was done"
            yield Row(tag=name, keyword=keyword, vr=vr, outcome=Outcome.AFRESH, rule="", fails="", source=source)
            continue
        treatment = forced(tag) or treatment_of(profile, tag, vr)
        need = need_of(profile, iod, keyword)
        yield _row(name, keyword, vr, treatment, need)


def _row(name: str, keyword: str, vr: str, treatment: Treatment, need: int) -> Row:
    letter = letter_of(treatment.action, need)
    rule, fails = "", ""
    if vr == "SQ" and letter in {"", "D"}:  # a dummy sequence is the cleaned one
        outcome = Outcome.ITEMS
    elif letter:
        outcome = LETTERS[letter]
    else:
        outcome, rule = ACTIONS[treatment.action], treatment.rule
        fails = str(LETTERS[otherwise(vr, need)])
    return Row(tag=name, keyword=keyword, vr=vr, outcome=outcome, rule=rule, fails=fails, source=treatment.source)


def _repeating() -> Iterator[Row]:
    for mask, entry in sorted(RepeatersDictionary.items()):
        treatment = forced(int(mask.replace("x", "0"), 16) | 1) or UNKNOWN
        source = treatment.source if mask[:2] in {"50", "60"} else "fail closed: repeating groups go"
        yield _gone(f"{mask[:4]},{mask[4:]}", entry[KEYWORD], entry[0], source)


def _private(profile: Profile) -> Iterator[Row]:
    for (creator, group, element), vr in sorted(profile.safe_private.items()):
        treatment = private_treatment(profile, vr)
        yield _row(f"{group:04X},xx{element:02X}", creator, vr, treatment, need_of(profile, "", ""))
    yield _gone("odd,xxxx", "private, not listed", "", "fail closed: E.1-1, private attributes")


def _classes() -> Iterator[Row]:
    yield _gone("even,xxxx", "not in the dictionary", "", "fail closed: no rule can know it")
    yield _gone("preamble", "128 bytes before the file meta", "", "written afresh: zeros")
    yield _gone("trailing", "what follows the data set", "", "fail closed: it may hold anything")


def _gone(tag: str, keyword: str, vr: str, source: str) -> Row:
    return Row(tag=tag, keyword=keyword, vr=vr, outcome=Outcome.REMOVED, rule="", fails="", source=source)


def as_lines(head: Mapping[str, Any]) -> Iterator[str]:
    """Write the head of a statement line by line."""
    yield f"profile {head['profile']}, digest {head['digest']}, engine {head['engine']}"
    yield "; ".join(f"{table}: edition {edition}" for table, edition in head["editions"].items())
    for option in head["options"]:
        yield f"{option['code']} {option['meaning']}"
    yield f"dates: {head['dates']}; text in pixels: {head['text']}; own words: {' '.join(head['words']) or 'none'}"
    yield from (f"rule {name}: {meaning}" for name, meaning in head["rules"].items())
    yield f"types of the IOD: {head['iod'] or 'of none in particular, every attribute is optional'}"
