"""One DICOM object: its bytes in, the bytes of the de-identified file out, and what its frames decode to."""

import hashlib
import struct
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medflow.deid.cleaner import DAMAGE
from medflow.deid.compressed import compressed_pixels
from medflow.deid.dataset import Bodies
from medflow.deid.encode import Clean, encoded, header, padded, text_element
from medflow.deid.marks import NOTHING_DONE, Done
from medflow.deid.native import Integers, Pixels, native_pixels
from medflow.deid.original import text_of
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.content import read_content
from medflow.dicom.hush import hushed
from medflow.dicom.pixels import stored_samples, stored_values
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

IMPLEMENTATION_UID = "2.25.210434286372907838921203394817360472137"
IMPLEMENTATION = "MEDFLOW_1"
PIXEL_DATA = 0x7FE00010
BURNED_IN = 0x00280301
IMAGE_TYPE = 0x00080008
PICTURES_OF_SCREENS = ("SCREEN SAVE", "SCREENSHOT", "SCREEN_SAVE", "DOSE_INFO", "DOSE REPORT", "REPORT")
"""Values of ImageType by which scanners mark pictures with text in them."""
UNDEFINED = 0xFFFFFFFF
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """An original in memory: it names a patient and never prints."""

    dataset: FileDataset = field(repr=False)
    syntax: UID
    """The transfer syntax that the de-identified file will have."""
    frames: Integers = field(repr=False)
    """Decoded stored values (frame, row, column); of a planar image (frame, row, column, sample)."""
    changed: frozenset[int] = frozenset()
    """Frames (0-based) whose values are no longer those of the file, because text or a face was taken out of them."""


def read_bytes(file: SourceFile, sha256: str) -> bytes:
    """Read an original once; it must still be the file that was hashed.

    Raises:
        SeriesError: the file cannot be read, or changed since.
    """
    try:
        content = read_content(file)
    except OSError:
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SeriesError(Reason.CHANGED_WHILE_READ)
    return content


def opened(content: bytes, *, planar: bool = False) -> Opened:
    """Parse an original and decode its frames; grey ones only, unless it is a planar image.

    Raises:
        SeriesError: a header or pixels that cannot be read, or pictures that may hold text.
    """
    try:
        with hushed():
            dataset = dcmread(BytesIO(content), force=True)
            withhold_text(dataset)
            frames = stored_samples(dataset) if planar else stored_values(dataset)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    return Opened(dataset=dataset, syntax=_syntax(dataset), frames=frames)


def withhold_text(dataset: Dataset) -> None:
    """Refuse an object that says of itself that text is burned into its pixels.

    Raises:
        SeriesError: it does.
    """
    if text_of(dataset.get_item(BURNED_IN), ()).upper() == "YES":
        raise SeriesError(Reason.BURNED_IN_TEXT, "BurnedInAnnotation")
    values = {value.strip().upper() for value in text_of(dataset.get_item(IMAGE_TYPE), ()).split("\\")}
    if values & set(PICTURES_OF_SCREENS):
        raise SeriesError(Reason.BURNED_IN_TEXT, "ImageType")


def deidentified_file(original: Opened, bodies: Bodies, *, done: Done = NOTHING_DONE) -> bytes:
    """Write the file of a de-identified object: zero preamble, fresh meta header, cleaned data set, pixels."""
    implicit = original.syntax == ImplicitVRLittleEndian
    try:
        with hushed():
            body = bodies.body(original.dataset, implicit=implicit, done=done)
            pixels = _pixels(original, implicit=implicit)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    meta = _meta(original, bodies.pseudonyms)
    return b"".join((bytes(128), b"DICM", meta, body, _pixel_element(pixels, implicit=implicit)))


def _syntax(dataset: FileDataset) -> UID:
    """Keep the transfer syntax, but write what was big endian or deflated as explicit VR little endian."""
    named = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if named and named.is_compressed and not named.is_deflated:
        return named
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit and little else ExplicitVRLittleEndian


def _pixels(original: Opened, *, implicit: bool) -> Pixels:
    if original.syntax.is_compressed:
        return compressed_pixels(original.dataset, original.syntax, original.frames)
    little = bool(original.dataset.original_encoding[1])
    return native_pixels(original.dataset, little=little, implicit=implicit)


def _pixel_element(pixels: Pixels, *, implicit: bool) -> bytes:
    if pixels.encapsulated:
        return header(PIXEL_DATA, pixels.vr, UNDEFINED, implicit=implicit) + pixels.value + SEQUENCE_END
    value = padded(pixels.vr, pixels.value)
    return header(PIXEL_DATA, pixels.vr, len(value), implicit=implicit) + value


def _meta(original: Opened, pseudonyms: Pseudonyms) -> bytes:
    """Write a fresh file meta group (PS3.10 7.1): nothing of the original's is copied but the transfer syntax."""
    dataset = original.dataset
    elements = [
        Clean(tag=0x00020001, vr="OB", value=b"\0\1"),
        text_element(0x00020002, "UI", text_of(dataset.get_item(0x00080016), ())),
        text_element(0x00020003, "UI", pseudonyms.uid(text_of(dataset.get_item(0x00080018), ()))),
        text_element(0x00020010, "UI", original.syntax),
        text_element(0x00020012, "UI", IMPLEMENTATION_UID),
        text_element(0x00020013, "SH", IMPLEMENTATION),
    ]
    group = encoded(elements, implicit=False)
    return encoded([Clean(tag=0x00020000, vr="UL", value=struct.pack("<I", len(group)))], implicit=False) + group
