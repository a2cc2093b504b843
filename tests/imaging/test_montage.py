"""Facts about montages: a radiologist sees the patient the right way round and in proportion, and words withheld."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medflow.domain.plane import Plane
from medflow.domain.series import Modality
from medflow.domain.volume import Unit, Volume
from medflow.imaging.montage import (
    GREY,
    LARGEST,
    PLANES,
    SMALLEST,
    SOFT_TISSUE,
    montage,
    plane_picture,
    png,
    sections,
    window_of,
)

RIGHT_ANTERIOR_SUPERIOR = np.diag([2.0, 2.0, 2.0, 1.0])


def volume(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], *, modality: Modality = Modality.MR
) -> Volume[Unit]:
    unit = {Modality.CT: Unit.HU, Modality.MR: Unit.ARBITRARY, Modality.PT: Unit.BQML}[modality]
    return Volume(voxels=voxels, affine=affine, unit=unit, modality=modality, series_digest="0", layout_digest="0")


def marked(*at: slice) -> NDArray[np.float32]:
    """A dark cube with one bright part."""
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[at] = 1.0
    return voxels


def half(values: NDArray[np.float32]) -> str:
    """Say in which half of a picture the bright part lies."""
    rows, columns = np.nonzero(values > 0.5)
    up_or_down = (rows.mean() - (values.shape[0] - 1) / 2) / values.shape[0]
    left_or_right = (columns.mean() - (values.shape[1] - 1) / 2) / values.shape[1]
    if abs(up_or_down) > abs(left_or_right):
        return "up" if up_or_down < 0 else "down"
    return "left" if left_or_right < 0 else "right"


WAYS = [
    np.eye(4),
    np.diag([-1.0, -1.0, 1.0, 1.0]),  # as most CT are stored
    np.array([[0, 0, -1.0, 5], [0, -1, 0, 7], [-1, 0, 0, 9], [0, 0, 0, 1]]),  # sagittal, slices from right to left
    np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]),  # coronal
    np.array([[0, 1.0, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]),
]


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize(
    ("direction", "seen"),
    [
        ((1.0, 0.0, 0.0), {"axial": "left", "coronal": "left"}),  # the patient's right
        ((0.0, 1.0, 0.0), {"axial": "up", "sagittal": "left"}),  # anterior
        ((0.0, 0.0, 1.0), {"coronal": "up", "sagittal": "up"}),  # superior
    ],
    ids=["right", "anterior", "superior"],
)
def test_right_is_left_and_anterior_and_superior_are_up(
    way: int, direction: tuple[float, ...], seen: dict[str, str]
) -> None:
    affine = WAYS[way]
    k, j, i = np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij")
    where = affine[:3, :3] @ np.array([i, j, k]).reshape(3, -1) + affine[:3, 3:]
    along = np.array(direction) @ where
    bright = (along > np.median(along)).reshape(40, 40, 40).transpose(2, 1, 0).astype(np.float32)

    found = {section.plane: half(section.values) for section in sections(volume(bright, affine), tuple(seen))}

    assert found == seen


def test_a_sphere_is_round_in_voxels_that_are_no_cubes() -> None:
    i, j, k = np.ogrid[:60, :80, :20]
    affine = np.diag([1.0, 0.75, 3.0, 1.0])
    ball = ((i - 30.0) ** 2 + ((j - 40) * 0.75) ** 2 + ((k - 10) * 3.0) ** 2 < 20**2).astype(np.float32)

    for section in sections(volume(ball, affine)):
        rows, columns = np.nonzero(section.values > 0.5)
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.15), section.plane


def test_a_stack_taken_with_a_tilted_gantry_is_straightened() -> None:
    i, j, k = np.ogrid[:60, :60, :60]
    tilted = np.eye(4)
    tilted[1, 2] = np.tan(np.radians(20.0))
    across = j + tilted[1, 2] * k
    middle = 30 + tilted[1, 2] * 30
    ball = ((i - 30.0) ** 2 + (across - middle) ** 2 + (k - 30.0) ** 2 < 15**2).astype(np.float32)

    (sagittal,) = sections(volume(ball, tilted), ("sagittal",))

    rows, columns = np.nonzero(sagittal.values > 0.5)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.05


def test_the_middle_slice_is_drawn_voxel_by_voxel() -> None:
    voxels = np.random.default_rng(1).normal(0, 1, (30, 31, 5)).astype(np.float32)

    (axial,) = sections(volume(voxels, np.diag([-1.5, -1.5, 4.0, 1.0])), ("axial",))

    assert np.array_equal(axial.values, voxels[:, :, 2].T)


def test_a_single_slice_is_drawn_in_its_own_plane_only() -> None:
    voxels = np.ones((30, 20, 1), np.float32)
    sagittal = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])

    assert [section.plane for section in sections(volume(voxels, sagittal))] == ["sagittal"]
    assert sections(volume(voxels, sagittal), ("axial",)) == ()


def test_all_planes_of_a_montage_have_one_scale_and_fit() -> None:
    tall = volume(np.ones((100, 100, 700), np.float32), np.eye(4))

    axial, coronal, sagittal = (section.values.shape for section in sections(tall))

    assert coronal[0] <= LARGEST
    assert coronal == sagittal
    assert axial[0] == axial[1] == coronal[1]


def test_ct_is_drawn_in_a_soft_tissue_window_and_pet_from_nothing() -> None:
    voxels = np.linspace(-1000, 3000, 20**3, dtype=np.float32).reshape(20, 20, 20)

    assert window_of(volume(voxels, np.eye(4), modality=Modality.CT)) == SOFT_TISSUE
    assert window_of(volume(voxels, np.eye(4), modality=Modality.PT))[0] == 0.0
    assert window_of(volume(np.zeros_like(voxels), np.eye(4), modality=Modality.PT)) == (0.0, 1.0)


def test_a_withheld_plane_is_a_grey_frame_with_a_word() -> None:
    cut = sections(volume(marked(slice(10, 20)), RIGHT_ANTERIOR_SUPERIOR))

    picture = montage(cut, (0.0, 1.0), withheld=["coronal"])
    plain = montage(cut, (0.0, 1.0))

    third = (picture.shape[1] - 8) // 3
    assert picture.shape == plain.shape
    assert np.array_equal(picture[:, :third], plain[:, :third])
    frame = picture[:, third + 4 : 2 * third + 4]
    assert (frame == GREY).mean() > 0.8
    assert (frame == 255).any()


def test_small_volumes_are_enlarged() -> None:
    picture = montage(sections(volume(marked(slice(10, 20)), np.eye(4)), ("axial",)), (0.0, 1.0))

    assert min(picture.shape) > SMALLEST // 2
    assert set(np.unique(picture)) == {0, 255}


def test_a_png_holds_pixels_and_not_a_word() -> None:
    content = png(montage(sections(volume(marked(slice(10, 20)), np.eye(4)), PLANES), (0.0, 1.0)))

    with Image.open(BytesIO(content)) as image:
        assert image.mode == "L"
        assert not image.info
    kinds = {kind for kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME", b"pHYs") if kind in content}
    assert not kinds


@pytest.mark.parametrize("channels", [1, 3])
def test_a_planar_image_keeps_its_proportions(channels: int) -> None:
    pixels = np.zeros((channels, 300, 1200), np.float32)
    pixels[:, 100:200, :] = 1.0
    plane = Plane(
        pixels=pixels, spacing=(0.4, 0.1), unit=Unit.DISPLAY, modality=Modality.DX, laterality=None,
        series_digest="0", plane_digest="0",
    )  # fmt: skip

    picture = plane_picture(plane)

    assert picture.shape[0] == pytest.approx(picture.shape[1], abs=2)
    assert max(picture.shape) <= LARGEST
    assert picture[picture.shape[0] // 2, picture.shape[1] // 2] == 255
    assert picture[0, 0] == 0
