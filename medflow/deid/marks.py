"""What a de-identified object says of itself: whose it is now, and what was done to it."""

from dataclasses import dataclass, field

from medflow.deid.codes import CODE_VALUE, MEANING, SCHEME
from medflow.deid.encode import Clean, Items, text_element
from medflow.deid.original import CHARACTER_SET
from medflow.deid.profile import BURNED_IN, ENGINE, Option, Profile
from medflow.domain.safe import Pseudonym

METHOD = "PS3.15 Basic Profile and options; medflow"
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
TEMPORAL = 0x00280303
RECOGNIZABLE = 0x00280302
MARKS = frozenset({PATIENT_NAME, PATIENT_ID, 0x00120062, 0x00120063, 0x00120064, TEMPORAL, RECOGNIZABLE})
"""Written afresh or gone: what others claimed of an object says nothing of what it is now."""
CLEAN_PIXELS, CLEAN_FACES = "113101", "113102"
WHOLE = frozenset({Option.DEVICE_IDENTITY, Option.INSTITUTION_IDENTITY})
"""Options under which texts stay as they are written, in letters that ASCII may not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a data set now belongs to, and by how many days (below zero) its dates are moved."""

    pseudonym: Pseudonym
    days: int = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done to the pixels of one object, as far as its header must say so."""

    blanked: bool = False
    """Text was found and blanked."""
    faceless: bool = False
    """A face was removed."""


NOTHING_DONE = Done()


def marks(profile: Profile, person: Person, *, head: bool, done: Done = NOTHING_DONE, image: bool = True) -> Items:
    """Make the pseudonym's elements and those that say what was done (PS3.15 E.1.1, E.3; PS3.3 C.7.1.1, C.12.1.1).

    `head`: the object may show a face, unless one was removed. `image`: it has pixels.
    """
    faces = head and not done.faceless
    codes = tuple(
        (text_element(CODE_VALUE, "SH", code), text_element(SCHEME, "SH", "DCM"), text_element(MEANING, "LO", meaning))
        for code, meaning in profile.methods
        if _was_done(code, image=image, faces=faces)
    )
    found = [
        text_element(PATIENT_NAME, "PN", person.pseudonym),
        text_element(PATIENT_ID, "LO", person.pseudonym),
        text_element(0x00120062, "CS", "YES"),
        text_element(0x00120063, "LO", METHOD, f"profile {profile.digest[:12]}", f"engine {ENGINE}"),
        Clean(tag=0x00120064, vr="SQ", value=codes),
        text_element(TEMPORAL, "CS", temporal(profile)),
    ]
    if image and head:
        found.append(text_element(RECOGNIZABLE, "CS", "YES" if faces else "NO"))
    if image and Option.CLEAN_PIXELS in profile.options:
        found.append(text_element(BURNED_IN, "CS", "NO"))
    if WHOLE & profile.options:
        found.append(text_element(CHARACTER_SET, "CS", "ISO_IR 192"))
    return tuple(found)


def temporal(profile: Profile) -> str:
    """Say what became of dates (PS3.3 C.12.1.1, LongitudinalTemporalInformationModified)."""
    if Option.FULL_DATES in profile.options:
        return "UNMODIFIED"
    return "MODIFIED" if Option.MODIFIED_DATES in profile.options else "REMOVED"


def _was_done(code: str, *, image: bool, faces: bool) -> bool:
    """Say whether a code that the profile chose is true of this object: its pixels are clean, and show no face."""
    return code not in {CLEAN_PIXELS, CLEAN_FACES} or (image and not (code == CLEAN_FACES and faces))
