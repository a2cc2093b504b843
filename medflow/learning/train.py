"""Training: a plain loop that stops when validation stops getting better, and never hands out a model of no numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn

from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import Part, Task
from medflow.domain.volume import Intensity
from medflow.errors import BatchError
from medflow.learning.augment import augmented
from medflow.learning.machine import device_of, fixed_threads, runtime_of, seeded
from medflow.learning.metrics import Answers, measured
from medflow.learning.networks import build
from medflow.learning.precision import Precision, chosen, float32
from medflow.learning.tensors import answered, tensor_of
from medflow.learning.trained import Epoch, Sample, Trained

LEAST_RATE = 0.05
"""Share of the learning rate that is left in the last epoch; it falls along half a cosine."""


class NotFinite(Exception):
    """A loss, a gradient or a weight stopped being a number."""


def train(
    task: Task, samples: Sequence[Sample], *, threads: int, device: str | None = None, progress: Progress = SILENT
) -> Trained:
    """Train the task's network on `samples`, and measure it on each part.

    On a CPU the same task, samples and threads give the same weights, bit for bit. bfloat16 is used where
    `precision.chosen` admits it; if it fails on the way, training starts again in float32.

    Raises:
        BatchError: a part is empty, voxels do not fit, or a loss or gradient is no number in float32 too.
    """
    _check(task, samples)
    run = Run(task, samples, device_of(device), progress)
    with fixed_threads(threads):
        precision = run.precision()
        try:
            weights, history = run.fit(precision)
        except NotFinite as fault:
            if precision.name == "float32":
                raise BatchError(f"training stopped: {fault}; a lower learning rate may mend it") from None
            precision = float32(f"trained again in float32, because in bfloat16 {fault}")
            weights, history = run.again(precision)
        metrics = run.measured(weights)
    best = min(history, key=lambda epoch: epoch.validation_loss)
    runtime = runtime_of(run.device, threads=threads, batch=task.schedule.batch_size, dtype=precision.name)
    return Trained(
        weights=weights,
        history=history,
        best_epoch=best.number,
        precision=precision,
        metrics=metrics,
        runtime=runtime,
    )


def _check(task: Task, samples: Sequence[Sample]) -> None:
    sizes = {part: sum(sample.part is part for sample in samples) for part in Part}
    if sizes[Part.TRAIN] < 2 or sizes[Part.SELECT] < 1:  # noqa: PLR2004  (a batch norm needs two)
        raise BatchError("training needs at least two examples, and validation one")
    homes: dict[str, set[Part]] = {}
    for sample in samples:
        homes.setdefault(sample.patient, set()).add(sample.part)
    if torn := sum(len(parts) > 1 for parts in homes.values()):
        raise BatchError(f"{torn} patients stand in more than one part: what the network saw would measure it")
    if wrong := sum(sample.voxels.shape != task.grid.example_shape for sample in samples):
        raise BatchError(f"{wrong} of {len(samples)} examples are not on the task's grid")
    if wrong := sum(not np.isfinite(sample.voxels).all() for sample in samples):
        raise BatchError(f"{wrong} of {len(samples)} examples hold voxels that are not numbers")
    if unknown := sum(sample.label not in task.labels.classes for sample in samples):
        raise BatchError(f"{unknown} of {len(samples)} examples have a label that is none of the task's classes")


class Run:
    """One training: its data, its network's rule and its seed."""

    def __init__(self, task: Task, samples: Sequence[Sample], device: torch.device, progress: Progress) -> None:
        self.task, self.samples, self.device, self.progress = task, samples, device, progress
        self.parts = {part: [sample for sample in samples if sample.part is part] for part in Part}
        counts = [self._count(name) for name in task.labels.classes]
        balance = [sum(counts) / (sum(n > 0 for n in counts) * n) if n else 0.0 for n in counts]
        weights = torch.tensor(balance if task.schedule.balanced else [1.0] * len(counts), dtype=torch.float32)
        self.loss = nn.CrossEntropyLoss(weight=weights.to(device))

    def _count(self, name: str) -> int:
        return sum(sample.label == name for sample in self.parts[Part.TRAIN])

    def network(self) -> nn.Module:
        """Make the untrained network; the caller has seeded torch."""
        task = self.task
        network = build(task.network, len(task.labels.classes), task.grid.shape, channels=task.channels)
        return network.to(self.device)

    def precision(self) -> Precision:
        """Try bfloat16 on the first examples, in every size of batch that training will meet."""
        examples = self.parts[Part.TRAIN]
        sizes = sorted({len(batch) for batch in self._dealt(np.arange(len(examples)))}, reverse=True)
        with seeded(self.task.schedule.seed):
            network = self.network()
            found = [chosen(network.train(), *self._batch(examples[:size])) for size in sizes]
        return next((choice for choice in found if choice.name == "float32"), found[0])

    def again(self, precision: Precision) -> tuple[dict[str, torch.Tensor], tuple[Epoch, ...]]:
        """Train once more, for good or not at all."""
        try:
            return self.fit(precision)
        except NotFinite as fault:
            raise BatchError(f"training stopped: {fault}; a lower learning rate may mend it") from None

    def fit(self, precision: Precision) -> tuple[dict[str, torch.Tensor], tuple[Epoch, ...]]:
        """Train from the seed on; give the best epoch's weights and the history."""
        schedule = self.task.schedule
        self.progress.start("training", schedule.epochs)
        history: list[Epoch] = []
        best: dict[str, torch.Tensor] = {}
        with seeded(schedule.seed):
            network = self.network()
            optimizer = torch.optim.AdamW(
                network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
            )
            chance = torch.Generator().manual_seed(schedule.seed)
            for number in range(1, schedule.epochs + 1):
                _set_rate(optimizer, schedule.learning_rate, (number - 1) / schedule.epochs)
                training = self._epoch(network, optimizer, chance, precision)
                self._settle(network)
                validation = self._validation(network)
                history.append(Epoch(number=number, training_loss=training, validation_loss=validation))
                self.progress.advance()
                since = number - min(history, key=lambda epoch: epoch.validation_loss).number
                if since == 0:
                    best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
                if schedule.patience is not None and since >= schedule.patience:
                    break
        if not all(bool(torch.isfinite(value).all()) for value in best.values()):
            raise NotFinite("a weight is no number")
        return best, tuple(history)

    def _epoch(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, chance: torch.Generator, precision: Precision
    ) -> float:
        """Pass once over the training part, in an order that `chance` deals."""
        network.train()
        examples, schedule = self.parts[Part.TRAIN], self.task.schedule
        order = torch.randperm(len(examples), generator=chance).numpy()
        total = 0.0
        for chosen_ones in self._dealt(order):
            batch, labels = self._batch([examples[index] for index in chosen_ones])
            batch = augmented(batch.cpu(), schedule, _outside(self.task), chance).to(self.device)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=precision.dtype is torch.bfloat16):
                logits = network(batch)
            loss = self.loss(logits.float(), labels)
            if not math.isfinite(value := float(loss.detach())):
                raise NotFinite("a loss is no number")
            loss.backward()
            gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
            if not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
                raise NotFinite("a gradient is no number")
            optimizer.step()
            total += value * len(chosen_ones)
        return total / len(examples)

    def _settle(self, network: nn.Module) -> None:
        """Take the batch norms' statistics anew over the training part, unaugmented, with the weights as they are now.

        Running averages lag behind weights that change fast: over a small cohort the validation loss then rises for
        epochs on end, and training would stop before it began (measured: 0.75 to 1.9 and back to 0.05).
        """
        examples = self.parts[Part.TRAIN]
        batches = self._dealt(np.arange(len(examples)))
        update_bn((self._batch([examples[index] for index in batch]) for batch in batches), network)

    def _validation(self, network: nn.Module) -> float:
        """Give the loss of the validation part, in float32, the way inference computes."""
        network.eval()
        examples, size = self.parts[Part.SELECT], self.task.schedule.batch_size
        logits, labels = [], []
        with torch.inference_mode():
            for start in range(0, len(examples), size):
                batch, truth = self._batch(examples[start : start + size])
                logits.append(network(batch).float())
                labels.append(truth)
            loss = float(self.loss(torch.cat(logits), torch.cat(labels)))
        if not math.isfinite(loss):
            raise NotFinite("a validation loss is no number")
        return loss

    def measured(self, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Answer every example as scoring would, and measure each part."""
        with seeded(self.task.schedule.seed):
            network = self.network()
        network.load_state_dict(weights)
        network.eval()
        return {part.value: self._measured(network, part) for part in Part if self.parts[part]}

    def _measured(self, network: nn.Module, part: Part) -> dict[str, Any]:
        examples, classes = self.parts[part], self.task.labels.classes
        answers = [answered(network, tensor_of(sample.voxels).to(self.device)) for sample in examples]
        return measured(
            Answers(
                probabilities=np.stack(answers),
                labels=np.array([classes.index(sample.label) for sample in examples], np.int64),
                patients=[sample.patient for sample in examples],
                classes=classes,
            ),
            seed=self.task.schedule.seed,
        )

    def _dealt(self, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Cut an order into batches; a last one of one joins the one before, since batch norm needs two."""
        size = self.task.schedule.batch_size
        cuts = list(range(size, len(order), size))
        if cuts and len(order) - cuts[-1] == 1:
            cuts.pop()
        yield from np.split(order, cuts)

    def _batch(self, samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        classes = self.task.labels.classes
        batch = torch.stack([tensor_of(sample.voxels) for sample in samples])
        labels = torch.tensor([classes.index(sample.label) for sample in samples])
        return batch.to(self.device), labels.to(self.device)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2)


def _outside(task: Task) -> float:
    """Give the scaled value of the grid's padding; a z-scored volume has none of its own, so its mean stands in."""
    grid = task.grid
    if grid.intensity is Intensity.DISPLAY:
        return grid.padding
    if grid.intensity is not Intensity.WINDOW or grid.window is None:
        return 0.0
    low, high = grid.window
    return min(1.0, max(0.0, (grid.padding - low) / (high - low)))
