"""The one decoder: stored pixel values as (frame, row, column), exactly as the modality wrote them."""

from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder

from medflow.dicom.codestreams import rle_segments, stated
from medflow.dicom.files import open_object
from medflow.dicom.header import Header, PixelElement
from medflow.dicom.hush import hushed
from medflow.dicom.pixelfacts import PixelFacts, broken, check_size, pixel_facts
from medflow.dicom.syntaxes import ENCAPSULATED, EXPLICIT_BIG, JPEG_EXTENDED, NATIVE, Packing
from medflow.dicom.tags import Tag
from medflow.errors import Reason, SeriesError

StoredValues = NDArray[np.integer[Any]]


def stored_values(dataset: Dataset) -> StoredValues:
    """Decode the pixels of `dataset` as (frame, row, column).

    The type is signed or unsigned as PixelRepresentation says, of BitsAllocated bits; bits above BitsStored are
    cleared, or filled with the sign (PS3.5 8.1.1).

    Raises:
        SeriesError: the pixels are damaged, in colour, or packed in a way that is not read.
    """
    with hushed():
        syntax = _syntax_of(dataset)
        header, data = _pixel_header(dataset)
    facts = _checked_facts(header)
    if syntax in NATIVE:
        swapped = syntax == EXPLICIT_BIG
        words = header.pixels is not None and header.pixels.vr == "OW"
        return _within_bits(_native(data, facts, big=swapped, words=words), facts)
    return _within_bits(_decoded(dataset, syntax, data, facts), facts)


def read_stored_values(path: Path) -> StoredValues:
    """Decode the pixels of the file at `path`; see `stored_values`.

    Raises:
        SeriesError: as `stored_values`; also where the header is damaged.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as stream:
        _, header, syntax, window = open_object(cast("Any", stream), size)
        if syntax not in NATIVE and syntax not in ENCAPSULATED:
            raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
        facts = _checked_facts(header)
        check_size(header, window, facts, syntax)
        if syntax in NATIVE and header.pixels is not None:
            length = facts.frame_bytes * facts.frames
            data = window.bytes(header.pixels.offset, length)
            words = header.pixels.vr == "OW"
            return _within_bits(_native(data, facts, big=syntax == EXPLICIT_BIG, words=words), facts)
    with hushed():
        try:
            dataset = dcmread(path, force=True)
        except Exception:  # noqa: BLE001  (whatever pydicom meets in damaged bytes, and its text may quote them)
            raise broken("unreadable") from None
    return stored_values(dataset)


def _syntax_of(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    syntax = str(getattr(meta, "TransferSyntaxUID", ""))
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = "1.2.840.10008.1.2" if implicit else ("1.2.840.10008.1.2.1" if little else EXPLICIT_BIG)
    if syntax not in NATIVE and syntax not in ENCAPSULATED:
        raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
    return syntax


def _pixel_header(dataset: Dataset) -> tuple[Header, bytes]:
    """Write the image pixel module of a pydicom data set as the raw header that the scan reads."""
    elements: dict[int, bytes | list[Header]] = {}
    numbers = (Tag.Rows, Tag.Columns, Tag.BitsAllocated, Tag.BitsStored, Tag.HighBit, Tag.PixelRepresentation)
    try:
        for tag in (*numbers, Tag.SamplesPerPixel):
            if tag in dataset and dataset[tag].value is not None:
                elements[tag] = int(dataset[tag].value).to_bytes(2, "little")
        for tag in (Tag.PhotometricInterpretation, Tag.NumberOfFrames):
            if tag in dataset and dataset[tag].value is not None:
                elements[tag] = str(dataset[tag].value).encode("ascii", "replace")
        element = dataset[Tag.PixelData]
        data = bytes(element.value)
    except Exception:  # noqa: BLE001  (pydicom converts values here, and its errors quote them)
        raise broken("image pixel module") from None
    return Header(elements, pixels=PixelElement(Tag.PixelData, str(element.VR), len(data), 0)), data


def _checked_facts(header: Header) -> PixelFacts:
    if (header.integer(Tag.SamplesPerPixel) or 1) > 1 or not header.text(Tag.PhotometricInterpretation).startswith(
        "MONO"
    ):
        raise SeriesError(Reason.COLOUR_IMAGE)
    try:
        return pixel_facts(header)
    except SeriesError as error:
        raise broken(error.detail) from None


def _native(data: bytes, facts: PixelFacts, *, big: bool, words: bool) -> StoredValues:
    """Read uncompressed values; trailing bytes shorter than a frame are padding."""
    expected = facts.frame_bytes * facts.frames
    if len(data) < expected or len(data) >= expected + facts.frame_bytes > expected + 1:
        raise broken("another size than the header says")
    if big and words and facts.bits_allocated == 8:  # noqa: PLR2004  (bytes in big-endian words: PS3.5 8.1.2)
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    dtype = _dtype(facts).newbyteorder(">" if big else "<")
    count = facts.frames * facts.rows * facts.columns
    values = np.frombuffer(data, dtype, count).reshape(facts.frames, facts.rows, facts.columns)
    return values.astype(_dtype(facts), copy=False)


def _decoded(dataset: Dataset, syntax: str, data: bytes, facts: PixelFacts) -> StoredValues:
    """Decode compressed frames, each of which must be of the size that the header says."""
    with hushed():
        try:
            frames = list(generate_frames(BytesIO(data), number_of_frames=facts.frames))
        except Exception:  # noqa: BLE001  (damaged item structure)
            raise broken("fragments") from None
        if len(frames) != facts.frames:
            raise broken("number of frames")
        for frame in frames:
            _check_stream(frame, syntax, facts)
        try:
            values, _ = get_decoder(syntax).as_array(dataset, raw=True)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise  # somebody interrupts us; the RLE decoder, which is Rust, panics instead of raising
            raise broken("cannot be decoded") from None  # decoders raise what they like, and quote what they read
    shape = facts.frames, facts.rows, facts.columns
    if values.size != facts.frames * facts.rows * facts.columns:
        raise broken("another size than the header says")
    return values.reshape(shape).astype(_dtype(facts), copy=False)


def _check_stream(frame: bytes, syntax: str, facts: PixelFacts) -> None:
    packing = ENCAPSULATED[syntax]
    if packing is Packing.RLE:
        if rle_segments(frame) != facts.bits_allocated // 8:
            raise broken("segments")
        return
    picture = stated(frame, packing)
    if picture is None:
        raise broken("no start of frame")
    if picture.components != 1:
        raise SeriesError(Reason.COLOUR_IMAGE)
    if (picture.rows, picture.columns) != (facts.rows, facts.columns) or picture.precision > facts.bits_allocated:
        raise broken("another size than the header says")
    if syntax == JPEG_EXTENDED and picture.precision > 8:  # noqa: PLR2004
        raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "12-bit JPEG Extended")  # no decoder can be trusted here


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
