"""Compressed pixel data as it may leave: frame by frame, without what rides along, and what was blanked packed anew."""

from collections.abc import Iterable
from io import BytesIO

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from medflow.deid.codestream import ends_in_text, without_comments
from medflow.deid.native import Integers, Pixels
from medflow.deid.packing import packed
from medflow.deid.palette import has_palette
from medflow.dicom.codestreams import Stated, stated
from medflow.dicom.fragments import fragments, frames_of
from medflow.dicom.pixels import stored_samples
from medflow.dicom.syntaxes import ENCAPSULATED
from medflow.dicom.walking import Window
from medflow.errors import Reason, SeriesError

PIXEL_DATA = 0x7FE00010


def compressed_pixels(dataset: Dataset, syntax: UID, frames: Integers, *, changed: Iterable[int] = ()) -> Pixels:
    """Copy compressed frames, one fragment each with a new offset table; what rides inside and behind them is left out.

    `frames` are the decoded values, with a fourth axis of samples where the image is planar; those of `changed` frames
    are no longer the file's, and are packed anew without loss, as are frames with bits above BitsStored, frames with a
    text at their end, and all of RLE, which has no end mark. Where the syntax cannot hold exact values, all frames are
    given uncompressed: `Pixels` says so, and the header must say `as_uncompressed`.

    Raises:
        SeriesError: the codestreams cannot be followed, or what would be written decodes to something else.
    """
    streams = _streams(dataset, len(frames))
    stray, above = _stray(dataset, syntax, streams, frames)
    anew = {*changed, *above}
    if syntax == RLELossless:
        anew = set(range(len(frames)))
    anew |= {
        number for number, stream in enumerate(streams) if number not in anew and ends_in_text(without_comments(stream))
    }
    written = _packed(dataset, syntax, frames, streams, anew)
    if written is None:
        value = np.ascontiguousarray(frames, f"<{frames.dtype.kind}{frames.itemsize}").tobytes()
        vr = "OB" if frames.itemsize == 1 else "OW"
        return Pixels(value=value, vr=vr, encapsulated=False, stray=stray, trailing=0)
    value = encapsulate(written, has_bot=True)
    if (anew or dataset.SamplesPerPixel > 1) and not np.array_equal(_decoded(dataset, value, frames), frames):
        raise SeriesError(Reason.DAMAGED_PIXELS, "frames")  # a decoder went by something that may not stay
    return Pixels(value=value, vr="OB", encapsulated=True, stray=stray, trailing=0)


def as_uncompressed(dataset: Dataset) -> Dataset:
    """Give the header, a shallow copy, of decoded frames written uncompressed: colours are red, green and blue."""
    plain = Dataset(dict(dataset.items()))
    if int(dataset.SamplesPerPixel) > 1:
        plain.PhotometricInterpretation = "RGB"
        plain.PlanarConfiguration = 0
    return plain


def _streams(dataset: Dataset, frames: int) -> list[bytes]:
    """Put the codestream of each frame together, as the decoder does."""
    value = bytes(dataset.get_item(PIXEL_DATA).value)
    window = Window(BytesIO(value), len(value))
    return frames_of(window, fragments(window, 0, delimited=False), frames)


def _packed(
    dataset: Dataset, syntax: UID, frames: Integers, streams: list[bytes], anew: set[int]
) -> list[bytes] | None:
    """Give the frames' codestreams, packed anew where `anew` says so; None where that would not be exact.

    The frames of an object are of one kind: where the packer states another than the file did, it packs them all.
    """
    packing = ENCAPSULATED[syntax]
    found: dict[int, bytes] = {}
    for number in sorted(anew):
        stream = packed(frames[number], syntax, dataset, _stated(streams[number], syntax))
        if stream is None:
            return None
        found[number] = stream
    kinds = {stated(stream, packing) for stream in found.values()}
    kinds |= {stated(streams[number], packing) for number in range(len(frames)) if number not in found}
    if found and len(kinds) > 1 and len(found) < len(frames):
        return _packed(dataset, syntax, frames, streams, set(range(len(frames))))
    return [found[number] if number in found else without_comments(stream) for number, stream in enumerate(streams)]


def _stated(stream: bytes, syntax: UID) -> Stated | None:
    return stated(stream, ENCAPSULATED[syntax])


def _stray(dataset: Dataset, syntax: UID, streams: list[bytes], frames: Integers) -> tuple[int, set[int]]:
    """Count the values with bits above BitsStored that are neither padding nor their sign, and name their frames."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    first = _stated(streams[0], syntax)
    precision = allocated if first is None else first.precision
    if (frames.ndim == 4 and frames.shape[-1] > 1) or bits >= min(precision, allocated):  # noqa: PLR2004
        return 0, set()
    whole = _decoded(dataset, bytes(dataset.get_item(PIXEL_DATA).value), frames, bits=allocated)
    bad = (whole != frames) & ((whole >> bits) != 0)
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        bad &= whole != padding
    which = np.flatnonzero(bad.reshape(len(frames), -1).any(axis=1))
    return int(np.count_nonzero(bad)), {int(number) for number in which}


def _decoded(dataset: Dataset, value: bytes, like: Integers, *, bits: int = 0) -> Integers:
    """Decode encapsulated frames, into the shape of `like`; with `bits`, as if so many bits of a value were stored."""
    written = dataset.group_dataset(0x0028)
    written.file_meta = dataset.file_meta
    written.PixelData = value
    if has_palette(dataset):
        written.PhotometricInterpretation = "MONOCHROME2"  # the frames are its indices
    if bits:
        written.BitsStored, written.HighBit = bits, bits - 1
    return stored_samples(written).reshape(like.shape)
