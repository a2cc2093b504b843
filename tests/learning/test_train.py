"""Training: the same seed gives the same weights, the test part is left alone, and what is no number is no model."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medflow.domain.calibration import UNCALIBRATED
from medflow.domain.progress import Silent
from medflow.domain.task import CalibrationRule, LabelKind, Part, Pretrained, Task
from medflow.errors import BatchError
from medflow.learning import heads
from medflow.learning import precision as precisions
from medflow.learning.fitting import Fit, Fitted, NotFinite, settling
from medflow.learning.live import SilentLive
from medflow.learning.machine import fixed_threads, seeded
from medflow.learning.networks import build
from medflow.learning.precision import Precision, chosen
from medflow.learning.tensors import logits_of, tensor_of
from medflow.learning.train import train
from medflow.learning.trained import Sample, Trained
from tests.learning import shared
from tests.learning.made import PLAIN, plain_task, samples, small_task, trained

TOLERANCE = 1e-3
"""Within which two ranks are one: sums in another order, in float32, over a few steps."""
FOUR = (Part.TRAIN, Part.TRAIN, Part.SELECT, Part.CALIBRATE)


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


class Heard(SilentLive):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.epochs: list[dict[str, float]] = []

    def step(self, **values: float) -> None:
        """Keep it."""
        self.steps.append(values)

    def epoch(self, **values: float) -> None:
        """Keep it."""
        self.epochs.append(values)


def _same(one: Trained, other: Trained) -> bool:
    return one.history == other.history and all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)


def _on_cpu(task: Task, drawn: Sequence[Sample], **others: object) -> Trained:
    return train(task, drawn, threads=1, device="cpu", **others)  # type: ignore[arg-type]  # a test names what it means


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    torch.manual_seed(99)
    again = _on_cpu(small_task(), samples())

    assert _same(again, trained())
    assert again.metrics == trained().metrics
    assert again.weights.keys() == trained().weights.keys()


def test_another_seed_gives_other_weights() -> None:
    other = _on_cpu(small_task(seed=2, epochs=1), samples())

    assert not all(torch.equal(other.weights[name], trained().weights[name]) for name in other.weights)


def test_training_leaves_torchs_own_chance_and_threads_as_they_were() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)

    _on_cpu(plain_task(epochs=1), samples(10))

    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_best_epoch_is_kept_and_only_what_training_may_see_is_measured() -> None:
    result = trained()

    best = min(result.history, key=lambda epoch: epoch.validation_loss)
    assert result.best_epoch == best.number
    assert {part: measured["n"] for part, measured in result.metrics.items()} == {"select": 4}
    assert result.calibration == UNCALIBRATED
    assert result.runtime.threads == 1
    assert result.runtime.dtype == "float32"
    assert all(torch.isfinite(value).all() for value in result.weights.values())


def test_voxels_of_the_test_part_change_nothing_whatever_they_are() -> None:
    spoilt = [
        replace(one, voxels=np.full((1,), np.nan, np.float32)) if one.part is Part.TEST else one for one in samples()
    ]

    assert _same(_on_cpu(small_task(), spoilt), trained())
    assert _same(_on_cpu(small_task(), [one for one in samples() if one.part is not Part.TEST]), trained())


def test_the_calibrate_part_calibrates_and_does_not_move_the_weights() -> None:
    task = replace(plain_task(), calibration=CalibrationRule(sensitivity=0.5, confidence=0.5))
    drawn = samples(24, parts=FOUR)
    turned = [
        replace(s, label="absent") if s.part is Part.CALIBRATE and int(s.patient[1:]) % 8 == 7 else s for s in drawn
    ]

    result, other = _on_cpu(task, drawn), _on_cpu(task, turned)

    assert _same(result, other)
    assert result.calibration.threshold is not None
    assert other.calibration != result.calibration
    assert {part: measured["n"] for part, measured in result.metrics.items()} == {"select": 6, "calibrate": 6}


def test_patience_ends_training_and_every_batch_is_told() -> None:
    progress, heard = Counted(), Heard()

    result = _on_cpu(plain_task(epochs=30, patience=1, learning_rate=0.05), samples(10), progress=progress, live=heard)

    assert len(result.history) < 30
    assert result.best_epoch == len(result.history) - 1
    assert (progress.total, progress.done) == (60, 2 * len(result.history))
    assert [line["epoch"] for line in heard.epochs] == [epoch.number for epoch in result.history]
    assert [(line["epoch"], line["step"]) for line in heard.steps[:3]] == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize("watch", ["roc_auc", "balanced_accuracy", "average_precision"])
def test_the_best_epoch_is_the_one_with_the_best_figure_and_of_equals_the_least_loss(watch: str) -> None:
    result = _on_cpu(plain_task(epochs=4, watch=watch), samples())

    best = max(result.history, key=lambda epoch: (epoch.watched, -epoch.validation_loss))
    assert result.best_epoch == best.number
    entry = result.metrics["select"][watch]
    assert entry["value"] == pytest.approx(best.watched)


def test_a_figure_that_has_no_value_on_the_select_part_is_refused_with_the_reason() -> None:
    one_class = [s for s in samples() if s.part is not Part.SELECT or s.label == "absent"]

    with pytest.raises(BatchError, match="roc_auc needs patients with 'present' and patients without it"):
        _on_cpu(small_task(watch="roc_auc"), one_class)


def test_two_batches_that_make_a_step_are_one_batch_of_both() -> None:
    network = replace(PLAIN, options=(("init_features", 4), ("dropout_prob", 0.0)))
    drawn = samples(40)

    once = _on_cpu(replace(plain_task(batch_size=8), network=network), drawn)
    twice = _on_cpu(replace(plain_task(batch_size=4, accumulate=2), network=network), drawn)

    for name, value in once.weights.items():
        torch.testing.assert_close(twice.weights[name], value, rtol=1e-4, atol=1e-5)
    assert [e.training_loss for e in twice.history] == pytest.approx([e.training_loss for e in once.history], rel=1e-4)


def test_two_ranks_learn_what_one_learns(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launch, "-m", "tests.learning.shared", tmp_path], check=True, capture_output=True)  # noqa: S603
    shared.main(tmp_path)

    for name in shared.TASKS:
        first, second, alone = (torch.load(tmp_path / f"{name}-{of}") for of in ("0-2", "1-2", "0-1"))
        for key, weight in alone["weights"].items():
            assert torch.equal(first["weights"][key], second["weights"][key])
            torch.testing.assert_close(first["weights"][key], weight, rtol=TOLERANCE, atol=TOLERANCE)
        torch.testing.assert_close(first["losses"], alone["losses"], rtol=TOLERANCE, atol=TOLERANCE)


def test_the_average_of_the_weights_is_what_is_measured_and_kept() -> None:
    task = plain_task(epochs=1, ema=0.99)

    averaged, plain = _on_cpu(task, samples()), _on_cpu(plain_task(epochs=1), samples())

    assert averaged.history[0].training_loss == plain.history[0].training_loss
    assert averaged.history[0].validation_loss != plain.history[0].validation_loss
    with seeded(1):
        network = build(task.network, 2, task.grid.shape)
    network.load_state_dict(averaged.weights)
    select = [sample for sample in samples() if sample.part is Part.SELECT]
    said = np.stack([logits_of(network.eval(), tensor_of(sample.voxels)) for sample in select])
    truth = np.array([task.labels.truth(sample.label) for sample in select])
    brier = float(((heads.probabilities(task.labels, said) - truth) ** 2)[:, 1].mean())
    assert averaged.metrics["select"]["brier"]["value"] == pytest.approx(brier)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_every_optimizer_and_loss_learns_a_disc(optimizer: str, loss: str) -> None:
    rate = {"adam": 0.003, "sgd": 0.02}[optimizer]
    task = plain_task(
        epochs=15, optimizer=optimizer, loss=loss, learning_rate=rate, warmup=1, clip=1.0, sampler="balanced", noise=0.0
    )

    result = _on_cpu(task, samples(60))

    assert result.history[-1].training_loss < 0.8 * result.history[0].training_loss


def test_findings_that_come_together_are_learned_each_by_itself() -> None:
    task = plain_task(loss="bce", watch="roc_auc")
    task = replace(task, labels=replace(task.labels, kind=LabelKind.MULTI_LABEL, findings=("disc", "other")))
    names = {("absent", 0): "", ("absent", 1): "other", ("present", 0): "disc", ("present", 1): "disc+other"}
    drawn = [replace(s, label=names[s.label, place // 2 % 2]) for place, s in enumerate(samples(40, parts=FOUR))]
    drawn = [replace(s, part=FOUR[place // 4 % 4]) for place, s in enumerate(drawn)]

    result = _on_cpu(task, drawn)

    assert result.weights["out.weight"].shape[0] == 2
    assert set(result.metrics["calibrate"]["per_finding"]) == {"disc", "other"}


def test_ordered_classes_are_learned_as_steps() -> None:
    task = plain_task(loss="bce", watch="balanced_accuracy")
    task = replace(task, labels=replace(task.labels, kind=LabelKind.ORDINAL, classes=("none", "some", "much")))
    drawn = [replace(s, label=task.labels.classes[place % 3]) for place, s in enumerate(samples(48))]
    drawn = [replace(s, part=FOUR[place // 3 % 4]) for place, s in enumerate(drawn)]

    result = _on_cpu(task, drawn)

    assert result.weights["out.weight"].shape[0] == 2
    assert len(result.metrics["select"]["confusion"]) == 3


def test_a_frozen_trunk_stays_what_its_file_says(tmp_path: Path) -> None:
    task = small_task(epochs=2)
    with seeded(77):
        start = build(task.network, 2, task.grid.shape)
    for layer in start.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.get_buffer("running_mean"), 0.25)
    file = tmp_path / "trunk.pt"
    torch.save(start.state_dict(), file)
    source = Pretrained(file=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), train="head", path=file)

    result = _on_cpu(replace(task, network=replace(task.network, pretrained=source)), samples())

    moved = {name for name, value in start.state_dict().items() if not torch.equal(value, result.weights[name])}
    assert moved == {"class_layers.out.weight", "class_layers.out.bias"}
    assert result.pretrained is not None
    assert result.pretrained["sha256"] == source.sha256


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", [Part.TRAIN, Part.SELECT, Part.CALIBRATE])
def test_voxels_that_are_no_numbers_never_yield_a_model(value: float, part: Part) -> None:
    drawn = samples(16, parts=FOUR)
    index = next(place for place, sample in enumerate(drawn) if sample.part is part)
    spoilt = drawn[index].voxels.copy()
    spoilt[3, 3, 0] = value
    drawn[index] = replace(drawn[index], voxels=spoilt)

    with pytest.raises(BatchError, match="1 of 16 examples hold voxels that are not numbers"):
        _on_cpu(small_task(), drawn)


def test_a_loss_that_blows_up_never_yields_a_model() -> None:
    drawn = [replace(sample, voxels=sample.voxels * np.float32(1e38)) for sample in samples(10)]

    with pytest.raises(BatchError, match="training stopped"):
        _on_cpu(small_task(), drawn)


def test_bfloat16_that_fails_on_the_way_is_trained_again_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Fit.fitted

    def failing(run: Fit, precision: Precision, standing: None = None) -> Fitted:
        if precision.name == "bfloat16":
            raise NotFinite("a gradient is no number")
        return fit(run, precision, standing)

    monkeypatch.setattr(Fit, "fitted", failing)
    monkeypatch.setattr(precisions, "_native", lambda *_: True)

    result = _on_cpu(plain_task(precision="bfloat16"), samples())

    assert result.precision.name == "float32"
    assert "a gradient is no number" in result.precision.reason
    assert _same(result, _on_cpu(plain_task(precision="float32"), samples()))


def test_float16_is_refused_where_there_is_none_and_the_reason_kept() -> None:
    result = _on_cpu(plain_task(epochs=1, precision="float16"), samples(10))

    assert result.precision == precisions.float32("the processor has no float16 arithmetic")


def test_a_last_batch_of_one_joins_the_batch_before() -> None:
    drawn = samples(10)  # six to train on
    nine = [*drawn, *(replace(drawn[0], patient=f"Q{number}", part=Part.TRAIN) for number in range(3))]
    progress = Counted()

    _on_cpu(small_task(epochs=1), nine, progress=progress)

    assert progress.total == 2


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
        (_shrunk, "1 of 8 examples are not on the task's grid"),
        (_unnamed, "1 of 8 examples have a label"),
        (_untaught, "the select part one"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(spoil: "type[list[Sample]]", said: str) -> None:
    with pytest.raises(BatchError, match=said):
        _on_cpu(small_task(), spoil(samples(10)))


def test_a_broken_bfloat16_gradient_is_found_by_the_self_check(monkeypatch: pytest.MonkeyPatch) -> None:
    class Defect(nn.Module):
        """A network whose gradient is wrong in bfloat16 only."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Linear(64, 2)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.weight(batch.flatten(1))
            return -logits.detach() * 0 + logits if logits.dtype is torch.float32 else logits.detach() * 2 - logits

    monkeypatch.setattr(precisions, "_native", lambda *_: True)
    batch, labels = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 0, 1])
    sound = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

    assert chosen(Defect(), batch, labels, _loss, "bfloat16").reason.startswith("self-check: bfloat16 strays")
    assert chosen(sound, batch, labels, _loss, "bfloat16").name == "bfloat16"
    assert chosen(sound, batch * 1e39, labels, _loss, "bfloat16").name == "float32"


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return nn.functional.cross_entropy(logits, labels, reduction="sum"), torch.tensor(float(len(labels)))


def test_the_self_check_leaves_the_network_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "_native", lambda *_: True)
    task = small_task()
    network = build(task.network, 2, task.grid.shape)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    with fixed_threads(1):
        chosen(network, torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 0, 1]), _loss, "bfloat16")

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_small_cohort_is_learned_although_running_averages_would_lag() -> None:
    result = _on_cpu(small_task(epochs=12, batch_size=6), samples(40))

    assert result.metrics["select"]["roc_auc"]["value"] > 0.9


def test_batch_norms_settle_over_a_bounded_share_of_an_epoch() -> None:
    places = range(1000)

    counted = [len(settling(places, steps, 4)) // 4 for steps in (2, 16, 20, 39, 40, 100)]

    assert counted == [4, 4, 5, 10, 0, 0]
