"""Frames without a face: the volumes of a series are looked at together, then each frame is cut by what was seen."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from medflow.deid.coarse import Shrunk, overlaid
from medflow.deid.dataset import shows_head
from medflow.deid.faces import Face, located
from medflow.deid.native import Integers
from medflow.deid.object import Opened
from medflow.deid.profile import Option, Profile
from medflow.domain.layout import IntensityFacts, Layout, Place
from medflow.domain.series import Modality
from medflow.errors import Reason, SeriesError

HEADS = frozenset({Modality.CT, Modality.MR})
"""Modalities that are sharp enough to show a face."""
AIR = -1024.0
"""HU given to what was removed from a CT; MR gets a signal of 0."""
DIM = 1e-9
"""Brightness at and below which an MR volume is empty."""


class Faceless:
    """What to remove from each frame of a series, and what to write in its place."""

    def __init__(self, face: Face, layouts: tuple[Layout, ...], facts: IntensityFacts, modality: Modality) -> None:
        self._face = face
        self._layouts = layouts
        self._padding = facts.padding
        self._air = AIR if modality is Modality.CT else 0.0

    @classmethod
    def seen(
        cls,
        files: Iterable[Integers],
        layouts: tuple[Layout, ...],
        facts: IntensityFacts,
        modality: Modality,
    ) -> "Faceless":
        """Look at the frames of all files of a series, in their order, one file at a time.

        Raises:
            SeriesError: no face can be located with confidence.
        """
        shrunk = {_grid(layout): Shrunk(layout.shape, layout.affine) for layout in layouts}
        with np.errstate(all="ignore"):  # an absurd rescale ends as a head that is not found
            for file, frames in enumerate(files):
                for layout in layouts:
                    for k, place in enumerate(layout.places):
                        if place.file == file:
                            values = _tile(frames, layout, place) * np.float64(place.slope) + place.intercept
                            shrunk[_grid(layout)].add(k, np.nan_to_num(values))
            volumes = [(each.voxels, each.affine) for each in shrunk.values()]
            if modality is Modality.MR:  # each echo has a brightness of its own
                volumes = [(voxels / max(float(np.percentile(voxels, 98)), DIM), affine) for voxels, affine in volumes]
            return cls(located(overlaid(volumes), modality), layouts, facts, modality)

    def cut(self, file: int, frames: Integers, bits: int) -> tuple[Integers, frozenset[int]]:
        """Give the frames (frame, row, column) of a file without the face, and say which were changed.

        `bits` is BitsStored: what is written for air fits into it.

        Raises:
            SeriesError: a frame belongs to no volume, so that nobody knows what it shows.
        """
        cut, changed, known = frames.copy(), set(), set()
        for layout in self._layouts:
            for k, place in enumerate(layout.places):
                if place.file != file:
                    continue
                known.add(place.frame)
                gone = self._face.plane(layout.affine, (layout.rows, layout.columns), k)
                if gone.any():
                    _tile(cut, layout, place)[gone] = self._nothing(place, frames, bits)
                    changed.add(place.frame)
        if known != set(range(len(frames))):
            raise SeriesError(Reason.FACE_NOT_REMOVABLE, "frame without a place")
        return cut, frozenset(changed)

    def _nothing(self, place: Place, frames: Integers, bits: int) -> int:
        """Give the stored value that means air: the padding value, else the one nearest to air."""
        signed = frames.dtype.kind == "i"
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if self._padding is not None and low <= self._padding[0] <= high:
            return self._padding[0]
        stored = (self._air - place.intercept) / place.slope if place.slope else 0.0
        return int(np.clip(np.nan_to_num(np.round(stored)), low, high))


def faceless_by(
    profile: Profile,
    originals: Iterator[Opened],
    *,
    layouts: tuple[Layout, ...],
    facts: IntensityFacts,
    modality: Modality,
) -> Faceless | None:
    """Look for the face in a series, if the profile wants faces removed and the series may show one; else None.

    Raises:
        SeriesError: the series shows a head, and no face can be located in it with confidence.
    """
    if Option.CLEAN_FACES not in profile.options or modality not in HEADS:
        return None
    first = next(originals, None)
    if first is None or not shows_head(first.dataset):
        return None
    files = (original.frames for original in chain([first], originals))
    return Faceless.seen(files, layouts, facts, modality)


def _grid(layout: Layout) -> tuple[object, ...]:
    """Name the places of a volume's voxels: volumes that share them are looked at as one."""
    return layout.shape, layout.affine


def _tile(frames: Integers, layout: Layout, place: Place) -> Integers:
    """Give the part (row, column) of a frame that is a slice of the volume."""
    row, column = place.corner
    return frames[place.frame, row : row + layout.rows, column : column + layout.columns]
