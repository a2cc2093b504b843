"""Whether all of a series is here: counts in the headers, the PACS and the geometry, each held against what came."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from medflow.dicom.completeness import judge
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.completeness import Completeness, Evidence, Verdict
from tests.dicom.drawn import enhanced, one_slice, save, stack, uid

PROVEN, QUIET, CONTRADICTED = Verdict.PROVEN, Verdict.QUIET_ONLY, Verdict.CONTRADICTED
DATA = Path(os.environ.get("MEDFLOW_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "dicom"


def judged(folder: Path, *datasets: Dataset, related: int | None = None) -> Completeness:
    """Scan, lay out and judge the one series that `datasets` make."""
    (series,) = scan_folder(save(folder, *datasets)).series
    laid = lay_out(series)
    return judge(laid.series, laid.layouts, related=related, aside=len(laid.set_aside))


def told(completeness: Completeness, source: str) -> tuple[int, int, bool]:
    (one,) = [item for item in completeness.evidence if item.source == source]
    return one.announced, one.found, one.binding


def with_private(dataset: Dataset, group: int, creator: str, number: int, vr: str, value: Any) -> Dataset:  # noqa: ANN401
    dataset.private_block(group, creator, create=True).add_new(number, vr, value)
    return dataset


def test_without_any_count_quiet_is_all_that_is_known(tmp_path: Path) -> None:
    found = judged(tmp_path, *stack([0.0, 2.5, 5.0]))

    assert found.verdict is QUIET
    assert told(found, "geometry") == (3, 3, True)


@pytest.mark.parametrize(("announced", "verdict"), [(3, PROVEN), (4, CONTRADICTED), (2, QUIET)])
def test_images_in_acquisition_prove_contradict_or_are_not_believed(
    tmp_path: Path, announced: int, verdict: Verdict
) -> None:
    found = judged(tmp_path, *stack([0.0, 2.5, 5.0], ImagesInAcquisition=str(announced)))

    assert found.verdict is verdict
    assert told(found, "ImagesInAcquisition") == (announced, 3, announced >= 3)


def test_each_acquisition_has_a_count_of_its_own(tmp_path: Path) -> None:
    slices = stack([0.0, 2.5, 5.0, 7.5, 10.0])
    for number, one in enumerate(slices):
        one.AcquisitionNumber, one.ImagesInAcquisition = ("1", "2") if number < 2 else ("2", "3")

    assert judged(tmp_path / "all", *slices).verdict is PROVEN
    assert judged(tmp_path / "less", *slices[:4]).verdict is CONTRADICTED


def test_a_surplus_in_one_acquisition_does_not_make_up_for_a_lack_in_another(tmp_path: Path) -> None:
    slices = stack([0.0, 2.5, 5.0, 7.5])
    for number, one in enumerate(slices):
        one.AcquisitionNumber, one.ImagesInAcquisition = ("1", "1") if number < 2 else ("2", "3")

    assert judged(tmp_path, *slices).verdict is QUIET


def test_counts_that_derived_images_copied_bind_nobody(tmp_path: Path) -> None:
    found = judged(tmp_path, *stack([0.0, 2.5], ImageType=["DERIVED", "PRIMARY", "AXIAL"], ImagesInAcquisition="300"))

    assert found.verdict is QUIET
    assert told(found, "ImagesInAcquisition") == (300, 2, False)


def test_counts_that_contradict_one_another_are_no_evidence(tmp_path: Path) -> None:
    slices = stack([0.0, 2.5], modality="PT", NumberOfSlices=2)
    slices[1].NumberOfSlices = 7

    assert [item.source for item in judged(tmp_path, *slices).evidence] == ["geometry"]


@pytest.mark.parametrize(("announced", "verdict"), [(2, PROVEN), (3, CONTRADICTED)])
def test_slices_of_a_pet_are_counted(tmp_path: Path, announced: int, verdict: Verdict) -> None:
    slices = stack([0.0, 2.5], modality="PT", NumberOfSlices=announced, SeriesType=["STATIC", "IMAGE"])

    assert judged(tmp_path, *slices).verdict is verdict


def test_time_slices_count_in_a_dynamic_pet_and_mean_beds_in_a_whole_body_one(tmp_path: Path) -> None:
    whole = stack([0.0, 2.5], modality="PT", NumberOfSlices=2, NumberOfTimeSlices=6, SeriesType=["WHOLE BODY", "IMAGE"])
    dynamic = [
        one_slice(
            2 * time + place, modality="PT", position=(0, 0, 2.5 * place), NumberOfSlices=2, NumberOfTimeSlices=3,
            SeriesType=["DYNAMIC", "IMAGE"], FrameReferenceTime=str(1000.0 * (time + 1)),
        )
        for time in range(3)
        for place in range(2)
    ]  # fmt: skip

    assert judged(tmp_path / "whole", *whole).verdict is PROVEN
    assert judged(tmp_path / "dynamic", *dynamic).verdict is PROVEN
    assert judged(tmp_path / "short", *dynamic[:4]).verdict is CONTRADICTED


def time_points(points: int, places: int, announced: int) -> list[Dataset]:
    return [
        one_slice(
            time * places + place, modality="MR", position=(0, 0, 3.0 * place),
            NumberOfTemporalPositions=str(announced), TemporalPositionIdentifier=str(time + 1),
        )
        for time in range(points)
        for place in range(places)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "announced", "verdict"), [(3, 3, PROVEN), (3, 4, CONTRADICTED), (3, 2, QUIET), (1, 3, QUIET)]
)
def test_time_points_are_counted_but_one_alone_may_have_siblings_elsewhere(
    tmp_path: Path, points: int, announced: int, verdict: Verdict
) -> None:
    assert judged(tmp_path, *time_points(points, 2, announced)).verdict is verdict


def test_a_time_point_that_lacks_a_slice_contradicts(tmp_path: Path) -> None:
    found = judged(tmp_path, *time_points(3, 4, 3)[:-1])

    assert found.verdict is CONTRADICTED
    assert told(found, "NumberOfTemporalPositions") == (12, 11, True)


@pytest.mark.parametrize(("announced", "verdict"), [(2, PROVEN), (3, CONTRADICTED), (1, QUIET)])
def test_the_counts_of_ge_and_philips_are_read_from_their_own_blocks(
    tmp_path: Path, announced: int, verdict: Verdict
) -> None:
    for name, group, creator, number, vr in (
        ("images", 0x0025, "GEMS_SERS_01", 0x07, "SL"),
        ("locations", 0x0021, "GEMS_RELA_01", 0x4F, "SS"),
        ("slices", 0x2001, "Philips Imaging DD 001", 0x18, "SL"),
    ):
        slices = [with_private(one, group, creator, number, vr, announced) for one in stack([0.0, 3.0], modality="MR")]
        assert judged(tmp_path / name, *slices).verdict is verdict
    strange = [with_private(one, 0x0025, "SOMEBODY ELSE", 0x07, "SL", 99) for one in stack([0.0, 3.0], modality="MR")]
    assert judged(tmp_path / "strange", *strange).verdict is QUIET


def test_a_lost_part_of_a_concatenation_contradicts(tmp_path: Path) -> None:
    parts = [
        enhanced(
            [(0, 0, 6.0 * number), (0, 0, 6.0 * number + 3)], SOPInstanceUID=uid("part", number),
            InConcatenationNumber=number + 1, InConcatenationTotalNumber=3,
        )
        for number in range(3)
    ]  # fmt: skip

    assert judged(tmp_path / "all", *parts).verdict is PROVEN
    assert judged(tmp_path / "less", *parts[:2]).verdict is CONTRADICTED


@pytest.mark.parametrize(("related", "verdict"), [(3, PROVEN), (4, CONTRADICTED), (2, QUIET), (None, QUIET)])
def test_the_pacs_proves_or_contradicts_even_derived_images(
    tmp_path: Path, related: int | None, verdict: Verdict
) -> None:
    slices = stack([0.0, 2.5, 5.0], ImageType=["DERIVED", "SECONDARY"])

    assert judged(tmp_path, *slices, related=related).verdict is verdict


def test_an_object_that_came_twice_is_among_those_that_came(tmp_path: Path) -> None:
    slices = [*stack([0.0, 2.5]), one_slice(2, position=(-10, 20, 2.5), SOPInstanceUID=uid("again"))]

    found = judged(tmp_path, *slices, related=3)

    assert told(found, "PACS") == (3, 3, True)
    assert found.verdict is PROVEN


@pytest.mark.parametrize(
    ("heights", "lacking"),
    [
        ([0, 5, 10, 20, 25, 30], 1),
        ([0, 5, 10, 25, 30], 2),
        ([0, 5, 10, 20], 1),
        ([0, 10, 15, 20], 1),
        ([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5], 0),
        ([0, 5, 10, 17.3, 22.3, 27.3], 0),
        ([0, 1.5, 3, 244], 0),
        ([0, 5], 0),
        ([0], 0),
    ],
    ids=[
        "one",
        "two",
        "before the last",
        "behind the first",
        "another step",
        "blocks",
        "a slice far away",
        "two slices",
        "one slice",
    ],
)
def test_a_gap_of_whole_steps_lacks_slices_and_a_change_of_step_does_not(
    tmp_path: Path, heights: list[float], lacking: int
) -> None:
    found = judged(tmp_path, *stack([float(height) for height in heights]))

    assert found.verdict is (CONTRADICTED if lacking else QUIET)
    assert told(found, "geometry") == (len(heights) + lacking, len(heights), True)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(5, 12), step=st.floats(0.5, 9.0), lost=st.data())
def test_any_lost_inner_slice_is_missed(
    tmp_path_factory: pytest.TempPathFactory, count: int, step: float, lost: st.DataObject
) -> None:
    step = round(step, 2)
    gone = lost.draw(st.integers(1, count - 2))
    heights = [step * number for number in range(count) if number != gone]

    found = judged(tmp_path_factory.mktemp("gap"), *stack(heights))

    assert told(found, "geometry") == (count, count - 1, True)


@pytest.mark.parametrize(("repeats", "verdict"), [(6, CONTRADICTED), (3, QUIET)])
def test_one_of_many_repeats_that_is_shorter_than_the_others_lacks_slices(
    tmp_path: Path, repeats: int, verdict: Verdict
) -> None:
    slices = [
        one_slice(3 * number + place, modality="MR", position=(0, 0, 3.0 * place), EchoTime=str(5.0 * (number + 1)))
        for number in range(repeats)
        for place in range(3)
    ]

    assert judged(tmp_path / "less", *slices[:-1]).verdict is verdict
    assert judged(tmp_path / "all", *slices).verdict is QUIET


def test_a_count_proves_nothing_where_the_geometry_has_a_gap(tmp_path: Path) -> None:
    assert judged(tmp_path, *stack([0.0, 5.0, 10.0, 20.0, 25.0], ImagesInAcquisition="5")).verdict is CONTRADICTED


@pytest.mark.parametrize("value", ["-3", "0", "99999999999", "1.5", "many"])
def test_a_count_that_cannot_be_one_is_no_evidence(tmp_path: Path, value: str) -> None:
    slices = stack([0.0, 2.5])
    for one in slices:
        one.add_new(0x00201002, "LO", value)

    assert [item.source for item in judged(tmp_path, *slices).evidence] == ["geometry"]


KEYWORDS = [
    "ImagesInAcquisition", "ImagesInSeries", "InConcatenationNumber", "InConcatenationTotalNumber",
    "LocationsInAcquisition", "NumberOfDynamicScans", "NumberOfRRIntervals", "NumberOfSeriesRelatedInstances",
    "NumberOfSlices", "NumberOfSlicesMR", "NumberOfTemporalPositions", "NumberOfTimeSlices", "NumberOfTimeSlots",
]  # fmt: skip
COUNTS = st.dictionaries(st.sampled_from(KEYWORDS), st.integers(1, 8) | st.integers(1, 10**6), max_size=6)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> LaidOut:
    """Two time points of three slices."""
    (series,) = scan_folder(save(tmp_path_factory.mktemp("laid"), *time_points(2, 3, 2))).series
    return lay_out(series)


@settings(max_examples=100, deadline=None)
@given(counts=st.lists(COUNTS, min_size=6, max_size=6), related=st.none() | st.integers(0, 9))
def test_whatever_headers_announce_the_verdict_follows_from_its_evidence(
    laid: LaidOut, counts: list[dict[str, int]], related: int | None
) -> None:
    instances = tuple(
        replace(instance, counts=tuple(sorted(said.items())))
        for instance, said in zip(laid.series.instances, counts, strict=True)
    )

    found = judge(replace(laid.series, instances=instances), laid.layouts, related=related)

    lacking = [item for item in found.evidence if item.binding and not item.agrees]
    exact = [item for item in found.evidence if item.binding and item.announced == item.found]
    assert (found.verdict is CONTRADICTED) == bool(lacking)
    assert found.verdict is not PROVEN or len(exact) > 1  # the geometry agrees with itself, and proves nothing


def test_a_verdict_is_read_as_it_was_written() -> None:
    evidence = (
        Evidence(source="PACS", announced=4, found=3),
        Evidence(source="a", announced=1, found=3, binding=False),
    )
    written = Completeness(verdict=CONTRADICTED, evidence=evidence)

    assert Completeness.from_record(written.record()) == written


WHOLE = {
    "pet_ge_raw": {PROVEN},
    "mr_t1_siemens": {QUIET},
    "mr_localizers_ge": {PROVEN},
    "mr_dual_echo_philips": {QUIET},
    "mr_enhanced": {QUIET},
    "ct_head_tilted_ge": {QUIET},
    "ct_digital_phantom": {QUIET},
    "petctmr_cohort": {QUIET},
    "refusals/sliceincrement": {CONTRADICTED},
    "mr_agfa_rewritten": {CONTRADICTED},
}
"""The last two are parts of series: a lost slice, and four of two hundred time points."""


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no real data: set MEDFLOW_REAL_DATA to a folder that holds dicom/")
@pytest.mark.parametrize("folder", WHOLE)
def test_whole_real_series_are_never_contradicted_and_parts_of_them_are(folder: str) -> None:
    laid = [lay_out(series) for series in scan_folder(DATA / folder).series]

    assert {judge(one.series, one.layouts, related=None).verdict for one in laid} == WHOLE[folder]
