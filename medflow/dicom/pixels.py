"""The one reader of pixels: stored values as (frame, row, column), exactly as the modality wrote them.

Uncompressed ones are read here; compressed ones are decoded by a process of their own, see `decoder`.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medflow.dicom import decoding
from medflow.dicom.archives.stream import Stream
from medflow.dicom.codestreams import Stated, bare, rle_segments, stated
from medflow.dicom.colour import is_ybr, to_rgb, widened
from medflow.dicom.decoder import Frames, decoder
from medflow.dicom.files import open_object
from medflow.dicom.fragments import check_fragments, fragments, frames_of
from medflow.dicom.header import Header, PixelElement
from medflow.dicom.hush import hushed
from medflow.dicom.pixelfacts import COLOUR, PixelFacts, broken, check_ratio, check_size, pixel_facts
from medflow.dicom.syntaxes import ENCAPSULATED, EXPLICIT_BIG, NATIVE, RLE, Packing, is_read, unsupported
from medflow.dicom.tags import Tag
from medflow.dicom.walking import UNDEFINED, Window
from medflow.errors import Reason, SeriesError

StoredValues = NDArray[np.integer[Any]]
CODECS = {
    Packing.JPEG: decoding.JPEG,
    Packing.JPEG_LS: decoding.JPEG_LS,
    Packing.JPEG_2000: decoding.JPEG_2000,
    Packing.RLE: decoding.RLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """An object whose pixels are to be read: they stand in the window where the header says."""

    header: Header
    syntax: str
    window: Window
    facts: PixelFacts


def stored_values(dataset: Dataset) -> StoredValues:
    """Read the grey pixels of `dataset` as (frame, row, column).

    The type is signed or unsigned as PixelRepresentation says, of BitsAllocated bits; bits above BitsStored are
    cleared, or filled with the sign (PS3.5 8.1.1).

    Raises:
        SeriesError: the pixels are damaged, in colour, or packed in a way that is not read; decoding them failed.
    """
    return _samples(_in_memory(dataset, colour=False))[..., 0]


def stored_samples(dataset: Dataset) -> StoredValues:
    """Read the pixels of `dataset`, grey or in colour, as (frame, row, column, sample).

    Grey ones have one sample, as in `stored_values`; colour comes as red, green and blue of 8 or 16 bits.

    Raises:
        SeriesError: as `stored_values`; also colours of a palette, or whose kind is not known for sure.
    """
    return _samples(_in_memory(dataset, colour=True))


def read_stored_values(path: Path) -> StoredValues:
    """Read the pixels of the file at `path`; see `stored_values`.

    Raises:
        SeriesError: as `stored_values`; also where the header is damaged.
    """
    with path.open("rb", buffering=0) as stream:
        return stored_values_in(cast("Stream", stream), path.stat().st_size)


def read_stored_samples(path: Path) -> StoredValues:
    """Read the pixels of the file at `path`; see `stored_samples`.

    Raises:
        SeriesError: as `stored_samples`; also where the header is damaged.
    """
    with path.open("rb", buffering=0) as stream:
        return stored_samples_in(cast("Stream", stream), path.stat().st_size)


def stored_values_in(stream: Stream, size: int) -> StoredValues:
    """Read the pixels of the object in `stream`, `size` bytes from its beginning; see `read_stored_values`."""
    return _samples(_in_stream(stream, size, colour=False))[..., 0]


def stored_samples_in(stream: Stream, size: int) -> StoredValues:
    """Read the pixels of the object in `stream`, `size` bytes from its beginning; see `read_stored_samples`."""
    return _samples(_in_stream(stream, size, colour=True))


def _in_stream(stream: Stream, size: int, *, colour: bool) -> _Object:
    _, header, syntax, window = open_object(cast("Any", stream), size)
    if not is_read(syntax):
        raise unsupported(syntax)
    facts = _checked_facts(header, colour=colour)
    check_size(header, window, facts, syntax)
    return _Object(header=header, syntax=syntax, window=window, facts=facts)


def _in_memory(dataset: Dataset, *, colour: bool) -> _Object:
    with hushed():
        syntax = _syntax_of(dataset)
        header, data = _pixel_header(dataset)
    facts = _checked_facts(header, colour=colour)
    window = Window(BytesIO(data), len(data))
    if syntax in NATIVE and not 0 <= len(data) - facts.written_bytes * facts.frames < max(facts.written_bytes, 2):
        raise broken("another size than the header says")
    return _Object(header=header, syntax=syntax, window=window, facts=facts)


def _syntax_of(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    syntax = str(getattr(meta, "TransferSyntaxUID", ""))
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = "1.2.840.10008.1.2" if implicit else ("1.2.840.10008.1.2.1" if little else EXPLICIT_BIG)
    if not is_read(syntax):
        raise unsupported(syntax)
    return syntax


def _pixel_header(dataset: Dataset) -> tuple[Header, bytes]:
    """Write the image pixel module of a pydicom data set as the raw header that the scan reads."""
    elements: dict[int, bytes | list[Header]] = {}
    numbers = (Tag.Rows, Tag.Columns, Tag.BitsAllocated, Tag.BitsStored, Tag.HighBit, Tag.PixelRepresentation)
    try:
        for tag in (*numbers, Tag.SamplesPerPixel, Tag.PlanarConfiguration):
            if tag in dataset and dataset[tag].value is not None:
                elements[tag] = int(dataset[tag].value).to_bytes(2, "little")
        for tag in (Tag.PhotometricInterpretation, Tag.NumberOfFrames):
            if tag in dataset and dataset[tag].value is not None:
                elements[tag] = str(dataset[tag].value).encode("ascii", "replace")
        element = dataset[Tag.PixelData]
        data = bytes(element.value)
    except Exception:  # noqa: BLE001  (pydicom converts values here, and its errors quote them)
        raise broken("image pixel module") from None
    return Header(elements, pixels=PixelElement(Tag.PixelData, str(element.VR), UNDEFINED, 0)), data


def _checked_facts(header: Header, *, colour: bool) -> PixelFacts:
    photometric, samples = header.text(Tag.PhotometricInterpretation), header.integer(Tag.SamplesPerPixel) or 1
    grey = samples == 1 and photometric.startswith("MONO")
    if not grey and (not colour or samples != 3 or photometric not in COLOUR):  # noqa: PLR2004
        raise SeriesError(Reason.COLOUR_IMAGE, "PALETTE COLOR" if photometric == "PALETTE COLOR" else "")
    try:
        facts = pixel_facts(header)
    except SeriesError as error:
        raise broken(error.detail) from None
    if not grey:
        _check_colour(facts)
    return facts


def _check_colour(facts: PixelFacts) -> None:
    if facts.signed:
        raise broken("PixelRepresentation")
    if facts.bits_allocated not in {8, 16}:
        raise broken("BitsAllocated")


def _samples(opened: _Object) -> StoredValues:
    """Read (frame, row, column, sample) of the type that the header says, without what is above BitsStored."""
    packing = ENCAPSULATED.get(opened.syntax)
    picture = None
    if packing is None:
        values = _native(opened)
    else:
        values, picture = _decoded(opened, packing)
    facts = opened.facts
    values = _within_bits(values, facts)
    if facts.samples > 1 and is_ybr(facts.photometric, packing, picture):
        return to_rgb(values, facts.bits_stored)
    return values


def _native(opened: _Object) -> StoredValues:
    """Read uncompressed samples; trailing bytes shorter than a frame are padding."""
    facts, pixels = opened.facts, opened.header.pixels
    if pixels is None:
        raise broken("no pixel data")
    big = opened.syntax == EXPLICIT_BIG
    length = facts.written_bytes * facts.frames
    if big and pixels.vr == "OW" and facts.bits_allocated == 8:  # noqa: PLR2004  (bytes in big-endian words: PS3.5 8.1.2)
        data = opened.window.bytes(pixels.offset, length + length % 2)
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    else:
        data = opened.window.bytes(pixels.offset, length)
    if len(data) < length:
        raise broken("another size than the header says")
    dtype = _dtype(facts)
    values = np.frombuffer(data, dtype.newbyteorder(">" if big else "<"), length // dtype.itemsize)
    return _by_pixel(values, facts).astype(dtype, copy=False)


def _by_pixel(values: StoredValues, facts: PixelFacts) -> StoredValues:
    """Give uncompressed samples as (frame, row, column, sample); see PS3.3 C.7.6.3.1.3."""
    size = facts.frames, facts.rows, facts.columns
    if facts.samples > 1 and facts.halved:
        if facts.columns % 2 or facts.planes:
            raise broken("YBR_FULL_422")
        return widened(values.reshape(facts.frames, facts.rows, facts.columns // 2, 4), facts.columns)
    if facts.samples > 1 and facts.planes:
        return np.moveaxis(values.reshape(facts.frames, facts.samples, facts.rows, facts.columns), 1, -1)
    return values.reshape(*size, facts.samples)


def _decoded(opened: _Object, packing: Packing) -> tuple[StoredValues, Stated | None]:
    """Decode compressed frames, each of which must be of the size that the header says."""
    facts, pixels, window = opened.facts, opened.header.pixels, opened.window
    if pixels is None:
        raise broken("no pixel data")
    found = fragments(window, pixels.offset, delimited=False)
    check_fragments(found, facts.frames, whole=opened.syntax == RLE and facts.frames > 1)
    check_ratio(sum(size for _, size in found), facts)
    streams = [bare(frame, packing) for frame in frames_of(window, found, facts.frames)]
    pictures = {_picture(stream, packing, facts) for stream in streams}
    if len(pictures) > 1:
        raise broken("frames of several kinds")
    frames = Frames(
        codec=CODECS[packing],
        streams=streams,
        rows=facts.rows,
        columns=facts.columns,
        samples=facts.samples,
        dtype=_dtype(facts),
    )
    picture = pictures.pop()
    values = decoder().decode(frames)
    if picture is not None:
        _check_sign(values, picture, facts)
    return values, picture


def _picture(stream: bytes, packing: Packing, facts: PixelFacts) -> Stated | None:
    if packing is Packing.RLE:
        if rle_segments(stream) != facts.samples * facts.bits_allocated // 8:
            raise broken("segments")
        return None
    picture = stated(stream, packing)
    if picture is None:
        raise broken("no start of frame, or no end")
    if picture.components != facts.samples:
        raise SeriesError(Reason.COLOUR_IMAGE) if facts.samples == 1 else broken("SamplesPerPixel")
    if (picture.rows, picture.columns) != (facts.rows, facts.columns) or picture.precision > facts.bits_allocated:
        raise broken("another size than the header says")
    return picture


def _check_sign(values: StoredValues, picture: Stated, facts: PixelFacts) -> None:
    """Refuse values whose sign cannot be known.

    JPEG and JPEG-LS know no sign, and JPEG 2000 may state another than PixelRepresentation. What is believed then is
    the header, about the bits as they are: readers agree on that where the stream has BitsStored bits. Where it has
    fewer, some take its own highest bit for the sign and some do not; and negative numbers of a stream are refused
    where the header knows none.
    """
    if facts.signed and not picture.signed and picture.precision < facts.bits_stored:
        if np.any(values >> (picture.precision - 1) & 1):
            raise broken("PixelRepresentation contradicts the bit stream")
    elif picture.signed and not facts.signed and np.any(values >> (facts.bits_allocated - 1)):
        raise broken("PixelRepresentation contradicts the bit stream")


def _within_bits(values: StoredValues, facts: PixelFacts) -> StoredValues:
    """Clear what stands above BitsStored, or fill it with the sign: overlays and rubbish are kept there."""
    spare = facts.bits_allocated - facts.bits_stored
    if not spare:
        return values
    if facts.signed:
        return np.right_shift(np.left_shift(values, spare), spare)
    return np.bitwise_and(values, values.dtype.type((1 << facts.bits_stored) - 1))


def _dtype(facts: PixelFacts) -> np.dtype[Any]:
    return np.dtype(f"{'i' if facts.signed else 'u'}{facts.bits_allocated // 8}")
