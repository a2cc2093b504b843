"""Facts about near duplicates: copies are found however they were changed, and what shares only its shape is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from medflow.imaging.fingerprint import Fingerprint, fingerprint
from medflow.learning.duplicates import alike, identical, joined

Picture = NDArray[np.float32]


def textured(seed: int, shape: tuple[int, ...] = (96, 96)) -> Picture:
    """Draw a picture with structure of every size, as anatomy has, and the noise of a scanner."""
    chance = np.random.default_rng(seed)
    layers = [gaussian_filter(chance.normal(size=shape), sigma) * sigma for sigma in (1, 3, 8)]
    return np.asarray(100 + 40 * sum(layers) + chance.normal(0, 2, shape), np.float32)


def disc(seed: int, shape: tuple[int, ...] = (64, 64)) -> Picture:
    """Draw a phantom: the same disc or ball for everybody, with noise of its own."""
    chance = np.random.default_rng(seed)
    where = np.indices(shape) - np.reshape([size / 2 for size in shape], (-1, *(1,) * len(shape)))
    inside = (where**2).sum(axis=0) < (min(shape) / 4) ** 2
    return np.asarray(chance.normal(0, 5, shape) + inside * (200 + 50 * (seed % 2)), np.float32)


def prints(pictures: list[Picture]) -> list[Fingerprint]:
    return [fingerprint(one if one.ndim == 3 else one[:, :, None]) for one in pictures]


def owners(count: int) -> list[str]:
    return [f"P{number:02}" for number in range(count)]


CHANGES: dict[str, Callable[[Picture], NDArray[Any]]] = {
    "brighter": lambda one: one * 1.2 + 30,
    "resized": lambda one: zoom(one, 0.93, order=1),
    "noisy": lambda one: one + np.random.default_rng(9).normal(0, 2, one.shape),
    "cropped": lambda one: one[3:-3, 3:-3],
    "mirrored": lambda one: one[:, ::-1],
    "turned": np.rot90,
    "moved": lambda one: np.pad(one, 3, mode="edge")[:-6, :-6],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("others", [2, 10])
def test_a_changed_copy_is_found_among_few_patients_and_among_many(change: str, others: int) -> None:
    pictures = [textured(seed) for seed in range(others)]
    copy = np.ascontiguousarray(CHANGES[change](pictures[0]), np.float32)

    found = alike(prints([*pictures, copy]), owners(others + 1))

    assert [(pair.one, pair.other) for pair in found] == [(0, others)]


def test_ten_copies_do_not_hide_each_other() -> None:
    chance = np.random.default_rng(2)
    copies = [np.asarray(textured(1) + chance.normal(0, 1, (96, 96)), np.float32) for _ in range(10)]

    found = alike(prints(copies), owners(10))

    assert len(set(joined(found, owners(10)).values())) == 1
    assert len(joined(found, owners(10))) == 10


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)], ids=["pictures", "volumes"])
def test_phantoms_that_share_a_shape_and_no_noise_are_not_copies(shape: tuple[int, ...]) -> None:
    assert alike(prints([disc(seed, shape) for seed in range(10)]), owners(10)) == ()


def test_a_copy_of_a_volume_is_found() -> None:
    volumes = [textured(seed, (32, 32, 32)) for seed in range(6)]
    copy = np.ascontiguousarray(volumes[2][::-1] * 1.1, np.float32)

    (pair,) = alike(prints([*volumes, copy]), owners(7))

    assert (pair.one, pair.other) == (2, 6)


def test_the_same_values_are_identical_whoever_owns_them_and_one_persons_are_no_pair() -> None:
    one = textured(1)

    assert [(pair.one, pair.other) for pair in identical(prints([one, one]), ["A", "B"])] == [(0, 1)]
    assert identical(prints([one, one]), ["A", "A"]) == alike(prints([one, one]), ["A", "A"]) == ()
