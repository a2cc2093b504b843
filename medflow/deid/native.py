"""Uncompressed pixel data as it may leave: what no pixel needs is taken off, and what was blanked is written back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medflow.errors import Reason, SeriesError

Integers = NDArray[np.integer]
PIXEL_DATA = 0x7FE00010
BYTE, WORD = 8, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """The value of Pixel Data (7FE0,0010), ready to be written little endian."""

    value: bytes | memoryview
    vr: str
    encapsulated: bool
    stray: int
    """Stored values with bits above BitsStored that were neither padding nor their sign; these bits are zero now."""
    trailing: int
    """Bytes behind the last pixel that were cut off, the one that makes them even aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsStored:
    """How decoded frames stand in the file byte for byte, little endian, if no value is outside of `low` to `high`."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    low: int
    high: int

    @classmethod
    def of(cls, frames: Integers, bits_stored: int) -> "AsStored":
        """Describe the files of a series by the frames of one; values within BitsStored have nothing above it."""
        signed = frames.dtype.kind == "i"
        low, high = (-1 << bits_stored - 1, (1 << bits_stored - 1) - 1) if signed else (0, (1 << bits_stored) - 1)
        return cls(dtype=frames.dtype.newbyteorder("<"), shape=frames.shape, low=low, high=high)

    def frames(self, value: bytes) -> Integers | None:
        """Look at the pixels of a file in one pass, without a copy; None where they do not decode to what they are."""
        count = int(np.prod(self.shape))
        if len(value) < count * self.dtype.itemsize:
            return None
        stored = np.frombuffer(value, self.dtype, count)
        if (self.low and stored.min() < self.low) or stored.max() > self.high:
            return None
        return stored.reshape(self.shape)


def as_it_is(value: bytes, frames: Integers, *, implicit: bool) -> Pixels:
    """Trim native pixel data that holds nothing but `frames`; it is not copied."""
    length = frames.nbytes
    vr = _vr(frames.itemsize * BYTE, implicit=implicit)
    kept = memoryview(value)[:length]
    return Pixels(value=kept, vr=vr, encapsulated=False, stray=0, trailing=_trailing(value, length))


def native_pixels(
    dataset: Dataset, frames: Integers, *, changed: Iterable[int] = (), little: bool, implicit: bool
) -> Pixels:
    """Trim native pixel data to what the header announces, clear stray bits, and write back the frames that changed.

    `frames` are the decoded values, of which only those of `changed` frames may differ from what the file holds.

    Raises:
        SeriesError: fewer bytes than the header announces, or changed colours that are stored as brightness and
            differences.
    """
    element = dataset.get_item(PIXEL_DATA)
    allocated = int(dataset.BitsAllocated)
    samples = int(dataset.SamplesPerPixel)
    value = bytes(element.value)
    halved = samples > 1 and dataset.PhotometricInterpretation == "YBR_FULL_422"
    count = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1)
    count = count * 2 if halved else count * samples
    length = count * allocated // BYTE
    if len(value) < length or allocated not in {8, 16, 32}:
        raise SeriesError(Reason.DAMAGED_PIXELS, "length")
    stored = _little_endian(value, allocated, count, swapped=not little, words=element.VR == "OW")
    cleared, stray = _without_stray_bits(stored, dataset)
    for number in changed:
        cleared = _written_back(cleared, dataset, frames, number)
    return Pixels(
        value=cleared.tobytes(),
        vr=_vr(allocated, implicit=implicit),
        encapsulated=False,
        stray=stray,
        trailing=_trailing(value, length),
    )


def _vr(allocated: int, *, implicit: bool) -> str:
    """Give the VR of native pixels (PS3.5 A.1, A.2)."""
    return "OB" if allocated == BYTE and not implicit else "OW"


def _trailing(value: bytes, length: int) -> int:
    """Count the bytes behind the pixels; a zero that makes their number even is none (PS3.5 8.1.1)."""
    padding = length % 2 == 1 and len(value) > length and value[length] == 0
    return len(value) - length - padding


def _little_endian(value: bytes, allocated: int, count: int, *, swapped: bool, words: bool) -> Integers:
    """Read stored values; big endian ones of 8 bits lie in words of 16 under OW (PS3.5 8.1.2)."""
    order = ">" if swapped else "<"
    if allocated == BYTE and swapped and words:
        value = np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
    stored: Integers = np.frombuffer(value, f"{order}u{allocated // BYTE}", count)
    return stored.astype(f"<u{allocated // BYTE}", copy=False)


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


def _written_back(stored: Integers, dataset: Dataset, frames: Integers, number: int) -> Integers:
    """Write one decoded frame over what is stored of it; a value that is the same keeps all of its bits."""
    samples = int(dataset.SamplesPerPixel)
    if samples > 1 and dataset.PhotometricInterpretation != "RGB":
        raise SeriesError(Reason.BURNED_IN_TEXT, "PhotometricInterpretation")
    frame = frames[number]
    if samples > 1 and dataset.get("PlanarConfiguration") == 1:
        frame = np.moveaxis(frame, -1, 0)  # stored colour by colour (PS3.3 C.7.6.3.1.3)
    new = np.ascontiguousarray(frame).reshape(-1).astype(stored.dtype, casting="unsafe")
    place = slice(number * new.size, (number + 1) * new.size)
    mask = stored.dtype.type((1 << int(dataset.BitsStored)) - 1)
    written = stored.copy()
    written[place] = np.where((stored[place] ^ new) & mask, new, stored[place])
    return written
