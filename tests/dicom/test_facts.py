"""What the numbers mean is stated only where every header agrees; a clock is never guessed."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedPETImageStorage

from medflow.dicom.facts import intensity_facts
from medflow.dicom.scan import scan_folder
from medflow.domain.layout import IntensityFacts, PetFacts
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import attributes, changed, enhanced, one_slice, save


def facts_of(folder: Path, *datasets: Dataset) -> IntensityFacts:
    (series,) = scan_folder(save(folder, *datasets)).series
    return intensity_facts(series)


def pet(number: int = 1, dose: dict[str, Any] | None = None, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a slice of an FDG PET, injected an hour before its scan."""
    isotope = {
        "RadionuclideTotalDose": "370000000",
        "RadionuclideHalfLife": "6588",
        "RadiopharmaceuticalStartTime": "090000",
    }
    values: dict[str, Any] = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY"],
        "PatientWeight": "70",
        "SeriesDate": "20200102",
        "SeriesTime": "100000",
        "AcquisitionDate": "20200102",
        "AcquisitionTime": "100000",
    }
    dataset = one_slice(number, modality="PT", position=(0, 0, number))
    dataset.RadiopharmaceuticalInformationSequence = [attributes(**isotope | (dose or {}))]
    return changed(dataset, values | others)


def pet_facts(folder: Path, *datasets: Dataset) -> PetFacts:
    found = facts_of(folder, *datasets).pet
    assert found is not None
    return found


def test_a_plain_pet_states_all_that_suv_needs(tmp_path: Path) -> None:
    found = pet_facts(tmp_path, pet(1), pet(2))

    assert found == PetFacts(
        units="BQML",
        suv_type=None,
        decay_correction="START",
        corrected=("ATTN", "DECY"),
        weight=70.0,
        height=None,
        sex=None,
        dose=370e6,
        half_life=6588.0,
        decay_seconds=3600.0,
        philips_suv_factor=None,
        philips_activity_factor=None,
    )


@pytest.mark.parametrize(
    ("dose", "others", "seconds"),
    [
        ({}, {"DecayCorrection": "ADMIN"}, 0.0),
        ({}, {"DecayCorrection": "NONE"}, None),
        ({}, {"DecayCorrection": None}, None),
        ({}, {"SeriesTime": "120000"}, 3600.0),
        ({}, {"SeriesTime": "095500"}, 3300.0),
        ({}, {"AcquisitionTime": None}, None),
        ({"RadiopharmaceuticalStartTime": "230000"}, {"SeriesTime": "003000", "AcquisitionTime": "003000"}, 5400.0),
        ({"RadiopharmaceuticalStartTime": "100500"}, {}, None),
        ({"RadiopharmaceuticalStartDateTime": "20200102085000"}, {}, 4200.0),
        ({"RadiopharmaceuticalStartDateTime": "20200101233000.00"}, {"SeriesTime": "003000"}, 3600.0),
        ({"RadiopharmaceuticalStartDateTime": "20190102085000"}, {}, None),
        ({"RadiopharmaceuticalStartDateTime": "20200102110000"}, {}, None),
        ({"RadionuclideHalfLife": "282240"}, {}, None),
        (
            {"RadionuclideHalfLife": "282240", "RadiopharmaceuticalStartDateTime": "20191230100000"},
            {},
            3 * 86400.0,
        ),
        ({"RadiopharmaceuticalStartTime": None}, {}, None),
        ({"RadionuclideHalfLife": None}, {}, None),
    ],
)
def test_decay_is_measured_from_the_injection_to_the_instant_of_correction(
    tmp_path: Path, dose: dict[str, Any], others: dict[str, Any], seconds: float | None
) -> None:
    isotope: dict[str, Any] = {k: v for k, v in dose.items() if v is not None}
    dataset = pet(dose=isotope, **others)
    for keyword in dose.keys() - isotope.keys():
        delattr(dataset.RadiopharmaceuticalInformationSequence[0], keyword)

    assert pet_facts(tmp_path, dataset).decay_seconds == seconds


def test_images_made_again_of_several_beds_do_not_say_what_they_were_corrected_to(tmp_path: Path) -> None:
    beds = [pet(n, SeriesTime="150000", AcquisitionTime=f"10{n:02}00") for n in (1, 2)]

    assert pet_facts(tmp_path, *beds).decay_seconds is None


def test_ge_states_its_scan_time_in_a_private_element(tmp_path: Path) -> None:
    beds = [pet(n, SeriesTime="150000", AcquisitionTime=f"10{n:02}00") for n in (1, 2)]
    for bed in beds:
        bed.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200102100000.00")

    assert pet_facts(tmp_path, *beds).decay_seconds == 3600.0


def test_philips_factors_are_read_and_zero_means_absent(tmp_path: Path) -> None:
    dataset = pet(Units="CNTS")
    block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x00, "DS", "0.00042")
    block.add_new(0x09, "DS", "0")

    found = pet_facts(tmp_path, dataset)

    assert (found.philips_suv_factor, found.philips_activity_factor) == (0.00042, None)


def test_what_pet_headers_contradict_each_other_in_is_not_stated(tmp_path: Path) -> None:
    found = pet_facts(tmp_path, pet(1), pet(2, dose={"RadionuclideTotalDose": "1"}, PatientWeight="71"))

    assert (found.dose, found.weight, found.half_life) == (None, None, 6588.0)


def test_padding_and_rescale_are_stated_as_stored(tmp_path: Path) -> None:
    found = facts_of(tmp_path, one_slice(1, PixelPaddingValue=-2000, RescaleType="HU"), one_slice(2))

    assert (found.padding, found.rescale_type, found.rescaled, found.pet) == ((-2000, -2000), "HU", True, None)


def test_slices_of_an_mr_may_be_padded_with_different_values(tmp_path: Path) -> None:
    slices = (one_slice(n, modality="MR", position=(0, 0, n), PixelPaddingValue=-n) for n in (1, 2))

    assert facts_of(tmp_path, *slices).padding is None


def test_a_slice_without_a_rescale_leaves_the_series_unrescaled(tmp_path: Path) -> None:
    assert not facts_of(tmp_path, one_slice(1), one_slice(2, RescaleIntercept=None)).rescaled


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"RescaleType": "HU"}, {"RescaleType": "US"}),
        ({"PixelPaddingValue": -2000}, {"PixelPaddingValue": -1000}),
        ({}, {"PhotometricInterpretation": "MONOCHROME1"}),
    ],
)
def test_slices_that_disagree_on_what_a_value_means_are_refused(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    with pytest.raises(SeriesError) as refused:
        facts_of(tmp_path, one_slice(1, **one), one_slice(2, **other))

    assert refused.value.reason is Reason.MIXED_SERIES


def test_an_enhanced_pet_states_the_instant_it_was_corrected_to(tmp_path: Path) -> None:
    dataset = pet(DecayCorrection=None, DecayCorrectionDateTime="20200102101000")

    assert pet_facts(tmp_path, dataset).decay_seconds == 4200.0


@pytest.mark.parametrize(
    ("code", "slope", "units"),
    [("Bq/ml", 2.0, "BQML"), ("{counts}", 2.0, "CNTS"), ("g/ml{SUVbw}", 2.0, "GML"), ("Bq/ml", 3.0, None)],
)
def test_an_enhanced_pet_states_its_unit_in_a_mapping_that_is_its_rescale(
    tmp_path: Path, code: str, slope: float, units: str | None
) -> None:
    dataset = enhanced([(0, 0, 0)], SOPClassUID=EnhancedPETImageStorage, Modality="PT", RescaleType="US")
    dataset.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleSlope = "2"
    mapping = attributes(RealWorldValueIntercept=0.0, RealWorldValueSlope=slope)
    mapping.MeasurementUnitsCodeSequence = [attributes(CodeValue=code, CodingSchemeDesignator="UCUM")]
    dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [mapping]

    assert pet_facts(tmp_path, dataset).units == units
