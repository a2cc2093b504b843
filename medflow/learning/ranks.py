"""Several processes that train one network: each takes a share of every batch, and all keep the same weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from medflow.errors import BatchError

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for one that says nothing: the main one may take that long to measure what was learned. A rank
that has died is noticed at once: its connections close, and torchrun ends the others."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of the processes this is. Whatever is asked of a rank that is alone costs nothing."""

    rank: int
    world: int

    @property
    def main(self) -> bool:
        """True on the one rank that writes."""
        return self.rank == 0

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Add a tensor up over all ranks; what came in stays as it was."""
        if self.world == 1:
            return value
        summed = value.detach().clone()
        dist.all_reduce(summed)
        return summed

    def told(self, value: Value) -> Value:
        """Give every rank what the main one hands in: plain values, which are pickled between our own processes."""
        if self.world == 1:
            return value
        carried = [value]
        dist.broadcast_object_list(carried, src=0)
        return carried[0]

    def wait(self) -> None:
        """Go on when every rank has come here."""
        if self.world > 1:
            dist.barrier()

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Give a module whose passes are shared: gradients are averaged, batch norms see the whole batch.

        The network's batch norms are exchanged for `WholeBatchNorm`, under the same names and with the same parameters,
        so its state fits the plain network. Only passes through the wrapped module are shared: the network itself
        stays a network of this rank's. Gradients are averaged over ranks, so the loss to hand back is this rank's sum
        times world / whole, where `whole` counts the examples of all ranks.

        Two ranks then differ from one by rounding and by nothing else: over a step of the same whole batch in float32
        the gradients by less than 1e-4 of their norm (measured 2e-5; float64 is as far from either), and the weights by
        less than 1e-5. How that grows over many steps is the network's affair, as with another number of threads:
        measured on a DenseNet121 and AdamW, as much as from weights that were nudged by 1e-7.
        """
        if self.world == 1:
            return network
        return Shared(network)


ALONE = Ranks(0, 1)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started, over gloo on CPUs and NCCL on GPUs; alone where it did not.

    On GPUs each rank takes the one of its number on its machine: `torch.device("cuda")` is that one from here on.

    Raises:
        BatchError: another rank ended, or did not answer for `PATIENCE`.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        yield Ranks(dist.get_rank(), dist.get_world_size())
    except RuntimeError as fault:
        if not isinstance(fault, dist.DistError) and "gloo" not in str(fault).lower():
            raise
        raise BatchError("another rank of this training ended or stopped answering; its own message says why") from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


class Shared(DistributedDataParallel):
    """A network of which each rank passes its share of a batch."""

    def __init__(self, network: nn.Module) -> None:
        self_norms = _exchanged(network)
        super().__init__(network)
        self.norms = self_norms

    def forward(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401  (whatever the network takes and gives)
        """Pass this rank's share; all ranks must."""
        for norm in self.norms:
            norm.whole = True
        try:
            return super().forward(*inputs, **named)
        finally:
            for norm in self.norms:
                norm.whole = False


class WholeBatchNorm(_BatchNorm):
    """A batch norm over the examples of all ranks, of any number of axes; torch's own refuses CPUs.

    Statistics are taken in float32 and put together by Chan, Golub and LeVeque's formula (1979); the running ones are
    then the same on every rank, bit for bit. Ranks may bring different numbers of examples.
    """

    whole = False
    """Whether the pass under way is a shared one."""

    def _check_input_dim(self, _: torch.Tensor) -> None:
        """Any will do: torch's own classes differ in nothing else."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise (n, channel, ...) by the whole batch while training, by the running statistics else."""
        if not (self.whole and self.training):
            normal: torch.Tensor = super().forward(batch)
            return normal
        counted, mean, square = merged(batch)
        if self.track_running_stats:
            self._note(counted, mean, square)
        scale = torch.rsqrt(square / counted + self.eps)
        result: torch.Tensor = Normalised.apply(batch, self.weight, self.bias, mean, scale, counted)
        return result

    def _note(self, counted: torch.Tensor, mean: torch.Tensor, square: torch.Tensor) -> None:
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((square / (counted - 1)).to(self.running_var), share)


@torch.no_grad()
def merged(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give of (n, channel, ...) over all ranks: values of a channel (1,), means and sums of squares about them."""
    values = batch.detach().transpose(0, 1).flatten(1).float()
    variance, mean = torch.var_mean(values, dim=1, correction=0)
    counted = values.new_full((1,), values.shape[1])
    own = torch.cat([counted, mean, variance * counted])
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    numbers, means, squares = torch.stack(every).split([1, len(mean), len(mean)], dim=1)
    counted = numbers.sum(dim=0)
    mean = (numbers * means).sum(dim=0) / counted
    return counted, mean, (squares + numbers * (means - mean) ** 2).sum(dim=0)


class Normalised(torch.autograd.Function):
    """Normalisation by statistics of the whole batch, and its gradient through them (Ioffe and Szegedy, ICML 2015)."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917  (autograd hands them in one by one)
        ctx: Any,  # noqa: ANN401
        batch: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        scale: torch.Tensor,
        counted: torch.Tensor,
    ) -> torch.Tensor:
        """Give (batch - mean) * scale * weight + bias, in the batch's own precision."""
        ctx.save_for_backward(batch, weight, mean, scale, counted)
        ctx.affine = bias is not None
        factor = scale if weight is None else scale * weight
        offset = -mean * factor if bias is None else bias - mean * factor
        along = (1, -1, *(1,) * (batch.ndim - 2))
        return (batch * factor.view(along) + offset.view(along)).to(batch.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        """Give the gradients of this rank's batch, and its own part of the weight's and the bias's."""
        batch, weight, mean, scale, counted = ctx.saved_tensors
        along = (1, -1, *(1,) * (batch.ndim - 2))
        normal = (batch - mean.view(along)) * scale.view(along)
        axes = [0, *range(2, batch.ndim)]
        coming = gradient.float()
        bias_part = coming.sum(dim=axes)
        weight_part = (coming * normal).sum(dim=axes)
        both = torch.cat([bias_part, weight_part])
        dist.all_reduce(both)
        shared_bias, shared_weight = (both / counted).chunk(2)
        factor = scale if weight is None else scale * weight
        inner = coming - shared_bias.view(along) - normal * shared_weight.view(along)
        backwards = (inner * factor.view(along)).to(batch.dtype)
        return (
            backwards,
            weight_part if weight is not None else None,
            bias_part if ctx.affine else None,
            None,
            None,
            None,
        )


def _exchanged(network: nn.Module) -> list[WholeBatchNorm]:
    """Put a `WholeBatchNorm` in the place of each batch norm, and give them."""
    made: dict[nn.Module, WholeBatchNorm] = {}
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):  # noqa: SLF001  (named_children leaves out what comes twice)
            if isinstance(child, _BatchNorm) and not isinstance(child, WholeBatchNorm):
                setattr(module, name, made.setdefault(child, _twin(child)))
    return [module for module in network.modules() if isinstance(module, WholeBatchNorm)]


def _twin(norm: _BatchNorm) -> WholeBatchNorm:
    """Make a `WholeBatchNorm` that holds the very parameters and buffers of `norm`."""
    twin = WholeBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    twin._parameters, twin._buffers = norm._parameters, norm._buffers  # noqa: SLF001
    return twin.train(norm.training)
