"""The grid: millimetres survive, one interpolation, whatever way a stack was taken."""

from dataclasses import replace
from itertools import permutations, product
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.spatial.array import SpatialResample
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, map_coordinates
from scipy.special import ive

from medflow.domain.volume import Intensity, Unit
from medflow.errors import Reason, SeriesError
from medflow.imaging.grid import ToGrid, ToGridd, on_grid
from medflow.imaging.placement import DIRECTIONS
from tests.imaging.made import STRAIGHT, grid, unscaled, volume

AXES = ["".join(letters) for order in permutations(["RL", "AP", "SI"]) for letters in product(*order)]
RAMP = np.array([3.0, -5.0, 7.0, 11.0])
"""Value at (x, y, z) mm: 3 x - 5 y + 7 z + 11. Linear interpolation reproduces it exactly."""


def millimetres(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the RAS+ position of every voxel: (i, j, k, xyz1)."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(np.float64)
    return np.concatenate([index, np.ones((*shape, 1))], axis=-1) @ affine.T


def rotation(angles: tuple[float, float, float]) -> NDArray[np.float64]:
    """Turn about z, y and x."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[first, first] = one[second, second] = np.cos(angle)
        one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
        turned = turned @ one
    return turned


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Draw where a stack may stand: turned, flipped, its slices shifted against each other as by a tilted gantry."""
    angle = st.floats(-np.pi, np.pi)
    spacing = [draw(st.floats(0.5, 3.0)) for _ in range(3)]
    shear = np.eye(3)
    shear[0, 2], shear[1, 2] = draw(st.floats(-0.5, 0.5)), draw(st.floats(-0.5, 0.5))
    flips = np.diag([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = rotation((draw(angle), draw(angle), draw(angle))) @ shear @ flips @ np.diag(spacing)
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return affine


@settings(deadline=None, max_examples=60)
@given(affine=affines(), axes=st.sampled_from(AXES))
def test_a_points_millimetres_survive_any_affine(affine: NDArray[np.float64], axes: str) -> None:
    shape = (14, 13, 12)
    ramp = RAMP.copy()
    ramp[3] -= float(RAMP[:3] @ (affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]))
    source = volume(millimetres(affine, shape) @ ramp, affine)

    moved = on_grid(source, grid(axes=axes, spacing=(0.7, 0.8, 0.9), shape=(4, 5, 6)))

    places = millimetres(moved.affine, moved.voxels.shape)
    index = places @ np.linalg.inv(affine).T
    inside = ((index[..., :3] >= 0) & (index[..., :3] <= np.array(shape) - 1)).all(axis=-1)
    assume(inside.any())
    assert np.allclose(unscaled(moved.voxels)[inside], (places @ ramp)[inside], atol=0.01)


@pytest.mark.parametrize("axes", AXES)
def test_axes_permute_and_flip_without_touching_a_value(axes: str) -> None:
    source = volume(np.random.default_rng(3).uniform(-900, 900, (6, 6, 6)), np.diag([1.0, 1.0, 1.0, 1.0]))

    moved = on_grid(source, grid(axes=axes, shape=(6, 6, 6)))

    directions = np.array([DIRECTIONS[letter] for letter in axes]).T
    assert np.array_equal(moved.affine[:3, :3], directions)
    order = [int(np.abs(directions[:, axis]).argmax()) for axis in range(3)]
    expected = source.voxels.transpose(order)
    for axis in range(3):
        if directions[order[axis], axis] < 0:
            expected = np.flip(expected, axis)
    assert np.allclose(unscaled(moved.voxels), expected, atol=1e-3)


def test_a_sheared_stack_lands_where_its_slices_were() -> None:
    affine = STRAIGHT.copy()
    affine[1, 2] = 0.7
    spot = volume(np.full((30, 30, 20), -1000.0), affine)
    spot.voxels[8, 21, 15] = 1000.0
    where = affine @ [8, 21, 15, 1]

    moved = on_grid(spot, grid(spacing=(0.4, 0.4, 0.4), shape=(60, 80, 100)))

    brightest = np.unravel_index(moved.voxels.argmax(), moved.voxels.shape)
    assert np.abs((moved.affine @ [*brightest, 1] - where)[:3]).max() <= 0.2 + 1e-9


def test_outside_the_volume_is_padding_and_the_border_voxel_reaches_half_a_step() -> None:
    source = volume(np.full((3, 3, 3), 100.0), np.eye(4))

    moved = unscaled(on_grid(source, grid(spacing=(0.25,) * 3, shape=(20, 20, 20), padding=-1000.0)).voxels)

    assert np.allclose(moved[4:16, 4:16, 4:16], 100.0, atol=1e-3)
    assert np.allclose(moved[:4], -1000.0, atol=1e-3)
    assert np.allclose(moved[16:], -1000.0, atol=1e-3)


def test_smoothing_before_shrinking_keeps_a_checkerboard_from_aliasing() -> None:
    board = np.indices((40, 40, 40)).sum(axis=0) % 2 * 2000.0 - 1000.0
    coarse = grid(spacing=(3.0,) * 3, shape=(8, 8, 8))

    plain, smooth = (
        unscaled(on_grid(volume(board, np.eye(4)), g).voxels)
        for g in (coarse, grid(spacing=(3.0,) * 3, shape=(8, 8, 8), antialias=True))
    )

    assert np.abs(plain).max() > 100.0
    assert np.abs(smooth).max() < 10.0


def test_smoothing_leaves_a_ramp_alone_and_an_axis_that_does_not_shrink() -> None:
    ramp = np.broadcast_to(np.arange(40.0)[:, None, None] * 10, (40, 40, 40)).copy()
    ramp[:, :, ::2] += 1.0
    smooth = grid(axes="RAS", spacing=(2.0, 2.0, 1.0), shape=(8, 8, 8), antialias=True)

    moved = unscaled(on_grid(volume(ramp, np.eye(4)), smooth).voxels)

    assert np.allclose(np.diff(moved, axis=0), 20.0, atol=0.01)
    assert np.allclose(np.abs(np.diff(moved, axis=2)), 1.0, atol=0.01)


def test_a_foreground_crop_finds_what_is_bright() -> None:
    voxels = np.full((40, 40, 40), -1000.0)
    voxels[25:35, 5:15, 20:30] = 500.0
    voxels[0, 0, 0] = 500.0

    moved = on_grid(volume(voxels, np.eye(4)), grid(crop="foreground", shape=(10, 10, 10)))

    assert np.allclose(unscaled(moved.voxels), 500.0, atol=1e-3)


def test_a_z_score_is_taken_over_tissue_and_not_over_air() -> None:
    voxels = np.random.default_rng(5).normal(3.0, 1.0, (20, 20, 20))
    voxels[5:15] = np.random.default_rng(6).normal(300.0, 30.0, (10, 20, 20))

    moved = on_grid(
        volume(voxels, np.eye(4)),
        grid(shape=(20, 20, 20), intensity=Intensity.ZSCORE, window=None, padding=0.0),
    )

    assert abs(moved.voxels[5:15].mean()) < 1e-3
    assert abs(moved.voxels[5:15].std() - 1) < 1e-3
    assert moved.voxels[:5].mean() < -8
    assert moved.unit is Unit.SCALED


@pytest.mark.parametrize(
    ("shape", "changes", "reason"),
    [
        ((8, 8, 5), {"shape": (8, 8, 1)}, Reason.SEVERAL_SLICES),
        ((8, 8, 1), {"shape": (8, 8, 8)}, Reason.OUTSIDE_GRID),
        ((2, 2, 2), {"shape": (2, 2, 2), "spacing": (50.0, 50.0, 50.0)}, Reason.OUTSIDE_GRID),
    ],
)
def test_a_volume_that_the_grid_cannot_hold_is_refused(
    shape: tuple[int, int, int], changes: dict[str, object], reason: Reason
) -> None:
    with pytest.raises(SeriesError) as refused:
        on_grid(volume(np.ones(shape), np.eye(4)), grid(**changes))

    assert refused.value.reason is reason


def test_a_voxel_that_is_no_number_is_refused() -> None:
    voxels = np.ones((12, 12, 12))
    voxels[6, 6, 6] = np.nan

    with pytest.raises(SeriesError) as refused:
        on_grid(volume(voxels, np.eye(4)), grid())

    assert refused.value.reason is Reason.NON_FINITE_VOXELS


def test_an_affine_that_flattens_space_is_refused() -> None:
    with pytest.raises(SeriesError) as refused:
        on_grid(volume(np.ones((8, 8, 8)), np.diag([1.0, 1.0, 0.0, 1.0])), grid())

    assert refused.value.reason is Reason.IMPOSSIBLE_GEOMETRY


@settings(deadline=None, max_examples=40)
@given(affine=affines(), axes=st.sampled_from(["LPS", "RAS"]))
def test_a_single_slice_keeps_its_plane_and_its_values(affine: NDArray[np.float64], axes: str) -> None:
    affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
    spacing = float(np.linalg.norm(affine[:3, 0]))
    affine[:3, 1] *= spacing / np.linalg.norm(affine[:3, 1])
    pixels = np.random.default_rng(11).uniform(-900, 900, (9, 9, 1))

    moved = on_grid(volume(pixels, affine), grid(axes=axes, spacing=(spacing, spacing, 5.0), shape=(9, 9, 1)))

    back = millimetres(moved.affine, (9, 9, 1)) @ np.linalg.inv(affine).T
    i, j = back[..., 0].round().astype(int), back[..., 1].round().astype(int)
    assert np.abs(back[..., :2] - back[..., :2].round()).max() < 1e-6
    assert np.abs(back[..., 2]).max() < 1e-6
    assert np.allclose(unscaled(moved.voxels), pixels[i, j, 0], atol=0.01)
    hand = np.linalg.det(np.array([DIRECTIONS[letter] for letter in axes]))
    assert np.linalg.det(moved.affine[:3, :3]) * hand > 0


def test_an_axial_slice_follows_the_axes_and_a_sagittal_one_lies_as_it_is_looked_at() -> None:
    flat = grid(axes="RAS", shape=(8, 8, 1))
    sagittal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)

    axial_moved = on_grid(volume(np.random.default_rng(1).random((8, 8, 1)), STRAIGHT), flat)
    sagittal_moved = on_grid(volume(np.random.default_rng(1).random((8, 8, 1)), sagittal), flat)

    assert np.allclose(axial_moved.affine[:3, :2], [[1, 0], [0, 1], [0, 0]])
    assert np.allclose(sagittal_moved.affine[:3, :2], [[0, 0], [-1, 0], [0, -1]])


def test_the_transform_works_in_a_compose_and_its_inverse_brings_a_mask_home() -> None:
    affine = STRAIGHT.copy()
    affine[0, 2] = 0.3
    mask = np.zeros((20, 18, 12), np.float32)
    mask[5:15, 6:12, 3:9] = 1.0
    whole = grid(spacing=(0.8, 0.8, 1.0), shape=(40, 40, 40), window=(0.0, 1.0), padding=0.0)
    source = MetaTensor(torch.from_numpy(mask)[None], affine=torch.from_numpy(affine))
    chain = Compose([ToGrid(whole)])

    moved = chain(source)
    home = chain.inverse(moved)

    assert moved.shape == (1, 40, 40, 40)
    assert np.array_equal(np.asarray(moved[0]), on_grid(volume(mask, affine), whole).voxels)
    assert home.shape == source.shape
    assert np.array_equal(np.asarray(home.affine), affine)
    inner = np.asarray(home[0])[7:13, 8:10, 5:7]
    assert np.allclose(inner, 1.0, atol=1e-5)
    assert float(home.sum()) == pytest.approx(float(mask.sum()), rel=0.02)


def test_a_dictionary_of_volumes_goes_onto_the_grid_and_comes_back() -> None:
    images = {name: MetaTensor(torch.rand(1, 16, 16, 8), affine=torch.from_numpy(STRAIGHT)) for name in ("ct", "mask")}
    chain = Compose([ToGridd(["ct", "mask"], grid(window=(0.0, 1.0), padding=0.0))])

    moved = chain({**images, "label": 1})
    home = chain.inverse(moved)

    assert moved["label"] == 1
    assert moved["ct"].shape == (1, 12, 12, 12)
    assert torch.equal(moved["ct"].as_tensor(), ToGrid(chain.transforms[0].transform.grid)(images["ct"]).as_tensor())
    assert home["mask"].shape == images["mask"].shape


def test_the_same_volume_gives_the_same_bits() -> None:
    source = volume(np.random.default_rng(2).uniform(-900, 900, (31, 33, 29)))
    rule = grid(antialias=True, spacing=(2.0, 2.0, 3.0))

    assert np.array_equal(on_grid(source, rule).voxels, on_grid(source, rule).voxels)


@settings(deadline=None, max_examples=25)
@given(
    affine=affines(),
    way=st.sampled_from(["anyhow", "parallel", "tilted"]),
    antialias=st.booleans(),
    order=st.sampled_from(["C", "F"]),
)
def test_interpolating_by_axes_or_by_rows_is_the_same_as_at_each_point(
    affine: NDArray[np.float64], way: str, order: Literal["C", "F"], *, antialias: bool
) -> None:
    if way != "anyhow":
        shift = affine[1, 2]
        affine = np.diag([*np.linalg.norm(affine[:3, :3], axis=0), 1.0])
        affine[1, 2] = shift if way == "tilted" else 0.0
    values = np.random.default_rng(7).uniform(-900, 900, (13, 14, 15))
    wanted = grid(spacing=(0.9, 1.7, 1.3), shape=(9, 8, 7), antialias=antialias)

    moved = on_grid(volume(np.asarray(values, order=order), affine), wanted)

    mapping = np.linalg.inv(affine) @ moved.affine
    widths = np.linalg.norm(mapping[:3, :3], axis=1)
    smooth = values
    for axis, width in enumerate(widths):
        if antialias and width > 1.001:
            reach = 30
            taps = np.array([ive(n, (width**2 - 1) / (8 * np.log(2))) for n in range(-reach, reach + 1)])
            smooth = convolve1d(smooth, taps / taps.sum(), axis, mode="nearest")
    places = np.moveaxis(millimetres(mapping, moved.voxels.shape)[..., :3], -1, 0)
    expected = map_coordinates(smooth, places, order=1, mode="nearest")
    border = np.array(values.shape)[:, None, None, None] - 0.5
    inside = ((places > -0.499) & (places < border - 0.001)).all(axis=0)
    outside = ((places < -0.501) | (places > border + 0.001)).any(axis=0)
    assert np.abs(unscaled(moved.voxels) - expected)[inside].max(initial=0.0) < 1.0
    assert np.allclose(unscaled(moved.voxels)[outside], -2000.0, atol=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_no_bit_depends_on_the_number_of_threads(tilt: float) -> None:
    affine = STRAIGHT.copy()
    affine[1, 2] = tilt
    source = volume(np.random.default_rng(9).uniform(-900, 900, (64, 64, 40)), affine)
    wanted = grid(spacing=(1.5, 1.5, 2.5), shape=(30, 31, 32), antialias=True, crop="foreground")
    before = torch.get_num_threads()

    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(on_grid(source, wanted).voxels)
    torch.set_num_threads(before)

    assert np.array_equal(made[0], made[1])


def test_a_volume_that_may_not_be_written_to_or_runs_backwards_is_read_all_the_same() -> None:
    source = volume(np.random.default_rng(11).uniform(-900, 900, (12, 12, 12)), np.eye(4))
    expected = on_grid(source, grid()).voxels
    backwards = replace(source, voxels=source.voxels[::-1].copy()[::-1])
    source.voxels.flags.writeable = False

    assert np.array_equal(on_grid(source, grid()).voxels, expected)
    assert np.array_equal(on_grid(backwards, grid()).voxels, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_a_gpu_gives_what_the_cpu_gives_within_a_millionth_of_the_window(tilt: float) -> None:
    affine = STRAIGHT.copy()
    affine[1, 2] = tilt
    channels = torch.from_numpy(np.random.default_rng(9).uniform(-900, 900, (1, 64, 64, 40)).astype(np.float32))
    transform = ToGrid(grid(spacing=(1.5, 1.5, 2.5), shape=(30, 31, 32), antialias=True))

    on_cpu, on_gpu = (transform(MetaTensor(channels.to(device), affine=affine)) for device in ("cpu", "cuda"))

    assert on_gpu.device.type == "cuda"
    assert float((on_gpu.cpu() - on_cpu).abs().max()) < 1e-6


@pytest.mark.parametrize("turned", [(0.0, 0.0, 0.0), (0.1, 0.0, 0.0), (0.1, -0.2, 0.15)])
def test_inside_a_volume_the_grid_is_what_monai_draws_in_float64(turned: tuple[float, float, float]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(turned) @ np.diag([0.7, 0.8, 1.1])
    values = np.random.default_rng(13).uniform(-900, 900, (40, 38, 36)).astype(np.float32)

    moved = on_grid(volume(values, affine), grid(spacing=(1.5, 1.5, 1.5), shape=(14, 14, 14)))

    reference = SpatialResample(mode="bilinear", padding_mode="border", align_corners=True, dtype=np.float64)
    source = MetaTensor(torch.from_numpy(values[None].astype(np.float64)), affine=torch.from_numpy(affine))
    drawn = reference(source, dst_affine=torch.from_numpy(moved.affine), spatial_size=(14, 14, 14))
    inside = millimetres(np.linalg.inv(affine) @ moved.affine, (14, 14, 14))[..., :3]
    inner = ((inside >= 1) & (inside <= np.array(values.shape) - 2)).all(axis=-1)
    assert inner.sum() > 1000
    assert np.abs(unscaled(moved.voxels) - np.asarray(drawn[0]))[inner].max() < 1e-3 * 1800
