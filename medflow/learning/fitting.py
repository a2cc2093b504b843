"""The loop: batches in, gradients, steps, an epoch measured, the best one kept, and all of it on disk in between."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Task
from medflow.learning import heads, pretrained
from medflow.learning.checkpoints import Checkpoints
from medflow.learning.feed import Batch, Feed
from medflow.learning.live import SILENT_LIVE, Live
from medflow.learning.losses import Loss
from medflow.learning.optim import averaged, clipped, optimizer_of, rate, set_rate, settled
from medflow.learning.precision import Precision
from medflow.learning.ranks import ALONE, Ranks
from medflow.learning.trained import Epoch
from medflow.learning.watched import watched

CAUGHT_UP = 40
"""Steps of an epoch from which running averages have caught up with the weights by themselves."""
LEAST_SETTLED, SHARE_SETTLED = 4, 4
"""Batch norms settle over a quarter of an epoch's batches, but over four at least: a pass without gradients costs a
third of a step, so less than a tenth of an epoch of 16 steps or more."""
MOST_SKIPPED = 20
"""Steps in a row that float16's scaler may skip while it looks for its scale; it begins at 2 ** 16."""
NUMBERS = ("epoch", "batch", "steps", "loss", "weight", "skipped", "best", "best_score")


class NotFinite(Exception):
    """A loss, a gradient or a weight stopped being a number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """The weights of the best epoch, which one it was, and how all of them went."""

    weights: dict[str, torch.Tensor]
    best: int
    history: tuple[Epoch, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class State:
    """Everything that changes while a network learns. Chance is not among it: it is drawn for each step anew."""

    network: nn.Module
    shared: nn.Module
    """The network as its passes are shared with other ranks; alone, the network itself."""
    average: nn.Module | None
    """The moving average of the weights, where the task wants one: then this is what is measured and kept."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    epoch: int = 1
    batch: int = 0
    """Batches of the epoch that are done."""
    steps: int = 0
    """Of the whole training."""
    loss: float = 0.0
    weight: float = 0.0
    """Sums over the epoch so far."""
    skipped: int = 0
    """Steps in a row that were none."""
    best: int = 0
    best_score: tuple[float, float] = (-math.inf, -math.inf)
    """What is watched, and of equals the loss; both higher is better."""
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    @property
    def measured(self) -> nn.Module:
        """What is measured and kept."""
        return self.network if self.average is None else self.average

    def record(self) -> dict[str, Any]:
        """Write it as plain values and tensors."""
        return {
            **{name: getattr(self, name) for name in (*NUMBERS, "best_weights")},
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": asdict(self.precision),
            "history": [asdict(epoch) for epoch in self.history],
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go back to where `record` was written."""
        for name in (*NUMBERS, "best_weights"):
            setattr(self, name, record[name])
        self.network.load_state_dict(record["network"])
        if self.average is not None:
            self.average.load_state_dict(record["average"])
        self.optimizer.load_state_dict(record["optimizer"])
        self.scaler.load_state_dict(record["scaler"])
        self.history = [Epoch(**epoch) for epoch in record["history"]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """One training: what it learns from, what it is judged on, and who listens."""

    task: Task
    made: Callable[[], nn.Module]
    """Makes the network as it is before training, on the device, frozen where the task says so."""
    feed: Feed
    settling: Feed | None
    """Training examples that batch norms settle over."""
    select: Feed
    loss: Loss
    """Of the training part; what the sampler evens out is not weighed again."""
    select_loss: Loss
    device: torch.device
    ranks: Ranks = ALONE
    progress: Progress = SILENT
    live: Live = SILENT_LIVE
    place: Checkpoints | None = None

    def fitted(self, precision: Precision, standing: Mapping[str, Any] | None = None) -> Fitted:
        """Train from the seed on, or from where `standing` was written; the caller guards torch's own generators.

        Raises:
            NotFinite: a loss, a gradient or a weight stopped being a number.
        """
        schedule, state = self.task.schedule, self._begun(precision)
        self.progress.start("training", schedule.epochs * self.feed.steps)
        if standing is not None:
            state.restore(standing)
            self.progress.advance((state.epoch - 1) * self.feed.steps + state.batch)
        while state.epoch <= schedule.epochs and not self._patience_is_over(state):
            self._pass(state)
            self._judge(state)
            state.epoch, state.batch, state.loss, state.weight = state.epoch + 1, 0, 0.0, 0.0
            self._keep(state, within=False)
        if not all(bool(torch.isfinite(value).all()) for value in state.best_weights.values()):
            raise NotFinite("a weight is no number")
        return Fitted(weights=state.best_weights, best=state.best, history=tuple(state.history))

    def _begun(self, precision: Precision) -> State:
        network = self.made()
        shared = self.ranks.wrapped(network)  # exchanges batch norms, so the average is copied after it
        average = None if self.task.schedule.ema is None else copy.deepcopy(network).requires_grad_(requires_grad=False)
        return State(
            network=network,
            shared=shared,
            average=average,
            optimizer=optimizer_of(network, self.task.schedule),
            scaler=torch.amp.GradScaler(self.device.type, enabled=precision.name == "float16"),
            precision=precision,
        )

    def _patience_is_over(self, state: State) -> bool:
        patience = self.task.schedule.patience
        return patience is not None and len(state.history) - state.best >= patience

    def _pass(self, state: State) -> None:
        """Pass once over the training part, from the batch on at which the state stands."""
        state.network.train()
        pretrained.frozen(state.network, self.task.network)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch in self.feed.epoch(state.epoch, first=state.batch):
            whole = state.batch + 1 == self.feed.steps or (state.batch + 1) % self.task.schedule.accumulate == 0
            with nullcontext() if whole else self._apart(state):
                sums += self._gradient(state, batch)
            state.batch += 1
            self.progress.advance()
            if not whole:
                continue
            self._step(state, self.ranks.total(sums))
            sums.zero_()
            if state.batch < self.feed.steps:
                self._keep(state, within=True)

    def _apart(self, state: State) -> AbstractContextManager[Any]:
        """Keep this rank's gradients to itself until the step's last batch."""
        share = getattr(state.shared, "no_sync", nullcontext)
        context: AbstractContextManager[Any] = share()
        return context

    def _gradient(self, state: State, batch: Batch) -> torch.Tensor:
        """Add a batch's gradients to those of its step; give the sums of its losses and of their weights."""
        place = (self.task.schedule.seed, state.epoch, state.batch, self.ranks.rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))  # dropout's, of this place alone
        with torch.autocast(self.device.type, state.precision.dtype, enabled=state.precision.name != "float32"):
            logits = state.shared(batch.inputs)
        loss, weight = self.loss(logits.float(), batch.labels)
        state.scaler.scale(loss).backward()
        return torch.stack([loss.detach(), weight.detach()]).double()

    def _step(self, state: State, sums: torch.Tensor) -> None:
        """Divide the gradients of the sum of losses by the sum of weights, and step; never on what is no number."""
        schedule = self.task.schedule
        learning = list(state.network.parameters())
        gradients = [weight.grad for weight in learning if weight.grad is not None]
        state.scaler.unscale_(state.optimizer)
        share = (self.ranks.world / sums[1]).float()  # ranks average their gradients
        torch._foreach_mul_(gradients, share)
        norm = clipped(learning, schedule.clip)
        loss, weight, length = torch.stack([*sums, norm.double()]).tolist()
        finite = math.isfinite(loss) and math.isfinite(length)
        state.skipped = 0 if finite else state.skipped + 1
        if not finite and (state.precision.name != "float16" or state.skipped > MOST_SKIPPED):
            raise NotFinite("a gradient is no number" if math.isfinite(loss) else "a loss is no number")
        steps = -(-self.feed.steps // schedule.accumulate)
        set_rate(state.optimizer, rate(schedule, state.steps, steps))
        if finite:  # else float16's scaler lowers its scale, and the step is none
            state.scaler.step(state.optimizer)
            state.loss, state.weight = state.loss + loss, state.weight + weight
            if state.average is not None and schedule.ema is not None:
                averaged(state.average, state.network, schedule.ema, state.steps)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.steps += 1
        if self.ranks.main:
            self.live.step(epoch=state.epoch, step=state.batch, loss=loss / weight, rate=_rate(state), gradient=length)

    def _judge(self, state: State) -> None:
        """Measure the epoch on the select part, and keep its weights where none was better."""
        self._settle(state.measured)
        validation, score = self.ranks.told(self._judged(state.measured) if self.ranks.main else (0.0, 0.0))
        if not math.isfinite(validation) or not math.isfinite(score):
            raise NotFinite("a loss on the select part is no number")
        if not state.weight:
            raise NotFinite("no step of an epoch had a finite gradient")
        epoch = Epoch(
            number=state.epoch,
            training_loss=state.loss / state.weight,
            validation_loss=validation,
            watched=score,
            rate=_rate(state),
        )
        state.history.append(epoch)
        worth = (-validation if self.task.schedule.watch == "loss" else score, -validation)
        if worth > state.best_score:
            state.best, state.best_score = state.epoch, worth
            state.best_weights = {n: v.detach().cpu().clone() for n, v in state.measured.state_dict().items()}
        if self.ranks.main:
            figures = {name: value for name, value in asdict(epoch).items() if name != "number"}
            self.live.epoch(epoch=state.epoch, best=state.best, **figures)

    def _settle(self, network: nn.Module) -> None:
        if self.settling is None:
            return
        norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        size = self.task.schedule.batch_size
        settled(network, (batch.inputs for batch in self.settling.plain(size) if len(batch.inputs) > 1), norms)

    def _judged(self, network: nn.Module) -> tuple[float, float]:
        """Give the loss on the select part and what is watched there, in float32 as inference computes."""
        network.eval()
        with torch.inference_mode():
            pairs = [
                (network(batch.inputs).float(), batch.labels)
                for batch in self.select.plain(self.task.schedule.batch_size)
            ]
            logits = torch.cat([said for said, _ in pairs])
            loss, weight = self.select_loss(logits, torch.cat([true for _, true in pairs]))
        value, watch, rule = float(loss / weight), self.task.schedule.watch, self.task.labels
        if watch == "loss" or not math.isfinite(value):
            return value, value
        truth = np.array([rule.truth(sample.label) for sample in self.select.samples], np.int64)
        return value, watched(watch, rule, heads.probabilities(rule, logits.double().cpu().numpy()), truth)

    def _keep(self, state: State, *, within: bool) -> None:
        if self.place is not None and self.ranks.main and self.place.due(within=within):
            self.place.save(state.record())


def settling(places: Sequence[int], steps: int, size: int) -> Sequence[int]:
    """Choose whom batch norms settle over, of training examples as chance dealt them; nobody in long epochs."""
    if steps >= CAUGHT_UP:
        return []
    return places[: max(LEAST_SETTLED, -(-steps // SHARE_SETTLED)) * size]


def _rate(state: State) -> float:
    return float(state.optimizer.param_groups[0]["lr"])
