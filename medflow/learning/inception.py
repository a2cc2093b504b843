"""Inception-v3 (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016).

In two dimensions it is torchvision's layer for layer, under the same names, so that its weights fit: 23,834,568 of them
for three channels and 1000 outputs. The auxiliary classifier (3,326,696 more) is left out: it is no part of the answer,
and regularises no more than the batch norms do (section 4 of the paper).

In three dimensions it is inflated (Carreira and Zisserman, CVPR 2017): a kernel of k x k becomes k x k x k. Of the
pairs that stand for one of n x n, 1 x n becomes 1 x n x n and n x 1 becomes n x 1 x n: along the third axis every
kernel is as long as its longer side, so that each looks as deep as it looks wide, and weights of two dimensions can be
inflated too. That makes 72 million weights; `widen_factor` thins them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
LARGEST = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
MEANS = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
MARGINS = {2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
WHOLE = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution: its name in torchvision, output features, and kernel in two dimensions."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True, slots=True)
class Branch:
    """Layers in a chain behind an optional pooling; `fork` are two layers that both follow the last one."""

    layers: tuple[Layer, ...]
    pooled: bool = False
    fork: tuple[Layer, ...] = ()


STEM = (
    Layer("Conv2d_1a_3x3", 32, (3, 3), 2, padded=False),
    Layer("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Layer("Conv2d_2b_3x3", 64, (3, 3)),
    "maxpool1",
    Layer("Conv2d_3b_1x1", 80),
    Layer("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    "maxpool2",
)
WIDE, TALL = (1, 7), (7, 1)


def _narrow(pooled: int) -> tuple[Branch, ...]:
    """Give the block of the paper's figure 5, with one of its kernels of 5 left whole, as it was trained."""
    return (
        Branch((Layer("branch1x1", 64),)),
        Branch((Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5)))),
        Branch(
            (
                Layer("branch3x3dbl_1", 64),
                Layer("branch3x3dbl_2", 96, (3, 3)),
                Layer("branch3x3dbl_3", 96, (3, 3)),
            )
        ),
        Branch((Layer("branch_pool", pooled),), pooled=True),
    )


def _factorised(inner: int) -> tuple[Branch, ...]:
    """Give the block of the paper's figure 6, with n = 7."""
    return (
        Branch((Layer("branch1x1", 192),)),
        Branch((Layer("branch7x7_1", inner), Layer("branch7x7_2", inner, WIDE), Layer("branch7x7_3", 192, TALL))),
        Branch(
            (
                Layer("branch7x7dbl_1", inner),
                Layer("branch7x7dbl_2", inner, TALL),
                Layer("branch7x7dbl_3", inner, WIDE),
                Layer("branch7x7dbl_4", inner, TALL),
                Layer("branch7x7dbl_5", 192, WIDE),
            )
        ),
        Branch((Layer("branch_pool", 192),), pooled=True),
    )


FIRST_REDUCTION = (
    Branch((Layer("branch3x3", 384, (3, 3), 2, padded=False),)),
    Branch(
        (
            Layer("branch3x3dbl_1", 64),
            Layer("branch3x3dbl_2", 96, (3, 3)),
            Layer("branch3x3dbl_3", 96, (3, 3), 2, padded=False),
        )
    ),
    Branch((), pooled=True),
)
SECOND_REDUCTION = (
    Branch((Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, (3, 3), 2, padded=False))),
    Branch(
        (
            Layer("branch7x7x3_1", 192),
            Layer("branch7x7x3_2", 192, WIDE),
            Layer("branch7x7x3_3", 192, TALL),
            Layer("branch7x7x3_4", 192, (3, 3), 2, padded=False),
        )
    ),
    Branch((), pooled=True),
)
SPREAD = (
    Branch((Layer("branch1x1", 320),)),
    Branch(
        (Layer("branch3x3_1", 384),),
        fork=(Layer("branch3x3_2a", 384, (1, 3)), Layer("branch3x3_2b", 384, (3, 1))),
    ),
    Branch(
        (Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, (3, 3))),
        fork=(Layer("branch3x3dbl_3a", 384, (1, 3)), Layer("branch3x3dbl_3b", 384, (3, 1))),
    ),
    Branch((Layer("branch_pool", 192),), pooled=True),
)
"""The block of the paper's figure 7."""

BLOCKS = (
    ("Mixed_5b", _narrow(32)),
    ("Mixed_5c", _narrow(64)),
    ("Mixed_5d", _narrow(64)),
    ("Mixed_6a", FIRST_REDUCTION),
    ("Mixed_6b", _factorised(128)),
    ("Mixed_6c", _factorised(160)),
    ("Mixed_6d", _factorised(160)),
    ("Mixed_6e", _factorised(192)),
    ("Mixed_7a", SECOND_REDUCTION),
    ("Mixed_7b", SPREAD),
    ("Mixed_7c", SPREAD),
)
REDUCTIONS = (FIRST_REDUCTION, SECOND_REDUCTION)


class Convolved(nn.Module):
    """A convolution without bias, its batch norm, and ReLU."""

    def __init__(self, dimensions: int, channels: int, features: int, layer: Layer) -> None:
        super().__init__()
        kernel = (*layer.kernel, max(layer.kernel))[:dimensions]
        padding = tuple(side // 2 if layer.padded else 0 for side in kernel)
        self.conv = CONVOLUTIONS[dimensions](
            channels, features, kernel_size=kernel, stride=layer.stride, padding=padding, bias=False
        )
        self.bn = NORMS[dimensions](features, eps=0.001)
        self.relu = nn.ReLU(inplace=True)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Convolve maps (example, channel, i, j[, k])."""
        return torch.as_tensor(self.relu(self.bn(self.conv(maps))))


class Mixed(nn.Module):
    """Branches side by side, whose maps are stacked along the channels."""

    def __init__(self, dimensions: int, channels: int, branches: Sequence[Branch], widen: float) -> None:
        super().__init__()
        self.branches = tuple(branches)
        self.features = 0
        self.pooling = LARGEST[dimensions](3, stride=2) if self.branches in REDUCTIONS else _mean(dimensions)
        for branch in self.branches:
            inside = channels
            for layer in branch.layers:
                self.add_module(layer.name, Convolved(dimensions, inside, _widened(layer, widen), layer))
                inside = _widened(layer, widen)
            for layer in branch.fork:
                self.add_module(layer.name, Convolved(dimensions, inside, _widened(layer, widen), layer))
            self.features += sum(_widened(layer, widen) for layer in branch.fork) or inside

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Give the stacked maps of every branch."""
        ends = []
        for branch in self.branches:
            found = self.pooling(maps) if branch.pooled else maps
            for layer in branch.layers:
                found = self.get_submodule(layer.name)(found)
            ends += [self.get_submodule(layer.name)(found) for layer in branch.fork] or [found]
        return torch.cat(ends, dim=1)


class InceptionV3(nn.Sequential):
    """The network, from examples (example, channel, i, j[, k]) of 75 voxels a side or more to logits.

    `widen_factor` scales the features of every layer.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widen_factor: float = 1.0,
        dropout_prob: float = 0.5,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        for layer in STEM:
            if isinstance(layer, str):
                layers[layer] = LARGEST[spatial_dims](kernel_size=3, stride=2)
                continue
            features = _widened(layer, widen_factor)
            layers[layer.name] = Convolved(spatial_dims, channels, features, layer)
            channels = features
        for name, branches in BLOCKS:
            block = Mixed(spatial_dims, channels, branches, widen_factor)
            layers[name], channels = block, block.features
        layers["avgpool"] = WHOLE[spatial_dims](1)
        layers["flatten"] = nn.Flatten(1)
        layers["dropout"] = nn.Dropout(dropout_prob)
        layers["fc"] = nn.Linear(channels, out_channels)
        super().__init__(layers)


def _mean(dimensions: int) -> nn.Module:
    """Average over 3 voxels a side, zeros outside: torch's own padding refuses a volume of fewer voxels in 3D."""
    return nn.Sequential(MARGINS[dimensions](1, 0.0), MEANS[dimensions](3, stride=1))


def _widened(layer: Layer, widen: float) -> int:
    return max(1, round(layer.features * widen))
