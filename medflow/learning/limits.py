"""What is known of networks without loading one: reading a task file must not wait for torch."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

DENSENETS = ("densenet121", "densenet169", "densenet201", "densenet264")
RESNETS = ("resnet10", "resnet18", "resnet34", "resnet50")
EFFICIENTNETS = tuple(f"efficientnet-b{size}" for size in range(5))

LEAST_SIDE: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(DENSENETS, 32),  # below 29 the last pooling leaves nothing; 32 is what five halvings divide
        **dict.fromkeys((*RESNETS, "seresnet50"), 16),  # they pad, so that 1 would do; see below
        **dict.fromkeys(EFFICIENTNETS, 32),  # b0 stops at 31, whose last map is smaller than its 5 x 5 kernel
        "vit": 16,  # one patch
        "sequential_cnn": 8,  # three halvings
        "inception_v3": 75,  # at 74 its last reduction has two voxels for a kernel of three
    }
)
"""Fewest voxels along an axis on which a network can learn from two examples and answer for one.

All but those of the residual networks were found by trying smaller ones. A residual network runs on any grid, but below
16 three of its four stages look at a single voxel, and below 7 the kernel of its first convolution is wider than the
volume, for which torch 2.13 on a CPU was seen to crash.
"""

ONLY_FLAT = frozenset(EFFICIENTNETS)
"""Networks that are defined in two dimensions alone."""

OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(DENSENETS, frozenset({"init_features", "growth_rate", "bn_size", "dropout_prob"})),
        **dict.fromkeys(
            RESNETS,
            frozenset(
                {"conv1_t_size", "conv1_t_stride", "no_max_pool", "pad_shortcuts", "bias_downsample", "widen_factor"}
            ),
        ),
        "seresnet50": frozenset({"dropout_prob"}),
        **dict.fromkeys(EFFICIENTNETS, frozenset[str]()),
        "vit": frozenset({"patch_size", "hidden_size", "mlp_dim", "num_layers", "num_heads", "dropout_prob"}),
        "sequential_cnn": frozenset({"init_features", "hidden_size", "dropout_prob"}),
        "inception_v3": frozenset({"widen_factor", "dropout_prob"}),
    }
)
"""What a task may set of each network; the schema says of which type."""

PATCH, HIDDEN, HEADS = 16, 768, 12
"""Of a ViT whose task does not say: the base model of Dosovitskiy et al., 2021."""


def refusals(
    name: str, dimensions: int, options: Mapping[str, Any], sides: Sequence[int] | None
) -> Iterator[tuple[str, str]]:
    """Say why a network of `LEAST_SIDE` cannot be made so: the key that is wrong (options, dimensions, shape), and why.

    `sides` are the voxels along the axes that the network looks at; None is not checked.
    """
    if unknown := sorted(set(options) - OPTIONS[name]):
        yield (
            "options",
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(sorted(OPTIONS[name])) or 'none'}",
        )
    if name in ONLY_FLAT and dimensions != 2:  # noqa: PLR2004
        yield "dimensions", f"{name} is defined in 2 dimensions alone"
    least = LEAST_SIDE[name]
    if sides is not None and min(sides) < least:
        yield "shape", f"{name} needs at least {least} voxels along each axis, not {min(sides)}"
    if name == "vit":
        patch, hidden, heads = (
            options.get(key, usual)
            for key, usual in (("patch_size", PATCH), ("hidden_size", HIDDEN), ("num_heads", HEADS))
        )
        if sides is not None and any(side % patch for side in sides):
            yield "shape", f"vit cuts the grid into patches of {patch} voxels: each side must be a multiple of that"
        if hidden % heads:
            yield "options", f"vit deals its hidden_size of {hidden} to {heads} heads evenly: it must be a multiple"
