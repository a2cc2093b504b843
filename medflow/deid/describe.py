"""What research needs to know of a series, read from cleaned values only."""

from pydicom import Dataset

from medflow.deid.values import DAYS_OF
from medflow.dicom.hush import hushed
from medflow.domain.safe import Descriptors

CONTRAST = ("ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusVolume", "ContrastBolusTotalDose")


def descriptors(cleaned: Dataset, *, code: str, site: str, head: bool) -> Descriptors:
    """Describe a series by its first object, cleaned; `code` stands for the scanner's serial number."""
    with hushed():
        return Descriptors(
            sex=_text(cleaned, "PatientSex") or None,
            age=_years(_text(cleaned, "PatientAge")),
            body_part=_text(cleaned, "BodyPartExamined").upper() or None,
            head=head,
            description=_text(cleaned, "SeriesDescription"),
            image_type=tuple(_texts(cleaned, "ImageType")),
            site=site,
            scanner=_scanner(cleaned, code),
            slice_thickness=_thickness(cleaned),
            contrast=any(_text(cleaned, keyword) for keyword in CONTRAST)
            or bool(cleaned.get("ContrastBolusAgentSequence")),
        )


def _scanner(cleaned: Dataset, code: str) -> str:
    parts = (_text(cleaned, "Manufacturer"), _text(cleaned, "ManufacturerModelName"), code)
    return " | ".join(part for part in parts if part)


def _years(age: str) -> int | None:
    """Turn an AS into whole years."""
    if len(age) != 4 or not age[:3].isdigit():  # noqa: PLR2004
        return None
    return int(age[:3]) if age[3] == "Y" else int(int(age[:3]) * DAYS_OF[age[3]] / DAYS_OF["Y"])


def _thickness(cleaned: Dataset) -> float | None:
    """Give the slice thickness (mm), from the shared functional groups where the header has none."""
    holders = [cleaned]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (cleaned.get(name) or [])[:1]:
            holders += list(group.get("PixelMeasuresSequence") or [])
    for holder in holders:
        text = _text(holder, "SliceThickness")
        if text:
            return float(text)
    return None


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
