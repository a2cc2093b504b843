"""Pixels of planar images: X-rays and photographs as they are shown, or as measured where they are for processing."""

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.pixels import StoredValues, read_stored_samples
from medflow.domain.plane import Plane
from medflow.domain.planefacts import TABLE_BITS, Intent, PlaneFacts
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.volume import Unit
from medflow.errors import ConfigurationError, Reason, SeriesError

BLACK = 0.0
"""What padding is shown as, whichever way round the image is stored."""


def read_plane(series: DeidentifiedSeries, facts: PlaneFacts, *, unit: Unit | None = None) -> Plane:
    """Read one planar image of `series`: float32 (channel, i, j), i along columns, j along rows.

    An image for presentation is shown as its header says, between 0 (black) and 1 (white); one for processing keeps
    its rescaled values. `unit` None takes whichever the image is.

    Raises:
        SeriesError: the stored file is gone or damaged, or a pixel would not be finite.
        ConfigurationError: the image could not have the unit.
    """
    found = unit_of(facts)
    if unit not in {None, found}:
        raise ConfigurationError(f"an image {facts.intent.value} is read in {found.value}, not in {unit}")
    stored = _stored(series, facts)
    if facts.samples > 1:
        pixels = (stored / np.float64((1 << facts.bits) - 1)).astype(np.float32)
    else:
        pixels = _grey(stored, facts)
    if not np.isfinite(pixels).all():
        raise SeriesError(Reason.NON_FINITE_VOXELS, "RescaleSlope")
    between_rows, between_columns = facts.spacing or (0.0, 0.0)
    return Plane(
        pixels=np.ascontiguousarray(pixels.transpose(2, 1, 0)),
        spacing=(between_columns, between_rows) if facts.spacing else None,
        unit=found,
        modality=series.modality,
        laterality=facts.laterality,
        series_digest=series.series_digest,
        plane_digest=facts.digest,
    )


def unit_of(facts: PlaneFacts) -> Unit:
    """Say in which unit a planar image is read."""
    return Unit.DISPLAY if facts.intent is Intent.PRESENTATION else Unit.ARBITRARY


def shown(values: NDArray[np.float64], facts: PlaneFacts) -> NDArray[np.float64]:
    """Turn stored values into what the header wants to be seen, 0 black and 1 white (PS3.4 N.2).

    Modality LUT or rescale; then the first VOI LUT, else the first window, else all that can be stored; at last
    MONOCHROME1 and the shape INVERSE turn black and white.
    """
    rescaled = rescaled_values(values, facts)
    if facts.voi_lut is not None:
        seen = facts.voi_lut.applied(rescaled) / facts.voi_lut.highest
    elif facts.window is not None:
        seen = facts.window.applied(rescaled)
    elif facts.modality_lut is not None:
        seen = rescaled / facts.modality_lut.highest
    else:
        ends = rescaled_values(np.array(_ends(facts), np.float64), facts)
        seen = (rescaled - ends.min()) / (ends.max() - ends.min())
    return 1.0 - seen if facts.inverted else seen


def rescaled_values(values: NDArray[np.float64], facts: PlaneFacts) -> NDArray[np.float64]:
    """Apply the modality LUT, or slope and intercept (PS3.3 C.11.1)."""
    if facts.modality_lut is not None:
        return facts.modality_lut.applied(values)
    return values * facts.slope + facts.intercept


def _stored(series: DeidentifiedSeries, facts: PlaneFacts) -> StoredValues:
    """Decode the image's frame (row, column, sample)."""
    try:
        stored = read_stored_samples(series.folder / series.files[facts.file].name)
    except OSError:
        raise SeriesError(Reason.STORED_COPY_DIFFERS) from None
    if facts.frame >= stored.shape[0]:
        raise SeriesError(Reason.DAMAGED_PIXELS, "NumberOfFrames")
    frame: StoredValues = stored[facts.frame]
    if frame.shape != (facts.rows, facts.columns, facts.samples):
        raise SeriesError(Reason.DAMAGED_PIXELS, "Rows")
    return frame


def _grey(stored: StoredValues, facts: PlaneFacts) -> NDArray[np.float32]:
    """Show or rescale (row, column, 1); a table of every value that can be stored spares the work of each pixel."""
    turned = shown if facts.intent is Intent.PRESENTATION else rescaled_values
    low, high = _ends(facts)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused
        if facts.bits <= TABLE_BITS:
            table = turned(np.arange(low, high + 1, dtype=np.float64), facts).astype(np.float32)
            pixels = table[stored.astype(np.int64) - low]
        else:
            pixels = turned(stored.astype(np.float64), facts).astype(np.float32)
    if facts.intent is Intent.PRESENTATION and facts.padding is not None:
        pixels[(stored >= facts.padding[0]) & (stored <= facts.padding[1])] = BLACK
    return np.asarray(pixels, np.float32)


def _ends(facts: PlaneFacts) -> tuple[int, int]:
    """Give the lowest and the highest value that can be stored."""
    half = 1 << facts.bits - 1
    return (-half, half - 1) if facts.signed else (0, 2 * half - 1)
