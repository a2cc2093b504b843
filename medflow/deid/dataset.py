"""One data set, de-identified: the cleaned elements, the patient's pseudonym, and the marks of what was done."""

from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset

from medflow.deid.cleaner import PIXELS, SOP_CLASSES, Cleaner
from medflow.deid.encode import encoded, encoded_element
from medflow.deid.marks import MARKS, NOTHING_DONE, Done, Person, marks
from medflow.deid.original import encodings_of, text_of
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.vocabulary import speaks_of_head, words_of
from medflow.dicom.hush import hushed
from medflow.domain.safe import Pseudonym

PIXEL_REPRESENTATION = 0x00280103
NAMES = (
    0x00080050, 0x00080090, 0x0008009C, 0x00081048, 0x00081050, 0x00081060, 0x00081070, 0x00100010, 0x00100020,
    0x00101000, 0x00101001, 0x00101005, 0x00101060, 0x00102297, 0x00321032, 0x00400006,
)  # fmt: skip
"""Names of people and numbers of the patient: an allowed word that is also one of theirs does not stay in a text."""
DESCRIPTIONS = (0x00180015, 0x00181030, 0x0008103E, 0x00081030, 0x00321060, 0x00400254)
"""Where a header says which part of the body it shows."""
SHORTEST_NAME = 3


def deidentified(dataset: Dataset, *, pseudonyms: Pseudonyms, profile: Profile, patient: Pseudonym) -> Dataset:
    """Give the cleaned data set, without pixels, of one object of `patient`; the original stays as it is."""
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    with hushed():
        cleaner = cleaner_of(dataset, pseudonyms=pseudonyms, profile=profile, person=person)
        elements = [each for each in cleaner.items(dataset) if each.tag not in MARKS]
        elements += marks(profile, person, head=shows_head(dataset))
        return read_dataset(BytesIO(encoded(elements, implicit=False)), is_implicit_VR=False, is_little_endian=True)


def cleaner_of(dataset: Dataset, *, pseudonyms: Pseudonyms, profile: Profile, person: Person) -> Cleaner:
    """Make the cleaner for a data set: its IOD, character set, pixel sign, and the words of its own names."""
    encodings = encodings_of(dataset)
    names = words_of(text_of(dataset.get_item(tag), encodings) for tag in NAMES)
    sign = dataset.get_item(PIXEL_REPRESENTATION) if PIXEL_REPRESENTATION in dataset else None
    return Cleaner(
        profile=profile,
        pseudonyms=pseudonyms,
        days=person.days,
        iod=SOP_CLASSES.get(text_of(dataset.get_item(0x00080016), encodings), ""),
        encodings=encodings,
        identity=frozenset(name for name in names if len(name) >= SHORTEST_NAME),
        signed=sign is not None and sign.value in {1, b"\1\0", b"\0\1"},
    )


def shows_head(dataset: Dataset) -> bool:
    """Say whether any description speaks of the head or the neck, so that a face may show."""
    encodings = encodings_of(dataset)
    return speaks_of_head(text_of(dataset.get_item(tag), encodings) for tag in DESCRIPTIONS)


class Bodies:
    """Cleans and writes the data sets of a series one after the other; what their headers repeat is done once."""

    def __init__(self, *, pseudonyms: Pseudonyms, profile: Profile, person: Person) -> None:
        self.pseudonyms = pseudonyms
        self.head = False
        self.profile = profile
        self._person = person
        self._known: dict[tuple[object, ...], bytes | None] = {}

    def start(self, first: Dataset) -> None:
        """Learn from the first object what holds for the whole series: whether it may show a face."""
        self.head = shows_head(first)

    def cleaned(self, dataset: Dataset) -> Dataset:
        """Give one data set cleaned."""
        return deidentified(dataset, pseudonyms=self.pseudonyms, profile=self.profile, patient=self._person.pseudonym)

    def body(self, dataset: Dataset, *, implicit: bool, done: Done = NOTHING_DONE) -> bytes:
        """Write all elements of the cleaned data set up to its pixels, little endian; `done` is what its pixels saw."""
        cleaner = cleaner_of(dataset, pseudonyms=self.pseudonyms, profile=self.profile, person=self._person)
        written: dict[int, bytes] = {}
        for tag in list(dataset.keys()):  # an iteration over the data set itself would convert every element
            element = self._element(dataset, int(tag), cleaner, implicit=implicit)
            if element is not None:
                written[int(tag)] = element
        added = cleaner.creators(dataset, {tag >> 8 for tag in written if tag >> 16 & 1})
        for each in (*added, *marks(self.profile, self._person, head=self.head, done=done)):
            written[each.tag] = encoded_element(each, implicit=implicit)
        return b"".join(written[tag] for tag in sorted(written))

    def _element(self, dataset: Dataset, tag: int, cleaner: Cleaner, *, implicit: bool) -> bytes | None:
        if tag in MARKS or tag > PIXELS:
            return None
        original = dataset.get_item(tag)
        repeats = isinstance(original.value, bytes) and not tag >> 16 & 1
        key = (tag, original.VR, original.value, implicit, *cleaner.context) if repeats else ()
        if key and key in self._known:
            return self._known[key]
        cleaned = cleaner.element(dataset, tag, "")
        element = None if cleaned is None else encoded_element(cleaned, implicit=implicit)
        if key:
            self._known[key] = element
        return element
