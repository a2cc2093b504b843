"""The model card: what a model was made of and for, written from what really ran."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from medflow.domain.model import Example
from medflow.domain.plane import PlanarGrid
from medflow.domain.task import Part, Task
from medflow.domain.volume import Grid, Intensity
from medflow.learning.trained import Trained

USE = (
    "Research. The model sorts series that the task's rules select into the task's classes. It is no medical device, "
    "and it says nothing of series that the rules do not select."
)
LIMITS = (
    "The figures were measured on patients of the same source as those it was trained on; at another hospital expect "
    "less until it was measured there. The weights are those of the epoch with the best validation loss, so the "
    "validation figures flatter; only the test part speaks for new patients."
)


def card_of(task: Task, trained: Trained, examples: Sequence[Example]) -> dict[str, Any]:
    """Write the card of a model as plain JSON."""
    counts = Counter((example.part, example.label) for example in examples)
    homes = {part: {example.patient for example in examples if example.part == part.value} for part in Part}
    best = trained.history[trained.best_epoch - 1]
    return {
        "name": task.name,
        "use": USE,
        "limits": LIMITS,
        "methods": methods(task, trained),
        "data": {
            part.value: {
                "patients": len(homes[part]),
                "examples": {name: counts[part.value, name] for name in task.labels.classes},
            }
            for part in Part
        },
        "training": {
            "seed": task.schedule.seed,
            "epochs": len(trained.history),
            "best_epoch": trained.best_epoch,
            "validation_loss": best.validation_loss,
            "history": [[epoch.number, epoch.training_loss, epoch.validation_loss] for epoch in trained.history],
            "precision": {"name": trained.precision.name, "reason": trained.precision.reason},
            "device": trained.runtime.device,
            "capability": trained.runtime.capability,
            "threads": trained.runtime.threads,
        },
        "metrics": trained.metrics,
    }


def methods(task: Task, trained: Trained) -> str:
    """Write the paragraph that a paper's methods section needs."""
    grid, schedule = task.grid, task.schedule
    scaling = "z-scored over the tissue" if grid.window is None else "scaled from {:g} to {:g}".format(*grid.window)
    if grid.intensity is Intensity.DISPLAY:
        scaling = "taken as they are shown, from 0 (black) to 1 (white)"
    smoothed = "after Gaussian smoothing of the axes that shrink" if grid.antialias else "without smoothing"
    weighed = "weighed by inverse class frequency" if schedule.balanced else "unweighed"
    moved = ", ".join(
        name
        for name, used in (
            (f"mirroring along {' and '.join(schedule.flips)}", schedule.flips),
            (f"shifts of up to {schedule.shift} voxels", schedule.shift),
            (f"Gaussian noise of {schedule.noise:g}", schedule.noise),
        )
        if used
    )
    return (
        f"{' and '.join(task.series.modalities)} {'images' if task.planar else 'volumes'} in {task.unit.value} were "
        f"resampled once ({grid.interpolation}, {smoothed}) to {_sampling(grid)} and {scaling}. "
        f"A {task.network.dimensions}-D {task.network.name} was trained with AdamW (learning rate "
        f"{schedule.learning_rate:g} falling along a half cosine, weight decay {schedule.weight_decay:g}, batches of "
        f"{schedule.batch_size}) on cross-entropy {weighed}, "
        f"augmented by {moved or 'nothing'}, for {len(trained.history)} of at most {schedule.epochs} epochs in "
        f"{trained.precision.name}; the weights of epoch {trained.best_epoch}, the best by validation loss, were kept. "
        f"Patients were dealt to training, validation and test {task.split.train:g} : {task.split.select:g} : "
        f"{task.split.test:g} by class. Intervals are 95 % with the patient as the unit."
    )


def _sampling(grid: Grid | PlanarGrid) -> str:
    shape = " x ".join(map(str, grid.shape))
    spacing = None if grid.spacing is None else " x ".join(f"{value:g}" for value in grid.spacing)
    if isinstance(grid, Grid):
        return f"{shape} voxels of {spacing} mm in {grid.axes} orientation"
    sided = ", right sides mirrored" if grid.mirror == "left" else ""
    size = "into which the whole image was fitted" if spacing is None else f"of {spacing} mm"
    return f"{shape} pixels {size}, in {grid.channels} channel{'s' * (grid.channels > 1)}{sided},"
