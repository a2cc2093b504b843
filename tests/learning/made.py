"""A small task and small examples, so that a training takes seconds."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from medflow.domain.task import NetworkRule, Part, Task
from medflow.domain.volume import Grid
from medflow.learning.task_file import read_task
from medflow.learning.train import train
from medflow.learning.trained import Sample, Trained

TASKS = Path(__file__).parents[2] / "pipelines" / "tasks"
NARROW = (("bn_size", 2), ("growth_rate", 4), ("init_features", 8))
"""Options of a DenseNet121 that is thin enough for a test."""
PLAIN = NetworkRule(name="sequential_cnn", dimensions=2, options=(("init_features", 4), ("dropout_prob", 0.5)))
"""A network without batch norms, and with dropout."""
PARTS = (Part.TRAIN, Part.TRAIN, Part.TRAIN, Part.SELECT, Part.TEST)


def small_task(**schedule: object) -> Task:
    """Make a two-class task on single slices of 32 x 32, with changes to its schedule."""
    task = read_task(TASKS / "single_slice_2d.yaml")
    assert isinstance(task.grid, Grid)
    known = {"epochs": 3, "batch_size": 4, "patience": None, "flips": ("i",), "shift": 1, "noise": 0.01}
    return replace(
        task,
        name="small",
        grid=replace(task.grid, shape=(32, 32, 1)),
        network=replace(task.network, options=NARROW),
        labels=replace(task.labels, name="disc", classes=("absent", "present")),
        schedule=replace(task.schedule, **known | schedule),  # type: ignore[arg-type]  # a test names the fields it means
    )


def plain_task(**schedule: object) -> Task:
    """Make the small task for the plain network."""
    return replace(small_task(**schedule), network=PLAIN)


def samples(patients: int = 20, seed: int = 3, parts: tuple[Part, ...] = PARTS) -> list[Sample]:
    """Draw noise, with a bright disc somewhere in every second picture; parts 3 : 1 : 1 unless told otherwise."""
    chance = np.random.default_rng(seed)
    where = np.indices((32, 32))
    drawn = []
    for number in range(patients):
        picture = chance.random((32, 32)) * 0.3
        if number % 2:
            centre = chance.uniform(8, 24, 2)
            picture[((where - centre[:, None, None]) ** 2).sum(axis=0) < 20] += 0.7
        drawn.append(
            Sample(
                patient=f"P{number:03}",
                label=("absent", "present")[number % 2],
                part=parts[number // 2 % len(parts)],
                voxels=picture[:, :, None].astype(np.float32),
            )
        )
    return drawn


@cache
def trained() -> Trained:
    """Train the small task once for all the tests that only need a result."""
    return train(small_task(), samples(), threads=1, device="cpu")
