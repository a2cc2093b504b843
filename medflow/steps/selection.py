"""Which series a task wants, which of its volumes, and how that volume comes onto the task's grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.domain.layout import Layout
from medflow.domain.safe import DeidentifiedSeries, input_digest
from medflow.domain.task import SeriesRule, Task
from medflow.errors import Reason, SeriesError
from medflow.imaging.cache import VolumeCache
from medflow.imaging.grid import on_grid
from medflow.imaging.read import read_volume
from medflow.steps.house import House
from medflow.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One volume of one series that a task wants."""

    series: DeidentifiedSeries
    layout: Layout

    @property
    def input_digest(self) -> str:
        """Name what the network will be shown, before it is brought onto a grid."""
        return input_digest(((self.series.series_digest, self.layout.digest),))


def failures(rule: SeriesRule, series: DeidentifiedSeries) -> tuple[str, ...]:
    """Name the rules of a task that a series fails; empty where the task wants it."""
    failed = rule.failures(series.modality, series.descriptors)
    if _most_slices(series) < rule.minimum_slices:
        failed = (*failed, "minimum_slices")
    return failed


def _most_slices(series: DeidentifiedSeries) -> int:
    """Count the slices of the largest stack; one that fell into runs for want of a slice counts as a whole."""
    stacks: list[int] = []
    for layout in series.layouts:
        if layout.run[0] == 1:
            stacks.append(0)
        stacks[-1] += len(layout.places)
    return max(stacks)


def select(rule: SeriesRule, series: DeidentifiedSeries) -> Selected:
    """Choose the volume that a task means among those of a series it wants.

    Raises:
        SeriesError: slices are missing, or several volumes could be meant.
    """
    candidates = series.layouts
    if rule.volumes == "largest":
        most = max(len(layout.places) for layout in candidates)
        candidates = tuple(layout for layout in candidates if len(layout.places) == most)
    if any(layout.run[1] > 1 for layout in candidates):
        runs = max(layout.run[1] for layout in candidates)
        raise SeriesError(Reason.INCOMPLETE_STACK, f"{runs} uniform runs where one is wanted")
    if len(candidates) > 1:
        raise SeriesError(Reason.SEVERAL_VOLUMES, f"{len(candidates)} volumes; set series.volumes in the task")
    return Selected(series=series, layout=candidates[0])


def voxels_on_grid(house: House, task: Task, selected: Selected) -> NDArray[np.float32]:
    """Give the voxels (i, j, k) that the network eats: from the cache, or read, resampled and put there.

    Raises:
        SeriesError: the stored copy is damaged, or its numbers or its place do not fit the task.
    """
    cache = VolumeCache(root=house.volumes)
    cached = cache.get(selected.input_digest, task.grid.digest)
    if cached is not None:
        return cached
    files.check(selected.series)
    volume = read_volume(selected.series, selected.layout, unit=task.unit)
    voxels = on_grid(volume, task.grid).voxels
    if not np.isfinite(voxels).all():
        raise SeriesError(Reason.NON_FINITE_VOXELS)
    cache.put(selected.input_digest, task.grid.digest, voxels)
    return voxels
