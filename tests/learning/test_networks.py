"""Networks by name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from medflow.domain.task import NetworkRule, Task
from medflow.errors import ConfigurationError
from medflow.learning.limits import LEAST_SIDE, OPTIONS
from medflow.learning.networks import NETWORKS, build, definition, network_of
from medflow.learning.task_file import read_task, schema
from tests.learning.thin import EVERY, needs_einops, thin

TASK = Path(__file__).parents[2] / "pipelines" / "tasks" / "single_slice_2d.yaml"


@pytest.mark.parametrize(("name", "dimensions"), EVERY)
def test_a_network_learns_and_answers_on_its_least_grid_and_one_voxel_less_is_refused(
    name: str, dimensions: int
) -> None:
    rule, least = thin(name, dimensions), LEAST_SIDE[name]
    shape = (least,) * dimensions
    torch.manual_seed(1)
    network = build(rule, 3, shape)

    network(torch.rand(2, 1, *shape)).square().sum().backward()
    with torch.inference_mode():
        answer = network.eval()(torch.rand(1, 1, *shape))

    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert answer.shape == (1, 3)
    assert bool(torch.isfinite(answer).all())
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)
    with pytest.raises(ConfigurationError, match=f"{name} needs at least {least} voxels"):
        build(rule, 2, (*shape[1:], least - 1))


@pytest.mark.parametrize(("name", "side"), [("densenet264", 28), ("inception_v3", 74), ("efficientnet-b0", 31)])
def test_a_grid_below_the_limit_leaves_a_network_nothing_to_look_at(name: str, side: int) -> None:
    network = build(thin(name, 2), 2).eval()

    with pytest.raises(RuntimeError, match=r"too small|smaller than|greater than"):
        network(torch.rand(1, 1, side, side))


@pytest.mark.parametrize(("name", "dimensions"), EVERY)
def test_monai_makes_the_same_network_of_its_definition(name: str, dimensions: int) -> None:
    rule, shape = thin(name, dimensions), (LEAST_SIDE[name],) * dimensions
    network = build(rule, 3, shape, channels=3).eval()

    found = ConfigParser({"network": definition(rule, 3, shape, channels=3)}).get_parsed_content("network").eval()

    found.load_state_dict(network.state_dict(), strict=True)
    example = torch.rand(1, 3, *shape)
    with torch.inference_mode():
        assert torch.equal(found(example), network(example))


@pytest.mark.parametrize(("name", "dimensions"), EVERY)
def test_the_named_layers_of_a_network_are_there(name: str, dimensions: int) -> None:
    rule, shape = thin(name, dimensions), (LEAST_SIDE[name],) * dimensions
    network, kind = build(rule, 3, shape, channels=3), network_of(rule)

    assert network.get_submodule(kind.head).out_features == 3
    assert network.get_submodule(kind.first).in_channels == 3
    assert all(network.get_submodule(layer) for layer in kind.maps)


PUBLISHED = {
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "efficientnet-b0": 5_288_548,
    "efficientnet-b1": 7_794_184,
    "efficientnet-b2": 9_109_994,
    "efficientnet-b3": 12_233_232,
    "efficientnet-b4": 19_341_616,
    "seresnet50": 28_088_024,
    "inception_v3": 23_834_568,
}
"""torchvision's counts for three channels and 1000 outputs, Inception's without its auxiliary classifier; that of
SEResNet50 from Cadene's pretrained-models.pytorch."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_the_published_number_of_weights(name: str) -> None:
    with torch.device("meta"):
        network = build(NetworkRule(name=name, dimensions=2), 1000, channels=3)

    assert sum(weight.numel() for weight in network.parameters()) == PUBLISHED[name]


@needs_einops
def test_a_vit_differs_from_the_published_one_by_what_monai_leaves_out_and_adds() -> None:
    with torch.device("meta"):
        network = build(NetworkRule(name="vit", dimensions=2), 1000, (224, 224, 1), channels=3)

    # torchvision's ViT-B/16, less the biases of queries, keys and values and the class token's position, and with the
    # norm of a cross attention that there is none of in each of 12 blocks
    assert sum(weight.numel() for weight in network.parameters()) == 86_567_656 - 12 * 3 * 768 - 768 + 12 * 2 * 768


def test_an_inflated_inception_has_kernels_as_deep_as_they_are_wide() -> None:
    with torch.device("meta"):
        flat, deep = (build(NetworkRule(name="inception_v3", dimensions=number), 2) for number in (2, 3))

    shapes = {name: weight.shape for name, weight in flat.named_parameters()}
    for name, weight in deep.named_parameters():
        kernel = weight.shape[2:]
        assert weight.shape == (*shapes[name], *([max(kernel)] if kernel else []))


REFUSED = [
    pytest.param("densenet121", 3, (), (32, 32, 31), "at least 32 voxels", id="too-small"),
    pytest.param("densnet", 3, (), None, "there are densenet121", id="no-such-network"),
    pytest.param("densenet121", 3, (("depth", 3),), None, "no option depth; it has bn_size", id="no-such-option"),
    pytest.param("resnet18", 3, (("patch_size", 8),), None, "no option patch_size", id="an-option-of-another-network"),
    pytest.param("efficientnet-b0", 3, (), (64, 64, 64), "2 dimensions alone", id="flat-alone"),
    pytest.param("vit", 3, (), (32, 40, 32), "patches of 16 voxels", id="patches-that-do-not-fit"),
    pytest.param("vit", 2, (("num_heads", 7),), (32, 32), "to 7 heads evenly", id="heads-that-do-not-fit"),
    pytest.param("vit", 2, (), None, "whose shape is known", id="vit-without-a-grid"),
    pytest.param("sequential_cnn", 2, (), None, "whose shape is known", id="sequential-without-a-grid"),
]


@pytest.mark.parametrize(("name", "dimensions", "options", "shape", "said"), REFUSED)
def test_what_cannot_be_built_is_refused(
    name: str, dimensions: int, options: tuple[tuple[str, object], ...], shape: tuple[int, ...] | None, said: str
) -> None:
    rule = NetworkRule(name=name, dimensions=dimensions, options=options)

    for make in (build, definition):
        with pytest.raises(ConfigurationError, match=said):
            make(rule, 2, shape)


def test_the_schema_the_limits_and_the_networks_name_the_same() -> None:
    named = schema()["properties"]["network"]["properties"]

    assert sorted(NETWORKS) == sorted(LEAST_SIDE) == sorted(OPTIONS) == sorted(named["name"]["enum"])
    assert frozenset().union(*OPTIONS.values()) == set(named["options"]["properties"])


def test_a_networks_options_come_through_a_models_record_as_they_were() -> None:
    options = {"pad_shortcuts": True, "no_max_pool": False, "conv1_t_stride": 1, "widen_factor": 0.25}
    task = replace(read_task(TASK), network=thin("resnet18", 2, **options))

    read = Task.from_record(json.loads(json.dumps(task.record())))

    assert read == task
    assert definition(read.network, 2) == definition(task.network, 2)
