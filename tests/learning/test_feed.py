"""The feed: every example in its turn, the same for one rank or two, from memory or from the disk."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medflow.domain.task import LabelKind, Part, Task
from medflow.domain.volume import Grid
from medflow.errors import BatchError
from medflow.imaging.cache import VolumeCache
from medflow.learning.feed import Batch, Feed, balanced
from medflow.learning.ranks import Ranks
from medflow.learning.task_file import read_task
from medflow.learning.trained import Sample

TASKS = Path(__file__).parents[2] / "pipelines" / "tasks"
CPU = torch.device("cpu")


def made(**schedule: object) -> Task:
    """Make a task of two classes on slices of 8 x 8, with changes to its schedule."""
    task = read_task(TASKS / "single_slice_2d.yaml")
    assert isinstance(task.grid, Grid)
    known = {"batch_size": 4, "flips": (), "shift": 0, "noise": 0.0, "sampler": "shuffled"}
    return replace(
        task,
        grid=replace(task.grid, shape=(8, 8, 1), window=(0.0, 1.0)),
        labels=replace(task.labels, classes=("absent", "present")),
        schedule=replace(task.schedule, **known | schedule),  # type: ignore[arg-type]  # a test names the fields it means
    )


def samples(count: int) -> list[Sample]:
    """Make examples that are their own number everywhere; every third has the finding."""
    labels = ("present", "absent", "absent")
    return [
        Sample(
            patient=f"P{number:03}",
            label=labels[number % 3],
            part=Part.TRAIN,
            voxels=np.full((8, 8, 1), number, np.float32),
        )
        for number in range(count)
    ]


def feed(count: int, task: Task | None = None, **options: object) -> Feed:
    """Feed so many examples."""
    return Feed(samples(count), task or made(), device=CPU, **options)  # type: ignore[arg-type]  # a test names them


def numbers(batch: Batch) -> list[int]:
    """Say which examples are in a batch."""
    return [int(example[0, 0, 0]) for example in batch.inputs]


@given(count=st.integers(2, 40), size=st.integers(2, 9), epoch=st.integers(1, 5))
def test_an_epoch_has_each_example_once_and_no_batch_of_one(count: int, size: int, epoch: int) -> None:
    dealt = feed(count, made(batch_size=size))

    batches = list(dealt.epoch(epoch))

    assert sorted(number for batch in batches for number in numbers(batch)) == list(range(count))
    assert len(batches) == dealt.steps
    assert all(2 <= len(batch.inputs) == batch.whole <= size + 1 for batch in batches)


def test_epochs_differ_in_their_order_and_repeat_it() -> None:
    orders = [[numbers(batch) for batch in feed(20).epoch(epoch)] for epoch in (1, 2, 1)]

    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize("sampler", ["shuffled", "balanced"])
def test_an_epoch_that_goes_on_at_a_batch_gives_what_it_would_have_given(sampler: str) -> None:
    dealt = feed(21, made(sampler=sampler, rotate=10.0, noise=0.1, flips=("i",)))

    whole, rest = list(dealt.epoch(3)), list(dealt.epoch(3, first=2))

    assert len(rest) == len(whole) - 2
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(whole[2:], rest, strict=True))
    assert all(torch.equal(one.labels, other.labels) for one, other in zip(whole[2:], rest, strict=True))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("sampler", ["shuffled", "balanced"])
def test_ranks_share_each_batch_as_one_rank_would_see_it(world: int, sampler: str) -> None:
    task = made(batch_size=5, sampler=sampler, rotate=10.0, noise=0.1)
    alone = list(feed(19, task).epoch(1))

    shares = [list(feed(19, task, ranks=Ranks(rank, world)).epoch(1)) for rank in range(world)]

    for batch, *parts in zip(alone, *shares, strict=True):
        together = torch.empty_like(batch.inputs)
        for rank, part in enumerate(parts):
            assert len(part.inputs) > 0
            assert part.whole == batch.whole
            together[rank::world] = part.inputs
        assert torch.equal(together, batch.inputs)


def test_a_batch_that_would_leave_a_rank_without_an_example_is_refused() -> None:
    with pytest.raises(BatchError, match="5 ranks cannot share"):
        feed(20, ranks=Ranks(0, 5))


def test_plain_batches_come_in_order_and_whole_on_every_rank() -> None:
    dealt = feed(7, made(noise=0.1), ranks=Ranks(1, 2))

    batches = list(dealt.plain(3))

    assert [numbers(batch) for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [int(label) for batch in batches for label in batch.labels] == [1, 0, 0, 1, 0, 0, 1]


@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=4), seed=st.integers(0, 50))
def test_a_balanced_epoch_has_each_class_as_often_and_spares_none_of_its_examples(counts: list[int], seed: int) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)

    drawn = balanced(classes, np.random.default_rng(seed))

    times = Counter(classes[drawn].tolist())
    assert len(drawn) == len(classes)
    assert max(times.values()) - min(times[name] for name in range(len(counts))) <= 1
    for name in range(len(counts)):
        each = [int((drawn == place).sum()) for place in np.flatnonzero(classes == name)]
        assert max(each) - min(each) <= 1


def test_examples_too_large_for_memory_are_read_ahead_from_the_cache_and_are_the_same(tmp_path: Path) -> None:
    cache, kept = VolumeCache(root=tmp_path), []
    for number, sample in enumerate(samples(11)):
        cache.put(f"{number}", "grid", sample.voxels)
        found = cache.get(f"{number}", "grid")
        assert found is not None
        kept.append(replace(sample, voxels=found))
    task = made(noise=0.1)

    held, read = Feed(kept, task, device=CPU), Feed(kept, task, device=CPU, memory=0)

    assert read.held is None
    for one, other in zip(held.epoch(1), read.epoch(1), strict=True):
        assert torch.equal(one.inputs, other.inputs)


def test_whoever_stops_in_the_middle_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    batches = feed(40, memory=0).epoch(1)
    next(batches)
    assert threading.active_count() == before + 1

    batches.close()  # type: ignore[attr-defined]  # it is a generator

    assert threading.active_count() == before


def test_what_cannot_be_read_ahead_is_told_to_whoever_asks() -> None:
    broken = [*samples(8)[:-1], replace(samples(8)[-1], voxels=np.zeros((7, 8, 1), np.float32))]
    before = threading.active_count()

    with pytest.raises(RuntimeError, match="equal size"):
        list(Feed(broken, made(), device=CPU, memory=0).epoch(1))
    assert threading.active_count() == before


def test_labels_are_indices_or_one_number_for_each_finding() -> None:
    task = made()
    findings = replace(task.labels, kind=LabelKind.MULTI_LABEL, findings=("mass", "fracture", "effusion"))
    several = [replace(one, label=label) for one, label in zip(samples(2), ("effusion+mass", ""), strict=True)]

    one = next(iter(feed(3).plain(3))).labels
    many = next(iter(Feed(several, replace(task, labels=findings), device=CPU).plain(2))).labels

    assert (one.dtype, one.tolist()) == (torch.int64, [1, 0, 0])
    assert (many.dtype, many.tolist()) == (torch.float32, [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
