"""Where a network looked."""

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from medflow.domain.task import LabelKind, LabelRule, Level, NetworkRule
from medflow.learning.heatmaps import heat, logit_of, method
from medflow.learning.limits import LEAST_SIDE
from medflow.learning.networks import NETWORKS, build
from tests.learning.thin import EVERY, needs_einops, thin

LEARNERS = [
    pytest.param("sequential_cnn", 2, 32, id="sequential_cnn-2d"),
    pytest.param("sequential_cnn", 3, 24, id="sequential_cnn-3d"),
    pytest.param("resnet10", 2, 32, id="resnet10-2d"),
    pytest.param("densenet121", 2, 32, id="densenet121-2d"),
    pytest.param("vit", 2, 32, id="vit-2d", marks=needs_einops),
]


def narrow(name: str, dimensions: int) -> NetworkRule:
    """Thin, and a ViT of patches that are small enough to point at something."""
    return thin(name, dimensions, **({"patch_size": 8} if name == "vit" else {}))


def drawn(chance: np.random.Generator, dimensions: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw noise with a bright ball in it, and where the ball is."""
    picture = chance.random((side,) * dimensions).astype(np.float32) * 0.3
    centre = chance.uniform(side / 4, 3 * side / 4, dimensions)
    far = sum((axis - middle) ** 2 for axis, middle in zip(np.indices(picture.shape), centre, strict=True))
    ball = far < (side / 7) ** 2
    return picture + 0.7 * ball.astype(np.float32), ball


@cache
def learned(name: str, dimensions: int, side: int) -> nn.Module:
    """Train a thin network for a few seconds to tell pictures with a ball from those without."""
    chance = np.random.default_rng(5)
    torch.manual_seed(5)
    network = build(narrow(name, dimensions), 2, (side,) * dimensions).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        balls = [drawn(chance, dimensions, side)[0] for _ in range(8)]
        empty = [chance.random((side,) * dimensions).astype(np.float32) * 0.3 for _ in range(8)]
        batch = torch.from_numpy(np.stack(balls + empty))[:, None]
        loss = nn.functional.cross_entropy(network(batch), torch.tensor([1] * 8 + [0] * 8))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize(("name", "dimensions", "side"), LEARNERS)
def test_the_heat_lies_on_what_the_class_is_told_by(name: str, dimensions: int, side: int) -> None:
    network, chance = learned(name, dimensions, side), np.random.default_rng(6)
    on, off = [], []

    for _ in range(10):
        picture, ball = drawn(chance, dimensions, side)
        found = heat(network, narrow(name, dimensions), torch.from_numpy(picture)[None], 1)
        on.append(found[ball].mean())
        off.append(found[~ball].mean())

    assert np.mean(on) > 1.5 * np.mean(off)


@pytest.mark.parametrize(("name", "dimensions"), EVERY)
def test_heat_has_the_examples_shape_and_leaves_network_and_chance_as_they_were(name: str, dimensions: int) -> None:
    shape = tuple(max(LEAST_SIDE[name], 16) + 16 * (axis == 0) for axis in range(dimensions))
    torch.manual_seed(2)
    rule = narrow(name, dimensions)
    network = build(rule, 3, shape, channels=3).train()
    next(network.children()).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [layer.training for layer in network.modules()]
    example, chance = torch.rand(3, *shape), torch.random.get_rng_state()

    with torch.inference_mode():
        found = [heat(network, rule, example, output) for output in (0, 0, 2)]

    assert found[0].shape == shape
    assert found[0].dtype == np.float32
    assert all(one.min() >= 0 and one.max() in {0, 1} for one in found)
    assert np.array_equal(found[0], found[1])
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert [layer.training for layer in network.modules()] == modes
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), chance)
    assert not any(layer._forward_pre_hooks for layer in network.modules())  # noqa: SLF001


def test_a_frozen_network_has_heat_too() -> None:
    network = learned("resnet10", 2, 32)
    picture = torch.from_numpy(drawn(np.random.default_rng(7), 2, 32)[0])[None]
    before = heat(network, thin("resnet10"), picture, 1)

    network.requires_grad_(False)  # noqa: FBT003
    after = heat(network, thin("resnet10"), picture, 1)
    network.requires_grad_(True)  # noqa: FBT003

    assert np.array_equal(after, before)
    assert after.max() == 1


def test_what_nothing_speaks_for_is_cold() -> None:
    rule = thin("sequential_cnn")
    network = build(rule, 2, (16, 16))
    network.get_submodule("out").load_state_dict({"weight": torch.zeros(2, 16), "bias": torch.ones(2)})

    assert not heat(network, rule, torch.rand(1, 16, 16), 1).any()


def test_each_network_is_asked_in_the_way_that_suits_it() -> None:
    asked = {name: method(NetworkRule(name=name, dimensions=2)) for name in NETWORKS}

    assert asked.pop("vit") == "occlusion"
    assert asked.pop("sequential_cnn") == "HiResCAM"
    assert set(asked.values()) == {"Grad-CAM"}


def test_an_ordered_class_is_explained_by_what_speaks_for_at_least_that_class() -> None:
    grades = LabelRule(name="grade", level=Level.SERIES, classes=("none", "mild", "severe"), kind=LabelKind.ORDINAL)
    classes = LabelRule(name="disc", level=Level.SERIES, classes=("absent", "present"))

    assert [logit_of(grades, output) for output in range(3)] == [0, 0, 1]
    assert [logit_of(classes, output) for output in range(2)] == [0, 1]
