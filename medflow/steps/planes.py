"""Which image of a planar series a task means, and how it comes onto the task's grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.domain.plane import PlanarGrid
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.planerule import PlaneRule
from medflow.domain.safe import DeidentifiedSeries, input_digest
from medflow.domain.volume import Unit
from medflow.errors import Reason, SeriesError
from medflow.imaging.plane import read_plane
from medflow.imaging.planegrid import on_planar_grid
from medflow.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedPlane:
    """One planar image of one series that a task wants."""

    series: DeidentifiedSeries
    plane: PlaneFacts

    @property
    def layout_digest(self) -> str:
        """Name the facts that the image is read by."""
        return self.plane.digest

    @property
    def input_digest(self) -> str:
        """Name what the network will be shown, before it is brought onto a grid."""
        return input_digest(((self.series.series_digest, self.plane.digest),))


def select_plane(rule: PlaneRule, series: DeidentifiedSeries) -> SelectedPlane:
    """Choose the image that a task means among those of a series it wants.

    Raises:
        SeriesError: several of them could be meant, or none is.
    """
    fitting = rule.fitting(series.planes)
    if not fitting:
        raise SeriesError(Reason.NO_MATCHING_SERIES)
    if len(fitting) > 1:
        raise SeriesError(Reason.SEVERAL_PLANES, f"{len(fitting)} images; set series.views or lateralities in the task")
    return SelectedPlane(series=series, plane=fitting[0])


def pixels_on_grid(selected: SelectedPlane, grid: PlanarGrid, unit: Unit) -> NDArray[np.float32]:
    """Read the image and bring it onto `grid`: (channel, i, j, 1), the shape that no volume has.

    Raises:
        SeriesError: the stored copy is damaged, or its numbers or its size do not fit the task.
    """
    files.check(selected.series)
    plane = read_plane(selected.series, selected.plane, unit=unit)
    return on_planar_grid(plane, grid).pixels[..., None]
