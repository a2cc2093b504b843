"""What a look into the vault is for: words that go into the audit trail, and may name nobody."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medflow.domain.safe import Identity
from medflow.errors import ConfigurationError

LEAST, MOST = 5, 300
"""Letters of a purpose, and characters."""
PERSON = ("00100010", "00101001", "00101005", "00101060")
"""PatientName, OtherPatientNames, PatientBirthName, PatientMotherBirthName: every word of them."""
NUMBERS = ("00100020", "00101000", "00100030", "00080050", "00380010", "0020000D", "0020000E")
"""PatientID, OtherPatientIDs, PatientBirthDate, AccessionNumber, AdmissionID, study and series UID: as wholes."""
OTHER_IDS = "00101002"
"""OtherPatientIDsSequence"""
SHORT = 3
"""A number of fewer characters is looked for as a word of its own only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why somebody wants to know."""

    words: str = field(repr=False)

    def names(self, identities: Iterable[Identity]) -> bool:
        """Tell whether the purpose gives away whom it is about: name, birth date, or a number of theirs."""
        said = _folded(self.words)
        words, run = set(_words(said)), "".join(_words(said))
        for identity in identities:
            modules = (identity.modules, *_items(identity.modules, OTHER_IDS))
            persons = {word for module in modules for value in _values(module, PERSON) for word in _names(value)}
            if any(word in words or (not word.isascii() and word in said) for word in persons):
                return True
            numbers = {
                spelled for module in modules for value in _values(module, NUMBERS) for spelled in _spelled(value)
            }
            if any(number in words or (len(number) >= SHORT and number in run) for number in numbers):
                return True
        return False


def stated(text: str) -> Purpose:
    """Take a purpose from whoever asks.

    Raises:
        ConfigurationError: it says nothing, is too long, or holds what cannot be printed.
    """
    words = " ".join(text.split())
    if sum(letter.isalpha() for letter in words) < LEAST:
        raise ConfigurationError("say what it is for, in a few words and without naming anybody: --purpose TEXT")
    if len(words) > MOST or not words.isprintable():
        raise ConfigurationError(f"a purpose is a sentence of at most {MOST} characters")
    return Purpose(words=words)


def _values(module: Mapping[str, Any], keys: Iterable[str]) -> Iterator[str]:
    """Give the texts of some attributes of a DICOM JSON model, folded."""
    for key in keys:
        for value in module.get(key, {}).get("Value", []):
            texts = value.values() if isinstance(value, dict) else [value]  # a person's name has up to three spellings
            yield from (_folded(str(text)) for text in texts if text is not None)


def _items(modules: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    yield from (item for item in modules.get(key, {}).get("Value", []) if isinstance(item, dict))


def _names(value: str) -> set[str]:
    """Give the words of a person's name (PS3.5 6.2.1.1), and each component in one piece."""
    components = ["".join(_words(component)) for component in value.split("^")]
    return {word for word in (*_words(value), *components) if len(word) > 1}


def _spelled(value: str) -> set[str]:
    """Give a number in one piece; a date also as other countries write it."""
    whole = "".join(_words(value))
    year, month, day = whole[:4], whole[4:6], whole[6:]
    return ({day + month + year, month + day + year} if len(whole) == 8 else set()) | ({whole} - {""})  # noqa: PLR2004  (YYYYMMDD)


def _folded(text: str) -> str:
    """Spell a text without case and accents, so that a name is found however it was typed."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _words(folded: str) -> list[str]:
    return re.findall(r"[^\W_]+", folded)
