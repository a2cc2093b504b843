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
LEAST_HEIGHT, MOST_HEIGHT = 0.3, 2.6
"""m. PatientSize in centimetres, as some write it, lies outside."""
UPTAKES = (Unit.SUVBW, Unit.SUVLBM, Unit.SUVLBM_JAMES128, Unit.SUVLBM_JANMA, Unit.SUVBSA)
"""The standardized uptake values; all but the first on request only."""
STORED = {
    ("GML", ""): Unit.SUVBW,
    ("GML", "BW"): Unit.SUVBW,
    ("GML", "LBM"): Unit.SUVLBM,
    ("GML", "LBMJAMES128"): Unit.SUVLBM_JAMES128,
    ("GML", "LBMJANMA"): Unit.SUVLBM_JANMA,
    ("CM2ML", "BSA"): Unit.SUVBSA,
}
"""Kinds that a scanner computes itself, by Units and SUVType (PS3.3 C.8.9.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How rescaled values become a unit: times `factor`; a CT's padding, which nobody measured, becomes `padding`."""

    unit: Unit
    factor: float
    padding: float | None = None


def scale_of(modality: Modality, facts: IntensityFacts, unit: Unit | None) -> Scale:
    """Say how the rescaled values of a series become `unit`; None asks for the modality's natural one.

    Natural are HU for CT, signal for MR, and for PET what its header offers: Bq/ml, else SUVbw, else bare counts.

    Raises:
        SeriesError: the header does not carry the unit; the detail is the keyword of the attribute in the way.
        ConfigurationError: no series of the modality could have the unit.
    """
    if modality is Modality.PT:
        return Scale(unit=(found := unit or _natural(facts)), factor=_pet_factor(facts, found))
    natural = Unit.HU if modality is Modality.CT else Unit.ARBITRARY
    if unit not in {None, natural}:
        raise ConfigurationError(f"{modality.value} is read in {natural.value}, not in {unit}")
    if natural is Unit.HU:
        _check_hounsfield(facts)
    return Scale(unit=natural, factor=1.0, padding=AIR if natural is Unit.HU else None)


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
    if unit is not Unit.BQML and unit not in UPTAKES:
        names = ", ".join(one.value for one in (Unit.BQML, *UPTAKES))
        raise ConfigurationError(f"PT is read in one of {names}, not in {unit.value}")
    reason = Reason.NO_ACTIVITY if unit is Unit.BQML else Reason.NO_SUV
    if not facts.rescaled:
        raise SeriesError(reason, "RescaleSlope")
    if facts.pet is None:
        raise SeriesError(reason, "Units")
    return activity_factor(facts.pet, reason) if unit is Unit.BQML else uptake_factor(facts.pet, unit)


def activity_factor(pet: PetFacts, reason: Reason = Reason.NO_ACTIVITY) -> float:
    """Give what turns rescaled values into Bq/ml: 1 for BQML, Philips' (7053,1009) for counts."""
    if pet.units == "BQML":
        return 1.0
    if pet.units == "CNTS" and _positive(pet.philips_activity_factor):
        return float(pet.philips_activity_factor or 0.0)
    raise SeriesError(reason, "Units")


def uptake_factor(pet: PetFacts, unit: Unit) -> float:
    """Give what turns rescaled values into the standardized uptake value `unit`, of `UPTAKES`.

    What the scanner computed already (GML, CM2ML) is taken as it is if it is that very kind. Every other kind is SUVbw
    times the body's measure in its stead, over the weight.

    Raises:
        SeriesError: NO_SUV and the keyword of what is missing, contradictory or implausible.
    """
    stored = STORED.get((pet.units or "", pet.suv_type or ""))
    if stored is unit:
        return 1.0
    by_weight = suv_factor(pet)
    return by_weight if unit is Unit.SUVBW else by_weight * _measure(pet, unit) / (_weight(pet) * GRAMS)


def suv_factor(pet: PetFacts) -> float:
    """Give what turns rescaled values into SUV by body weight, g/ml (PS3.3 C.8.9.1; the QIBA FDG-PET profile's rules).

    GML is SUVbw only when SUVType is BW or absent. Otherwise SUVbw = activity x weight (g) / dose at the instant that
    the images are decay-corrected to: START decays the dose from injection, ADMIN has it undecayed, NONE is refused.

    Raises:
        SeriesError: NO_SUV and the keyword of what is missing, contradictory or implausible.
    """
    if pet.units == "GML":
        if STORED.get(("GML", pet.suv_type or "")) is not Unit.SUVBW:
            raise SeriesError(Reason.NO_SUV, "SUVType")
        return 1.0
    if not {"ATTN", "DECY"} <= set(pet.corrected):
        raise SeriesError(Reason.NO_SUV, "CorrectedImage")
    if pet.units == "CNTS" and _positive(pet.philips_suv_factor):
        return float(pet.philips_suv_factor or 0.0)
    activity = activity_factor(pet, Reason.NO_SUV)
    return activity * _weight(pet) * GRAMS / _dose_left(pet)


def _weight(pet: PetFacts) -> float:
    if pet.weight is None or not _positive(pet.weight):
        raise SeriesError(Reason.NO_SUV, "PatientWeight")
    return pet.weight


def _measure(pet: PetFacts, unit: Unit) -> float:
    """Give the lean body mass (g) or the body surface area (cm2).

    Lean body mass: James (1976), Research on Obesity, HMSO, with the 120 of most of its quotations or with its own 128;
    Janmahasatian et al. (2005), Clin Pharmacokinet 44(10). Surface: Du Bois and Du Bois (1916), Arch Intern Med 17.
    """
    weight = _weight(pet)
    if pet.height is None or not LEAST_HEIGHT <= pet.height <= MOST_HEIGHT:
        raise SeriesError(Reason.NO_SUV, "PatientSize")
    centimetres = 100.0 * pet.height
    if unit is Unit.SUVBSA:
        return float(1e4 * 0.007184 * weight**0.425 * centimetres**0.725)
    if pet.sex not in {"M", "F"}:
        raise SeriesError(Reason.NO_SUV, "PatientSex")
    male = pet.sex == "M"
    if unit is Unit.SUVLBM_JANMA:
        index = weight / pet.height**2
        lean = 9270.0 * weight / (6680.0 + 216.0 * index if male else 8780.0 + 244.0 * index)
    else:
        square = (weight / centimetres) ** 2
        of_men = 120.0 if unit is Unit.SUVLBM else 128.0
        lean = 1.10 * weight - of_men * square if male else 1.07 * weight - 148.0 * square
    if lean <= 0.0:  # the parabola of James turns down for the very heavy
        raise SeriesError(Reason.NO_SUV, "PatientWeight")
    return lean * GRAMS


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
