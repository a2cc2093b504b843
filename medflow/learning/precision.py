"""Whether a network may train in less than float32: tried forward and backward on the task's own shapes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from medflow.learning.machine import seeded

CLOSE = 0.05
"""Largest relative difference of the loss. bfloat16 has 8 bits of mantissa: 0.4 % for each rounding."""
ALIGNED = 0.5
"""Least cosine between the two gradients. Untrained DenseNets measure 0.6 to 0.8, which is rounding; 0.0 and numbers
that are none were measured too, for some shapes (3-D 32^3 and 64^3 in batches of 8, torch 2.13), which is a defect."""
WORTH = 40**3
"""Voxels of an example from which bfloat16 pays on a CPU: DenseNet121 measured 1.2 times as fast at 32^3, 1.7 at 48^3.
A rule, and no stopwatch: a stopwatch would choose differently on a busy night, and other weights would follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the arithmetic is, and why."""

    name: str
    """"float32"; or "bfloat16" or "float16", for autocast with float32 weights."""
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """Give torch's name for it."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.name]


Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Logits and labels in; the sum of the losses and the sum of their weights out."""
SCALE = 1024.0
"""What a loss is multiplied by in float16's check, so that its small gradients are not rounded to nothing."""


def float32(reason: str) -> Precision:
    """Stay with float32, for `reason`."""
    return Precision(name="float32", reason=reason)


def chosen(network: nn.Module, batch: torch.Tensor, labels: torch.Tensor, loss: Loss, wanted: str) -> Precision:
    """Admit what is `wanted` where the hardware has it and the check passes; else say what is against it.

    "auto" is bfloat16 where it pays. The network is left as it came, buffers included; dropout draws the same for both.
    """
    name = "bfloat16" if wanted == "auto" else wanted
    if not _native(batch.device, name):
        return float32(f"the processor has no {name} arithmetic")
    if wanted == "auto" and batch.device.type == "cpu" and batch[0].numel() < WORTH:
        return float32("bfloat16 does not pay on a grid this small")
    tried = Precision(name=name, reason="")
    buffers = {key: value.clone() for key, value in network.named_buffers()}
    try:
        exact_loss, exact = _gradient(network, batch, labels, loss, torch.float32)
        rough_loss, rough = _gradient(network, batch, labels, loss, tried.dtype)
    finally:
        network.zero_grad(set_to_none=True)
        for key, value in network.named_buffers():
            value.copy_(buffers[key])
    return _verdict(name, exact_loss, exact, rough_loss, rough)


def _verdict(name: str, exact_loss: float, exact: torch.Tensor, loss: float, rough: torch.Tensor) -> Precision:
    if not (math.isfinite(loss) and bool(torch.isfinite(rough).all())):
        return float32(f"self-check: {name} gave a loss or gradient that is no number")
    apart = abs(loss - exact_loss) / max(abs(exact_loss), 1e-6)
    cosine = float(torch.nn.functional.cosine_similarity(exact, rough, dim=0))
    found = f"loss {apart:.1%} apart, cosine of gradients {cosine:.3f}"
    if apart > CLOSE or not cosine > ALIGNED:
        return float32(f"self-check: {name} strays from float32 ({found})")
    return Precision(name=name, reason=f"self-check passed: {found}")


def _gradient(
    network: nn.Module, batch: torch.Tensor, labels: torch.Tensor, loss: Loss, dtype: torch.dtype
) -> tuple[float, torch.Tensor]:
    network.zero_grad(set_to_none=True)
    with seeded(0), torch.autocast(batch.device.type, dtype, enabled=dtype is not torch.float32):
        logits = network(batch)
    total, weight = loss(logits.float(), labels)
    value = total / weight
    (value * (SCALE if dtype is torch.float16 else 1.0)).backward()
    gradients = [one.grad.flatten().double() for one in network.parameters() if one.grad is not None]
    return float(value.detach()), torch.cat(gradients)


def _native(device: torch.device, name: str) -> bool:
    """Tell whether the arithmetic is in hardware; what is emulated is slower than float32."""
    if device.type == "cuda":
        return name == "float16" or torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability()
    admitted = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  (torch says it nowhere else)
    return name == "bfloat16" and capabilities.startswith("AVX512") and bool(admitted)
