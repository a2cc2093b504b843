"""Networks by the name that a task file gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from monai.networks import nets
from torch import nn

from medflow.domain.task import NetworkRule
from medflow.errors import ConfigurationError
from medflow.learning.inception import InceptionV3
from medflow.learning.limits import (
    DENSENETS,
    EFFICIENTNETS,
    HEADS,
    HIDDEN,
    PATCH,
    RESNETS,
    refusals,
)
from medflow.learning.sequential import SequentialCNN

Values = dict[str, Any]


class VisionTransformer(nets.ViT):  # type: ignore[misc]  # MONAI says nothing of its types
    """MONAI's ViT, giving its logits alone; the names of its weights are MONAI's."""

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401  (MONAI's own, which it checks)
        super().__init__(**arguments)
        for block in self.blocks:  # what only a cross attention would use never gets a gradient, which ranks wait for
            block.norm_cross_attn.requires_grad_(False)  # noqa: FBT003

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logits (example, output) of examples (example, channel, i, j[, k])."""
        logits, _ = super().forward(x)
        return torch.as_tensor(logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A kind of network: how it is made, and where in it things are."""

    make: Callable[..., nn.Module]
    target: str
    """Dotted name of `make`, under which MONAI's ConfigParser finds it."""
    head: str
    """The last layer, which gives the logits."""
    first: str
    """The convolution that looks at the example."""
    maps: tuple[str, ...] = ()
    """Layers whose input is a map of features, the last one first; none where there is no such map."""
    placed: bool = False
    """Whether what follows the maps tells their places apart, as no pooling over all of them does."""
    keys: tuple[str, str, str] = ("spatial_dims", "in_channels", "out_channels")
    """What `make` calls the dimensions, the input channels and the logits."""
    sides: str | None = None
    """What `make` calls the voxels along each axis, where it must know them."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that are not MONAI's defaults."""
    said: Callable[[Values], Values] = dict
    """Turns a task's options into arguments of `make`."""


def _densenet(name: str) -> Network:
    """Describe one of Huang et al., CVPR 2017."""
    called = name.replace("densenet", "DenseNet")
    transitions = (f"features.transition{number}.conv" for number in (3, 2, 1))
    return Network(
        make=getattr(nets, called),
        target=f"monai.networks.nets.{called}",
        head="class_layers.out",
        first="features.conv0",
        maps=("class_layers.pool", *transitions),
    )


def _resnet(name: str) -> Network:
    """Describe one of He et al., CVPR 2016.

    Its first convolution has a stride of 2 and its shortcuts no bias, as in the paper, in torchvision and in
    MedicalNet; MONAI's own defaults are 1 and True.
    """
    return Network(
        make=getattr(nets, name),
        target=f"monai.networks.nets.{name}",
        head="fc",
        first="conv1",
        maps=("avgpool", "layer4", "layer3", "layer2"),
        keys=("spatial_dims", "n_input_channels", "num_classes"),
        usual={"conv1_t_stride": 2, "bias_downsample": False},
        said=_shortcuts,
    )


def _shortcuts(options: Values) -> Values:
    """Say `pad_shortcuts` as MONAI does; type A has no weights there, and MONAI lets no gradient through it."""
    padded = options.pop("pad_shortcuts", False)
    return options | {"shortcut_type": "A" if padded else "B"}


def _efficientnet(name: str) -> Network:
    """Describe one of Tan and Le, ICML 2019."""
    return Network(
        make=nets.EfficientNetBN,
        target="monai.networks.nets.EfficientNetBN",
        head="_fc",
        first="_conv_stem",
        maps=("_avg_pooling", "_blocks.5", "_blocks.3", "_blocks.2"),
        keys=("spatial_dims", "in_channels", "num_classes"),
        usual={"model_name": name, "pretrained": False, "progress": False},
    )


def _transformer_options(options: Values) -> Values:
    return {"dropout_rate" if key == "dropout_prob" else key: value for key, value in options.items()}


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        **{name: _densenet(name) for name in DENSENETS},
        **{name: _resnet(name) for name in RESNETS},
        **{name: _efficientnet(name) for name in EFFICIENTNETS},
        "seresnet50": Network(  # Hu et al., CVPR 2018
            make=nets.SEResNet50,
            target="monai.networks.nets.SEResNet50",
            head="last_linear",
            first="layer0.conv1",
            maps=("adaptive_avg_pool", "layer4", "layer3", "layer2"),
            keys=("spatial_dims", "in_channels", "num_classes"),
        ),
        "vit": Network(  # Dosovitskiy et al., ICLR 2021
            make=VisionTransformer,
            target=f"{__name__}.{VisionTransformer.__name__}",
            head="classification_head",
            first="patch_embedding.patch_embeddings",
            keys=("spatial_dims", "in_channels", "num_classes"),
            sides="img_size",
            usual={
                "patch_size": PATCH,
                "hidden_size": HIDDEN,
                "num_heads": HEADS,
                "classification": True,
                "post_activation": "none",  # MONAI's default is a tanh, which would squash the logits
            },
            said=_transformer_options,
        ),
        "sequential_cnn": Network(
            make=SequentialCNN,
            target=f"{SequentialCNN.__module__}.{SequentialCNN.__name__}",
            head="out",
            first="features.conv1",
            maps=("features.pool3", "features.pool2", "features.pool1"),
            placed=True,
            sides="sides",
        ),
        "inception_v3": Network(
            make=InceptionV3,
            target=f"{InceptionV3.__module__}.{InceptionV3.__name__}",
            head="fc",
            first="Conv2d_1a_3x3.conv",
            maps=("avgpool", "Mixed_7a", "Mixed_6a", "maxpool2"),
        ),
    }
)
"""Every network, in two or three dimensions; the EfficientNets in two alone. None fetches weights from anywhere."""


def build(rule: NetworkRule, width: int, shape: tuple[int, ...] | None = None, *, channels: int = 1) -> nn.Module:
    """Make an untrained network of input `channels` and `width` logits; weights come from torch's generator.

    Raises:
        ConfigurationError: no such network or option, or a grid of `shape` that it cannot look at. The sequential CNN
            and the ViT must know the shape.
    """
    return network_of(rule).make(**_arguments(rule, width, shape, channels))


def definition(rule: NetworkRule, width: int, shape: tuple[int, ...] | None = None, *, channels: int = 1) -> Values:
    """Write what `build` makes as MONAI's ConfigParser reads it: plain values, with the class as `_target_`.

    Raises:
        ConfigurationError: as `build` does.
    """
    return {"_target_": network_of(rule).target, **_arguments(rule, width, shape, channels)}


def network_of(rule: NetworkRule) -> Network:
    """Find the network that a rule names, or raise ConfigurationError."""
    network = NETWORKS.get(rule.name)
    if network is None:
        raise ConfigurationError(f"no network is called {rule.name!r}; there are {', '.join(sorted(NETWORKS))}")
    return network


def _arguments(rule: NetworkRule, width: int, shape: tuple[int, ...] | None, channels: int) -> Values:
    """Give what the network is made with: the one source of `build` and `definition`."""
    network = network_of(rule)
    options = dict(rule.options)
    sides = None if shape is None else tuple(shape[: rule.dimensions])
    for _, text in refusals(rule.name, rule.dimensions, options, sides):
        raise ConfigurationError(text)
    given: Values = dict(zip(network.keys, (rule.dimensions, channels, width), strict=True))
    if network.sides is not None:
        if sides is None:
            raise ConfigurationError(f"{rule.name} can only be made for a grid whose shape is known")
        given[network.sides] = list(sides)
    return given | dict(network.usual) | network.said(options)
