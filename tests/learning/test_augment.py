"""Augmentation: an example becomes what its key draws, moves where geometry says, and otherwise stays as it is."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import AdjustContrast, RandBiasField

from medflow.domain.task import Schedule, Task
from medflow.domain.volume import Grid, Intensity
from medflow.learning.augment import Augmentation, Drawn, bias_field
from medflow.learning.task_file import read_task

TASKS = Path(__file__).parents[2] / "pipelines" / "tasks"
EVERYTHING = {
    "flips": ("i", "j"),
    "shift": 2,
    "noise": 0.05,
    "rotate": 20.0,
    "zoom": 0.1,
    "crop": 3,
    "bias_field": 0.3,
    "gamma": 0.3,
    "contrast": 0.3,
}
PLAIN = Schedule(seed=7, epochs=1, batch_size=2, learning_rate=0.1)


def made(
    shape: tuple[int, int, int] = (24, 24, 1), *, intensity: Intensity = Intensity.WINDOW, padding: float = 0.0
) -> Task:
    """Make a task on a grid of `shape` that augments nothing; a window shows 0 to 1 as it is."""
    task = read_task(TASKS / "single_slice_2d.yaml")
    assert isinstance(task.grid, Grid)
    window = (0.0, 1.0) if intensity is Intensity.WINDOW else None
    grid = replace(task.grid, shape=shape, intensity=intensity, window=window, padding=padding)
    return replace(task, grid=grid, schedule=PLAIN)


def everything(task: Task) -> Augmentation:
    """Augment by all there is."""
    flips = ("i", "j") if task.grid.shape[2:] == (1,) else ("i", "j", "k")
    return Augmentation(replace(task, schedule=replace(task.schedule, **EVERYTHING | {"flips": flips})))  # type: ignore[arg-type]  # names of its fields


def pictures(count: int, *shape: int) -> torch.Tensor:
    """Draw pictures of 0 to 1."""
    return torch.rand((count, 1, *shape), generator=torch.Generator().manual_seed(3))


def keys(count: int, epoch: int = 1) -> list[tuple[int, ...]]:
    """Name examples."""
    return [(epoch, place) for place in range(count)]


@pytest.mark.parametrize("shape", [(24, 24, 1), (12, 10, 8)])
@pytest.mark.parametrize("intensity", [Intensity.WINDOW, Intensity.ZSCORE])
def test_an_example_becomes_the_same_whatever_stands_beside_it(
    shape: tuple[int, int, int], intensity: Intensity
) -> None:
    augmentation = everything(made(shape, intensity=intensity))
    batch = pictures(4, *(size for size in shape if size > 1))

    together = augmentation(batch, keys(4))
    apart = [augmentation(batch[place : place + 1], keys(4)[place : place + 1])[0] for place in range(4)]

    assert torch.equal(together, torch.stack(apart))
    assert bool(together.isfinite().all())
    assert together.shape == batch.shape


def test_another_epoch_or_place_or_seed_draws_otherwise() -> None:
    augmentation = everything(made())
    other = everything(replace(made(), schedule=replace(PLAIN, seed=8)))

    assert len({augmentation.drawn((epoch, place)) for epoch in (1, 2) for place in range(20)}) == 40
    assert augmentation.drawn((1, 1)) == augmentation.drawn((1, 1)) != other.drawn((1, 1))


def test_a_schedule_that_names_nothing_hands_on_the_very_batch() -> None:
    batch = pictures(2, 24, 24)

    assert Augmentation(made())(batch, keys(2)) is batch


def test_the_batch_that_comes_in_stays_as_it_is() -> None:
    batch = pictures(2, 24, 24)
    before = batch.clone()

    everything(made())(batch, keys(2))

    assert torch.equal(batch, before)


@given(place=st.integers(0, 10_000))
def test_what_is_drawn_lies_within_what_the_schedule_allows(place: int) -> None:
    drawn = everything(made((12, 10, 8))).drawn((1, place))

    assert set(drawn.mirrored) <= {1, 2, 3}
    assert all(abs(step) <= 2 for step in drawn.shift)
    assert len(drawn.turn) == 3
    assert all(abs(angle) <= math.radians(20) for angle in drawn.turn)
    assert 0.9 <= drawn.zoom <= 1.1
    assert all(0 <= margin <= 3 for pair in drawn.blank for margin in pair)
    assert len(drawn.field) == 20
    assert all(abs(one) <= 0.3 for one in drawn.field)
    assert 0.7 <= drawn.power <= 1.3
    assert 0.7 <= drawn.stretch <= 1.3


def test_a_shift_of_whole_voxels_is_an_exact_copy_and_uncovers_padding() -> None:
    picture = pictures(1, 24, 24)[0]

    moved = Augmentation(made(padding=0.25)).done(picture, Drawn(shift=(2, -3)))

    assert torch.equal(moved[:, 2:, :-3], picture[:, :-2, 3:])
    assert bool((moved[:, :2] == 0.25).all())
    assert bool((moved[:, :, -3:] == 0.25).all())


def test_what_a_move_uncovers_in_z_scores_is_the_darkest_there_is() -> None:
    picture = pictures(1, 24, 24)[0] * 4 - 2

    moved = Augmentation(made(intensity=Intensity.ZSCORE)).done(picture, Drawn(shift=(2, 0)))

    assert bool((moved[:, :2] == picture.min()).all())


def test_mirroring_turns_an_axis_round() -> None:
    picture = pictures(1, 24, 24)[0]

    assert torch.equal(Augmentation(made()).done(picture, Drawn(mirrored=(2,))), picture.flip(2))


def test_a_picture_turned_by_a_right_angle_is_the_picture_turned() -> None:
    picture = pictures(1, 24, 24)[0]

    turned = Augmentation(made()).done(picture, Drawn(turn=(math.pi / 2,)))

    assert torch.allclose(turned, torch.rot90(picture, 1, (1, 2)), atol=1e-4)


@pytest.mark.parametrize(("axis", "plane"), [(0, (2, 3)), (1, (3, 1)), (2, (1, 2))])
def test_a_volume_turns_about_each_axis(axis: int, plane: tuple[int, int]) -> None:
    volume = pictures(1, 9, 9, 9)[0]
    angles = tuple(math.pi / 2 if other == axis else 0.0 for other in range(3))

    turned = Augmentation(made((9, 9, 9))).done(volume, Drawn(turn=angles))

    assert torch.allclose(turned, torch.rot90(volume, 1, plane), atol=1e-4)


def test_turning_is_rigid_in_millimetres_on_voxels_that_are_no_cubes() -> None:
    task = made((33, 17, 5))
    assert isinstance(task.grid, Grid)
    task = replace(task, grid=replace(task.grid, spacing=(1.0, 2.0, 5.0)))
    volume = torch.zeros(1, 33, 17, 5)
    volume[0, 16 + 10, 8, 2] = 1.0  # 10 mm along i

    turned = Augmentation(task).done(volume, Drawn(turn=(0.0, 0.0, math.pi / 2)))

    assert turned[0, 16, 8 + 5, 2] == pytest.approx(1.0, abs=1e-4)  # 10 mm along j


def test_zooming_takes_a_mark_away_from_the_middle_and_moving_comes_after() -> None:
    picture = torch.zeros(1, 25, 25)
    picture[0, 12 + 4, 12 - 6] = 1.0

    zoomed = Augmentation(made((25, 25, 1))).done(picture, Drawn(zoom=1.5, shift=(2, 1)))

    assert int(zoomed.argmax()) == 25 * (12 + 6 + 2) + 12 - 9 + 1
    assert float(zoomed.max()) == pytest.approx(1.0, abs=1e-4)


def test_turning_shows_padding_where_nothing_was() -> None:
    turned = Augmentation(made(padding=0.25)).done(torch.ones(1, 24, 24), Drawn(turn=(math.pi / 4,)))

    assert turned[0, 0, 0] == pytest.approx(0.25)
    assert turned[0, 12, 12] == pytest.approx(1.0)


def test_a_blanked_border_is_padding_and_the_rest_is_untouched() -> None:
    picture = pictures(1, 24, 24)[0]

    blanked = Augmentation(made(padding=0.25)).done(picture, Drawn(blank=((2, 0), (0, 5))))

    assert torch.equal(blanked[:, 2:, :-5], picture[:, 2:, :-5])
    assert bool((blanked[:, :2] == 0.25).all())
    assert bool((blanked[:, :, -5:] == 0.25).all())


def test_the_bias_field_of_a_volume_is_monais() -> None:
    monai = RandBiasField(prob=1.0, coeff_range=(-0.4, 0.4)).set_random_state(4)
    expected = monai(torch.ones(1, 8, 6, 5))[0]

    field = bias_field(monai._coeff, (8, 6, 5))  # noqa: SLF001  (MONAI tells its coefficients nowhere else)

    assert torch.allclose(field.float(), torch.as_tensor(np.asarray(expected)), atol=1e-5)


def test_the_bias_field_of_a_picture_has_every_product_up_to_the_third_degree() -> None:
    coefficients = np.linspace(-0.3, 0.3, 10)
    cube = np.zeros((4, 4))
    cube[tuple(zip(*[(i, j) for i in range(4) for j in range(4 - i)], strict=True))] = coefficients

    field = bias_field(tuple(coefficients), (12, 10))

    expected = np.polynomial.legendre.leggrid2d(np.linspace(-1, 1, 12), np.linspace(-1, 1, 10), cube)
    assert np.allclose(field.numpy(), np.exp(expected))


def test_a_power_acts_on_z_scores_as_monais_does_and_on_windowed_numbers_as_they_are() -> None:
    picture = pictures(1, 24, 24)[0] * 0.5
    scores = picture * 4 - 2

    windowed = Augmentation(made()).done(picture, Drawn(power=1.3))
    scored = Augmentation(made(intensity=Intensity.ZSCORE)).done(scores, Drawn(power=1.3))

    assert torch.allclose(windowed, picture**1.3)
    assert torch.allclose(scored, torch.as_tensor(np.asarray(AdjustContrast(1.3)(scores))), atol=1e-5)


def test_contrast_keeps_the_mean_and_windowed_numbers_stay_between_0_and_1() -> None:
    picture = pictures(1, 24, 24)[0]

    scored = Augmentation(made(intensity=Intensity.ZSCORE)).done(picture, Drawn(stretch=1.3))
    windowed = Augmentation(made()).done(picture, Drawn(stretch=1.3))

    assert float(scored.mean()) == pytest.approx(float(picture.mean()), abs=1e-5)
    assert float(scored.std()) == pytest.approx(1.3 * float(picture.std()), rel=1e-4)
    assert (float(windowed.min()), float(windowed.max())) == (0.0, 1.0)


def test_an_image_of_one_value_stays_a_number() -> None:
    flat = torch.zeros(1, 24, 24)

    shown = Augmentation(made(intensity=Intensity.ZSCORE)).done(flat, Drawn(power=0.8, stretch=1.2, field=(0.3,) * 10))

    assert torch.equal(shown, flat)


def test_noise_is_as_strong_as_asked_and_each_channel_has_its_own() -> None:
    task = replace(made((64, 64, 1)), schedule=replace(PLAIN, noise=0.1))

    noise = Augmentation(task)(torch.zeros(1, 3, 64, 64), keys(1))[0]

    assert float(noise.std()) == pytest.approx(0.1, rel=0.05)
    assert not torch.equal(noise[0], noise[1])
