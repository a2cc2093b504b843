"""Training, from samples to a calibrated network: checked, fitted, and never a model of no numbers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medflow.domain.calibration import ABSENT, UNCALIBRATED, Calibration
from medflow.domain.digests import digest
from medflow.domain.progress import SILENT, Progress
from medflow.domain.task import LabelKind, LabelRule, Part, Task
from medflow.errors import BatchError
from medflow.learning import heads, pretrained
from medflow.learning.calibrate import calibrated
from medflow.learning.checkpoints import Checkpoints, forget
from medflow.learning.feed import Feed
from medflow.learning.fitting import Fit, Fitted, NotFinite, settling
from medflow.learning.live import SILENT_LIVE, Live
from medflow.learning.losses import Loss, loss_of
from medflow.learning.machine import device_of, fixed_threads, runtime_of, seeded
from medflow.learning.metrics import Answers, measured
from medflow.learning.networks import build
from medflow.learning.precision import Precision, chosen, float32
from medflow.learning.ranks import ALONE, Ranks
from medflow.learning.tensors import logits_of, tensor_of
from medflow.learning.trained import Sample, Trained
from medflow.learning.watched import check_watchable


def train(  # noqa: PLR0913  (what is learned, and where and with whom)
    task: Task,
    samples: Sequence[Sample],
    *,
    threads: int,
    device: str | None = None,
    progress: Progress = SILENT,
    ranks: Ranks = ALONE,
    folder: Path | None = None,
    resume: bool = False,
    live: Live = SILENT_LIVE,
) -> Trained:
    """Train the task's network on `samples`, and calibrate and measure it on the parts that are for that.

    The test part is left alone, whether or not its samples are among these. On a CPU the same task, samples and threads
    give the same weights, bit for bit, also where a killed training goes on (`resume`) from its state in `folder`.
    A precision that fails on the way is given up: training starts again in float32.

    Raises:
        BatchError: a part is empty, voxels do not fit, a state on disk is damaged or another training's, or a loss or
            gradient is no number in float32 too.
    """
    learned = [sample for sample in samples if sample.part is not Part.TEST]
    _check(task, samples, learned)
    with fixed_threads(threads), seeded(task.schedule.seed):
        run = Training(task=task, samples=learned, device=device_of(device), ranks=ranks)
        fit = run.fit(progress, live, None if folder is None else run.checkpoints(folder, threads))
        standing = _standing(fit, resume=resume)
        precision = run.precision(fit) if standing is None else Precision(**standing["precision"])
        precision, fitted = _fitted(fit, precision, standing)
        found, metrics = ranks.told(run.finished(fitted.weights) if ranks.main else (UNCALIBRATED, {}))
    return Trained(
        weights=fitted.weights,
        history=fitted.history,
        best_epoch=fitted.best,
        precision=precision,
        metrics=metrics,
        runtime=runtime_of(run.device, threads=threads, batch=task.schedule.batch_size, dtype=precision.name),
        calibration=found,
        pretrained=run.matched,
        resumed_from=None if standing is None else standing["steps"],
    )


def _check(task: Task, samples: Sequence[Sample], learned: Sequence[Sample]) -> None:
    """Refuse what cannot be learned from; of the test part only who is in it is looked at."""
    select = [sample for sample in learned if sample.part is Part.SELECT]
    if sum(sample.part is Part.TRAIN for sample in learned) < 2 or not select:  # noqa: PLR2004  (a batch norm needs two)
        raise BatchError("training needs at least two examples, and the select part one")
    homes: dict[str, set[Part]] = {}
    for sample in samples:
        homes.setdefault(sample.patient, set()).add(sample.part)
    if torn := sum(len(parts) > 1 for parts in homes.values()):
        raise BatchError(f"{torn} patients stand in more than one part: what the network saw would measure it")
    if wrong := sum(sample.voxels.shape != task.grid.example_shape for sample in learned):
        raise BatchError(f"{wrong} of {len(learned)} examples are not on the task's grid")
    if wrong := sum(not np.isfinite(sample.voxels).all() for sample in learned):
        raise BatchError(f"{wrong} of {len(learned)} examples hold voxels that are not numbers")
    if unknown := sum(not _known(task.labels, sample.label) for sample in learned):
        raise BatchError(f"{unknown} of {len(learned)} examples have a label that is none of the task's")
    check_watchable(task.schedule.watch, task.labels, _truth(task.labels, select))


def _known(rule: LabelRule, label: str) -> bool:
    if rule.kind is LabelKind.MULTI_LABEL:
        return label in {"", ABSENT} or set(label.split("+")) <= set(rule.findings)
    return label in rule.classes


def _truth(rule: LabelRule, samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Give (example, output), 0 or 1."""
    return np.array([rule.truth(sample.label) for sample in samples], np.int64)


def _standing(fit: Fit, *, resume: bool) -> dict[str, Any] | None:
    """Read the state that a killed training left; without `resume`, forget it."""
    if fit.place is None:
        return None
    standing = fit.place.load() if resume else None
    fit.ranks.wait()
    if not resume and fit.ranks.main:
        forget(fit.place.folder)
    return standing


def _fitted(fit: Fit, precision: Precision, standing: dict[str, Any] | None) -> tuple[Precision, Fitted]:
    """Fit, where need be once more in float32; give what it was fitted in, too."""
    try:
        return precision, fit.fitted(precision, standing)
    except NotFinite as fault:
        if precision.name == "float32":
            raise _stopped(fault) from None
        precision = float32(f"trained again in float32, because in {precision.name} {fault}")
    try:
        return precision, fit.fitted(precision)
    except NotFinite as fault:
        raise _stopped(fault) from None


def _stopped(fault: NotFinite) -> BatchError:
    return BatchError(f"training stopped: {fault}; a lower learning rate, or schedule.clip, may mend it")


@dataclass(slots=True, kw_only=True, eq=False)
class Training:
    """What a training is made of: its samples by part, its network as it starts, its losses."""

    task: Task
    samples: Sequence[Sample]
    """Of every part but the test part."""
    device: torch.device
    ranks: Ranks
    matched: dict[str, Any] | None = field(init=False, default=None)
    """What became of the file of weights that the task names."""
    start: nn.Module = field(init=False)
    """The network as it is before training; torch's generator stands at the task's seed when it is made."""

    def __post_init__(self) -> None:
        task = self.task
        self.start = build(task.network, heads.width(task.labels), task.grid.shape, channels=task.channels)
        if task.network.pretrained is not None:
            self.matched = pretrained.load(self.start, task.network, channels=task.channels).record()

    def part(self, part: Part) -> list[Sample]:
        """Give the samples of a part."""
        return [sample for sample in self.samples if sample.part is part]

    def network(self) -> nn.Module:
        """Copy the network as it is before training onto the device, ready to train."""
        network = copy.deepcopy(self.start).to(self.device).train()
        pretrained.frozen(network, self.task.network)
        return network

    def checkpoints(self, folder: Path, threads: int) -> Checkpoints:
        """Name the place of this training's state, and what the state must be of to be gone on with."""
        dealt = [[sample.patient, sample.label, sample.part.value] for sample in self.samples]
        about = {
            "task": self.task.digest,
            "examples": digest("samples", dealt),
            "threads": threads,
            "device": self.device.type,
            "ranks": self.ranks.world,
            "torch": str(torch.__version__),
        }
        return Checkpoints(folder=folder, about=about)

    def fit(self, progress: Progress, live: Live, place: Checkpoints | None) -> Fit:
        """Put the loop together."""
        task, schedule = self.task, self.task.schedule
        examples = self.part(Part.TRAIN)
        feed = Feed(examples, task, device=self.device, ranks=self.ranks)
        select = Feed(self.part(Part.SELECT), task, device=self.device)
        even = schedule.balanced
        return Fit(
            task=task,
            made=self.network,
            feed=feed,
            settling=self._settling(examples, feed.steps),
            select=select,
            loss=self._loss(feed, weighted=even and schedule.sampler != "balanced"),
            select_loss=self._loss(feed, weighted=even),
            device=self.device,
            ranks=self.ranks,
            progress=progress,
            live=live,
            place=place,
        )

    def _loss(self, feed: Feed, *, weighted: bool) -> Loss:
        return loss_of(self.task.labels, self.task.schedule, feed.labels, weighted=weighted).to(self.device)

    def _settling(self, examples: Sequence[Sample], steps: int) -> Feed | None:
        rule, schedule = self.task.network.pretrained, self.task.schedule
        if rule is not None and rule.train == "head":  # a frozen trunk's statistics are the file's
            return None
        dealt = np.random.default_rng(schedule.seed).permutation(len(examples)).tolist()
        places = sorted(settling(dealt, steps, schedule.batch_size))
        return Feed([examples[place] for place in places], self.task, device=self.device) if places else None

    def precision(self, fit: Fit) -> Precision:
        """Try what the schedule asks for in every size of batch that training will meet; all ranks must admit it."""
        schedule = self.task.schedule
        if schedule.precision == "float32":
            return float32("the task asks for it")
        found: dict[int, Precision] = {}
        for first in (0, fit.feed.steps - 1):
            batch = next(fit.feed.epoch(1, first=first))
            if len(batch.inputs) not in found:
                tried = (self.network(), batch.inputs, batch.labels, fit.loss, schedule.precision)
                found[len(batch.inputs)] = chosen(*tried)
        own = next((choice for choice in found.values() if choice.name == "float32"), next(iter(found.values())))
        against = self.ranks.total(torch.tensor(float(own.name == "float32"), device=self.device))
        said = self.ranks.told(own)
        return (
            float32("another rank's self-check was against it") if float(against) and said.name != "float32" else said
        )

    def finished(self, weights: dict[str, torch.Tensor]) -> tuple[Calibration, dict[str, Any]]:
        """Find the calibration on its part alone; then measure that part and the select part as scoring would."""
        rule = self.task.labels
        network = copy.deepcopy(self.start)
        network.load_state_dict(weights)
        network.to(self.device).eval()
        parts = {part: self.part(part) for part in (Part.SELECT, Part.CALIBRATE)}
        logits = {part: self._logits(network, samples) for part, samples in parts.items() if samples}
        found = UNCALIBRATED
        if (samples := parts[Part.CALIBRATE]) and (said := logits[Part.CALIBRATE]) is not None:
            patients = [sample.patient for sample in samples]
            seed = self.task.schedule.seed
            found = calibrated(rule, self.task.calibration, said, _truth(rule, samples), patients, seed=seed)
        return found, {part.value: self._measured(parts[part], said, found) for part, said in logits.items()}

    def _logits(self, network: nn.Module, samples: Sequence[Sample]) -> NDArray[np.float64]:
        return np.stack([logits_of(network, tensor_of(sample.voxels).to(self.device)) for sample in samples])

    def _measured(self, samples: Sequence[Sample], logits: NDArray[np.float64], found: Calibration) -> dict[str, Any]:
        answers = Answers(
            rule=self.task.labels,
            calibration=found,
            probabilities=heads.probabilities(self.task.labels, logits, found.temperature),
            truth=_truth(self.task.labels, samples),
            patients=[sample.patient for sample in samples],
        )
        return measured(answers, seed=self.task.schedule.seed, prevalence=self.task.calibration.prevalence)
