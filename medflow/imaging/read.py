"""Voxels in patient space: every slice taken from where the layout says, in the unit that its facts allow."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.pixels import read_stored_values
from medflow.domain.layout import Layout, Place
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.volume import Unit, Volume
from medflow.errors import Reason, SeriesError
from medflow.imaging.units import Scale, scale_of

UnitT = TypeVar("UnitT", bound=Unit)

READERS = 2
"""Files read side by side: reading and decoding let go of Python's lock, and a night's workers share the cores."""
EXACT_BYTES = 2
"""Stored values of up to two bytes are whole numbers that float32 holds exactly, so they need no float64 between."""


@overload
def read_volume(series: DeidentifiedSeries, layout: Layout, *, unit: UnitT) -> Volume[UnitT]: ...
@overload
def read_volume(series: DeidentifiedSeries, layout: Layout, *, unit: Unit | None = None) -> Volume[Unit]: ...
def read_volume(series: DeidentifiedSeries, layout: Layout, *, unit: Unit | None = None) -> Volume[Unit]:
    """Assemble one volume of `series`: float32 (i, j, k), i along columns, j along rows, k along the stack.

    `unit` None takes the modality's natural one. A CT's padding becomes air before anything can interpolate it.

    Raises:
        SeriesError: the unit cannot be had, a stored file is gone or damaged, or a voxel would not be finite.
    """
    return _read(series, (layout,), unit)[0]


@overload
def read_volumes(series: DeidentifiedSeries, *, unit: UnitT) -> tuple[Volume[UnitT], ...]: ...
@overload
def read_volumes(series: DeidentifiedSeries, *, unit: Unit | None = None) -> tuple[Volume[Unit], ...]: ...
def read_volumes(series: DeidentifiedSeries, *, unit: Unit | None = None) -> tuple[Volume[Unit], ...]:
    """Assemble every volume of `series`, opening each file once."""
    return _read(series, series.layouts, unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """Where one frame goes: a (row, column) plane of a volume that is being filled."""

    plane: NDArray[np.float32]
    place: Place


def _read(series: DeidentifiedSeries, layouts: tuple[Layout, ...], unit: Unit | None) -> tuple[Volume[Unit], ...]:
    scale = scale_of(series.modality, series.facts, unit)
    _check_finite(layouts, scale)
    # (k, j, i) in memory is the order of the files, and (i, j, k) a view of it
    stacks = [np.empty((len(layout.places), layout.rows, layout.columns), np.float32) for layout in layouts]
    slots: dict[int, list[_Slot]] = {}
    for stack, layout in zip(stacks, layouts, strict=True):
        for plane, place in zip(stack, layout.places, strict=True):
            slots.setdefault(place.file, []).append(_Slot(plane=plane, place=place))

    def fill(file: int) -> None:
        _fill(series.folder / series.files[file].name, slots[file], scale, series.facts.padding)

    with ThreadPoolExecutor(min(READERS, max(1, len(slots)))) as pool:
        list(pool.map(fill, slots))
    return tuple(
        Volume(
            voxels=stack.transpose(2, 1, 0),
            affine=np.array(layout.affine, np.float64),
            unit=scale.unit,
            modality=series.modality,
            series_digest=series.series_digest,
            layout_digest=layout.digest,
        )
        for stack, layout in zip(stacks, layouts, strict=True)
    )


def _check_finite(layouts: Iterable[Layout], scale: Scale) -> None:
    """Refuse a rescale under which the largest 32-bit stored value would leave float32."""
    for layout in layouts:
        slopes = np.array([[place.slope, place.intercept] for place in layout.places], np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            largest = (np.abs(slopes[:, 0]) * 2.0**32 + np.abs(slopes[:, 1])) * scale.factor
        if not np.all(largest < np.finfo(np.float32).max):
            raise SeriesError(Reason.NON_FINITE_VOXELS, "RescaleSlope")


def _fill(path: Path, slots: list[_Slot], scale: Scale, padding: tuple[int, int] | None) -> None:
    """Decode one file and write each of its frames to its slot."""
    try:
        stored = read_stored_values(path)
    except OSError:
        raise SeriesError(Reason.STORED_COPY_DIFFERS) from None
    for slot in slots:
        top, left = slot.place.corner
        rows, columns = slot.plane.shape
        if slot.place.frame >= stored.shape[0]:
            raise SeriesError(Reason.DAMAGED_PIXELS, "NumberOfFrames")
        frame = stored[slot.place.frame, top : top + rows, left : left + columns]
        if frame.shape != slot.plane.shape:
            raise SeriesError(Reason.DAMAGED_PIXELS, "Rows")
        _rescale(frame, slot, scale)
        if padding is not None and scale.padding is not None:
            slot.plane[(frame >= padding[0]) & (frame <= padding[1])] = scale.padding


def _rescale(frame: NDArray[np.integer[Any]], slot: _Slot, scale: Scale) -> None:
    """Write slope x stored + intercept, in float64 unless the result is exact without it."""
    slope, intercept = slot.place.slope * scale.factor, slot.place.intercept * scale.factor
    if slope == 1.0 and intercept.is_integer() and frame.dtype.itemsize <= EXACT_BYTES and abs(intercept) < 2.0**23:
        np.add(frame, np.float32(intercept), out=slot.plane, dtype=np.float32, casting="unsafe")
    else:
        slot.plane[...] = frame * np.float64(slope) + np.float64(intercept)
