"""The paragraph that a paper's methods section needs, written from what really ran."""

from collections.abc import Sequence

from medflow.domain.model import Example
from medflow.domain.plane import PlanarGrid
from medflow.domain.task import LabelKind, Part, Task
from medflow.domain.volume import Grid, Intensity
from medflow.learning.trained import Trained

OPTIMIZERS = {
    "adamw": "AdamW",
    "adam": "Adam",
    "sgd": "stochastic gradient descent (Nesterov momentum 0.9)",
}
LOSSES = {"cross-entropy": "cross-entropy", "bce": "binary cross-entropy", "focal": "focal loss"}
WATCHED = {
    "loss": "loss",
    "roc_auc": "area under the ROC curve",
    "balanced_accuracy": "balanced accuracy",
    "average_precision": "average precision",
}


def methods(task: Task, trained: Trained, examples: Sequence[Example]) -> str:
    """Write the paragraph that a paper's methods section needs."""
    said = (
        _inputs(task),
        _start(task, trained),
        _learning(task),
        _augmentation(task),
        _ending(task, trained),
        _split(examples),
        calibration_found(task, trained),
        "Intervals are 95 % with the patient as the unit.",
    )
    return " ".join(filter(None, said))


def calibration_found(task: Task, trained: Trained) -> str:
    """Say what the calibrate part gave: temperature, threshold, sets; or that nothing was calibrated."""
    found = trained.calibration
    if Part.CALIBRATE.value not in trained.metrics:
        return "No part was set apart for calibration: probabilities are the network's own, and no claim is made."
    said = [
        f"On the calibrate part, which was not trained on, the temperature was found to be {found.temperature:.4g}"
        if task.calibration.temperature
        else "No temperature was asked for"
    ]
    if task.calibration.sensitivity is not None:
        claim = f"a sensitivity of {task.calibration.sensitivity:g} (one-sided {task.calibration.confidence:.0%} bound)"
        said.append(
            f"no threshold could be found that supports {claim}"
            if found.threshold is None
            else f"{found.threshold:.4g} is the highest threshold that supports {claim}"
        )
    if found.conformal is not None:
        said.append(
            f"conformal sets that are to hold the truth for {task.calibration.coverage:.0%} of patients take every "
            f"class of at least {1 - found.conformal:.4g}"
        )
    return f"{'; '.join(said)}."


def _inputs(task: Task) -> str:
    grid = task.grid
    scaling = "z-scored over the tissue" if grid.window is None else "scaled from {:g} to {:g}".format(*grid.window)
    if grid.intensity is Intensity.DISPLAY:
        scaling = "taken as they are shown, from 0 (black) to 1 (white)"
    smoothed = "after Gaussian smoothing of the axes that shrink" if grid.antialias else "without smoothing"
    return (
        f"{' and '.join(task.series.modalities)} {'images' if task.planar else 'volumes'} in {task.unit.value} were "
        f"resampled once ({grid.interpolation}, {smoothed}) to {_sampling(grid)} and {scaling}."
    )


def _start(task: Task, trained: Trained) -> str:
    network = f"A {task.network.dimensions}-D {task.network.name}"
    file = task.network.pretrained
    if file is None:
        return f"{network} was trained from random weights"
    how = "with its trunk frozen" if file.train == "head" else "in full"
    found = trained.pretrained or {}
    details = [
        f"SHA-256 {file.sha256[:12]}",
        f"{found['matched']} tensors matched" if "matched" in found else "",
        f"{len(found['made'])} made anew" if found.get("made") else "",
        "{} input channels made {}".format(*found["channels"]) if found.get("channels") else "",
        f"{found['inflated']} inflated from two dimensions to three" if found.get("inflated") else "",
    ]
    return f"{network} was fine-tuned {how} from {file.file} ({', '.join(filter(None, details))})"


def _learning(task: Task) -> str:
    schedule = task.schedule
    falling = {
        "cosine": "falling along half a cosine",
        "step": f"falling to {schedule.step_factor:g} of itself every {schedule.step_every} epochs",
        "constant": "held constant",
    }[schedule.rate]
    loss = LOSSES[schedule.loss]
    details = [
        f"with {OPTIMIZERS[schedule.optimizer]}: learning rate {schedule.learning_rate:g}, {falling}",
        f"rising over the first {schedule.warmup} epochs" if schedule.warmup else "",
        f"weight decay {schedule.weight_decay:g}",
        f"batches of {schedule.batch_size}",
        f"{schedule.accumulate} of them to a step" if schedule.accumulate > 1 else "",
        f"gradients clipped to a norm of {schedule.clip:g}" if schedule.clip is not None else "",
        f"an exponential moving average of the weights (decay {schedule.ema:g}) kept" if schedule.ema else "",
    ]
    weighed = "classes weighed by inverse frequency" if schedule.balanced else "classes unweighed"
    drawn = "examples drawn so that classes come as often" if schedule.sampler == "balanced" else ""
    shaped = [
        f"{loss}{f' (gamma {schedule.focal_gamma:g})' if schedule.loss == 'focal' else ''}",
        {
            LabelKind.ORDINAL: 'one output for each "at least this class"',
            LabelKind.MULTI_LABEL: "finding by finding",
        }.get(task.labels.kind, ""),
        weighed,
        drawn,
        f"label smoothing {schedule.smoothing:g}" if schedule.smoothing else "",
    ]
    return f"{', '.join(filter(None, details))}. The loss was {', '.join(filter(None, shaped))}."


def _augmentation(task: Task) -> str:
    schedule = task.schedule
    moved = (
        (schedule.flips, f"mirroring along {' and '.join(schedule.flips)}"),
        (schedule.rotate, f"rotations of up to {schedule.rotate:g} degrees"),
        (schedule.zoom, f"scaling by {1 - schedule.zoom:g} to {1 + schedule.zoom:g}"),
        (schedule.shift, f"shifts of up to {schedule.shift} voxels"),
        (schedule.crop, f"borders of up to {schedule.crop} voxels blanked"),
        (schedule.bias_field, f"smooth multiplicative fields (coefficients up to {schedule.bias_field:g})"),
        (schedule.gamma, f"intensities raised to powers of {1 - schedule.gamma:g} to {1 + schedule.gamma:g}"),
        (schedule.contrast, f"contrast of {1 - schedule.contrast:g} to {1 + schedule.contrast:g}"),
        (schedule.noise, f"Gaussian noise of {schedule.noise:g}"),
    )
    named = [words for used, words in moved if used]
    return f"Training examples were augmented by {', '.join(named)}." if named else "Nothing was augmented."


def _ending(task: Task, trained: Trained) -> str:
    schedule, ran = task.schedule, len(trained.history)
    early = ran < schedule.epochs and schedule.patience is not None
    stopped = f", when {schedule.patience} epochs had brought nothing better" if early else ""
    resumed = (
        "" if trained.resumed_from is None else f" Training was interrupted and resumed at step {trained.resumed_from}."
    )
    return (
        f"It ran for {ran} of at most {schedule.epochs} epochs{stopped}, in {trained.precision.name} "
        f"({trained.precision.reason}), on {trained.runtime.device}; the weights of epoch {trained.best_epoch}, the "
        f"best by the select part's {WATCHED[schedule.watch]}, were kept. Seed {schedule.seed}.{resumed}"
    )


def _split(examples: Sequence[Example]) -> str:
    homes = {part.value: {one.patient for one in examples if one.part == part.value} for part in Part}
    dealt = ", ".join(f"{len(patients)} to {part}" for part, patients in homes.items() if patients)
    return f"Patients were dealt to parts, nobody to two of them: {dealt}." if dealt else ""


def _sampling(grid: Grid | PlanarGrid) -> str:
    shape = " x ".join(map(str, grid.shape))
    spacing = None if grid.spacing is None else " x ".join(f"{value:g}" for value in grid.spacing)
    if isinstance(grid, Grid):
        return f"{shape} voxels of {spacing} mm in {grid.axes} orientation"
    sided = ", right sides mirrored" if grid.mirror == "left" else ""
    size = "into which the whole image was fitted" if spacing is None else f"of {spacing} mm"
    return f"{shape} pixels {size}, in {grid.channels} channel{'s' * (grid.channels > 1)}{sided},"
