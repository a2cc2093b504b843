"""Networks by the name that a task file gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from monai.networks.nets import DenseNet121, DenseNet169, DenseNet201, DenseNet264
from torch import nn

from medflow.domain.task import NetworkRule
from medflow.errors import ConfigurationError
from medflow.learning.limits import LEAST_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A kind of network: how it is made, and the options that a task may set."""

    make: Callable[..., nn.Module]
    options: frozenset[str]


_DENSE = frozenset({"init_features", "growth_rate", "bn_size", "dropout_prob"})

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "densenet121": Network(make=DenseNet121, options=_DENSE),
        "densenet169": Network(make=DenseNet169, options=_DENSE),
        "densenet201": Network(make=DenseNet201, options=_DENSE),
        "densenet264": Network(make=DenseNet264, options=_DENSE),
    }
)
"""Huang et al., 2017, in two or three dimensions."""


def build(rule: NetworkRule, classes: int, shape: tuple[int, ...] | None = None, *, channels: int = 1) -> nn.Module:
    """Make an untrained network of input `channels` and `classes` logits; weights come from torch's generator.

    Raises:
        ConfigurationError: no such network or option, or a grid of `shape` that is too small for it.
    """
    network = NETWORKS.get(rule.name)
    if network is None:
        raise ConfigurationError(f"no network is called {rule.name!r}; there are {', '.join(sorted(NETWORKS))}")
    if shape is not None:
        check_shape(rule, shape)
    options: dict[str, Any] = dict(rule.options)
    if unknown := sorted(set(options) - network.options):
        raise ConfigurationError(f"{rule.name} has no option {', '.join(unknown)}")
    return network.make(spatial_dims=rule.dimensions, in_channels=channels, out_channels=classes, **options)


def check_shape(rule: NetworkRule, shape: tuple[int, ...]) -> None:
    """Refuse a grid on which the network's poolings would leave nothing."""
    least, looked_at = LEAST_SIDE[rule.name], shape[: rule.dimensions]
    if min(looked_at) < least:
        raise ConfigurationError(f"{rule.name} needs at least {least} voxels along each axis, not {min(looked_at)}")
