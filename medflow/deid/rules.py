"""The value rules of kept attributes, by their names in `tables/keep.tsv`: texts in, and those that may stay out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from pydicom._private_dict import private_dictionaries

from medflow.deid.own import LONG_NUMBER, names_somebody
from medflow.deid.values import cleaned_age, is_registered_class
from medflow.deid.vocabulary import LETTER, MODEL, VERSION, Allowed, Words, allowed_words, is_spelled, is_term

TextRule = Callable[[Sequence[str], Allowed], list[str]]
"""(values, what they may say in this data set) -> values that may stay; an empty list where none may."""

LONGEST = {"AE": 16, "CS": 16, "LO": 64, "SH": 16}
"""Characters that a value may have (PS3.5 6.2); a longer one is cut at a word."""


CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What no text holds (PS3.5 6.1.3), but bytes that are none."""
INDEX = re.compile(r"\d{1,4}", re.ASCII)


def words(values: Sequence[str], allowed: Allowed) -> list[str]:
    """Keep the allowed words of each value, and the values that still say something.

    What says nothing value by value may be spelled over all of them, and numbers may add up to one of the patient's.
    """
    kept = [kept for kept in (allowed_words(value, allowed) for value in values) if kept]
    if len(values) > 1 and (is_spelled("\\".join(values)) or sum(map(_is_bare, kept)) > 1):
        kept = [each for each in kept if len(each) > 1 and not _is_bare(each)]
    if _adds_up("".join(kept), allowed.own):
        kept = [plain for each in kept if (plain := " ".join(word for word in each.split() if word.isalpha()))]
    return kept


def _is_bare(value: str) -> bool:
    return not LETTER.search(value)


def _adds_up(text: str, own: Words) -> bool:
    digits = re.sub(r"\D", "", text)
    numbers = (word.lstrip("0") for word in own if word.isdigit())
    return any(len(number) >= LONG_NUMBER and number in digits for number in numbers)


def _models(values: Sequence[str], allowed: Allowed) -> list[str]:
    return words(values, replace(allowed, also=MODEL))


def _versions(values: Sequence[str], allowed: Allowed) -> list[str]:
    return words(values, replace(allowed, also=VERSION))


def _terms(values: Sequence[str], allowed: Allowed) -> list[str]:
    if is_spelled("\\".join(values)):
        return []
    return [value for value in values if len(value) <= LONGEST["CS"] and is_term(value, allowed.extra)]


def _image_type(values: Sequence[str], allowed: Allowed) -> list[str]:
    """Keep the place of each value, since the place is its meaning (PS3.3 C.7.6.1.1.2): OTHER where one must go."""
    return [value if not value or is_term(value, allowed.extra) else "OTHER" for value in values]


def _whole(values: Sequence[str], allowed: Allowed) -> list[str]:
    """Keep what is written, whole, unless one of the values names somebody of this data set, or is no text."""
    strange = any(CONTROL.search(value) or names_somebody(value, allowed.own) for value in values)
    return [] if strange else list(values)


def _age(values: Sequence[str], _: Allowed) -> list[str]:
    return [age for age in map(cleaned_age, values) if age is not None][:1]


def _creator(values: Sequence[str], _: Allowed) -> list[str]:
    return [value for value in values if value in private_dictionaries]


def _class(values: Sequence[str], _: Allowed) -> list[str]:
    return [value for value in values if is_registered_class(value)]


def _index(values: Sequence[str], allowed: Allowed) -> list[str]:
    return [value for value in values if INDEX.fullmatch(value) and value not in allowed.own]


def _matching(pattern: str) -> TextRule:
    compiled = re.compile(pattern, re.ASCII)

    def rule(values: Sequence[str], _: Allowed) -> list[str]:
        return list(values) if all(compiled.fullmatch(value) for value in values) else []

    return rule


RULES: Mapping[str, TextRule] = {
    "words": words,
    "model": _models,
    "version": _versions,
    "terms": _terms,
    "image-type": _image_type,
    "age": _age,
    "creator": _creator,
    "class": _class,
    "index": _index,
    "template": _matching(r"\d{1,5}"),
    "offset": _matching(r"[-+]\d{4}"),
    "whole": _whole,
    "codes": _whole,
    "uid": _matching(r"[0-9.]{1,64}"),
    "orientation": _matching(r"[APLRHF]{1,3}|"),
}


@cache
def text_rule(name: str) -> TextRule:
    """Give the rule of this name; "enum:A|B" allows these values alone."""
    if name.startswith("enum:"):
        return _matching("|".join(map(re.escape, name.removeprefix("enum:").split("|"))))
    return RULES[name]


def fitted(vr: str, value: str) -> str:
    """Cut a text that grew too long for its VR at a word."""
    longest = LONGEST.get(vr)
    if longest is None or len(value) <= longest:
        return value
    return value[: longest + 1].rsplit(" ", 1)[0][:longest]
