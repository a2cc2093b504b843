"""Red, green and blue, from whatever three samples a colour image was written in (PS3.3 C.7.6.3.1.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.codestreams import Stated
from medflow.dicom.syntaxes import Packing
from medflow.errors import Reason, SeriesError

Samples = NDArray[np.integer[Any]]

TRANSFORMED = frozenset({"YBR_ICT", "YBR_RCT"})
"""What JPEG 2000's own transforms are called; decoding undoes them."""
RED, GREEN_B, GREEN_R, BLUE = 1.402, 0.344136, 0.714136, 1.772
"""The equations of PS3.3 C.7.6.3.1.2 the other way round."""


def is_ybr(photometric: str, packing: Packing | None, picture: Stated | None) -> bool:
    """Tell whether decoded samples are brightness and colour differences (True), or red, green and blue.

    JPEG: an Adobe marker and components that are called R, G and B are believed first, since they were written by
    who compressed; then the photometric interpretation. Colours at half the size are never red, green and blue.
    JPEG 2000: its own transform is undone as it decodes, so YBR_RCT, YBR_ICT and RGB come out alike.

    Raises:
        SeriesError: header and bit stream contradict each other, and neither is known to be the one to believe.
    """
    if packing is Packing.JPEG_2000 and picture is not None:
        return _is_ybr_2000(photometric, picture)
    if photometric in TRANSFORMED or (packing in {Packing.RLE, Packing.JPEG_LS} and photometric == "YBR_FULL_422"):
        raise contradictory()
    if packing is not Packing.JPEG or picture is None:
        return photometric != "RGB"
    if picture.rgb is None and photometric == "RGB" and picture.jfif:
        raise contradictory()
    ybr = photometric != "RGB" if picture.rgb is None else not picture.rgb
    if picture.halved and not ybr:
        raise contradictory()
    return ybr


def _is_ybr_2000(photometric: str, picture: Stated) -> bool:
    if picture.halved or photometric == "YBR_FULL_422":
        raise contradictory()
    if photometric != "RGB" and picture.transformed != (photometric in TRANSFORMED):
        raise contradictory()
    return photometric == "YBR_FULL"


def to_rgb(values: Samples, bits: int) -> Samples:
    """Turn brightness, blue and red difference (frame, row, column, 3) of `bits` bits into red, green and blue."""
    half, most = 1 << bits - 1, (1 << bits) - 1
    found = np.empty_like(values)
    for frame, out in zip(values, found, strict=True):
        light = frame[..., 0].astype(np.float32)
        blue, red = (frame[..., number].astype(np.float32) - half for number in (1, 2))
        colours = light + RED * red, light - GREEN_B * blue - GREEN_R * red, light + BLUE * blue
        for number, colour in enumerate(colours):
            out[..., number] = np.clip(np.rint(colour), 0, most)
    return found


def widened(values: NDArray[np.integer[Any]], columns: int) -> Samples:
    """Give each pixel its three samples where two share their differences: Y Y Cb Cr (frame, row, column / 2, 4)."""
    light = values[..., :2].reshape(*values.shape[:2], columns)
    return np.stack([light, *(np.repeat(values[..., number], 2, axis=-1) for number in (2, 3))], axis=-1)


def contradictory() -> SeriesError:
    """Say that nobody knows what the colours of an image are."""
    return SeriesError(Reason.COLOUR_IMAGE, "PhotometricInterpretation contradicts the bit stream")
