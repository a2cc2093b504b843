"""The data sets of a series, cleaned and written one after the other: what their headers repeat is done once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress, count
from operator import is_not

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from medflow.deid.cleaner import Cleaner
from medflow.deid.dataset import CONTEXT, PIXEL_REPRESENTATION, cleaner_of, deidentified, shows_head
from medflow.deid.encode import encoded_element
from medflow.deid.fates import PIXELS
from medflow.deid.ledger import Ledger, Outcome, outcome_of
from medflow.deid.marks import MARKS, NOTHING_DONE, Done, Person, marks
from medflow.deid.original import Original
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms

FIRST_PRIVATE = 0x0100
"""Elements of an odd group before this one reserve blocks (PS3.5 7.8.1)."""


CONTEXT_TAGS = tuple(map(BaseTag, CONTEXT))


@dataclass(frozen=True, slots=True)
class _Context:
    """All that decides what is written, beside the elements themselves."""

    implicit: bool
    head: bool
    done: Done
    cleaner: tuple[object, ...] = field(repr=False)

    def writes_as(self, other: "_Context") -> bool:
        """Say whether the same element is written as the same bytes under both."""
        return self.implicit == other.implicit and self.cleaner == other.cleaner


class Bodies:
    """Cleans and writes the data sets of one patient's series in turn."""

    def __init__(
        self, *, pseudonyms: Pseudonyms, profile: Profile, person: Person, ledger: Ledger | None = None
    ) -> None:
        self.pseudonyms = pseudonyms
        self.head = False
        self.profile = profile
        self.ledger = ledger or Ledger()
        self._person = person
        self._cleaner: tuple[tuple[Original | None, ...], Cleaner] | None = None
        self._page: _Page | None = None

    def start(self, first: Dataset) -> None:
        """Learn from the first object what holds for the whole series: whether it may show a face."""
        self.head = shows_head(first)

    def cleaned(self, dataset: Dataset) -> Dataset:
        """Give one data set cleaned."""
        return deidentified(dataset, pseudonyms=self.pseudonyms, profile=self.profile, patient=self._person.pseudonym)

    def body(self, dataset: Dataset, *, implicit: bool, done: Done = NOTHING_DONE) -> bytes:
        """Write all elements of the cleaned data set up to its pixels, little endian; `done` is what its pixels saw.

        An element that is the very one of the object before, under the same names, has the same outcome.
        """
        elements = dict(dataset.items())
        cleaner = self._cleaner_of(dataset, elements)
        context = _Context(implicit, self.head, done, cleaner.context)
        page = self._page
        if page is None or page.context != context or not self._turned(page, dataset, elements, cleaner):
            before = page.written if page is not None and page.context.writes_as(context) else {}
            page = self._page = self._new_page(dataset, elements, cleaner, context, before)
        self.ledger.elements.update(page.outcomes)
        return b"".join(page.pieces)

    def _cleaner_of(self, dataset: Dataset, elements: Mapping[BaseTag, Original]) -> Cleaner:
        """Make the cleaner, or take the last one where all that it was made of is the same."""
        made_of = tuple([elements.get(tag) for tag in CONTEXT_TAGS])
        if self._cleaner is None or not all(map(_is_same, made_of, self._cleaner[0])):
            cleaner = cleaner_of(dataset, pseudonyms=self.pseudonyms, profile=self.profile, person=self._person)
            self._cleaner = made_of, cleaner
        return self._cleaner[1]

    def _turned(self, page: "_Page", dataset: Dataset, elements: Mapping[BaseTag, Original], cleaner: Cleaner) -> bool:
        """Write the elements that differ from those of the object before; False where others stand in the header."""
        originals = list(elements.values())
        if page.tags != list(elements):
            return False
        for number in compress(count(), map(is_not, originals, page.originals)):
            tag = int(page.tags[number])
            if tag > PIXELS:
                continue
            if tag >> 16 & 1 and tag & 0xFFFF < FIRST_PRIVATE:
                return False
            old = page.written[tag]
            new = self._written(dataset, tag, cleaner, originals[number], old.creator, implicit=page.context.implicit)
            if bool(new.encoded) != bool(old.encoded):
                return False
            page.written[tag] = new
            page.outcomes[old.outcome] -= 1
            page.outcomes[new.outcome] += 1
            if tag in page.places:
                page.pieces[page.places[tag]] = new.encoded
        page.originals = originals
        return True

    def _new_page(
        self,
        dataset: Dataset,
        elements: Mapping[BaseTag, Original],
        cleaner: Cleaner,
        context: _Context,
        before: Mapping[int, "_Written"],
    ) -> "_Page":
        """Write every element; what was written of an element that is the same is taken over."""
        implicit = context.implicit
        plain = {int(tag): element for tag, element in elements.items()}
        written: dict[int, _Written] = {}
        for tag, original in plain.items():
            if tag > PIXELS:
                continue
            creator = plain.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF) if tag >> 16 & 1 else None
            known = before.get(tag)
            same = known is not None and _is_same(known.original, original) and _is_same(known.creator, creator)
            if known is None or not same:
                known = self._written(dataset, tag, cleaner, original, creator, implicit=implicit)
            written[tag] = known
        parts = {tag: each.encoded for tag, each in written.items() if each.encoded}
        added = list(cleaner.creators(dataset, {tag >> 8 for tag in parts if tag >> 16 & 1}))
        image = PIXEL_REPRESENTATION in plain
        added += marks(self.profile, self._person, head=context.head, done=context.done, image=image)
        fixed = {each.tag: encoded_element(each, implicit=implicit) for each in added}
        order = sorted(parts | fixed)
        return _Page(
            context=context,
            tags=list(elements),
            originals=list(elements.values()),
            written=written,
            pieces=[fixed.get(tag) or parts[tag] for tag in order],
            places={tag: place for place, tag in enumerate(order) if tag not in fixed},
            outcomes=Counter(each.outcome for each in written.values()),
        )

    def _written(
        self,
        dataset: Dataset,
        tag: int,
        cleaner: Cleaner,
        original: Original,
        creator: Original | None,
        *,
        implicit: bool,
    ) -> "_Written":
        """Clean and write one element."""
        cleaned = None if tag in MARKS else cleaner.element(dataset, tag, "")
        outcome = Outcome.REPLACED if tag in MARKS else outcome_of(original, cleaned)
        encoded = b"" if cleaned is None else encoded_element(cleaned, implicit=implicit)
        return _Written(original, creator, encoded, outcome.value)


@dataclass(frozen=True, slots=True)
class _Written:
    """An element, that of its private creator, and what was written of it: nothing where nothing stays."""

    original: Original = field(repr=False)
    creator: Original | None = field(repr=False)
    encoded: bytes = field(repr=False)
    outcome: str


@dataclass(slots=True, kw_only=True)
class _Page:
    """What was written last, so that the next data set is written by what is different in it."""

    context: _Context = field(repr=False)
    tags: list[BaseTag]
    originals: list[Original] = field(repr=False)
    written: dict[int, _Written] = field(repr=False)
    """By tag, pixels aside."""
    pieces: list[bytes] = field(repr=False)
    """The encoded elements in the order of their tags."""
    places: dict[int, int]
    """Tag -> its place in `pieces`."""
    outcomes: Counter[str]


def _is_same(one: Original | None, other: Original | None) -> bool:
    """Say whether two elements are one, or were read from the same bytes."""
    if one is other:
        return True
    if not isinstance(one, RawDataElement) or not isinstance(other, RawDataElement):
        return False
    return one.VR == other.VR and one.value == other.value and one[5:] == other[5:]
