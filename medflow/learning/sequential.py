"""The plain network that surveys start from: three convolutions, each pooled, and a dense layer."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

HALVINGS = 3
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
POOLINGS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class SequentialCNN(nn.Module):
    """Three blocks of convolution (kernel 3), ReLU and max pooling, then a dense layer, dropout and the logits.

    The features double from block to block. The dense layer looks at the whole last map, so that its size follows from
    `sides`, the voxels along each axis (8 or more), and the network answers for no other grid.
    """

    def __init__(  # noqa: PLR0913  (a network's arguments, by keyword)
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        sides: Sequence[int],
        init_features: int = 32,
        hidden_size: int = 128,
        dropout_prob: float = 0.5,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        for number in range(1, HALVINGS + 1):
            features = init_features * 2 ** (number - 1)
            layers[f"conv{number}"] = CONVOLUTIONS[spatial_dims](channels, features, kernel_size=3, padding=1)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"pool{number}"] = POOLINGS[spatial_dims](kernel_size=2)
            channels = features
        self.features = nn.Sequential(layers)
        seen = channels * math.prod(side // 2**HALVINGS for side in sides)
        self.dense = nn.Linear(seen, hidden_size)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout_prob)
        self.out = nn.Linear(hidden_size, out_channels)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear) and layer is not self.out:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, examples: torch.Tensor) -> torch.Tensor:
        """Give the logits (example, output) of examples (example, channel, i, j[, k])."""
        dense = self.relu(self.dense(self.features(examples).flatten(1)))
        return torch.as_tensor(self.out(self.dropout(dense)))
