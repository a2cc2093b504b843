"""What tells images at one place apart: echo, time point, diffusion weighting, as the standard has it."""

from collections.abc import Iterator

from medflow.dicom.header import Header
from medflow.dicom.moments import clock, day, seconds, stamp
from medflow.dicom.tags import Tag
from medflow.dicom.vendors import ASL_CONTEXTS, COMPONENTS, Labels, diffusion_of, heart_phase, mr_vendor_labels
from medflow.domain.series import Modality

DECIMALS = (
    Tag.AcquisitionNumber,
    Tag.TriggerTime,
    Tag.FrameReferenceTime,
    Tag.KVP,
)
MR_DECIMALS = (Tag.EchoTime, Tag.EchoNumbers, Tag.InversionTime, Tag.FlipAngle, Tag.RepetitionTime)
FRAME_DECIMALS = (Tag.EchoTime, Tag.TriggerTime, Tag.AcquisitionNumber, Tag.FlipAngle, Tag.RepetitionTime)
DIRECTIONALITIES = {"NONE": 0.0, "DIRECTIONAL": 1.0, "BMATRIX": 2.0, "ISOTROPIC": 3.0}


def classic_labels(header: Header, modality: Modality) -> Labels:
    """Collect the labels of a single-frame object, sorted by keyword."""
    found = dict(_decimals(header, DECIMALS if modality is not Modality.MR else DECIMALS + MR_DECIMALS))
    position = header.decimal(Tag.TemporalPositionIdentifier)
    if position is not None:
        found["TemporalPositionIndex"] = position
    found.update(("ImageIndex", float(value)) for value in header.integers(Tag.ImageIndex)[:1])
    found.update(_times(header))
    found.update(_kind(header))
    if modality is Modality.MR:
        found.update(_contrast(header))
        found.update(mr_vendor_labels(header))
    else:
        found.update(heart_phase(header))
    return tuple(sorted(found.items()))


def frame_labels(header: Header, dimensions: tuple[int, ...]) -> Labels:
    """Collect the labels of one frame from its functional groups laid flat; `dimensions` are the indices to keep."""
    found = dict(_decimals(header, FRAME_DECIMALS))
    position = header.decimal(Tag.TemporalPositionIdentifier)
    if position is not None:
        found["TemporalPositionIndex"] = position
    for tag, name in (
        (Tag.EffectiveEchoTime, "EchoTime"),
        (Tag.InversionTimes, "InversionTime"),
        (Tag.NominalCardiacTriggerDelayTime, "NominalCardiacTriggerDelayTime"),
        (Tag.TemporalPositionTimeOffset, "TemporalPositionTimeOffset"),
    ):
        found.update((name, value) for value in header.doubles(tag)[:1])
    for tag, name in (
        (Tag.TemporalPositionIndex, "TemporalPositionIndex"),
        (Tag.FrameAcquisitionNumber, "AcquisitionNumber"),
    ):
        found.update((name, float(value)) for value in header.integers(tag)[:1])
    found.update(_kind(header))
    taken = stamp(header.text(Tag.FrameAcquisitionDateTime))
    if taken:
        found["AcquisitionTime"] = taken.toordinal() * 86400 + (seconds(taken.time()) or 0)
    found.update(_contrast(header))
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


def _kind(header: Header) -> Iterator[tuple[str, float]]:
    """Tell made images from measured ones, and percentages of the heart's cycle."""
    if (header.text(Tag.FrameType) or header.text(Tag.ImageType)).upper().startswith("DERIVED"):
        yield "Derived", 1.0
    for value in header.singles(Tag.NominalPercentageOfCardiacPhase)[:1]:
        yield Tag.NominalPercentageOfCardiacPhase.name, value


def _contrast(header: Header) -> Iterator[tuple[str, float]]:
    """Read component, diffusion weighting and spin labelling (PS3.3 C.8.13.3.1, C.8.13.5.9, C.8.13.5.14)."""
    yield from diffusion_of(header.doubles(Tag.DiffusionBValue), header.doubles(Tag.DiffusionGradientOrientation))
    for tag, codes in (
        (Tag.ComplexImageComponent, COMPONENTS),
        (Tag.DiffusionDirectionality, DIRECTIONALITIES),
        (Tag.ASLContext, ASL_CONTEXTS),
    ):
        code = codes.get(header.text(tag))
        if code is not None:
            yield tag.name, code
