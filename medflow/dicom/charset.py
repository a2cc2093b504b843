"""Names in the character sets of the world (PS3.5 6.1); a module of its own, for reading starts faster without it."""

from collections.abc import Sequence

from pydicom.charset import convert_encodings, decode_bytes

from medflow.dicom.hush import hushed


def decoded(raw: bytes, character_sets: Sequence[str]) -> str:
    """Decode a text by the SpecificCharacterSet of its object; what cannot be read in it shows as U+FFFD."""
    try:
        with hushed():
            return decode_bytes(raw, convert_encodings(list(character_sets) or [""]), set()).strip()
    except (LookupError, UnicodeError, ValueError, AttributeError):
        return raw.decode("latin-1").strip()
