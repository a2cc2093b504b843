"""Transfer learning: weights from a local file, of which every tensor is accounted for.

A file is a state dict that torch loads with `weights_only`, or safetensors. Known are MONAI's own names for every
network, those of torchvision for ResNet, DenseNet (old and new) and Inception-v3, MedicalNet's for ResNet (Chen et al.,
arXiv:1904.00625), and those of the files that MONAI points at for EfficientNet and SEResNet50. A prefix that all names
share, such as `module.`, is taken off.

Two things are adapted, and said so. Where the input channels differ, the first convolution's kernels are summed over
the file's channels and divided by the network's: a grey picture, shown in every channel, gets the response that it got
(so 3 -> 1 sums, and 1 -> 3 gives each channel a third). A kernel of two dimensions is inflated to three by repeating it
along the last axis and dividing by its depth: a volume that does not change along that axis gets the response that its
slice got (Carreira and Zisserman, CVPR 2017).
"""

import hashlib
import io
import pickle
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medflow.domain.task import NetworkRule, Pretrained
from medflow.errors import BatchError, ConfigurationError, IntegrityError
from medflow.learning.limits import DENSENETS
from medflow.learning.networks import network_of

COUNTER = ".num_batches_tracked"
"""Of a batch norm: how often it learned. Older files lack it, and nothing that is computed depends on it."""
STALE = ".cross_attn."
"""Weights that older ViTs of MONAI held and never used."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
DAMAGES = (
    pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, AssertionError, MemoryError, ImportError, struct.error,
)  # fmt: skip
"""What torch raises over a file that is damaged, or holds more than tensors."""
NAMED = 5
"""How many tensors a message names."""

DENSENET_NAMES = (
    (r"^(conv0|norm0|norm5|denseblock\d|transition\d)", r"features.\1"),
    (r"(denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3."),
    (r"^classifier\.", "class_layers.out."),
)
SERESNET_NAMES = (
    (r"^(layer\d\.\d+\.conv\d)\.weight$", r"\1.conv.weight"),
    (r"^(layer\d\.\d+\.)bn(\d)\.", r"\1conv\2.adn.N."),
    (r"\.se_module\.fc1\.", ".se_layer.fc.0."),
    (r"\.se_module\.fc2\.", ".se_layer.fc.2."),
    (r"\.downsample\.0\.", ".project.conv."),
    (r"\.downsample\.1\.", ".project.adn.N."),
)
NAMES = {**dict.fromkeys(DENSENETS, DENSENET_NAMES), "seresnet50": SERESNET_NAMES}
"""How others call the tensors of MONAI's networks: patterns, and MONAI's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What became of each tensor of a file and of a network; batch norms' counters aside."""

    source: Pretrained
    matched: tuple[str, ...]
    """Tensors of the network that now are the file's."""
    made: tuple[str, ...]
    """Tensors of the network that stayed as they were made: of its last layer, or none."""
    unused: tuple[str, ...]
    """Tensors of the file that the network has no place for."""
    misfits: tuple[str, ...]
    """Tensors of the last layer that both have, in shapes that differ."""
    channels: tuple[int, int] | None
    """Input channels in the file and in the network, where they differ and were adapted."""
    inflated: tuple[str, ...]
    """Tensors that were inflated from two dimensions to three."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values."""
        return {
            "file": self.source.file,
            "sha256": self.source.sha256,
            "train": self.source.train,
            "matched": len(self.matched),
            "made": list(self.made),
            "unused": list(self.unused),
            "misfits": list(self.misfits),
            "channels": None if self.channels is None else list(self.channels),
            "inflated": len(self.inflated),
        }


def load(network: nn.Module, rule: NetworkRule, *, channels: int) -> Matched:
    """Put the weights of `rule.pretrained`'s file into a network of input `channels` that `rule` made.

    Everything but the last layer must match, in both directions: a trunk that is half another's would pass for a whole
    one. The last layer is the file's where its shape fits, and otherwise stays as it was made.

    Raises:
        ConfigurationError: the file is absent, holds more than tensors, or a value that is no number.
        IntegrityError: the bytes are not those that the task names.
        BatchError: the trunk does not match wholly.
    """
    if rule.pretrained is None:
        raise ValueError("the task names no file of weights")
    kind, source = network_of(rule), rule.pretrained
    wanted = network.state_dict()
    found = _named(_tensors(_content(source), source), rule, wanted)
    fitted = {name: _fitted(found[name], wanted[name]) for name in wanted.keys() & found.keys()}
    first = f"{kind.first}.weight"
    given = found[first].shape[1] if first in found and found[first].ndim > 1 else channels
    if given != channels and first in fitted:
        fitted[first] = _fitted(_recoloured(found[first], channels), wanted[first])
    matched = {name: value for name, value in fitted.items() if value is not None}
    _check_trunk(rule, source, wanted, found, matched)
    if broken := [name for name, value in matched.items() if not bool(torch.isfinite(value).all())]:
        raise ConfigurationError(f"the file of weights {source.file!r} holds no numbers in {_few(sorted(broken))}")
    network.load_state_dict(wanted | matched, strict=True)
    head = f"{kind.head}."
    return Matched(
        source=source,
        matched=tuple(name for name in wanted if name in matched and COUNTER not in name),
        made=tuple(name for name in wanted if name not in matched and COUNTER not in name),
        unused=tuple(sorted(name for name in found.keys() - wanted.keys() if COUNTER not in name)),
        misfits=tuple(sorted(name for name in fitted if fitted[name] is None and name.startswith(head))),
        channels=None if given == channels else (given, channels),
        inflated=tuple(name for name in wanted if name in matched and matched[name].ndim > found[name].ndim),
    )


def frozen(network: nn.Module, rule: NetworkRule) -> None:
    """Hold the trunk still where the task trains the head alone: no gradients, and its batch norms in evaluation mode.

    Called after every `network.train()`, which wakes the batch norms, and before the network is shared among ranks.
    Whoever takes the statistics of batch norms anew must leave these alone: they are the file's.
    """
    if rule.pretrained is None or rule.pretrained.train != "head":
        return
    head = network.get_submodule(network_of(rule).head)
    learning = set(head.parameters())
    for weight in network.parameters():
        weight.requires_grad_(weight in learning)
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _content(source: Pretrained) -> bytes:
    """Read the file once; what is hashed is what is loaded."""
    if source.path is None:
        raise ConfigurationError(f"the file of weights {source.file!r} is not beside this task; read the task's file")
    try:
        content = source.path.read_bytes()
    except OSError:
        raise ConfigurationError(f"the file of weights {source.file!r} cannot be read") from None
    if hashlib.sha256(content).hexdigest() != source.sha256.lower():
        raise IntegrityError(f"the file of weights {source.file!r} is no longer what the task says it is")
    return content


def _tensors(content: bytes, source: Pretrained) -> dict[str, torch.Tensor]:
    """Load tensors by name, running no code of the file's."""
    size = int.from_bytes(content[:8], "little")
    try:
        if content[8:9] == b"{" and size <= len(content) - 8:
            held: Any = load_tensors(content)
        else:
            with warnings.catch_warnings(action="ignore"):  # torch's own, of pickles of another protocol
                held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DAMAGES:
        raise ConfigurationError(
            f"the file of weights {source.file!r} is damaged, or holds more than tensors; loading anything else could "
            "run code, so nothing of it was used. Save its state_dict alone, with torch.save or as safetensors"
        ) from None
    for key in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    pairs = held.items() if isinstance(held, Mapping) else ()
    tensors = {name: value for name, value in pairs if isinstance(name, str) and _plain(value)}
    if not tensors:
        raise ConfigurationError(f"the file of weights {source.file!r} holds no tensors by name, as a state dict does")
    return tensors


def _plain(value: object) -> bool:
    """Tell a dense tensor of real numbers on the CPU from all else."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )


def _named(
    tensors: Mapping[str, torch.Tensor], rule: NetworkRule, wanted: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give the tensors under the network's own names, as far as one of the known layouts has them."""
    tops = {name.partition(".")[0] for name in wanted}
    while len(starts := {name.partition(".")[0] for name in tensors}) == 1 and not starts & tops:
        tensors = {name.partition(".")[2]: value for name, value in tensors.items()}
        if "" in tensors:
            break
    # EfficientNet-PyTorch counts its blocks through; MONAI puts those of a stage together
    counted = {re.sub(r"^_blocks\.\d+\.(\d+\.\D)", r"_blocks.\1", name): name for name in wanted}
    named = {}
    for name, value in tensors.items():
        ours = name
        for pattern, replacement in NAMES.get(rule.name, ()):
            ours = re.sub(pattern, replacement, ours)
        named[ours if ours in wanted else counted.get(ours, ours)] = value
    return named


def _recoloured(kernels: torch.Tensor, channels: int) -> torch.Tensor:
    """Make first kernels (feature, channel, i, j[, k]) look at another number of channels."""
    grey = kernels.float().sum(dim=1, keepdim=True) / channels
    return grey.repeat(1, channels, *[1] * (kernels.ndim - 2))


def _fitted(value: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor | None:
    """Give the values in the network's shape and type, or None where they do not fit."""
    if value.ndim == wanted.ndim - 1 == 4:  # noqa: PLR2004  (a kernel of two dimensions, and one of three)
        depth = wanted.shape[-1]
        value = (value.float() / depth).unsqueeze(-1).expand(*value.shape, depth)
    elif value.ndim > wanted.ndim and value.numel() == wanted.numel() and set(value.shape[wanted.ndim :]) == {1}:
        value = value.reshape(value.shape[: wanted.ndim])  # a convolution of 1 x 1 that MONAI writes as a linear layer
    return value.to(wanted.dtype) if value.shape == wanted.shape else None


def _check_trunk(
    rule: NetworkRule,
    source: Pretrained,
    wanted: Mapping[str, torch.Tensor],
    found: Mapping[str, torch.Tensor],
    matched: Mapping[str, torch.Tensor],
) -> None:
    """Refuse a file that is not that of the whole trunk, or of one with more layers."""
    head = f"{network_of(rule).head}."
    trunk = [name for name in wanted if not name.startswith(head) and COUNTER not in name]
    parts = {name.partition(".")[0] for name in trunk}
    absent = [name for name in trunk if name not in found]
    others = [name for name in trunk if name in found and name not in matched]
    beside = [
        name
        for name in sorted(found.keys() - wanted.keys())
        if name.partition(".")[0] in parts and COUNTER not in name and STALE not in name
    ]
    faults = []
    if absent:
        faults.append(f"lacks {len(absent)} of its {len(trunk)} tensors: {_few(absent)}")
    if others:
        shapes = [f"{name} {tuple(found[name].shape)} for {tuple(wanted[name].shape)}" for name in others]
        faults.append(f"has {len(others)} in another shape: {_few(shapes)}")
    if beside:
        faults.append(f"has {len(beside)} for layers that it has not: {_few(beside)}")
    if faults:
        said = "; ".join([*faults, *_advice(rule, absent, beside)])
        raise BatchError(f"the file of weights {source.file!r} does not fit {rule.name} as a whole: it {said}")


def _advice(rule: NetworkRule, absent: list[str], beside: list[str]) -> Iterator[str]:
    """Say which option of a ResNet makes the network that a file is of."""
    if not rule.name.startswith("resnet"):
        return
    bias, shortcut = ".downsample.0.bias", ".downsample.0.weight"
    if any(shortcut in name for name in absent):
        yield "if its shortcuts hold no weights, set pad_shortcuts: true"
    elif any(bias in name for name in absent):
        yield "set bias_downsample: false"
    if any(shortcut in name for name in beside):
        yield "set pad_shortcuts: false"
    elif any(bias in name for name in beside):
        yield "set bias_downsample: true"


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
