"""Body parts by the code of the anatomic region: what X-ray and eye images say instead of BodyPartExamined."""

from collections.abc import Mapping
from types import MappingProxyType

from pydicom import Dataset
from pydicom.sr import _snomed_dict

from medflow.deid.codes import OLD_SNOMED

BODY_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "51185008": "CHEST",
        "43799004": "CHEST",
        "76752008": "BREAST",
        "81745001": "EYE",
        "5665001": "RETINA",
        "69536005": "HEAD",
        "89546000": "SKULL",
        "45048000": "NECK",
        "818981001": "ABDOMEN",
        "12921003": "PELVIS",
        "816092008": "PELVIS",
        "122494005": "CSPINE",
        "122495006": "TSPINE",
        "122496007": "LSPINE",
        "16982005": "SHOULDER",
        "16953009": "ELBOW",
        "74670003": "WRIST",
        "85562004": "HAND",
        "29836001": "HIP",
        "24136001": "HIP",
        "72696002": "KNEE",
        "70258002": "ANKLE",
        "56459004": "FOOT",
    }
)
"""SNOMED CT code -> BodyPartExamined (PS3.16 annex L)."""


def body_part_of(cleaned: Dataset) -> str | None:
    """Name the body part: BodyPartExamined, else what the code of AnatomicRegionSequence means; None for neither."""
    named = str(cleaned.get("BodyPartExamined") or "").upper()
    regions = cleaned.get("AnatomicRegionSequence") or []
    if named or not regions:
        return named or None
    code, scheme = (str(regions[0].get(keyword) or "") for keyword in ("CodeValue", "CodingSchemeDesignator"))
    if scheme in OLD_SNOMED:
        code = _snomed_dict.mapping["SRT"].get(code, "")
    return BODY_PARTS.get(code)
