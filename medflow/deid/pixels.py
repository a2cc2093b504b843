"""Pixel data as it may leave: what no pixel needs is taken off, and each frame is named by its decoded values."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID, RLELossless

from medflow.deid.codestream import without_comments
from medflow.dicom.pixels import stored_samples
from medflow.domain.layout import Layout
from medflow.domain.planefacts import PlaneFacts
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


def compressed_pixels(dataset: Dataset, syntax: UID, frames: Integers) -> Pixels:
    """Copy compressed frames, one fragment each with a new offset table; comments inside them are left out.

    `frames` are the decoded values, with a fourth axis of samples where the image is planar. RLE has no end mark, so
    bytes could ride behind its last run: its frames are packed anew from `frames`.
    """
    if syntax == RLELossless:
        if dataset.PhotometricInterpretation.startswith("YBR"):  # `frames` are red, green and blue
            raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "PhotometricInterpretation")
        dtype = f"u{dataset.BitsAllocated // 8}"
        packed = [_packed(frame.astype(dtype, casting="unsafe"), dataset) for frame in frames]
    else:
        value = dataset.get_item(0x7FE00010).value
        read = generate_frames(value, number_of_frames=len(frames))
        packed = [without_comments(frame) for frame in read]
    if len(packed) != len(frames):
        raise SeriesError(Reason.DAMAGED_PIXELS, "frames")
    value = encapsulate(packed, has_bot=True)
    if dataset.SamplesPerPixel > 1 and not np.array_equal(_decoded(dataset, value), frames):
        raise SeriesError(Reason.DAMAGED_PIXELS, "colours")  # the decoder went by something that may not stay
    return Pixels(value=value, vr="OB", encapsulated=True, stray=0, trailing=0)


def frame_digests(layouts: Iterable[Layout], file: int, frames: Integers) -> dict[tuple[int, int], str]:
    """Name the decoded values behind each slice that `file` holds: (layout, slice) -> SHA-256."""
    found = {}
    for which, layout in enumerate(layouts):
        for place_number, place in enumerate(layout.places):
            if place.file == file:
                row, column = place.corner
                tile = frames[place.frame, row : row + layout.rows, column : column + layout.columns]
                found[which, place_number] = frame_digest(tile)
    return found


def plane_digests(planes: Iterable[PlaneFacts], file: int, frames: Integers) -> dict[int, str]:
    """Name the decoded values (frame, row, column, sample) behind each plane that `file` holds: plane -> SHA-256."""
    return {
        which: frame_digest(frames[plane.frame] if plane.samples > 1 else frames[plane.frame, :, :, 0])
        for which, plane in enumerate(planes)
        if plane.file == file
    }


def frame_digest(values: Integers) -> str:
    """Name stored values (row, column) or (row, column, sample) by SHA-256, whatever type holds them.

    Canonical bytes: a line "medflow/frame/1 <rows> <columns> <bytes of a value>", with the samples of a pixel behind
    the columns where there are several; then the values row by row as signed little endian integers of the smallest
    of 2, 4 and 8 bytes that holds them all.
    """
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    size = next(size for size in (2, 4, 8) if -(1 << 8 * size - 1) <= low and high < 1 << 8 * size - 1)
    shape = " ".join(map(str, values.shape))
    name = hashlib.sha256(f"medflow/frame/1 {shape} {size}\n".encode("ascii"))
    name.update(np.ascontiguousarray(values, f"<i{size}").data)
    return name.hexdigest()


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


def _decoded(dataset: Dataset, value: bytes) -> Integers:
    """Decode the frames that will be written."""
    written = dataset.group_dataset(0x0028)
    written.file_meta = dataset.file_meta
    written.PixelData = value
    return stored_samples(written)


def _packed(frame: Integers, dataset: Dataset) -> bytes:
    samples = int(dataset.SamplesPerPixel)
    return bytes(
        RLELosslessEncoder.encode(
            frame,
            rows=dataset.Rows,
            columns=dataset.Columns,
            samples_per_pixel=samples,
            planar_configuration=0,
            bits_allocated=dataset.BitsAllocated,
            bits_stored=dataset.BitsAllocated,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2" if samples == 1 else "RGB",
            number_of_frames=1,
        )
    )
