"""Networks of full depth and little width, so that a test of them takes no time."""

from importlib.util import find_spec
from itertools import product

import pytest

from medflow.domain.task import NetworkRule
from medflow.learning.limits import ONLY_FLAT
from medflow.learning.networks import NETWORKS

THIN: dict[str, dict[str, object]] = {
    "densenet": {"bn_size": 2, "growth_rate": 4, "init_features": 8},
    "resnet": {"widen_factor": 0.125},
    "vit": {"hidden_size": 24, "mlp_dim": 48, "num_heads": 4, "num_layers": 2},
    "sequential_cnn": {"hidden_size": 16, "init_features": 4},
    "inception_v3": {"widen_factor": 0.125},
}
"""Options by the beginning of the network's name; SEResNet50 and the EfficientNets have none that would help."""

needs_einops = pytest.mark.skipif(find_spec("einops") is None, reason="MONAI's ViT needs einops")


def thin(name: str, dimensions: int = 2, **more: object) -> NetworkRule:
    """Name a thin network, with `more` options."""
    options = next((options for start, options in THIN.items() if name.startswith(start)), {})
    return NetworkRule(name=name, dimensions=dimensions, options=tuple(sorted((options | more).items())))


EVERY = [
    pytest.param(name, dimensions, id=f"{name}-{dimensions}d", marks=needs_einops if name == "vit" else ())
    for name, dimensions in product(NETWORKS, (2, 3))
    if dimensions == 2 or name not in ONLY_FLAT
]
"""Every network in every number of dimensions that it is defined in."""
