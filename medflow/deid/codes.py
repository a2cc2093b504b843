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
LONGEST_UNIT = 16
TERM = r"""
    ( (Y|Z|E|P|T|G|M|k|h|da|d|c|m|u|n|p|f)?
      (m|g|s|l|L|A|K|V|W|J|N|T|F|C|Pa|Hz|Bq|Ci|Gy|Sv|eV|mol|bar|rad|cd|lm|lx|B|Cel|Ohm|m\[Hg\]|m\[H2O\]|\[IU\])
    | % | 1 | deg | ' | '' | min | h | d | wk | mo | a | \[hnsf'U\] | \[ppm\] | \[in_i\] | \[lb_av\] | 10\*-?[1-9]
    ) (-?[1-4])?
"""
COUNTED = r"\{(SUVbw|SUVlbm|SUVbsa|SUVibw|ratio|counts|events|pixels|frames|beats|cells|procedures)\}"
UNIT = re.compile(rf"{COUNTED} | /?{TERM}([./]{TERM})*({COUNTED})?", re.VERBOSE)
"""Units of UCUM that reports and images use, and their products; of annotations in braces, these alone."""


def is_about_the_code(tag: int) -> bool:
    """Say whether a tag belongs to the Code Sequence Macro (PS3.3 table 8.8-1), nested codes aside."""
    return 0x00080100 <= tag <= 0x00080124 and tag not in {0x00080121, 0x00080122}  # noqa: PLR2004


def known_meaning(value: str, scheme: str) -> str | None:
    """Give the dictionary's meaning of a code, in ASCII; None for a code that the standard does not use.

    A unit that the dictionary lacks, and UCUM's grammar has, is its own meaning.

    >>> known_meaning("113100", "DCM"), known_meaning("mGy.cm", "UCUM"), known_meaning("MEYER", "UCUM")
    ('Basic Application Confidentiality Profile', 'mGy.cm', None)
    """
    value, scheme = current(value, scheme)
    meaning = _meanings(scheme).get(value)
    if meaning is None and scheme == "UCUM" and len(value) <= LONGEST_UNIT and UNIT.fullmatch(value):
        return value
    return None if meaning is None else re.sub(r"[^\x20-\x5b\x5d-\x7e]", "", meaning)[:64].strip()


def current(value: str, scheme: str) -> tuple[str, str]:
    """Give the code that stands today for one of SNOMED's former ones; any other as it is."""
    if scheme not in OLD_SNOMED:
        return value, scheme
    return _snomed_dict.mapping["SRT"].get(value, ""), "SCT"


@cache
def _meanings(scheme: str) -> dict[str, str]:
    """Turn the dictionary of a scheme into code -> meaning."""
    concepts = cast("dict[str, dict[str, tuple[str, list[int]]]]", _concepts_dict.concepts.get(scheme, {}))
    return {code: entry[0] for named in concepts.values() for code, entry in named.items()}
