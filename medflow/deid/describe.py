"""What research needs to know of a series, read from cleaned values; of the original's, only a yes or a no."""

import re
from collections.abc import Iterator

from pydicom import Dataset

from medflow.deid.original import text_of
from medflow.deid.regions import body_part_of
from medflow.deid.values import DAYS_OF
from medflow.dicom.hush import hushed
from medflow.domain.safe import Descriptors

SIDES = {"L": "L", "R": "R", "B": "B"}
AGENTS = 0x00180012
"""ContrastBolusAgentSequence"""
CONTRAST = (0x00180010, 0x00181040, 0x00181041, 0x00181044)
"""ContrastBolusAgent, -Route, -Volume and -TotalDose"""
NO_CONTRAST = frozenset({"NO", "NONE", "WITHOUT"})
ZERO = re.compile(r"[-+]?0*\.?0*(E[-+]?\d+)?")


def descriptors(cleaned: Dataset, *, code: str, site: str, head: bool, contrast: bool) -> Descriptors:
    """Describe a series by its first object, cleaned; `code` stands for the scanner's serial number."""
    with hushed():
        return Descriptors(
            sex=_text(cleaned, "PatientSex") or None,
            age=_years(_text(cleaned, "PatientAge")),
            body_part=body_part_of(cleaned),
            head=head,
            description=_text(cleaned, "SeriesDescription"),
            image_type=tuple(_texts(cleaned, "ImageType")),
            site=site,
            scanner=_scanner(cleaned, code),
            slice_thickness=_thickness(cleaned),
            contrast=contrast,
            kernel=_kernel(cleaned),
            laterality=SIDES.get(_text(cleaned, "ImageLaterality") or _text(cleaned, "Laterality")),
            view=_text(cleaned, "ViewPosition") or None,
        )


def contrast_given(original: Dataset) -> bool:
    """Say whether a contrast agent was given; "NONE", "NO" and a dose of 0 say that it was not.

    It is read from the original, for the name of an agent that nobody allowed is gone from the cleaned copy. Nothing
    but yes or no goes on.
    """
    sequence = original.get_item(AGENTS) if AGENTS in original else None
    if sequence is not None and sequence.value:
        return True
    present = [original.get_item(tag) for tag in CONTRAST if tag in original]
    said = [text.strip().upper() for element in present for text in text_of(element, ["iso8859"]).split("\\")]
    return any(text and text not in NO_CONTRAST and not ZERO.fullmatch(text) for text in said)


def _scanner(cleaned: Dataset, code: str) -> str:
    parts = (_text(cleaned, "Manufacturer"), _text(cleaned, "ManufacturerModelName"), code)
    return " | ".join(part for part in parts if part)


def _years(age: str) -> int | None:
    """Turn an AS into whole years."""
    if len(age) != 4 or not age[:3].isdigit():  # noqa: PLR2004
        return None
    return int(age[:3]) if age[3] == "Y" else int(int(age[:3]) * DAYS_OF[age[3]] / DAYS_OF["Y"])


def _kernel(cleaned: Dataset) -> str | None:
    """Name the reconstruction: ConvolutionKernel of a CT, ReconstructionMethod of a PET."""
    for holder in (cleaned, *_macros(cleaned, "CTReconstructionSequence")):
        for keyword in ("ConvolutionKernel", "ReconstructionMethod"):
            text = _text(holder, keyword)
            if text:
                return text
    return None


def _thickness(cleaned: Dataset) -> float | None:
    """Give the slice thickness (mm), from the functional groups where the header has none."""
    for holder in (cleaned, *_macros(cleaned, "PixelMeasuresSequence")):
        text = _text(holder, "SliceThickness")
        if text:
            return float(text)
    return None


def _macros(cleaned: Dataset, keyword: str) -> Iterator[Dataset]:
    """Give a macro of the shared functional groups, then that of the first frame."""
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (cleaned.get(name) or [])[:1]:
            yield from group.get(keyword) or []


def _text(dataset: Dataset, keyword: str) -> str:
    return " ".join(_texts(dataset, keyword))


def _texts(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword)
    if value is None:
        return []
    return (
        [value]
        if isinstance(value, str)
        else [str(each) for each in (value if hasattr(value, "__iter__") else [value])]
    )
