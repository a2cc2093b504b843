"""What is known of networks without loading one: reading a task file must not wait for torch."""

from collections.abc import Mapping
from types import MappingProxyType

LEAST_SIDE: Mapping[str, int] = MappingProxyType(
    {"densenet121": 32, "densenet169": 32, "densenet201": 32, "densenet264": 32}
)
"""Fewest voxels along an axis: five halvings must leave one."""
