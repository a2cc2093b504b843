"""Kinds of objects that are cleaned, by their SOP classes (PS3.4 table B.5-1)."""

from collections.abc import Mapping
from types import MappingProxyType

STORAGE = "1.2.840.10008.5.1.4.1.1."

PICTURES: Mapping[str, str] = MappingProxyType(
    {
        f"{STORAGE}{number}": iod
        for iod, numbers in {
            "u": ("6", "6.1"),  # ultrasound, the retired class too
            "U": ("3", "3.1"),
            "s": ("7",),  # secondary capture
            "S": ("7.2", "7.3", "7.4"),
            "x": ("12.1", "12.2"),  # angiography, fluoroscopy
            "X": ("12.1.1", "12.2.1"),
            "n": ("20",),  # nuclear medicine
            "v": ("77.1.1", "77.1.2", "77.1.4"),  # endoscopic, microscopic and other photographs
            "i": ("1.3", "1.3.1"),  # intra-oral X-ray
            "B": ("13.1.3",),  # breast tomosynthesis
            "R": ("481.1",),  # portal images
        }.items()
        for number in numbers
    }
)
"""SOP class -> the letter of its IOD in `tables/types.tsv`: images on which words are written as a rule."""
KEY_OBJECTS = "k"
REPORTS: Mapping[str, str] = MappingProxyType(
    {
        f"{STORAGE}88.{number}": "t"
        for number in (11, 22, 33, 34, 35, 40, 50, 65, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76)
    }
    | {f"{STORAGE}88.59": KEY_OBJECTS}
)
"""SOP class -> the letter of its IOD: structured reports and key object selections."""
SOP_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        f"{STORAGE}2": "c",
        f"{STORAGE}2.1": "C",
        f"{STORAGE}2.2": "L",
        f"{STORAGE}4": "m",
        f"{STORAGE}4.1": "M",
        f"{STORAGE}4.3": "M",
        f"{STORAGE}4.4": "L",
        f"{STORAGE}128": "p",
        f"{STORAGE}130": "P",
        f"{STORAGE}128.1": "L",
        f"{STORAGE}1": "r",
        f"{STORAGE}1.1": "d",
        f"{STORAGE}1.1.1": "d",
        f"{STORAGE}1.2": "g",
        f"{STORAGE}1.2.1": "g",
        f"{STORAGE}77.1.5.1": "o",
        f"{STORAGE}77.1.5.2": "o",
        f"{STORAGE}77.1.5.5": "w",
        f"{STORAGE}77.1.5.6": "w",
        **PICTURES,
        **REPORTS,
    }
)
"""SOP class -> the letter of its IOD in `tables/types.tsv`."""
