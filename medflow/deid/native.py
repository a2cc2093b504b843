"""Uncompressed pixel data as it may leave: what no pixel needs is taken off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medflow.errors import Reason, SeriesError

Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """The value of Pixel Data (7FE0,0010), ready to be written little endian."""

    value: bytes
    vr: str
    encapsulated: bool
    stray: int
    """Stored values with bits above BitsStored that were neither padding nor their sign; these bits are zero now."""
    trailing: int
    """Bytes behind the last pixel that were cut off."""


def native_pixels(dataset: Dataset, *, little: bool, implicit: bool) -> Pixels:
    """Trim native pixel data to what the header announces and clear stray bits.

    Raises:
        SeriesError: fewer bytes than the header announces.
    """
    allocated = dataset.BitsAllocated
    count = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames") or 1) * int(dataset.SamplesPerPixel)
    length = count * allocated // 8
    value = bytes(dataset.get_item(0x7FE00010).value)
    if len(value) < length or allocated not in {8, 16, 32}:
        raise SeriesError(Reason.DAMAGED_PIXELS, "length")
    stored = np.frombuffer(value, f"{'<' if little else '>'}u{allocated // 8}", count)
    if not little:
        if allocated != 16:  # noqa: PLR2004  (how words of other sizes lie in OW is not the same everywhere)
            raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "big endian")
        stored = stored.astype("<u2")
    cleared, stray = _without_stray_bits(stored, dataset)
    vr = "OB" if allocated == 8 and not implicit else "OW"  # noqa: PLR2004
    return Pixels(
        value=cleared.tobytes(),
        vr=vr,
        encapsulated=False,
        stray=stray,
        trailing=len(value) - length - (length % 2 if len(value) > length else 0),
    )


def _without_stray_bits(stored: Integers, dataset: Dataset) -> tuple[Integers, int]:
    """Clear bits above BitsStored unless they are zero, extend the sign, or belong to the padding value."""
    allocated, bits, high = dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit
    above = allocated - 1 - high
    if above <= 0 or high + 1 != bits or not stored.size:
        return stored, 0
    unused = stored >> bits
    bad = unused != 0
    if dataset.PixelRepresentation == 1:
        full = (1 << above) - 1
        bad &= ~((unused == full) & ((stored >> (bits - 1)) & 1 == 1))
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        bad &= stored != (padding & ((1 << allocated) - 1))
    stray = int(np.count_nonzero(bad))
    if stray:
        stored = np.where(bad, stored & ((1 << bits) - 1), stored).astype(stored.dtype)
    return stored, stray
