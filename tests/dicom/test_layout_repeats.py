"""Several images at one place become volumes of their own, by what the standard or a vendor says of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, LegacyConvertedEnhancedMRImageStorage

from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import scan_folder
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import attributes, enhanced, one_slice, save, uid, written
from tests.dicom.placing import assert_placed


def laid_out(folder: Path, *datasets: Dataset) -> LaidOut:
    (series,) = scan_folder(save(folder, *datasets)).series
    result = lay_out(series)
    assert_placed(result)
    return result


def lengths(result: LaidOut) -> list[tuple[int, tuple[int, int]]]:
    return [(len(layout.places), layout.run) for layout in result.layouts]


def labels(result: LaidOut, keyword: str) -> list[float | None]:
    return [dict(layout.labels).get(keyword) for layout in result.layouts]


def drawn(number: int, height: float, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a slice whose pixels follow from its number."""
    return one_slice(number, position=(-10, 20, height), **others)


def private(dataset: Dataset, group: int, creator: str, *elements: tuple[int, str, Any]) -> Dataset:
    block = dataset.private_block(group, creator, create=True)
    for element in elements:
        block.add_new(*element)
    return dataset


@pytest.mark.parametrize("number", [lambda t, z: 1 + z + 4 * t, lambda t, z: 1 + t + 3 * z], ids=["repeat", "place"])
def test_numbers_in_a_regular_order_tell_repeats_apart_as_the_last_resort(
    tmp_path: Path, number: Callable[[int, int], int]
) -> None:
    result = laid_out(tmp_path, *(drawn(number(t, z), 2.0 * z, modality="MR") for t in range(3) for z in range(4)))

    assert labels(result, "Repeat") == [1, 2, 3]
    found = [[result.series.instances[p.file].instance_number for p in layout.places] for layout in result.layouts]
    assert found == [[number(t, z) for z in range(4)] for t in range(3)]


@pytest.mark.parametrize(
    "numbers",
    [[1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 2, 2, 3, 3, 4, 4], [None] * 8],
    ids=["no order", "twice the same", "none"],
)
def test_images_of_one_place_without_an_order_are_refused(tmp_path: Path, numbers: list[int | None]) -> None:
    slices = [drawn(10 + n, 2.0 * (n // 2), modality="MR", InstanceNumber=number) for n, number in enumerate(numbers)]
    slices[3].ImagePositionPatient, slices[4].ImagePositionPatient = (
        slices[4].ImagePositionPatient,
        slices[3].ImagePositionPatient,
    )

    with pytest.raises(SeriesError) as refused:
        laid_out(tmp_path, *slices)

    assert refused.value.reason is Reason.SINGLE_POSITION


def test_a_series_of_one_place_that_nothing_but_numbers_tells_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeriesError) as refused:
        laid_out(tmp_path, *(drawn(n, 0.0) for n in range(1, 6)))

    assert refused.value.reason is Reason.SINGLE_POSITION


def test_a_recording_that_broke_off_keeps_its_short_last_repeat(tmp_path: Path) -> None:
    slices = [
        drawn(1 + z + 5 * t, 2.0 * z, modality="MR", TriggerTime=str(2000 * t + 400 * z))
        for t in range(3)
        for z in range(5)
        if (t, z) < (2, 3)
    ]

    assert lengths(laid_out(tmp_path, *slices)) == [(5, (1, 1)), (5, (1, 1)), (3, (1, 1))]


@pytest.mark.parametrize(
    ("keyword", "step"), [("FrameReferenceTime", 180000), ("AcquisitionNumber", 1)], ids=["beds", "scans"]
)
def test_ranges_that_overlap_at_their_ends_are_volumes_of_their_own(tmp_path: Path, keyword: str, step: int) -> None:
    slices = [
        drawn(10 * b + z, 3.0 * (8 * b + z), modality="PT", **{keyword: str(step * (b + 1))})
        for b in range(4)
        for z in range(10)
    ]

    result = laid_out(tmp_path, *slices)

    assert lengths(result) == [(10, (1, 1))] * 4
    assert labels(result, keyword) == [step * (b + 1) for b in range(4)]


@pytest.mark.parametrize("offset", [2.0, 41.7])
def test_scans_between_each_others_slices_are_taken_apart(tmp_path: Path, offset: float) -> None:
    slices = [
        drawn(10 * a + z, 5.0 * z + offset * a, AcquisitionNumber=str(a + 1)) for a in range(2) for z in range(10)
    ]

    result = laid_out(tmp_path, *slices)

    assert lengths(result) == [(10, (1, 1))] * 2
    assert labels(result, "AcquisitionNumber") == [1, 2]


def test_scans_that_continue_each_other_are_one_volume(tmp_path: Path) -> None:
    slices = [drawn(10 * a + z, 5.0 * (10 * a + z), AcquisitionNumber=str(a + 1)) for a in range(2) for z in range(10)]

    assert lengths(laid_out(tmp_path, *slices)) == [(20, (1, 1))]


def test_volumes_between_which_a_head_moved_a_little_are_not_stacked_on_each_other(tmp_path: Path) -> None:
    slices = [
        one_slice(
            10 * t + z,
            modality="MR",
            position=(0.03 * t, 0, 3 * z + 0.02 * t),
            TemporalPositionIdentifier=str(t + 1),
        )
        for t in range(4)
        for z in range(5)
    ]

    result = laid_out(tmp_path, *slices)

    assert lengths(result) == [(5, (1, 1))] * 4
    assert labels(result, "TemporalPositionIndex") == [1, 2, 3, 4]


def toshiba_phase(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x7005, "TOSHIBA_MEC_CT3", (0x04, "SH", f"{10 * n}%"))


def uih_weight(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x0065, "Image Private Header", (0x09, "FD", 10.0 * n))


def ge_weight(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x0043, "GEMS_PARM_01", (0x39, "IS", [10 * n + 1_000_000_000 * bool(n), 8, 0, 0]))


def siemens_weight(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x0019, "SIEMENS MR HEADER", (0x0C, "IS", str(10 * n)))


def philips_weight(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x2001, "Philips Imaging DD 001", (0x03, "FL", 10.0 * n))


def philips_labelling(dataset: Dataset, n: int) -> Dataset:
    return private(dataset, 0x2005, "Philips MR Imaging DD 005", (0x29, "CS", ["LABEL", "CONTROL", "M_ZERO_SCAN"][n]))


def canon_weight(dataset: Dataset, n: int) -> Dataset:
    dataset.ImageComments = f"b={10 * n}(0.445,0.000,0.895)"
    return dataset


def standard_phase(dataset: Dataset, n: int) -> Dataset:
    dataset.NominalPercentageOfCardiacPhase = 10.0 * n
    return dataset


@pytest.mark.parametrize(
    ("told", "modality", "keyword", "values"),
    [
        (toshiba_phase, "CT", "NominalPercentageOfCardiacPhase", [0, 10, 20]),
        (standard_phase, "CT", "NominalPercentageOfCardiacPhase", [0, 10, 20]),
        (uih_weight, "MR", "DiffusionBValue", [0, 10, 20]),
        (ge_weight, "MR", "DiffusionBValue", [0, 10, 20]),
        (siemens_weight, "MR", "DiffusionBValue", [0, 10, 20]),
        (philips_weight, "MR", "DiffusionBValue", [0, 10, 20]),
        (canon_weight, "MR", "DiffusionBValue", [0, 10, 20]),
        (philips_labelling, "MR", "ASLContext", [0, 1, 2]),
    ],
)
def test_vendors_tell_volumes_apart_in_their_own_words(
    tmp_path: Path, told: Callable[[Dataset, int], Dataset], modality: str, keyword: str, values: list[float]
) -> None:
    numbers = np.random.default_rng(5).permutation(12).tolist()
    slices = [
        told(drawn(numbers.pop(), 2.0 * z, modality=modality, InstanceNumber=None), n)
        for n in range(3)
        for z in range(4)
    ]

    result = laid_out(tmp_path, *slices)

    assert labels(result, keyword) == values
    assert lengths(result) == [(4, (1, 1))] * 3


def test_the_index_of_a_pet_image_tells_its_time_slice(tmp_path: Path) -> None:
    slices = []
    for t in range(3):
        for z in range(4):
            dataset = drawn(10 * z + t, 2.0 * z, modality="PT", InstanceNumber=None)
            dataset.ImageIndex = 1 + z + 4 * t
            slices.append(dataset)

    assert lengths(laid_out(tmp_path, *slices)) == [(4, (1, 1))] * 3


def test_made_images_stand_apart_from_those_they_were_made_of(tmp_path: Path) -> None:
    slices = [
        drawn(10 * n + z, 2.0 * z, modality="MR", ImageType=[kind, "PRIMARY", "M"], InstanceNumber=None)
        for n, kind in enumerate(("ORIGINAL", "DERIVED"))
        for z in range(4)
    ]

    assert labels(laid_out(tmp_path, *slices), "Derived") == [None, 1]


def test_parts_of_a_concatenation_make_one_volume(tmp_path: Path) -> None:
    parts = []
    for number in range(2):
        dataset = enhanced([(0, 0, 2.0 * (3 * number + z)) for z in range(3)], SOPInstanceUID=uid("part", number))
        dataset.ConcatenationUID, dataset.InConcatenationNumber = uid("whole"), number + 1
        dataset.ConcatenationFrameOffsetNumber = 3 * number
        parts.append(dataset)

    result = laid_out(tmp_path, *parts)

    assert lengths(result) == [(6, (1, 1))]
    assert [place.frame for place in result.layouts[0].places] == [0, 1, 2, 0, 1, 2]


def test_enhanced_objects_that_nothing_tells_apart_are_a_volume_each(tmp_path: Path) -> None:
    objects = []
    for number in range(3):
        dataset = enhanced([(0, 0, 2.0 * z) for z in range(3)], SOPInstanceUID=uid("object", number))
        dataset.PixelData = (np.arange(36, dtype="<i2") + number).tobytes()
        objects.append(dataset)

    assert labels(laid_out(tmp_path, *objects), "Repeat") == [1, 2, 3]


def test_an_enhanced_object_sent_again_under_another_uid_is_set_aside(tmp_path: Path) -> None:
    objects = [enhanced([(0, 0, 2.0 * z) for z in range(3)], SOPInstanceUID=uid("object", n)) for n in range(2)]

    result = laid_out(tmp_path, *objects)

    assert [aside.reason for aside in result.set_aside] == [Reason.RESENT]
    assert lengths(result) == [(3, (1, 1))]


def test_frames_of_an_enhanced_object_are_told_apart_by_diffusion_labelling_and_stack(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 2.0 * z) for _ in range(4) for z in range(2)])
    said: list[dict[str, Any]] = [
        {"DiffusionDirectionality": "NONE"},
        {"DiffusionDirectionality": "DIRECTIONAL", "DiffusionBValue": 1000.0},
        {"DiffusionDirectionality": "ISOTROPIC", "DiffusionBValue": 1000.0},
    ]
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        if number < 6:
            group.MRDiffusionSequence = [attributes(**said[number // 2])]
        else:
            group.MRArterialSpinLabelingSequence = [attributes(ASLContext="CONTROL")]

    result = laid_out(tmp_path, dataset)

    assert sorted([place.frame for place in layout.places] for layout in result.layouts) == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]


def test_dimension_indices_tell_repeats_apart_and_never_slices(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 2.0 * z) for _ in range(3) for z in range(4)])
    dataset.DimensionIndexSequence = [
        attributes(DimensionIndexPointer=pointer) for pointer in (0x00209056, 0x00209057, 0x00181063)
    ]
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence = [attributes(DimensionIndexValues=[1, 1 + number % 4, 7 + number // 4])]

    result = laid_out(tmp_path, dataset)

    assert [dict(layout.labels) for layout in result.layouts] == [{"DimensionIndex3": n} for n in (7, 8, 9)]
    assert [place.frame for place in result.layouts[1].places] == [4, 5, 6, 7]


def test_a_macro_that_is_no_sequence_quarantines_its_object(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 0), (0, 0, 2)])
    save(tmp_path, dataset)
    whole = written(dataset, ImplicitVRLittleEndian)
    at = whole.index(b"\x28\x00\x45\x91")
    (tmp_path / "0000.dcm").write_bytes(whole[: at + 8] + b"\xff" + whole[at + 9 :])

    (aside,) = scan_folder(tmp_path).set_aside

    assert aside.reason is Reason.DAMAGED_HEADER


def test_what_a_legacy_converted_object_kept_of_its_single_frames_tells_repeats_apart(tmp_path: Path) -> None:
    dataset = enhanced(
        [(0, 0, 2.0 * z) for _ in range(3) for z in range(4)], SOPClassUID=LegacyConvertedEnhancedMRImageStorage
    )
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kept = attributes(TriggerTime=str(40 * (number // 4)), ImagePositionPatient=["7", "7", "7"])
        group.UnassignedPerFrameConvertedAttributesSequence = [kept]

    result = laid_out(tmp_path, dataset)

    assert labels(result, "TriggerTime") == [0, 40, 80]
    assert [place.frame for place in result.layouts[2].places] == [8, 9, 10, 11]


def test_a_rescale_outside_the_functional_groups_counts_where_they_have_none(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 0), (0, 0, 2)], RescaleSlope="2.5", RescaleIntercept="-7")
    del dataset.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence

    (layout,) = laid_out(tmp_path, dataset).layouts

    assert [(place.slope, place.intercept) for place in layout.places] == [(1, 0), (2.5, -7)]
