"""Training: the same seed gives the same weights, and what is no number never becomes a model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from medflow.domain.progress import Silent
from medflow.domain.task import Part
from medflow.errors import BatchError
from medflow.learning import precision as precisions
from medflow.learning import train as training
from medflow.learning.machine import fixed_threads
from medflow.learning.networks import build
from medflow.learning.precision import Precision, chosen
from medflow.learning.train import train
from medflow.learning.trained import Sample
from tests.learning.made import samples, small_task, trained


class Counted(Silent):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def start(self, what: str, total: int | None) -> None:
        """Keep the number of parts."""
        assert what == "training"
        self.total = total

    def advance(self, parts: int = 1) -> None:
        """Count them."""
        self.done += parts


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    torch.manual_seed(99)
    again = train(small_task(), samples(), threads=1, device="cpu")

    assert again.history == trained().history
    assert again.metrics == trained().metrics
    assert again.weights.keys() == trained().weights.keys()
    assert all(torch.equal(again.weights[name], trained().weights[name]) for name in again.weights)


def test_another_seed_gives_other_weights() -> None:
    other = train(small_task(seed=2, epochs=1), samples(), threads=1, device="cpu")

    assert not all(torch.equal(other.weights[name], trained().weights[name]) for name in other.weights)


def test_training_leaves_torchs_own_chance_and_threads_as_they_were() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)

    train(small_task(epochs=1), samples(10), threads=1, device="cpu")

    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_best_epoch_is_kept_and_every_part_is_measured() -> None:
    result = trained()

    best = min(result.history, key=lambda epoch: epoch.validation_loss)
    assert result.best_epoch == best.number
    assert {part: measured["n"] for part, measured in result.metrics.items()} == {
        "train": 12,
        "select": 4,
        "test": 4,
    }
    assert result.runtime.threads == 1
    assert result.runtime.dtype == "float32"
    assert all(torch.isfinite(value).all() for value in result.weights.values())


def test_patience_ends_training_and_every_epoch_is_told() -> None:
    progress = Counted()

    result = train(
        small_task(epochs=30, patience=1, learning_rate=0.5), samples(10), threads=1, device="cpu", progress=progress
    )

    assert len(result.history) < 30
    assert result.best_epoch == len(result.history) - 1
    assert (progress.total, progress.done) == (30, len(result.history))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", list(Part))
def test_voxels_that_are_no_numbers_never_yield_a_model(value: float, part: Part) -> None:
    drawn = samples(10)
    index = next(place for place, sample in enumerate(drawn) if sample.part is part)
    spoilt = drawn[index].voxels.copy()
    spoilt[3, 3, 0] = value
    drawn[index] = replace(drawn[index], voxels=spoilt)

    with pytest.raises(BatchError, match="1 of 10 examples hold voxels that are not numbers"):
        train(small_task(), drawn, threads=1, device="cpu")


def test_a_loss_that_blows_up_never_yields_a_model() -> None:
    drawn = [replace(sample, voxels=sample.voxels * np.float32(1e38)) for sample in samples(10)]

    with pytest.raises(BatchError, match="training stopped"):
        train(small_task(), drawn, threads=1, device="cpu")


def test_bfloat16_that_fails_on_the_way_is_trained_again_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = training.Run.fit

    def failing(run: training.Run, precision: Precision) -> object:
        if precision.name == "bfloat16":
            raise training.NotFinite("a gradient is no number")
        return fit(run, precision)

    monkeypatch.setattr(training.Run, "fit", failing)
    monkeypatch.setattr(training.Run, "precision", lambda _: Precision(name="bfloat16", reason="as if admitted"))

    result = train(small_task(), samples(), threads=1, device="cpu")

    assert result.precision.name == "float32"
    assert "a gradient is no number" in result.precision.reason
    assert all(torch.equal(result.weights[name], trained().weights[name]) for name in result.weights)


def test_a_last_batch_of_one_joins_the_batch_before() -> None:
    drawn = samples(10)  # six to train on
    nine = [*drawn, *(replace(drawn[0], patient=f"Q{number}", part=Part.TRAIN) for number in range(3))]

    result = train(small_task(epochs=1), nine, threads=1, device="cpu")

    assert result.metrics["train"]["n"] == 9


def _torn(drawn: list[Sample]) -> Sequence[Sample]:
    return [*drawn, replace(drawn[0], part=Part.TEST)]


def _shrunk(drawn: list[Sample]) -> Sequence[Sample]:
    return [*drawn[1:], replace(drawn[0], voxels=drawn[0].voxels[1:])]


def _unnamed(drawn: list[Sample]) -> Sequence[Sample]:
    return [*drawn[1:], replace(drawn[0], label="perhaps")]


def _untaught(drawn: list[Sample]) -> Sequence[Sample]:
    return [sample for sample in drawn if sample.part is not Part.SELECT]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_torn, "1 patients stand in more than one part"),
        (_shrunk, "1 of 10 examples are not on the task's grid"),
        (_unnamed, "1 of 10 examples have a label"),
        (_untaught, "validation one"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(spoil: "type[list[Sample]]", said: str) -> None:
    with pytest.raises(BatchError, match=said):
        train(small_task(), spoil(samples(10)), threads=1, device="cpu")


def test_a_broken_bfloat16_gradient_is_found_by_the_self_check(monkeypatch: pytest.MonkeyPatch) -> None:
    class Defect(nn.Module):
        """A network whose gradient is wrong in bfloat16 only."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Linear(64, 2)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.weight(batch.flatten(1))
            return -logits.detach() * 0 + logits if logits.dtype is torch.float32 else logits.detach() * 2 - logits

    monkeypatch.setattr(precisions, "_native", lambda _: True)
    monkeypatch.setattr(precisions, "WORTH", 0)
    batch, labels = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 0, 1])

    assert chosen(Defect(), batch, labels).reason.startswith("self-check: bfloat16 strays")
    assert chosen(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), batch, labels).name == "bfloat16"
    assert chosen(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), batch * 1e39, labels).name == "float32"


def test_the_self_check_leaves_the_network_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "_native", lambda _: True)
    monkeypatch.setattr(precisions, "WORTH", 0)
    task = small_task()
    network = build(task.network, 2, task.grid.shape)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    with fixed_threads(1):
        chosen(network, torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 0, 1]))

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_small_cohort_is_learned_although_running_averages_would_lag() -> None:
    result = train(small_task(epochs=12, batch_size=6), samples(40), threads=1, device="cpu")

    assert result.metrics["test"]["roc_auc"]["value"] > 0.9
