"""What tells images at one place apart: echo, time point, diffusion weighting, as the standard or a vendor has it."""

from collections.abc import Iterator

from medflow.dicom.header import Header
from medflow.dicom.moments import clock, day, seconds, stamp
from medflow.dicom.tags import Tag
from medflow.domain.series import Modality

DECIMALS = (
    Tag.AcquisitionNumber,
    Tag.TriggerTime,
    Tag.FrameReferenceTime,
    Tag.NominalPercentageOfCardiacPhase,
    Tag.KVP,
)
MR_DECIMALS = (Tag.EchoTime, Tag.EchoNumbers, Tag.InversionTime, Tag.FlipAngle, Tag.RepetitionTime)
FRAME_DECIMALS = (Tag.EchoTime, Tag.TriggerTime, Tag.AcquisitionNumber, Tag.FlipAngle, Tag.RepetitionTime)
COMPONENTS = {"MAGNITUDE": 0.0, "PHASE": 1.0, "REAL": 2.0, "IMAGINARY": 3.0}
GRADIENT = ("DiffusionGradientX", "DiffusionGradientY", "DiffusionGradientZ")

GE_ACQUISITION, GE_PARAMETERS = (0x0019, "GEMS_ACQU_01"), (0x0043, "GEMS_PARM_01")
SIEMENS_MR = (0x0019, "SIEMENS MR HEADER")
PHILIPS_IMAGING, PHILIPS_MR = (0x2001, "PHILIPS IMAGING DD 001"), (0x2005, "PHILIPS MR IMAGING DD 001")
GE_HIGH_B = 1_000_000_000
"""GE adds this to the b-value of some sequences."""

Labels = tuple[tuple[str, float], ...]


def classic_labels(header: Header, modality: Modality) -> Labels:
    """Collect the labels of a single-frame object, sorted by keyword."""
    found = dict(_decimals(header, DECIMALS if modality is not Modality.MR else DECIMALS + MR_DECIMALS))
    position = header.decimal(Tag.TemporalPositionIdentifier)
    if position is not None:
        found["TemporalPositionIndex"] = position
    found.update(_times(header))
    if modality is Modality.MR:
        found.update(_diffusion(header))
        found.update(_vendors(header))
    return tuple(sorted(found.items()))


def frame_labels(header: Header, dimensions: tuple[int, ...]) -> Labels:
    """Collect the labels of one frame from its functional groups laid flat; `dimensions` are the indices to keep."""
    found = dict(_decimals(header, FRAME_DECIMALS))
    for tag, name in (
        (Tag.EffectiveEchoTime, "EchoTime"),
        (Tag.InversionTimes, "InversionTime"),
        (Tag.NominalCardiacTriggerDelayTime, "NominalCardiacTriggerDelayTime"),
    ):
        found.update((name, value) for value in header.doubles(tag)[:1])
    for tag, name in (
        (Tag.TemporalPositionIndex, "TemporalPositionIndex"),
        (Tag.FrameAcquisitionNumber, "AcquisitionNumber"),
    ):
        found.update((name, float(value)) for value in header.integers(tag)[:1])
    component = COMPONENTS.get(header.text(Tag.ComplexImageComponent))
    if component is not None:
        found["ComplexImageComponent"] = component
    taken = stamp(header.text(Tag.FrameAcquisitionDateTime))
    if taken:
        found["AcquisitionTime"] = taken.toordinal() * 86400 + (seconds(taken.time()) or 0)
    found.update(_diffusion(header))
    indices = header.integers(Tag.DimensionIndexValues, wide=True)
    found.update((f"DimensionIndex{n + 1}", float(indices[n])) for n in dimensions if n < len(indices))
    return tuple(sorted(found.items()))


def _decimals(header: Header, tags: tuple[Tag, ...]) -> Iterator[tuple[str, float]]:
    for tag in tags:
        if tag in header.elements:
            value = header.decimal(tag)
            if value is not None:
                yield tag.name, value


def _times(header: Header) -> Iterator[tuple[str, float]]:
    for name, date_tag, time_tag in (
        ("AcquisitionTime", Tag.AcquisitionDate, Tag.AcquisitionTime),
        ("ContentTime", Tag.ContentDate, Tag.ContentTime),
    ):
        at = seconds(clock(header.text(time_tag)))
        on = day(header.text(date_tag))
        if at is not None:
            yield name, at + (on.toordinal() * 86400 if on else 0)


def _diffusion(header: Header) -> Iterator[tuple[str, float]]:
    for value in header.doubles(Tag.DiffusionBValue)[:1]:
        yield "DiffusionBValue", value
    yield from _gradient(header.doubles(Tag.DiffusionGradientOrientation))


def _gradient(direction: tuple[float, ...]) -> Iterator[tuple[str, float]]:
    if len(direction) == len(GRADIENT):
        yield from zip(GRADIENT, direction, strict=True)


def _vendors(header: Header) -> Iterator[tuple[str, float]]:
    """Read what GE, Siemens and Philips keep in private elements of single-frame MR."""
    blocks = header.blocks()
    if SIEMENS_MR in blocks:
        base = blocks[SIEMENS_MR]
        yield from (("DiffusionBValue", value) for value in (header.decimals(base | 0x0C) or ())[:1])
        yield from _gradient(header.doubles(base | 0x0E))
    if PHILIPS_IMAGING in blocks:
        yield from (("DiffusionBValue", value) for value in header.singles(blocks[PHILIPS_IMAGING] | 0x03)[:1])
    if PHILIPS_MR in blocks:
        base = blocks[PHILIPS_MR]
        yield from _gradient(tuple(v for number in (0xB0, 0xB1, 0xB2) for v in header.singles(base | number)[:1]))
    if GE_PARAMETERS in blocks:
        base = blocks[GE_PARAMETERS]
        yield from (("DiffusionBValue", value % GE_HIGH_B) for value in (header.decimals(base | 0x39) or ())[:1])
        component = header.integer(base | 0x2F, signed=True)
        if component is not None and component in range(len(COMPONENTS)):
            yield "ComplexImageComponent", float(component)
    if GE_ACQUISITION in blocks:
        base = blocks[GE_ACQUISITION]
        yield from _gradient(tuple(v for n in (0xBB, 0xBC, 0xBD) for v in (header.decimals(base | n) or ())[:1]))
