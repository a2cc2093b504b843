"""Every frame of every volume stands where its own header says; what cannot be told apart is refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage

from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.layout import Layout
from medflow.domain.series import FileState, SetAside
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import attributes, enhanced, one_slice, save, spelled, stack, uid


def laid_out(folder: Path, *datasets: Dataset) -> LaidOut:
    (series,) = scan_folder(save(folder, *datasets)).series
    return lay_out(series)


def lengths(result: LaidOut) -> list[tuple[int, tuple[int, int]]]:
    return [(len(layout.places), layout.run) for layout in result.layouts]


def numbers(result: LaidOut, layout: Layout) -> list[int | None]:
    return [result.series.instances[place.file].instance_number for place in layout.places]


@st.composite
def frames_of_reference(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw an orientation, an origin and a step along the stack that may lean by up to 30 degrees."""
    angles = [draw(st.floats(-3.1, 3.1)) for _ in range(3)]
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn[[one, one, other, other], [one, other, one, other]] = [
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        ]
        rotation = rotation @ turn
    origin = np.asarray([draw(st.floats(-500, 500)) for _ in range(3)])
    lean = [draw(st.floats(-0.5, 0.5)) for _ in range(2)]
    step = draw(st.floats(0.5, 8)) * (rotation[2] + lean[0] * rotation[0] + lean[1] * rotation[1])
    return rotation, origin, step


@settings(max_examples=40, deadline=None)
@given(where=frames_of_reference(), order=st.permutations(range(6)))
def test_any_orientation_and_any_order_of_files_give_the_affine_of_the_headers(
    where: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    order: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rotation, origin, step = where
    cosines = [spelled(value) for value in rotation[:2].ravel()]
    slices = [one_slice(n + 1, position=origin + n * step, ImageOrientationPatient=cosines) for n in range(6)]
    folder = tmp_path_factory.mktemp("drawn")

    result = laid_out(folder, *(slices[n] for n in order))

    (layout,) = result.layouts
    expected = np.eye(4)
    expected[:3] = np.column_stack([0.5 * rotation[0], 0.7 * rotation[1], step, origin])
    np.testing.assert_allclose(np.asarray(layout.affine), np.diag([-1, -1, 1, 1]) @ expected, atol=1e-6)
    assert numbers(result, layout) == [1, 2, 3, 4, 5, 6]
    assert layout.residual < 1e-6
    leans = np.linalg.norm(step - (step @ rotation[2]) * rotation[2]) * 5
    assert layout.sheared == (leans > 0.05) or abs(leans - 0.05) < 1e-6
    shutil.rmtree(folder)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(4, 9), data=st.data())
def test_a_missing_slice_makes_two_runs(
    count: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    missing = data.draw(st.integers(1, count - 2))
    folder = tmp_path_factory.mktemp("gap")

    result = laid_out(folder, *stack([2.0 * n for n in range(count) if n != missing]))

    assert lengths(result) == [(missing, (1, 2)), (count - missing - 1, (2, 2))]
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("heights", "runs"),
    [
        ([0], [1]),
        ([0, 2], [2]),
        ([0, 5, 7, 9], [1, 3]),
        ([0, 2, 4, 9], [3, 1]),
        ([0, 4, 8, 12, 19, 26, 33], [4, 3]),
        ([0, 2, 6, 12, 20], [2, 2, 1]),
        ([0, 2.04, 4], [3]),
        ([0, 2.5, 4.0], [1, 2]),
        ([0, 3, 6, 10, 13], [3, 2]),
        ([0, 3.3, 6.7, 10, 13.3], [5]),
        ([0, 0.778, 1.556, 3.112], [3, 1]),
    ],
)
def test_uneven_gaps_make_uniform_runs_and_no_slice_is_left_out(
    tmp_path: Path, heights: list[float], runs: list[int]
) -> None:
    result = laid_out(tmp_path, *stack(heights))

    assert lengths(result) == [(length, (n, len(runs))) for n, length in enumerate(runs, 1)]
    assert [number for layout in result.layouts for number in numbers(result, layout)] == list(
        range(1, len(heights) + 1)
    )


def test_a_slice_alone_is_as_deep_as_it_is_thick(tmp_path: Path) -> None:
    (layout,) = laid_out(tmp_path, one_slice(position=(1, 2, 3))).layouts

    expected = np.asarray([[-0.5, 0, 0, -1], [0, -0.7, 0, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]])
    np.testing.assert_allclose(np.asarray(layout.affine), expected)


def test_gantry_tilt_keeps_its_shear(tmp_path: Path) -> None:
    tilted = ["1", "0", "0", "0", "0.9483237", "-0.3173047"]
    slices = [
        one_slice(n + 1, position=(0, 0, 4.0 * n), ImageOrientationPatient=tilted, Rows=2, Columns=6) for n in range(5)
    ]

    (layout,) = laid_out(tmp_path, *slices).layouts

    assert layout.sheared
    np.testing.assert_allclose(np.asarray(layout.affine)[:3, 2], [0, 0, 4])


def test_planes_echoes_and_kinds_of_image_are_volumes_of_their_own(tmp_path: Path) -> None:
    sagittal = ["0", "1", "0", "0", "0", "-1"]
    slices = [
        *(one_slice(n, modality="MR", position=(0, 0, n), EchoTime="10") for n in (1, 2)),
        *(one_slice(n, modality="MR", position=(0, 0, n - 2), EchoTime="80") for n in (3, 4)),
        *(
            one_slice(n, modality="MR", position=(n, 0, 0), EchoTime="10", ImageOrientationPatient=sagittal)
            for n in (5, 6)
        ),
        *(
            one_slice(n, modality="MR", position=(0, 0, n), EchoTime="10", ImageType=["ORIGINAL", "PRIMARY", "P"])
            for n in (7, 8)
        ),
    ]

    result = laid_out(tmp_path, *slices)

    assert sorted(sorted(map(int, filter(None, numbers(result, one)))) for one in result.layouts) == [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
    ]
    assert {dict(layout.labels)["EchoTime"] for layout in result.layouts} == {10.0, 80.0}


def test_acquisition_numbers_alone_part_nothing(tmp_path: Path) -> None:
    slices = [one_slice(n, position=(0, 0, 2 * n), AcquisitionNumber=str(n)) for n in range(1, 6)]

    assert lengths(laid_out(tmp_path, *slices)) == [(5, (1, 1))]


def test_stacks_beside_each_other_are_volumes_of_their_own(tmp_path: Path) -> None:
    slices = [one_slice(10 * x + z, position=(50 * x, 0, 2 * z)) for x in range(2) for z in range(1, 4)]

    assert lengths(laid_out(tmp_path, *slices)) == [(3, (1, 1)), (3, (1, 1))]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("TemporalPositionIdentifier", "{t}"),
        ("TriggerTime", "{t}0"),
        ("AcquisitionNumber", "{t}"),
        ("AcquisitionTime", "10000{t}"),
        ("ContentTime", "1000{z}{t}"),
        ("FrameReferenceTime", "{t}{z}"),
    ],
)
def test_repeats_are_volumes_told_apart_by_what_the_header_says(tmp_path: Path, keyword: str, value: str) -> None:
    slices = [
        one_slice(10 * z + t, position=(0, 0, z), **{keyword: value.format(z=z, t=t)})
        for z in range(1, 4)
        for t in range(1, 4)
    ]

    result = laid_out(tmp_path, *slices)

    assert [numbers(result, layout) for layout in result.layouts] == [[10 + t, 20 + t, 30 + t] for t in (1, 2, 3)]
    assert len({layout.labels for layout in result.layouts}) == 3


def test_diffusion_weightings_are_volumes_even_where_a_slice_of_one_is_missing(tmp_path: Path) -> None:
    slices = [
        one_slice(10 * b + z, modality="MR", position=(0, 0, z), DiffusionBValue=1000.0 * b)
        for b in range(3)
        for z in range(1, 6)
        if (b, z) != (2, 3)
    ]

    result = laid_out(tmp_path, *slices)

    assert lengths(result) == [(5, (1, 1)), (5, (1, 1)), (2, (1, 2)), (2, (2, 2))]


def test_an_image_sent_again_under_another_uid_is_set_aside(tmp_path: Path) -> None:
    slices = stack([0, 2, 4])
    again = one_slice(7, position=(-10, 20, 2), PixelData=slices[1].PixelData)

    result = laid_out(tmp_path, *slices, again)

    assert [(aside.file.relative, aside.reason) for aside in result.set_aside] == [("0003.dcm", Reason.RESENT)]
    assert lengths(result) == [(3, (1, 1))]
    assert {place.file for place in result.layouts[0].places} == {0, 1, 2}


def test_images_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SeriesError) as refused:
        laid_out(tmp_path, *stack([0, 2, 4]), one_slice(7, position=(-10, 20, 2)))

    assert refused.value.reason is Reason.SINGLE_POSITION


def test_only_the_doubtful_volume_of_a_series_is_quarantined(tmp_path: Path) -> None:
    sagittal = ["0", "1", "0", "0", "0", "-1"]
    good = [one_slice(n, position=(n, 0, 0), ImageOrientationPatient=sagittal) for n in (8, 9)]

    result = laid_out(tmp_path, *stack([0, 2, 4]), one_slice(7, position=(-10, 20, 2)), *good)

    assert {(a.state, a.reason) for a in result.set_aside} == {(FileState.QUARANTINED, Reason.SINGLE_POSITION)}
    assert (len(result.set_aside), lengths(result)) == (4, [(2, (1, 1))])


@pytest.mark.parametrize("above", [0, 2])
def test_a_sharp_and_a_soft_reconstruction_are_never_mixed(tmp_path: Path, above: int) -> None:
    sharp = (one_slice(n, position=(0, 0, n), ConvolutionKernel="Br60") for n in (1, 2))
    soft = (one_slice(n, position=(0, 0, n - 2 + above), ConvolutionKernel="Br36") for n in (3, 4))

    result = laid_out(tmp_path, *sharp, *soft)

    assert lengths(result) == [(2, (1, 1)), (2, (1, 1))]


def test_frames_of_reference_are_never_mixed(tmp_path: Path) -> None:
    slices = stack([0, 2, 4, 6])
    slices[3].FrameOfReferenceUID = uid("elsewhere")

    assert sorted(lengths(laid_out(tmp_path, *slices))) == [(1, (1, 1)), (3, (1, 1))]


def test_frames_of_an_enhanced_object_keep_their_own_place_and_rescale(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 6), (0, 0, 2), (0, 0, 4)])

    (layout,) = laid_out(tmp_path, dataset).layouts

    assert [(place.frame, place.slope) for place in layout.places] == [(1, 2.0), (2, 3.0), (0, 1.0)]
    np.testing.assert_allclose(np.asarray(layout.affine)[:3, 2:].T, [[0, 0, 2], [0, 0, 2]])


def test_time_points_of_an_enhanced_object_are_volumes(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 2 * z) for _ in range(3) for z in range(2)])
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence = [attributes(TemporalPositionIndex=number // 2 + 1)]

    result = laid_out(tmp_path, dataset)

    assert [[place.frame for place in layout.places] for layout in result.layouts] == [[0, 1], [2, 3], [4, 5]]
    assert [dict(layout.labels)["TemporalPositionIndex"] for layout in result.layouts] == [1, 2, 3]


@pytest.mark.parametrize("lost", ["PlanePositionSequence", "PixelValueTransformationSequence"])
def test_an_enhanced_object_that_lacks_a_position_is_quarantined(tmp_path: Path, lost: str) -> None:
    dataset = enhanced([(0, 0, 0), (0, 0, 2)])
    delattr(dataset.PerFrameFunctionalGroupsSequence[1], lost)

    scan = scan_folder(save(tmp_path, dataset))

    reasons: list[Any] = [aside.reason for aside in scan.set_aside]
    assert reasons == ([Reason.IMPOSSIBLE_GEOMETRY] if lost == "PlanePositionSequence" else [])


def test_functional_groups_must_be_as_many_as_frames(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 0), (0, 0, 2)])
    del dataset.PerFrameFunctionalGroupsSequence[1]

    (aside,) = scan_folder(save(tmp_path, dataset)).set_aside

    assert isinstance(aside, SetAside)
    assert (aside.reason, aside.detail) == (Reason.IMPOSSIBLE_GEOMETRY, "PerFrameFunctionalGroupsSequence")
    assert dataset.SOPClassUID == EnhancedMRImageStorage
