"""What is looked for, made ready: phrases by their first word, runs of bytes in two sieves, dates and moments."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from medflow.verify.forms import DAYS, Pattern, Phrase, patterns, phrases
from medflow.verify.identity import Identity, Kind, Value
from medflow.verify.sieve import Sieve
from medflow.verify.words import codecs_for, has_ideographs

Form = int
"""Number of a form: one phrase, pattern, date or moment, of one or several values."""
DATED = "date"
MOMENT = "moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An identity in all the forms in which it is looked for. It never prints."""

    values: tuple[Value, ...] = field(repr=False)
    owners: tuple[tuple[int, ...], ...] = field(repr=False)
    """Of each form the values that it tells, by their numbers; none of a moment."""
    phrases: Mapping[Form, Phrase] = field(repr=False)
    patterns: Mapping[Form, Pattern] = field(repr=False)
    days: Mapping[str, Form] = field(repr=False)
    """Original dates, as they would stand among dates that were moved."""
    moments: Mapping[str, Form] = field(repr=False)
    first: Mapping[str, Sequence[tuple[Phrase, Form]]] = field(repr=False)
    ideographs: Mapping[str, Form] = field(repr=False)
    """Words in scripts without gaps, which may stand in the middle of others."""
    uids: Mapping[str, Form] = field(repr=False)
    codecs: tuple[str, ...]
    in_pixels: tuple[Sieve, tuple[Form, ...]] = field(repr=False)
    """Patterns that are looked for in pixels, and their forms."""
    beside_pixels: tuple[Sieve, tuple[Form, ...]] = field(repr=False)

    def kinds(self, form: Form) -> frozenset[Kind]:
        """Say what a form tells of somebody."""
        return frozenset(self.values[number].kind for number in self.owners[form]) or frozenset({Kind.DATE})

    def told_in(self, words: Sequence[str]) -> Iterator[Form]:
        """Give the forms whose phrases stand in the words of a text."""
        for place, word in enumerate(words):
            for phrase, form in self.first.get(word, ()):
                if len(phrase) == 1 or tuple(words[place : place + len(phrase)]) == phrase:
                    yield form


class _Numbering:
    """Gives each form a number, and notes whose it is."""

    def __init__(self) -> None:
        self.of: dict[object, int] = {}
        self.owners: list[list[int]] = []

    def number(self, form: object, owner: int | None) -> int:
        """Give the number of a form; it tells the value `owner`."""
        if form not in self.of:
            self.of[form] = len(self.owners)
            self.owners.append([])
        number = self.of[form]
        if owner is not None and owner not in self.owners[number][-1:]:
            self.owners[number].append(owner)
        return number


def wanted(identity: Identity) -> Wanted:
    """Make an identity ready to be looked for."""
    values = tuple(sorted(identity.telling, key=lambda value: (value.kind, value.text)))
    numbering = _Numbering()
    told: dict[Form, Phrase] = {}
    runs: dict[Form, Pattern] = {}
    days: dict[str, Form] = {}
    for owner, value in enumerate(values):
        for phrase in sorted(phrases(value)):
            told[numbering.number(phrase, owner)] = phrase
        for pattern in sorted(patterns(value), key=_by_content):
            runs[numbering.number(pattern, owner)] = pattern
        if value.kind in DAYS:
            days[value.text] = numbering.number((DATED, value.text), owner)
    uids = {phrase[0]: form for form, phrase in told.items() if "." in phrase[0]}
    first: defaultdict[str, list[tuple[Phrase, Form]]] = defaultdict(list)
    for form, phrase in told.items():
        first[phrase[0]].append((phrase, form))
    return Wanted(
        values=values,
        moments={each: numbering.number((MOMENT, each), None) for each in sorted(identity.moments)},
        owners=tuple(map(tuple, numbering.owners)),
        phrases=told,
        patterns=runs,
        days=days,
        first=dict(first),
        ideographs={"".join(phrase): form for form, phrase in told.items() if has_ideographs("".join(phrase))},
        uids=uids,
        codecs=codecs_for(value.text for value in values),
        in_pixels=_sieve(runs, (form for form, pattern in runs.items() if pattern.pixels)),
        beside_pixels=_sieve(runs, (form for form, pattern in runs.items() if pattern.headers)),
    )


def _by_content(pattern: Pattern) -> tuple[bytes, bool, bytes, bool]:
    return pattern.content, pattern.pixels, pattern.parted, pattern.headers


def _sieve(runs: Mapping[Form, Pattern], forms: Iterable[Form]) -> tuple[Sieve, tuple[Form, ...]]:
    chosen = tuple(forms)
    return Sieve([runs[form] for form in chosen]), chosen
