"""Which volume or planar image of a series a task means, and how it comes onto the task's grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.domain.completeness import Verdict
from medflow.domain.layout import Layout
from medflow.domain.plane import PlanarGrid
from medflow.domain.planerule import PlaneRule
from medflow.domain.safe import DeidentifiedSeries, input_digest
from medflow.domain.task import SeriesRule, Task
from medflow.domain.volume import Grid
from medflow.errors import Reason, SeriesError
from medflow.imaging.cache import VolumeCache
from medflow.imaging.grid import on_grid
from medflow.imaging.read import read_volume
from medflow.steps.house import House
from medflow.steps.planes import SelectedPlane, pixels_on_grid, select_plane
from medflow.store import files

ENOUGH = {
    "proven": frozenset({Verdict.PROVEN}),
    "quiet": frozenset({Verdict.PROVEN, Verdict.QUIET_ONLY}),
    "any": frozenset(Verdict),
}
"""Verdicts that each `series.completeness` of a task lets through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One volume of one series that a task wants."""

    series: DeidentifiedSeries
    layout: Layout

    @property
    def layout_digest(self) -> str:
        """Name the layout that the volume is read by."""
        return self.layout.digest

    @property
    def input_digest(self) -> str:
        """Name what the network will be shown, before it is brought onto a grid."""
        return input_digest(((self.series.series_digest, self.layout.digest),))


def check_complete(rule: SeriesRule | PlaneRule, verdict: Verdict | None) -> None:
    """Refuse a series that is less complete than the task asks for; one without a verdict was quiet, and no more.

    Raises:
        SeriesError: it is.
    """
    found = verdict or Verdict.QUIET_ONLY
    if found not in ENOUGH[rule.completeness]:
        raise SeriesError(Reason.INCOMPLETE_SERIES, f"{found.value}; the task asks for {rule.completeness}")


def chosen_input(task: Task, series: DeidentifiedSeries) -> Selected | SelectedPlane:
    """Choose the volume or the planar image that a task means among those of a series it wants.

    Raises:
        SeriesError: slices are missing, or several could be meant.
    """
    rule = task.series
    return select_plane(rule, series) if isinstance(rule, PlaneRule) else select(rule, series)


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


def input_on_grid(house: House, task: Task, selected: Selected | SelectedPlane) -> NDArray[np.float32]:
    """Give what the network eats: from the cache, or read, resampled and put there.

    It is voxels (i, j, k), or the pixels (channel, i, j, 1) of a planar image.

    Raises:
        SeriesError: the stored copy is damaged, or its numbers or its place do not fit the task.
    """
    cache = VolumeCache(root=house.volumes)
    cached = cache.get(selected.input_digest, task.grid.digest)
    if cached is not None:
        return cached
    voxels = _made(task, selected)
    if not np.isfinite(voxels).all():
        raise SeriesError(Reason.NON_FINITE_VOXELS)
    cache.put(selected.input_digest, task.grid.digest, voxels)
    return voxels


def _made(task: Task, selected: Selected | SelectedPlane) -> NDArray[np.float32]:
    if isinstance(selected, SelectedPlane) and isinstance(task.grid, PlanarGrid):
        return pixels_on_grid(selected, task.grid, task.unit)
    if isinstance(selected, Selected) and isinstance(task.grid, Grid):
        files.check(selected.series)
        return on_grid(read_volume(selected.series, selected.layout, unit=task.unit), task.grid).voxels
    raise TypeError("a planar image goes onto a planar grid, and a volume onto one of its own")
