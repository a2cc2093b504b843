"""What PET headers say of dose, clock and units, and the facts that the standardized uptake value needs."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from medflow.dicom.enhanced import first_group
from medflow.dicom.header import Header
from medflow.dicom.moments import clock, moment, stamp
from medflow.dicom.tags import Tag
from medflow.domain.layout import PetFacts
from medflow.domain.series import PetHeader

GE_PET, PHILIPS_PET = (0x0009, "GEMS_PETD_01"), (0x7053, "PHILIPS PET PRIVATE GROUP")
LONGEST_UNDATED_HALF_LIFE = 3 * 3600.0
"""Seconds. A start time without a date tells the day only for nuclides that do not last into the next one."""
MOST_HALF_LIVES = 8
"""An injection further back than this is a mistake in a clock or a date: less than half a percent would be left."""
MEASUREMENT_UNITS, CODE_VALUE = 0x004008EA, 0x00080100
MAPPED_INTERCEPT, MAPPED_SLOPE = 0x00409224, 0x00409225
UCUM = {"Bq/ml": "BQML", "{counts}": "CNTS", "g/ml{SUVbw}": "GML", "g/ml": "GML"}
"""Codes of a real-world value mapping (PS3.16 CID 84 and 85) that say what Units says in a single-frame PET."""
_CORRECTIONS = (
    (Tag.AttenuationCorrected, "ATTN"),
    (Tag.DecayCorrected, "DECY"),
    (Tag.ScatterCorrected, "SCAT"),
)

_Value = TypeVar("_Value", str, float, tuple[str, ...])


def pet_header(header: Header) -> PetHeader:
    """Read the PET modules of a single-frame object, or of an enhanced one by its shared and first groups."""
    described = first_group(header)
    isotopes = described.items(Tag.RadiopharmaceuticalInformationSequence)
    isotope = isotopes[0] if len(isotopes) == 1 else Header({})
    blocks = header.blocks()
    ge, philips = blocks.get(GE_PET), blocks.get(PHILIPS_PET)
    corrected_to = stamp(described.text(Tag.DecayCorrectionDateTime))
    return PetHeader(
        units=header.text(Tag.Units).upper() or _mapped_units(described),
        suv_type=header.text(Tag.SUVType).upper() or None,
        decay_correction=header.text(Tag.DecayCorrection).upper() or ("START" if corrected_to else None),
        corrected=_corrections(described),
        weight=_positive(header, Tag.PatientWeight),
        height=_positive(header, Tag.PatientSize),
        sex=sex if (sex := header.text(Tag.PatientSex).upper()) in {"M", "F"} else None,
        dose=_positive(isotope, Tag.RadionuclideTotalDose),
        half_life=_positive(isotope, Tag.RadionuclideHalfLife),
        injected=stamp(isotope.text(Tag.RadiopharmaceuticalStartDateTime)),
        injected_at=clock(isotope.text(Tag.RadiopharmaceuticalStartTime)),
        series=moment(header.text(Tag.SeriesDate), header.text(Tag.SeriesTime)),
        acquired=stamp(header.text(Tag.AcquisitionDateTime))
        or moment(header.text(Tag.AcquisitionDate), header.text(Tag.AcquisitionTime)),
        scanned=stamp(header.text(ge | 0x0D)) if ge else None,
        corrected_to=corrected_to,
        philips_suv_factor=_positive(header, philips | 0x00) if philips else None,
        philips_activity_factor=_positive(header, philips | 0x09) if philips else None,
    )


def pet_facts(headers: Iterable[PetHeader]) -> PetFacts:
    """Put together what all objects of a series agree on; what they contradict each other in is None."""
    every = tuple(headers)
    decay_correction = _agreed([header.decay_correction for header in every])
    half_life = _agreed([header.half_life for header in every])
    return PetFacts(
        units=_agreed([header.units for header in every]),
        suv_type=_agreed([header.suv_type for header in every]),
        decay_correction=decay_correction,
        corrected=_agreed([header.corrected for header in every]) or (),
        weight=_agreed([header.weight for header in every]),
        height=_agreed([header.height for header in every]),
        sex=_agreed([header.sex for header in every]),
        dose=_agreed([header.dose for header in every]),
        half_life=half_life,
        decay_seconds=_decay_seconds(every, decay_correction, half_life),
        philips_suv_factor=_agreed([header.philips_suv_factor for header in every]),
        philips_activity_factor=_agreed([header.philips_activity_factor for header in every]),
    )


def _decay_seconds(every: tuple[PetHeader, ...], decay_correction: str | None, half_life: float | None) -> float | None:
    """Measure from the injection to the instant that the images are decay-corrected to (PS3.3 C.8.9.1.1.4)."""
    if decay_correction == "ADMIN":
        return 0.0
    reference = _reference(every, decay_correction)
    if reference is None or half_life is None:
        return None
    injected = {header.injected for header in every}
    if injected == {None}:
        times = {header.injected_at for header in every}
        at = times.pop()
        if times or at is None or half_life > LONGEST_UNDATED_HALF_LIFE:
            return None
        injection = datetime.combine(reference.date(), at)
        injection -= timedelta(days=1) if injection > reference else timedelta()
    else:
        known = injected.pop()
        if injected or known is None:
            return None
        injection = known
    seconds = (reference - injection).total_seconds()
    return seconds if 0 <= seconds <= MOST_HALF_LIVES * half_life else None


def _reference(every: tuple[PetHeader, ...], decay_correction: str | None) -> datetime | None:
    """Find the instant that images with DecayCorrection START are corrected to.

    It is the series' time, unless that is later than the first acquisition because the images were made again:
    then it is GE's scan time, else the acquisition's own time if there was one bed position only.
    """
    stated = {header.corrected_to for header in every}
    if stated != {None}:
        return stated.pop() if len(stated) == 1 else None
    acquired = {header.acquired for header in every}
    series = {header.series for header in every}
    if decay_correction != "START" or None in acquired or len(series) != 1:
        return None
    first = min(at for at in acquired if at)
    start = series.pop()
    if start is not None and start <= first:
        return start
    scanned = {header.scanned for header in every}
    scan = scanned.pop()
    if scan is not None and not scanned and scan <= first:
        return scan
    return first if len(acquired) == 1 else None


def _mapped_units(described: Header) -> str | None:
    """Read the unit that an enhanced PET states in its real-world value mapping (PS3.3 C.7.6.16.2.11).

    It speaks of the rescaled values only where the mapping is the rescale itself. The mapping is not applied.
    """
    mappings = described.items(Tag.RealWorldValueMappingSequence)
    mapping = mappings[0] if mappings else described  # functional groups were laid flat
    codes = mapping.items(MEASUREMENT_UNITS)
    rescale = described.decimal(Tag.RescaleSlope), described.decimal(Tag.RescaleIntercept)
    mapped = *mapping.doubles(MAPPED_SLOPE)[:1], *mapping.doubles(MAPPED_INTERCEPT)[:1]
    return UCUM.get(codes[0].text(CODE_VALUE)) if codes and mapped == rescale else None


def _corrections(header: Header) -> tuple[str, ...]:
    """Read CorrectedImage, or its counterparts in an enhanced PET (PS3.3 C.8.22.3)."""
    listed = tuple(value.upper() for value in header.texts(Tag.CorrectedImage))
    return listed or tuple(code for tag, code in _CORRECTIONS if header.text(tag) == "YES")


def _positive(header: Header, tag: int) -> float | None:
    value = header.decimal(tag)
    return value if value is not None and value > 0 else None


def _agreed(values: list[_Value | None]) -> _Value | None:
    """Give the one value that every object states; None where one lacks it or two differ."""
    first = values[0] if values else None
    return first if all(value == first for value in values) else None
