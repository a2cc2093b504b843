"""Where in an example a network looked: for a reader to judge it by, and no proof of anything.

A network of convolutions is asked by Grad-CAM (Selvaraju et al., ICCV 2017): the maps that go into its last pooling,
each weighed by how much the logit rises with it, summed, and what speaks against the logit left out. Where those maps
are too coarse to point at anything (fewer than 4 voxels along an axis), the last ones that are not are taken in their
stead: they see finer, and speak of smaller patterns. A network that tells places apart after its maps, as the dense
layer of the sequential CNN does, has them weighed place by place (HiResCAM, Draelos and Carin, arXiv:2011.08891): one
weight for a whole map would point elsewhere. The ViT has no such maps; it is asked by occlusion (Zeiler and Fergus,
ECCV 2014): how far the logit falls when a patch is painted over with the example's mean.

The heat is divided by its largest value: it says where, and not how much. Where nothing speaks for the logit it is 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from medflow.domain.task import LabelKind, LabelRule, NetworkRule
from medflow.learning.limits import PATCH
from medflow.learning.networks import Network, network_of

LEAST_MAP = 4
"""Voxels along an axis below which a map points at nothing."""
OCCLUDED = 16
"""Painted-over examples in one pass."""
LINEAR = {2: "bilinear", 3: "trilinear"}


def heat(network: nn.Module, rule: NetworkRule, example: torch.Tensor, output: int) -> NDArray[np.float32]:
    """Tell where in an example (channel, i, j[, k]) the evidence for a logit lies: (i, j[, k]), 0 to 1.

    `output` is the logit's index (`logit_of` finds it). Weights, gradients, modes and torch's generators stay as they
    are, and the same network and example give the same heat.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(mode=False), torch.enable_grad(), _answering(network):
        batch = example.detach().clone().to(device)[None]
        kind = network_of(rule)
        asked = (
            partial(_gradients, kind=kind)
            if kind.maps
            else partial(_occlusion, patch=int(dict(rule.options).get("patch_size", PATCH)))
        )
        found = asked(network, batch, output)
        shape = tuple(example.shape[1:])
        spread = functional.interpolate(found[None, None], size=shape, mode=LINEAR[len(shape)], align_corners=False)
    positive = spread[0, 0].clamp(min=0.0)
    largest = positive.max()
    scaled = positive / largest if float(largest) > 0 else positive
    return np.asarray(scaled.cpu().numpy(), np.float32)


def method(rule: NetworkRule) -> str:
    """Name how `heat` asks this network."""
    kind = network_of(rule)
    return ("HiResCAM" if kind.placed else "Grad-CAM") if kind.maps else "occlusion"


def logit_of(labels: LabelRule, output: int) -> int:
    """Find the logit that explains an output.

    Exclusive classes and findings have one each. Of ordered classes the logits mean "at least this class", from the
    second on; a class is explained by its own, and the lowest, which has none, by that of the second: there the heat
    shows what speaks for more than the lowest.
    """
    return max(output - 1, 0) if labels.kind is LabelKind.ORDINAL else output


@contextmanager
def _answering(network: nn.Module) -> Iterator[None]:
    """Let a network answer as in use, and give every layer its mode back."""
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


def _gradients(network: nn.Module, batch: torch.Tensor, output: int, *, kind: Network) -> torch.Tensor:
    """Give the weighed sum of the last maps that are fine enough, or of the finest where none is."""
    seen: dict[str, torch.Tensor] = {}
    watches = [network.get_submodule(name).register_forward_pre_hook(partial(_note, seen, name)) for name in kind.maps]
    try:
        logit = network(batch.requires_grad_())[0, output]  # a frozen trunk has gradients by its input alone
    finally:
        for watch in watches:
            watch.remove()
    ordered = [seen[name] for name in kind.maps]
    maps = next((one for one in ordered if min(one.shape[2:]) >= LEAST_MAP), ordered[-1])
    (rise,) = torch.autograd.grad(logit, maps)
    weights = rise if kind.placed else rise.mean(dim=tuple(range(2, rise.ndim)), keepdim=True)
    return (weights * maps).sum(dim=1)[0].detach().float()


def _note(seen: dict[str, torch.Tensor], name: str, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    seen[name] = inputs[0]


@torch.no_grad()
def _occlusion(network: nn.Module, batch: torch.Tensor, output: int, *, patch: int) -> torch.Tensor:
    """Give how far the logit falls without each patch of the grid."""
    counts = [side // patch for side in batch.shape[2:]]
    whole, mean = network(batch)[0, output], batch.mean()
    places = list(product(*map(range, counts)))
    falls = []
    for start in range(0, len(places), OCCLUDED):
        chosen = places[start : start + OCCLUDED]
        painted = batch.repeat(len(chosen), *[1] * (batch.ndim - 1))
        for example, place in zip(painted, chosen, strict=True):
            example[..., *(slice(at * patch, (at + 1) * patch) for at in place)] = mean
        falls.append(whole - network(painted)[:, output])
    return torch.cat(falls).float().reshape(counts)
