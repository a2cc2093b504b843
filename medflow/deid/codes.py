"""Coded entries, rebuilt from the dictionaries of the standard: a code that they do not hold does not stay."""

import re
from functools import cache
from typing import cast

from pydicom.sr import _concepts_dict, _snomed_dict

OLD_SNOMED = frozenset({"SRT", "SNM3", "99SDM"})
"""Designators under which SNOMED's former codes are found (PS3.16 table 8-1, and older scanners')."""
CODE_VALUE = 0x00080100
SCHEME = 0x00080102
MEANING = 0x00080104
TRIPLE = frozenset({CODE_VALUE, SCHEME, MEANING})


def is_about_the_code(tag: int) -> bool:
    """Say whether a tag belongs to the Code Sequence Macro (PS3.3 table 8.8-1), nested codes aside."""
    return 0x00080100 <= tag <= 0x00080124 and tag not in {0x00080121, 0x00080122}  # noqa: PLR2004


def known_meaning(value: str, scheme: str) -> str | None:
    """Give the dictionary's meaning of a code, in ASCII; None for a code that the standard does not use.

    >>> known_meaning("113100", "DCM")
    'Basic Application Confidentiality Profile'
    """
    if scheme in OLD_SNOMED:
        value, scheme = _snomed_dict.mapping["SRT"].get(value, ""), "SCT"
    meaning = _meanings(scheme).get(value)
    return None if meaning is None else re.sub(r"[^\x20-\x5b\x5d-\x7e]", "", meaning)[:64].strip()


@cache
def _meanings(scheme: str) -> dict[str, str]:
    """Turn the dictionary of a scheme into code -> meaning."""
    concepts = cast("dict[str, dict[str, tuple[str, list[int]]]]", _concepts_dict.concepts.get(scheme, {}))
    return {code: entry[0] for named in concepts.values() for code, entry in named.items()}
