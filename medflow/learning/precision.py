"""Whether a network may train in bfloat16: tried forward and backward on the task's own shapes, against float32."""

import math
from dataclasses import dataclass

import torch
from torch import nn

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
    """"float32", or "bfloat16" for autocast with float32 weights."""
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """Give torch's name for it."""
        return torch.bfloat16 if self.name == "bfloat16" else torch.float32


def float32(reason: str) -> Precision:
    """Stay with float32, for `reason`."""
    return Precision(name="float32", reason=reason)


def chosen(network: nn.Module, batch: torch.Tensor, labels: torch.Tensor) -> Precision:
    """Admit bfloat16 where the hardware has it, it pays and the check passes; else say what is against it.

    The network is left as it came, buffers included; torch's generator moves on only where the network draws from it.
    """
    if not _native(batch.device):
        return float32("the processor has no bfloat16 arithmetic")
    if batch.device.type == "cpu" and batch[0].numel() < WORTH:
        return float32("bfloat16 does not pay on a grid this small")
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    try:
        exact_loss, exact = _gradient(network, batch, labels, torch.float32)
        loss, rough = _gradient(network, batch, labels, torch.bfloat16)
    finally:
        network.zero_grad(set_to_none=True)
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
    return _verdict(exact_loss, exact, loss, rough)


def _verdict(exact_loss: float, exact: torch.Tensor, loss: float, rough: torch.Tensor) -> Precision:
    if not (math.isfinite(loss) and bool(torch.isfinite(rough).all())):
        return float32("self-check: bfloat16 gave a loss or gradient that is no number")
    apart = abs(loss - exact_loss) / max(abs(exact_loss), 1e-6)
    cosine = float(torch.nn.functional.cosine_similarity(exact, rough, dim=0))
    found = f"loss {apart:.1%} apart, cosine of gradients {cosine:.3f}"
    if apart > CLOSE or not cosine > ALIGNED:
        return float32(f"self-check: bfloat16 strays from float32 ({found})")
    return Precision(name="bfloat16", reason=f"self-check passed: {found}")


def _gradient(
    network: nn.Module, batch: torch.Tensor, labels: torch.Tensor, dtype: torch.dtype
) -> tuple[float, torch.Tensor]:
    network.zero_grad(set_to_none=True)
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = network(batch)
    loss = nn.functional.cross_entropy(logits.float(), labels)
    loss.backward()
    gradients = [weight.grad.flatten().double() for weight in network.parameters() if weight.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


def _native(device: torch.device) -> bool:
    """Tell whether the arithmetic is in hardware; emulated bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability()
    admitted = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  (torch says it nowhere else)
    return capabilities.startswith("AVX512") and bool(admitted)
