"""The examples of a part, as the batches that a network eats: in what order, on which rank, changed how.

Whatever chance decides is a function of the schedule's seed, the epoch and the place in it, so a training that goes on
at a step needs no generator's state, and two ranks draw what one would.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medflow.domain.task import LabelKind, LabelRule, Task
from medflow.errors import BatchError
from medflow.learning.augment import Augmentation
from medflow.learning.ranks import ALONE, Ranks
from medflow.learning.tensors import tensor_of
from medflow.learning.trained import Sample

MEMORY = 8 << 30
"""Bytes of inputs that are held in memory unless the caller says otherwise."""
AHEAD = 2
"""Batches that are read from the disk before they are asked for."""
LEAST = 2
"""Examples that a batch must have: a batch norm learns nothing of one."""
ORDER, EXAMPLE = 0, 1
"""What a seed is drawn for: the order of an epoch, or one of its examples."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """This rank's share of a batch."""

    inputs: torch.Tensor
    """(n, channel, i, j[, k]), float32, on the device."""
    labels: torch.Tensor
    """int64 (n,): the class's index; of a multi-label task float32 (n, output): 0 or 1."""
    whole: int
    """Examples of the whole batch, over all ranks."""


class Feed:
    """The examples of one part. Inputs lie in memory as one tensor, or are read from their arrays ahead of time."""

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Task,
        *,
        device: torch.device,
        ranks: Ranks = ALONE,
        memory: int = MEMORY,
    ) -> None:
        """Take the examples in; `memory` is how many bytes of inputs may be held.

        Raises:
            BatchError: a batch would leave a rank without an example.
        """
        self.samples, self.task, self.device, self.ranks = samples, task, device, ranks
        self.labels = labels_of(samples, task.labels)
        self.augmentation = Augmentation(task)
        least = max(LEAST, ranks.world)
        if ranks.world > min(task.schedule.batch_size, len(samples) or ranks.world):
            raise BatchError(
                f"{ranks.world} ranks cannot share a batch of {task.schedule.batch_size} out of {len(samples)}"
            )
        self.cuts = _cuts(len(samples), task.schedule.batch_size, least)
        size = sum(sample.voxels.nbytes for sample in samples)
        self.held = self._read(np.arange(len(samples))) if 0 < size <= memory else None

    @property
    def steps(self) -> int:
        """Count the batches of an epoch."""
        return len(self.cuts)

    def epoch(self, number: int, *, first: int = 0) -> Iterator[Batch]:
        """Give this rank's shares of the batches of an epoch, augmented, from the batch `first` on."""
        order = self._order(number)
        deals = [np.arange(start, stop)[self.ranks.rank :: self.ranks.world] for start, stop in self.cuts[first:]]
        with closing(self._inputs([order[deal] for deal in deals])) as inputs:
            for deal, read, (start, stop) in zip(deals, inputs, self.cuts[first:], strict=True):
                keys = [(number, int(place), EXAMPLE) for place in deal]
                yield Batch(
                    inputs=self.augmentation(read, keys),
                    labels=self.labels[order[deal]].to(self.device),
                    whole=stop - start,
                )

    def plain(self, size: int) -> Iterator[Batch]:
        """Give all the examples in their order, as they are, in batches of `size`; every rank sees all of them."""
        deals = [np.arange(start, stop) for start, stop in _cuts(len(self.samples), size, 1)]
        with closing(self._inputs(deals)) as inputs:
            for deal, read in zip(deals, inputs, strict=True):
                yield Batch(inputs=read, labels=self.labels[deal].to(self.device), whole=len(deal))

    def _order(self, epoch: int) -> Places:
        """Deal the places of an epoch."""
        chance = np.random.default_rng((self.task.schedule.seed, epoch, ORDER))
        if self.task.schedule.sampler == "balanced":
            return balanced(self.labels.numpy(), chance)
        return chance.permutation(len(self.samples))

    def _inputs(self, deals: Sequence[Places]) -> Generator[torch.Tensor, None, None]:
        if self.held is not None:
            for deal in deals:
                yield self.held[deal].to(self.device, non_blocking=True)
            return
        waiting: deque[Future[torch.Tensor]] = deque()
        with ThreadPoolExecutor(1) as reader:
            try:
                for deal in deals:
                    waiting.append(reader.submit(self._read, deal))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result().to(self.device, non_blocking=True)
                while waiting:
                    yield waiting.popleft().result().to(self.device, non_blocking=True)
            finally:
                for read in waiting:
                    read.cancel()

    def _read(self, places: Places) -> torch.Tensor:
        read = torch.stack([tensor_of(self.samples[place].voxels) for place in places])
        return read.pin_memory() if self.device.type == "cuda" else read


def labels_of(samples: Sequence[Sample], rule: LabelRule) -> torch.Tensor:
    """Give the labels as a loss wants them: int64 (n,), or float32 (n, output) of a multi-label task."""
    truths = np.array([rule.truth(sample.label) for sample in samples], np.int64).reshape(len(samples), -1)
    if rule.kind is LabelKind.MULTI_LABEL:
        return torch.from_numpy(truths.astype(np.float32))
    return torch.from_numpy(truths.argmax(axis=1))


def balanced(classes: Places, chance: np.random.Generator) -> Places:
    """Draw as many places as there are, so that every class comes as often, give or take one.

    Within a class an example comes again only when all others of it have come as often.
    """
    found = np.unique(classes)
    counts = np.full(len(found), len(classes) // len(found))
    counts[chance.permutation(len(found))[: len(classes) % len(found)]] += 1
    drawn = []
    for name, count in zip(found, counts, strict=True):
        members = np.flatnonzero(classes == name)
        passes = [chance.permutation(members) for _ in range(-(-count // len(members)))]
        drawn.append(np.concatenate(passes)[:count])
    return chance.permutation(np.concatenate(drawn))


def _cuts(count: int, size: int, least: int) -> list[tuple[int, int]]:
    """Cut places into batches (start, stop); a last one of fewer than `least` joins the one before."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] < least:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))
