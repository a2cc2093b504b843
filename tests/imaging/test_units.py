"""Units: what the numbers mean, and which keyword stands in the way when nobody can tell."""

import numpy as np
import pytest

from medflow.domain.series import Modality
from medflow.domain.volume import Hounsfield, Unit, Uptake, Volume
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.imaging.units import scale_of, suv_factor, uptake_factor
from tests.imaging.made import facts, pet

GRAMS = 70_000.0
DOSE = 3.0e8


@pytest.mark.parametrize("rescale_type", [None, "", "HU", "US"])
def test_a_rescaled_ct_is_in_hounsfield_units(rescale_type: str | None) -> None:
    assert scale_of(Modality.CT, facts(rescale_type=rescale_type), None).unit is Unit.HU


@pytest.mark.parametrize(
    ("changes", "keyword"),
    [
        ({"rescaled": False}, "RescaleSlope"),
        ({"rescale_type": "Z_EFF"}, "RescaleType"),
        ({"rescale_type": "HU_MOD"}, "RescaleType"),
    ],
)
def test_a_ct_that_is_not_in_hounsfield_units_is_refused(changes: dict[str, object], keyword: str) -> None:
    with pytest.raises(SeriesError) as refused:
        scale_of(Modality.CT, facts(**changes), Unit.HU)

    assert (refused.value.reason, refused.value.detail) == (Reason.NO_HOUNSFIELD_UNITS, keyword)


def test_mr_has_no_unit_and_needs_no_rescale() -> None:
    assert scale_of(Modality.MR, facts(rescaled=False, rescale_type=None), None).unit is Unit.ARBITRARY


@pytest.mark.parametrize(
    ("modality", "unit"), [(Modality.CT, Unit.SUVBW), (Modality.MR, Unit.HU), (Modality.PT, Unit.HU)]
)
def test_a_unit_of_another_modality_is_a_mistake_of_the_task(modality: Modality, unit: Unit) -> None:
    with pytest.raises(ConfigurationError):
        scale_of(modality, facts(pet=pet()), unit)


def test_suv_is_activity_times_weight_over_the_dose_that_is_left() -> None:
    assert suv_factor(pet()) == pytest.approx(GRAMS / (DOSE * 2 ** (-3600 / 6586.2)), rel=1e-12)
    assert suv_factor(pet(decay_correction="ADMIN", decay_seconds=None)) == GRAMS / DOSE


def test_images_in_grams_per_millilitre_are_suv_already() -> None:
    assert suv_factor(pet(units="GML", corrected=(), dose=None)) == 1.0
    assert suv_factor(pet(units="GML", suv_type="BW", corrected=())) == 1.0


@pytest.mark.parametrize(
    ("unit", "sex", "expected"),
    [
        (Unit.SUVLBM, "M", 1.10 * 70 - 120 * (70 / 175) ** 2),
        (Unit.SUVLBM, "F", 1.07 * 70 - 148 * (70 / 175) ** 2),
        (Unit.SUVLBM_JAMES128, "M", 1.10 * 70 - 128 * (70 / 175) ** 2),
        (Unit.SUVLBM_JAMES128, "F", 1.07 * 70 - 148 * (70 / 175) ** 2),
        (Unit.SUVLBM_JANMA, "M", 9270 * 70 / (6680 + 216 * 70 / 1.75**2)),
        (Unit.SUVLBM_JANMA, "F", 9270 * 70 / (8780 + 244 * 70 / 1.75**2)),
    ],
)
def test_suv_by_lean_body_mass_puts_it_in_the_place_of_the_weight(unit: Unit, sex: str, expected: float) -> None:
    assert uptake_factor(pet(sex=sex), unit) == pytest.approx(suv_factor(pet()) * expected / 70, rel=1e-12)


def test_suv_by_body_surface_is_in_square_centimetres_per_millilitre() -> None:
    by_surface = uptake_factor(pet(sex=None), Unit.SUVBSA)

    assert by_surface == pytest.approx(suv_factor(pet()) * 18481.0 / GRAMS, rel=1e-4)  # 1.848 m2 for 70 kg and 1.75 m


@pytest.mark.parametrize(
    ("changes", "unit", "keyword"),
    [
        ({"height": None}, Unit.SUVBSA, "PatientSize"),
        ({"height": 175.0}, Unit.SUVLBM, "PatientSize"),
        ({"sex": None}, Unit.SUVLBM, "PatientSex"),
        ({"weight": None}, Unit.SUVBSA, "PatientWeight"),
        ({"weight": 300.0, "height": 1.5}, Unit.SUVLBM, "PatientWeight"),
        ({"units": "GML", "suv_type": "LBM"}, Unit.SUVBW, "SUVType"),
        ({"units": "GML", "suv_type": "LBM"}, Unit.SUVLBM_JANMA, "SUVType"),
        ({"units": "GML", "suv_type": "ROUND"}, Unit.SUVLBM, "SUVType"),
        ({"units": "CM2ML", "suv_type": "BSA"}, Unit.SUVBW, "Units"),
    ],
)
def test_a_kind_of_suv_that_cannot_be_had_names_the_keyword_in_the_way(
    changes: dict[str, object], unit: Unit, keyword: str
) -> None:
    with pytest.raises(SeriesError) as refused:
        uptake_factor(pet(**changes), unit)

    assert (refused.value.reason, refused.value.detail) == (Reason.NO_SUV, keyword)


def test_what_the_scanner_computed_itself_is_taken_as_it_is() -> None:
    assert uptake_factor(pet(units="GML", suv_type="LBM", corrected=()), Unit.SUVLBM) == 1.0
    assert uptake_factor(pet(units="GML", suv_type="LBMJANMA", corrected=()), Unit.SUVLBM_JANMA) == 1.0
    assert uptake_factor(pet(units="CM2ML", suv_type="BSA", corrected=()), Unit.SUVBSA) == 1.0
    by_weight = uptake_factor(pet(units="GML", corrected=()), Unit.SUVBSA)
    assert by_weight == pytest.approx(18481.0 / GRAMS, rel=1e-4)


def test_philips_counts_take_the_factor_that_stands_there() -> None:
    assert suv_factor(pet(units="CNTS", philips_suv_factor=0.0004)) == 0.0004
    by_activity = suv_factor(pet(units="CNTS", philips_suv_factor=0.0, philips_activity_factor=2.5))
    assert by_activity == pytest.approx(2.5 * suv_factor(pet()))


@pytest.mark.parametrize(
    ("changes", "keyword"),
    [
        ({"units": None}, "Units"),
        ({"units": "PROPCPS"}, "Units"),
        ({"units": "CNTS"}, "Units"),
        ({"units": "CNTS", "philips_suv_factor": 0.0, "philips_activity_factor": 0.0}, "Units"),
        ({"units": "GML", "suv_type": "LBM"}, "SUVType"),
        ({"corrected": ("DECY",)}, "CorrectedImage"),
        ({"corrected": ("ATTN",)}, "CorrectedImage"),
        ({"weight": None}, "PatientWeight"),
        ({"weight": 0.0}, "PatientWeight"),
        ({"weight": float("nan")}, "PatientWeight"),
        ({"dose": None}, "RadionuclideTotalDose"),
        ({"dose": 300.0}, "RadionuclideTotalDose"),
        ({"dose": 3.0e11}, "RadionuclideTotalDose"),
        ({"decay_correction": None}, "DecayCorrection"),
        ({"decay_correction": "NONE"}, "DecayCorrection"),
        ({"half_life": None}, "RadionuclideHalfLife"),
        ({"half_life": 0.0}, "RadionuclideHalfLife"),
        ({"decay_seconds": None}, "RadiopharmaceuticalStartDateTime"),
        ({"decay_seconds": -60.0}, "RadiopharmaceuticalStartDateTime"),
        ({"decay_seconds": 90_000.0}, "RadiopharmaceuticalStartDateTime"),
    ],
)
def test_suv_is_refused_by_the_keyword_in_its_way(changes: dict[str, object], keyword: str) -> None:
    with pytest.raises(SeriesError) as refused:
        scale_of(Modality.PT, facts(pet=pet(**changes)), Unit.SUVBW)

    assert (refused.value.reason, refused.value.detail) == (Reason.NO_SUV, keyword)


def test_a_pet_without_rescale_has_no_activity() -> None:
    with pytest.raises(SeriesError) as refused:
        scale_of(Modality.PT, facts(rescaled=False, pet=pet()), Unit.BQML)

    assert refused.value.reason is Reason.NO_ACTIVITY


@pytest.mark.parametrize(("units", "unit"), [("BQML", Unit.BQML), ("GML", Unit.SUVBW), ("PROPCPS", Unit.ARBITRARY)])
def test_the_natural_unit_of_a_pet_is_what_its_header_offers(units: str, unit: Unit) -> None:
    assert scale_of(Modality.PT, facts(pet=pet(units=units)), None).unit is unit


def hottest(volume: Volume[Uptake]) -> float:
    return float(volume.voxels.max())


def test_the_type_checker_keeps_units_apart() -> None:
    voxels = np.full((2, 2, 2), 3.0, np.float32)
    uptake: Volume[Uptake] = Volume(
        voxels=voxels, affine=np.eye(4), unit=Unit.SUVBW, modality=Modality.PT, series_digest="", layout_digest=""
    )
    density: Volume[Hounsfield] = Volume(
        voxels=voxels, affine=np.eye(4), unit=Unit.HU, modality=Modality.CT, series_digest="", layout_digest=""
    )

    assert hottest(uptake) == 3.0
    assert hottest(density) == 3.0  # type: ignore[arg-type]  # mypy fails this file if it ever accepts the line
