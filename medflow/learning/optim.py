"""How weights move: the optimizer, its learning rate step by step, and what is measured of a moving network."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medflow.domain.task import Schedule

LEAST_RATE = 0.05
"""Share of the learning rate that half a cosine ends with."""
MOMENTUM = 0.9


def optimizer_of(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Make the optimizer of the weights that learn.

    Biases and the weights of norms are not decayed: they set levels and scales, and fit nothing by being large.
    """
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in learning if weight.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [weight for weight in learning if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=MOMENTUM, nesterov=True)
    kind = torch.optim.AdamW if schedule.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=schedule.learning_rate)


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """Give the learning rate of step `step`, counted from 0 over a training of `steps` steps an epoch.

    It rises linearly over the epochs of warm-up, and reaches the whole with the last of their steps. What follows is
    counted from there on.
    """
    warm = schedule.warmup * steps
    if step < warm:
        return schedule.learning_rate * (step + 1) / warm
    if schedule.rate == "constant":
        return schedule.learning_rate
    after = step - warm
    if schedule.rate == "step":
        return schedule.learning_rate * schedule.step_factor ** (after // (steps * schedule.step_every))
    along = after / max(1, (schedule.epochs - schedule.warmup) * steps)
    return schedule.learning_rate * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * along)) / 2)


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = value


def clipped(weights: Iterable[torch.Tensor], clip: float | None) -> torch.Tensor:
    """Give the norm of the gradients as it was, and scale them down to `clip` where they are longer."""
    found = list(weights)
    if clip is not None:
        return nn.utils.clip_grad_norm_(found, clip)
    return nn.utils.get_total_norm([weight.grad for weight in found if weight.grad is not None])


@torch.no_grad()
def averaged(average: nn.Module, network: nn.Module, decay: float, steps: int) -> None:
    """Move an average towards the network's weights; running statistics, which are averages already, are copied.

    After few steps the decay is (1 + steps) / (10 + steps), so that the weights of the beginning do not linger (as in
    TensorFlow's ExponentialMovingAverage).
    """
    share = 1 - min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)
    for mean, value in zip(average.buffers(), network.buffers(), strict=True):
        mean.copy_(value)


@torch.no_grad()
def settled(network: nn.Module, batches: Iterable[torch.Tensor], norms: Iterable[_BatchNorm]) -> None:
    """Take the statistics of `norms` anew over `batches`, all else as at inference: with no chance and no learning.

    Running averages lag behind weights that change fast: over a small cohort the loss on the select part then rises
    for epochs on end, and training would stop before it began (measured: 0.75 to 1.9 and back to 0.05).
    """
    chosen = [(norm, norm.momentum) for norm in norms if norm.track_running_stats]
    network.eval()
    for norm, _ in chosen:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    for batch in batches:
        network(batch)
    for norm, momentum in chosen:
        norm.momentum = momentum
    network.eval()
