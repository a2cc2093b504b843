"""The value rules of kept attributes, by their names in `tables/keep.tsv`: texts in, and those that may stay out."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from pydicom._private_dict import private_dictionaries

from medflow.deid.values import cleaned_age, is_registered_class
from medflow.deid.vocabulary import MODEL, NOTHING, VERSION, Words, allowed_words, is_term

TextRule = Callable[[Sequence[str], Words], list[str]]
"""(values, words of this data set's identity) -> values that may stay; an empty list where none may."""

LONGEST = {"CS": 16, "LO": 64, "SH": 16}
"""Characters that a value may have (PS3.5 6.2); a longer one is cut at a word."""


def words(values: Sequence[str], identity: Words, also: re.Pattern[str] = NOTHING) -> list[str]:
    """Keep the allowed words of each value, and the values that still say something."""
    return [kept for kept in (allowed_words(value, identity, also) for value in values) if kept]


def _models(values: Sequence[str], identity: Words) -> list[str]:
    return words(values, identity, MODEL)


def _versions(values: Sequence[str], identity: Words) -> list[str]:
    return words(values, identity, VERSION)


def _terms(values: Sequence[str], _: Words) -> list[str]:
    return [value for value in values if len(value) <= LONGEST["CS"] and is_term(value)]


def _image_type(values: Sequence[str], _: Words) -> list[str]:
    """Keep the place of each value, since the place is its meaning (PS3.3 C.7.6.1.1.2): OTHER where one must go."""
    return [value if not value or is_term(value) else "OTHER" for value in values]


def _age(values: Sequence[str], _: Words) -> list[str]:
    return [age for age in map(cleaned_age, values) if age is not None][:1]


def _creator(values: Sequence[str], _: Words) -> list[str]:
    return [value for value in values if value in private_dictionaries]


def _class(values: Sequence[str], _: Words) -> list[str]:
    return [value for value in values if is_registered_class(value)]


def _matching(pattern: str) -> TextRule:
    compiled = re.compile(pattern, re.ASCII)

    def rule(values: Sequence[str], _: Words) -> list[str]:
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
    "index": _matching(r"\d{1,4}"),
    "offset": _matching(r"[-+]\d{4}"),
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
