"""What makers of MR and CT scanners write in elements of their own about diffusion, repeats and the heart's phase."""

import math
import re
from collections.abc import Iterator

from medflow.dicom.header import Header
from medflow.dicom.tags import Tag

COMPONENTS = {"MAGNITUDE": 0.0, "PHASE": 1.0, "REAL": 2.0, "IMAGINARY": 3.0}
ASL_CONTEXTS = {"LABEL": 0.0, "CONTROL": 1.0, "M_ZERO_SCAN": 2.0}
GRADIENT = ("DiffusionGradientX", "DiffusionGradientY", "DiffusionGradientZ")

GE_ACQUISITION, GE_PARAMETERS, GE_RELATIONS = (
    (0x0019, "GEMS_ACQU_01"),
    (0x0043, "GEMS_PARM_01"),
    (0x0021, "GEMS_RELA_01"),
)
SIEMENS_MR = (0x0019, "SIEMENS MR HEADER")
PHILIPS_IMAGING, PHILIPS_MR = (0x2001, "PHILIPS IMAGING DD 001"), (0x2005, "PHILIPS MR IMAGING DD 001")
PHILIPS_DIFFUSION = (0x2005, "PHILIPS MR IMAGING DD 005")
UIH_IMAGE = (0x0065, "IMAGE PRIVATE HEADER")
TOSHIBA_CT = (0x7005, "TOSHIBA_MEC_CT3")
GE_HIGH_B = 1_000_000_000
"""GE adds this to the b-value of some sequences."""
_NUMBER = r"(-?\d+(?:\.\d+)?)"
CANON_DIFFUSION = re.compile(rf"b={_NUMBER}\({_NUMBER},{_NUMBER},{_NUMBER}\)")
"""Canon's ImageComments (0020,4000) of a diffusion-weighted image: b-value and gradient direction."""

Labels = tuple[tuple[str, float], ...]
_Found = Iterator[tuple[str, float]]


def diffusion_of(b_values: tuple[float, ...], direction: tuple[float, ...]) -> _Found:
    """Name a b-value (s/mm2) and a gradient direction, whichever is there."""
    for value in b_values[:1]:
        yield "DiffusionBValue", value
    if len(direction) == len(GRADIENT):
        yield from zip(GRADIENT, direction, strict=True)


def mr_vendor_labels(header: Header) -> _Found:
    """Read what tells single-frame MR images of one place apart, of every vendor whose block is there."""
    blocks = header.blocks()
    if SIEMENS_MR in blocks:
        base = blocks[SIEMENS_MR]
        yield from diffusion_of(header.decimals(base | 0x0C) or (), header.doubles(base | 0x0E))
    if UIH_IMAGE in blocks:
        base = blocks[UIH_IMAGE]
        yield from diffusion_of(header.doubles(base | 0x09), header.doubles(base | 0x37))
    yield from _philips(header, blocks)
    yield from _ge(header, blocks)
    comment = CANON_DIFFUSION.search(header.text(Tag.ImageComments).replace(" ", ""))
    if comment:
        b_value, *direction = map(float, comment.groups())
        yield from diffusion_of((b_value,), tuple(direction))


def heart_phase(header: Header) -> _Found:
    """Read the percentage of the heart's cycle that Toshiba's CT writes as text."""
    base = header.blocks().get(TOSHIBA_CT)
    text = header.text(base | 0x04).rstrip("% ") if base else ""
    if re.fullmatch(r"\d{1,3}(\.\d+)?", text):
        yield Tag.NominalPercentageOfCardiacPhase.name, float(text)


def _philips(header: Header, blocks: dict[tuple[int, str], int]) -> _Found:
    if PHILIPS_IMAGING in blocks:
        base = blocks[PHILIPS_IMAGING]
        yield from diffusion_of(header.singles(base | 0x03), ())
        yield from (("PhaseNumber", value) for value in (header.decimals(base | 0x08) or ())[:1])
    if PHILIPS_MR in blocks:
        base = blocks[PHILIPS_MR]
        yield from diffusion_of(
            (), tuple(v for number in (0xB0, 0xB1, 0xB2) for v in header.singles(base | number)[:1])
        )
    if PHILIPS_DIFFUSION in blocks:
        base = blocks[PHILIPS_DIFFUSION]
        for name, number in (("DiffusionBValueNumber", 0x12), ("GradientOrientationNumber", 0x13)):
            yield from ((name, value) for value in (header.decimals(base | number) or ())[:1])
        context = ASL_CONTEXTS.get(header.text(base | 0x29).upper())
        if context is not None:
            yield Tag.ASLContext.name, context


def _ge(header: Header, blocks: dict[tuple[int, str], int]) -> _Found:
    if GE_PARAMETERS in blocks:
        base = blocks[GE_PARAMETERS]
        b_values = tuple(math.fmod(value, GE_HIGH_B) for value in header.decimals(base | 0x39) or ())
        yield from diffusion_of(b_values, ())
        component = header.integer(base | 0x2F, signed=True)
        if component is not None and component in range(len(COMPONENTS)):
            yield Tag.ComplexImageComponent.name, float(component)
    if GE_ACQUISITION in blocks:
        base = blocks[GE_ACQUISITION]
        yield from diffusion_of((), tuple(v for n in (0xBB, 0xBC, 0xBD) for v in (header.decimals(base | n) or ())[:1]))
    if GE_RELATIONS in blocks:
        timer = header.decimals(blocks[GE_RELATIONS] | 0x5E)  # RTIA timer: when a slice of a time series was taken
        yield from (("RealTimeClock", value) for value in (timer or ())[:1])
