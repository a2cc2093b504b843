"""A first look at a series: what its headers say of it, cleaned, before anything of it is decoded or written."""

from io import BytesIO

from pydicom import DataElement, Dataset, dcmread

from medflow.deid.bodies import Bodies
from medflow.deid.burned import blanks, withhold_text
from medflow.deid.cleaner import DAMAGE
from medflow.deid.describe import contrast_given, descriptors
from medflow.deid.marks import Person
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.content import open_content, read_content
from medflow.dicom.files import open_object
from medflow.dicom.hush import hushed
from medflow.dicom.tags import Tag
from medflow.domain.safe import Descriptors
from medflow.domain.series import Series, SourceFile
from medflow.errors import Reason, SeriesError

NO_SITE = ""


def glance(series: Series, *, pseudonyms: Pseudonyms, profile: Profile) -> Descriptors:
    """Describe a series by the cleaned header of its first object; the scanner is named without a code of its number.

    Raises:
        SeriesError: the header cannot be read, or the file changed.
    """
    patient, _ = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    bodies = Bodies(pseudonyms=pseudonyms, profile=profile, person=person)
    first = _opened(series.instances[0].file)
    try:
        bodies.start(first)
        contrast = contrast_given(first)
        return descriptors(bodies.cleaned(first), code="", site=NO_SITE, head=bodies.head, contrast=contrast)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None


def check_headers(series: Series, profile: Profile) -> None:
    """Refuse what de-identification would refuse by the header alone: an object that says it shows text.

    Where the profile blanks text, what the header says of it decides nothing.

    Raises:
        SeriesError: one of the objects does, cannot be read, or changed.
    """
    for file in series.files():
        said = _said_of_text(file)
        if not blanks(profile):
            withhold_text(said)


def _said_of_text(file: SourceFile) -> Dataset:
    """Read the attributes by which an object says that it shows text, and no others."""
    try:
        with open_content(file) as content:
            _, header, _, _ = open_object(content.stream, content.size)
    except OSError:
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    said = Dataset()
    for tag in (Tag.ImageType, Tag.BurnedInAnnotation):
        said[tag] = DataElement(tag, "LT", header.text(tag))
    return said


def _opened(file: SourceFile) -> Dataset:
    """Read the data set of an original up to its pixels."""
    try:
        with hushed():
            return dcmread(BytesIO(read_content(file)), stop_before_pixels=True, force=True)
    except OSError:
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
