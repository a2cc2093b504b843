"""The shipped images are what their headers claim: Hounsfield units, uptake, sides and order of slices."""

import numpy as np
import pydicom
import pytest

from sample_dicom import torso
from sample_dicom.generate import SHIPPED
from sample_dicom.scanners import CT_SCANNERS
from sample_dicom.subjects import subject
from tests.sample_dicom.reading import Voxels, around, heart_and_liver, inside, rescaled, shipped


@pytest.mark.parametrize("scanner", range(len(CT_SCANNERS)))
def test_air_fat_lung_heart_liver_and_bone_have_their_hounsfield_units(scanner: int) -> None:
    number = 1 + 2 * scanner
    slices = shipped("chest_ct", number, 2)
    voxels = rescaled(slices)
    heart, liver = heart_and_liver(subject("chest_ct", number))

    middle = voxels.shape[1] // 2
    assert np.median(voxels[:, 1:4, middle - 2 : middle + 3]) == pytest.approx(-1000, abs=15)
    assert np.median(voxels[(voxels > -950) & (voxels < -600)]) == pytest.approx(-800, abs=60)  # lung
    assert ((voxels > -130) & (voxels < -70)).mean() > 0.03  # fat
    assert around(slices, voxels, inside(heart)).mean() == pytest.approx(torso.BLOOD.hu, abs=15)
    assert around(slices, voxels, inside(liver, above=15)).mean() == pytest.approx(liver.tissue.hu, abs=15)
    assert voxels.max() > 400  # bone


@pytest.mark.parametrize("number", range(1, SHIPPED["pet_ct"] + 1))
def test_uptake_is_plausible_in_blood_liver_and_focus(number: int) -> None:
    person = subject("pet_ct", number)
    slices = shipped("pet_ct", number, 3)
    suv = suv_of(slices)
    heart, liver = heart_and_liver(person)

    assert 100e6 < dose_of(slices[0]) < 600e6
    assert 1.0 < around(slices, suv, inside(heart)).mean() < 2.0
    assert 1.5 < around(slices, suv, inside(liver, above=15)).mean() < 2.7
    assert bool(suv.max() > 6) is person.finding
    assert 1.5 < suv.max() < 15


def test_each_pet_slice_has_its_own_slope() -> None:
    assert len({float(ds.RescaleSlope) for ds in shipped("pet_ct", 1, 3)}) > 5


def test_both_scans_of_a_pet_ct_stand_in_one_study_and_frame_of_reference() -> None:
    ct, pet = (shipped("pet_ct", 1, series)[0] for series in (2, 3))

    assert (ct.Modality, pet.Modality) == ("CT", "PT")
    assert ct.StudyInstanceUID == pet.StudyInstanceUID
    assert ct.FrameOfReferenceUID == pet.FrameOfReferenceUID
    assert {"ATTN", "DECY"} <= set(pet.CorrectedImage)


def test_the_heart_lies_on_the_left_and_the_liver_on_the_right() -> None:
    for number in range(1, SHIPPED["chest_ct"] + 1):
        heart, liver = heart_and_liver(subject("chest_ct", number))

        assert inside(liver)[0] < 0 < inside(heart)[0]


def test_a_lesion_outshines_the_brain() -> None:
    brightest = {number: _brightest_of_the_brain(number) for number in range(1, SHIPPED["brain_mr"] + 1)}

    means = {
        finding: np.mean(
            [value for number, value in brightest.items() if subject("brain_mr", number).finding is finding]
        )
        for finding in (True, False)
    }
    assert means[True] > 1.3 * means[False]


def test_instance_numbers_run_up_down_or_anyhow() -> None:
    up, anyhow, down = ([int(ds.InstanceNumber) for ds in shipped("chest_ct", 1 + 2 * k, 2)] for k in range(3))

    assert up == sorted(up)
    assert anyhow not in (sorted(anyhow), sorted(anyhow, reverse=True))
    assert down == sorted(down, reverse=True)


def suv_of(slices: list[pydicom.Dataset]) -> Voxels:
    """Give SUVbw: activity over the dose left at the start of the series, times the weight in grams."""
    first = slices[0]
    isotope = first.RadiopharmaceuticalInformationSequence[0]
    waited = _seconds(first.SeriesTime) - _seconds(isotope.RadiopharmaceuticalStartTime)
    left = dose_of(first) * 2 ** (-waited / float(isotope.RadionuclideHalfLife))
    return rescaled(slices) * 1000 * float(first.PatientWeight) / left


def dose_of(ds: pydicom.Dataset) -> float:
    """Give the injected activity in Bq."""
    return float(ds.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose)


def _seconds(time: str) -> int:
    return 3600 * int(time[:2]) + 60 * int(time[2:4]) + int(time[4:6])


def _brightest_of_the_brain(number: int) -> float:
    """Give the brightest hundredth of the middle of the head, relative to the median there (the scalp lies outside)."""
    slices = shipped("brain_mr", number, 3)
    voxels = np.stack([ds.pixel_array for ds in slices]).astype(np.float64)
    middle = tuple(slice(round(0.32 * size), round(0.68 * size)) for size in voxels.shape)
    return float(np.percentile(voxels[middle], 99) / np.median(voxels[middle]))
