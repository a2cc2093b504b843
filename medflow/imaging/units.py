"""What a voxel's number means: Hounsfield units, activity, SUV, or MR signal, or the keyword that stands in the way."""

from dataclasses import dataclass

from medflow.domain.layout import IntensityFacts, PetFacts
from medflow.domain.series import Modality
from medflow.domain.volume import Unit
from medflow.errors import ConfigurationError, Reason, SeriesError

AIR = -1024.0
"""HU given to padding: the lowest number that a 12-bit CT can say, and no less than air by any noise."""
LEAST_DOSE, MOST_DOSE = 1e6, 5e9
"""Bq. A diagnostic injection lies between; outside it somebody wrote MBq or GBq."""
MOST_HALF_LIVES = 10.0
"""After ten half-lives a thousandth of the dose is left: no image, but a wrong date."""
GRAMS = 1000.0
"""in a kilogram"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How rescaled values become a unit: times `factor`; voxels that nobody measured become `padding`."""

    unit: Unit
    factor: float
    padding: float


def scale_of(modality: Modality, facts: IntensityFacts, unit: Unit | None) -> Scale:
    """Say how the rescaled values of a series become `unit`; None asks for the modality's natural one.

    Natural are HU for CT, signal for MR, and for PET what its header offers: Bq/ml, else SUVbw, else bare counts.

    Raises:
        SeriesError: the header does not carry the unit; the detail is the keyword of the attribute in the way.
        ConfigurationError: no series of the modality could have the unit.
    """
    if modality is Modality.PT:
        return Scale(unit=(found := unit or _natural(facts)), factor=_pet_factor(facts, found), padding=0.0)
    natural = Unit.HU if modality is Modality.CT else Unit.ARBITRARY
    if unit not in {None, natural}:
        raise ConfigurationError(f"{modality.value} is read in {natural.value}, not in {unit}")
    if natural is Unit.HU:
        _check_hounsfield(facts)
    return Scale(unit=natural, factor=1.0, padding=AIR if natural is Unit.HU else 0.0)


def _check_hounsfield(facts: IntensityFacts) -> None:
    """Refuse a CT whose output is not HU (PS3.3 C.11.1.1.2: US is 'unspecified', which CT scanners write for HU)."""
    if not facts.rescaled:
        raise SeriesError(Reason.NO_HOUNSFIELD_UNITS, "RescaleSlope")
    if facts.rescale_type not in {None, "", "HU", "US"}:
        raise SeriesError(Reason.NO_HOUNSFIELD_UNITS, "RescaleType")


def _natural(facts: IntensityFacts) -> Unit:
    for unit in (Unit.BQML, Unit.SUVBW):
        try:
            _pet_factor(facts, unit)
        except SeriesError:
            continue
        return unit
    return Unit.ARBITRARY


def _pet_factor(facts: IntensityFacts, unit: Unit) -> float:
    if unit is Unit.ARBITRARY:
        return 1.0
    if unit not in {Unit.BQML, Unit.SUVBW}:
        raise ConfigurationError(f"PT is read in {Unit.BQML.value} or {Unit.SUVBW.value}, not in {unit.value}")
    reason = Reason.NO_ACTIVITY if unit is Unit.BQML else Reason.NO_SUV
    if not facts.rescaled:
        raise SeriesError(reason, "RescaleSlope")
    if facts.pet is None:
        raise SeriesError(reason, "Units")
    return activity_factor(facts.pet, reason) if unit is Unit.BQML else suv_factor(facts.pet)


def activity_factor(pet: PetFacts, reason: Reason = Reason.NO_ACTIVITY) -> float:
    """Give what turns rescaled values into Bq/ml: 1 for BQML, Philips' (7053,1009) for counts."""
    if pet.units == "BQML":
        return 1.0
    if pet.units == "CNTS" and _positive(pet.philips_activity_factor):
        return float(pet.philips_activity_factor or 0.0)
    raise SeriesError(reason, "Units")


def suv_factor(pet: PetFacts) -> float:
    """Give what turns rescaled values into SUV by body weight, g/ml (PS3.3 C.8.9.1; the QIBA FDG-PET profile's rules).

    GML is SUVbw only when SUVType is BW or absent. Otherwise SUVbw = activity x weight (g) / dose at the instant that
    the images are decay-corrected to: START decays the dose from injection, ADMIN has it undecayed, NONE is refused.

    Raises:
        SeriesError: NO_SUV and the keyword of what is missing, contradictory or implausible.
    """
    if pet.units == "GML":
        if pet.suv_type not in {None, "", "BW"}:
            raise SeriesError(Reason.NO_SUV, "SUVType")
        return 1.0
    if not {"ATTN", "DECY"} <= set(pet.corrected):
        raise SeriesError(Reason.NO_SUV, "CorrectedImage")
    if pet.units == "CNTS" and _positive(pet.philips_suv_factor):
        return float(pet.philips_suv_factor or 0.0)
    activity = activity_factor(pet, Reason.NO_SUV)
    if pet.weight is None or not _positive(pet.weight):
        raise SeriesError(Reason.NO_SUV, "PatientWeight")
    return activity * pet.weight * GRAMS / _dose_left(pet)


def _dose_left(pet: PetFacts) -> float:
    """Give the dose (Bq) at the instant that the images are decay-corrected to."""
    if pet.dose is None or not LEAST_DOSE <= pet.dose <= MOST_DOSE:
        raise SeriesError(Reason.NO_SUV, "RadionuclideTotalDose")
    if pet.decay_correction == "ADMIN":
        return pet.dose
    if pet.decay_correction != "START":
        raise SeriesError(Reason.NO_SUV, "DecayCorrection")
    if pet.half_life is None or not _positive(pet.half_life):
        raise SeriesError(Reason.NO_SUV, "RadionuclideHalfLife")
    if pet.decay_seconds is None or not 0.0 <= pet.decay_seconds <= MOST_HALF_LIVES * pet.half_life:
        raise SeriesError(Reason.NO_SUV, "RadiopharmaceuticalStartDateTime")
    return float(pet.dose * 2.0 ** (-pet.decay_seconds / pet.half_life))


def _positive(value: float | None) -> bool:
    """Tell a usable number; Philips writes 0 for an absent factor. NaN and infinity are not usable."""
    return value is not None and 0.0 < value < float("inf")
