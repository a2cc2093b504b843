"""One data set, de-identified: the cleaned elements, the patient's pseudonym, and the marks of what was done."""

from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset

from medflow.deid.cleaner import Cleaner
from medflow.deid.encode import encoded
from medflow.deid.iods import SOP_CLASSES
from medflow.deid.marks import MARKS, Person, marks
from medflow.deid.original import CHARACTER_SET, encodings_of, text_of
from medflow.deid.own import DATES, NAMES, NUMBERS, OTHER_IDS, own_words
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.vocabulary import speaks_of_head
from medflow.dicom.hush import hushed
from medflow.domain.safe import Pseudonym

PIXEL_REPRESENTATION = 0x00280103
DESCRIPTIONS = (0x00180015, 0x00181030, 0x0008103E, 0x00081030, 0x00321060, 0x00400254)
"""Where a header says which part of the body it shows."""
CONTEXT = (CHARACTER_SET, 0x00080016, PIXEL_REPRESENTATION, OTHER_IDS, *NAMES, *NUMBERS, *DATES)
"""Attributes that `cleaner_of` looks at."""


def deidentified(dataset: Dataset, *, pseudonyms: Pseudonyms, profile: Profile, patient: Pseudonym) -> Dataset:
    """Give the cleaned data set, without pixels, of one object of `patient`; the original stays as it is."""
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    with hushed():
        cleaner = cleaner_of(dataset, pseudonyms=pseudonyms, profile=profile, person=person)
        elements = [each for each in cleaner.items(dataset) if each.tag not in MARKS]
        elements += marks(profile, person, head=shows_head(dataset), image=PIXEL_REPRESENTATION in dataset)
        return read_dataset(BytesIO(encoded(elements, implicit=False)), is_implicit_VR=False, is_little_endian=True)


def cleaner_of(dataset: Dataset, *, pseudonyms: Pseudonyms, profile: Profile, person: Person) -> Cleaner:
    """Make the cleaner for a data set: its IOD, character set, pixel sign, and the words of its own names."""
    encodings = encodings_of(dataset)
    sign = dataset.get_item(PIXEL_REPRESENTATION) if PIXEL_REPRESENTATION in dataset else None
    return Cleaner(
        profile=profile,
        pseudonyms=pseudonyms,
        days=person.days,
        iod=SOP_CLASSES.get(text_of(dataset.get_item(0x00080016), encodings), ""),
        encodings=encodings,
        identity=own_words(dataset, encodings),
        signed=sign is not None and sign.value in {1, b"\1\0", b"\0\1"},
    )


def shows_head(dataset: Dataset) -> bool:
    """Say whether any description speaks of the head or the neck, so that a face may show."""
    encodings = encodings_of(dataset)
    return speaks_of_head(text_of(dataset.get_item(tag), encodings) for tag in DESCRIPTIONS)
