"""What is known of networks without loading one: reading a task file must not wait for torch."""

from collections.abc import Mapping
from types import MappingProxyType

LEAST_SIDE: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("densenet121", "densenet169", "densenet201", "densenet264"), 32),
        **dict.fromkeys(("resnet10", "resnet18", "resnet34", "resnet50", "seresnet50"), 16),
        **dict.fromkeys((f"efficientnet-b{size}" for size in range(5)), 32),
        "vit": 16,
        "sequential_cnn": 8,
        "inception_v3": 75,
    }
)
"""Fewest voxels along an axis that leave a network something to look at after its last halving."""

ONLY_FLAT = frozenset(f"efficientnet-b{size}" for size in range(5))
"""Networks that are defined in two dimensions alone."""
