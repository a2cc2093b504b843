"""Networks by name."""

import pytest
import torch

from medflow.domain.task import NetworkRule
from medflow.errors import ConfigurationError
from medflow.learning.limits import LEAST_SIDE
from medflow.learning.networks import NETWORKS, build
from medflow.learning.task_file import schema


@pytest.mark.parametrize(("dimensions", "shape"), [(2, (32, 40, 1)), (3, (32, 32, 40))])
def test_a_densenet_answers_with_one_logit_for_each_class(dimensions: int, shape: tuple[int, int, int]) -> None:
    network = build(NetworkRule(name="densenet121", dimensions=dimensions), 3, shape).eval()

    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *shape[:dimensions])).shape == (1, 3)


def test_a_densenet121_has_the_published_number_of_weights() -> None:
    network = build(NetworkRule(name="densenet121", dimensions=2), 1000)

    # 7,978,856 (torchvision, three colours), less two colours of the first 7 x 7 convolution's 64 features
    assert sum(weight.numel() for weight in network.parameters()) == 7_978_856 - 2 * 64 * 49


@pytest.mark.parametrize(
    ("rule", "shape", "said"),
    [
        (NetworkRule(name="densenet121", dimensions=3), (32, 32, 31), "at least 32 voxels"),
        (NetworkRule(name="densnet", dimensions=3), None, "there are densenet121"),
        (NetworkRule(name="densenet121", dimensions=3, options=(("depth", 3),)), None, "no option depth"),
    ],
)
def test_what_cannot_be_built_is_refused(rule: NetworkRule, shape: tuple[int, int, int] | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        build(rule, 2, shape)


def test_the_schema_the_limits_and_the_networks_name_the_same() -> None:
    named = schema()["properties"]["network"]["properties"]

    assert sorted(NETWORKS) == sorted(LEAST_SIDE) == named["name"]["enum"]
    assert all(set(named["options"]["properties"]) == network.options for network in NETWORKS.values())
