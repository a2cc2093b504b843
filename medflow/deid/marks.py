"""What a de-identified object says of itself: whose it is now, and what was done to it."""

from dataclasses import dataclass, field

from medflow.deid.codes import CODE_VALUE, MEANING, SCHEME
from medflow.deid.encode import Clean, Items, text_element
from medflow.deid.profile import Profile
from medflow.domain.safe import Pseudonym

METHOD = "PS3.15 Basic Profile and options; medflow"
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
RECOGNIZABLE = 0x00280302
MARKS = frozenset({PATIENT_NAME, PATIENT_ID, 0x00120062, 0x00120063, 0x00120064, 0x00280303, RECOGNIZABLE})


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


def marks(profile: Profile, person: Person, *, head: bool, done: Done = NOTHING_DONE) -> Items:
    """Make the pseudonym's elements and those that say what was done (PS3.15 E.1.1, PS3.3 C.7.1.1, C.12.1.1)."""
    codes = tuple(
        (text_element(CODE_VALUE, "SH", code), text_element(SCHEME, "SH", "DCM"), text_element(MEANING, "LO", meaning))
        for code, meaning in profile.methods
    )
    found = [
        text_element(PATIENT_NAME, "PN", person.pseudonym),
        text_element(PATIENT_ID, "LO", person.pseudonym),
        text_element(0x00120062, "CS", "YES"),
        text_element(0x00120063, "LO", METHOD, f"profile {profile.digest[:12]}"),
        Clean(tag=0x00120064, vr="SQ", value=codes),
        text_element(0x00280303, "CS", "MODIFIED"),
    ]
    if head:
        found.append(text_element(RECOGNIZABLE, "CS", "NO" if done.faceless else "YES"))
    return tuple(found)
