"""One DICOM object: its bytes in, the bytes of the de-identified file out, and what its frames decode to."""

import hashlib
import struct
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medflow.deid.bodies import Bodies
from medflow.deid.cleaner import DAMAGE
from medflow.deid.compressed import as_uncompressed, compressed_pixels
from medflow.deid.encode import Clean, encoded, header, text_element
from medflow.deid.headers import Headers
from medflow.deid.marks import NOTHING_DONE, Done
from medflow.deid.native import AsStored, Integers, Pixels, as_it_is, native_pixels
from medflow.deid.original import Original, text_of
from medflow.deid.palette import has_palette, indices_of
from medflow.deid.values import dummy, is_registered_class
from medflow.dicom.content import read_content
from medflow.dicom.hush import hushed
from medflow.dicom.pixels import stored_samples, stored_values
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

IMPLEMENTATION_UID = "2.25.210434286372907838921203394817360472137"
IMPLEMENTATION = "MEDFLOW_1"
PIXEL_DATA = 0x7FE00010
PIXEL_MODULE = (
    0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
    0x00280103,
)  # fmt: skip
"""What decides how stored bytes become pixels (PS3.3 C.7.6.3)."""
UNDEFINED = 0xFFFFFFFF
FileParts: TypeAlias = tuple[bytes | memoryview, ...]
"""A file in parts that follow one another."""
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """An original in memory: it names a patient and never prints."""

    dataset: Dataset = field(repr=False)
    """For whoever wants to know something of the object; its elements may be converted."""
    read: Dataset = field(repr=False)
    """The same elements as they were read: what is written is made of these."""
    syntax: UID
    """The transfer syntax that the de-identified file will have."""
    frames: Integers = field(repr=False)
    """Decoded stored values (frame, row, column); of a planar image (frame, row, column, sample)."""
    as_stored: bool
    """The frames, as they were decoded, are the very bytes of the file's pixels, with nothing stray among them."""
    changed: frozenset[int] = frozenset()
    """Frames (0-based) whose values are no longer those of the file, because text or a face was taken out of them."""


def read_bytes(file: SourceFile, sha256: str | None = None) -> bytes:
    """Read an original once; it must still be the file that was listed, and the one that was hashed, if it was.

    Raises:
        SeriesError: the file cannot be read, or changed since.
    """
    try:
        content = read_content(file)
    except OSError:
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise SeriesError(Reason.CHANGED_WHILE_READ)
    return content


class Originals:
    """Opens the originals of one series in turn: what their headers repeat is read once."""

    def __init__(self, *, planar: bool = False, palette: bool = False) -> None:
        """Open volumes' slices, or `planar` images; with `palette`, the frames of one are its indices into that."""
        self._planar, self._palette = planar, palette
        self._headers = Headers()
        self._stored: tuple[object, AsStored] | None = None

    def opened(self, content: bytes) -> Opened:
        """Parse an original and decode its frames; grey ones only, unless it is a planar image.

        Raises:
            SeriesError: a header or pixels that cannot be read.
        """
        try:
            with hushed():
                dataset = self._headers.dataset(content)
                read = Dataset(dict(dataset.items()))
                implicit, little = dataset.original_encoding
                read.set_original_encoding(implicit, little, dataset.original_character_set)
                frames, as_stored = self._frames(dataset)
                return Opened(dataset=dataset, read=read, syntax=_syntax(dataset), frames=frames, as_stored=as_stored)
        except DAMAGE:
            raise SeriesError(Reason.DAMAGED_HEADER) from None

    def _frames(self, dataset: Dataset) -> tuple[Integers, bool]:
        """Decode frames; they are the stored ones where the header is that of the file before, and nothing is stray."""
        module = _pixel_module(dataset)
        if self._stored is not None and self._stored[0] == module:
            seen = self._stored[1].frames(dataset.get_item(PIXEL_DATA).value)
            return (self._decoded(dataset), False) if seen is None else (seen, True)
        pixels: Original | None = dataset.get_item(PIXEL_DATA) if PIXEL_DATA in dataset else None
        frames, self._stored = self._decoded(dataset), None
        if module is None or not isinstance(pixels, RawDataElement):
            return frames, False
        stored = AsStored.of(frames, int(dataset.BitsStored))
        plain = stored.frames(pixels.value or b"")
        if plain is None or not np.array_equal(plain, frames):
            return frames, False
        self._stored = module, stored
        return plain, True

    def _decoded(self, dataset: Dataset) -> Integers:
        samples = indices_of if self._palette and has_palette(dataset) else stored_samples
        return samples(dataset) if self._planar else stored_values(dataset)


def opened(content: bytes, *, planar: bool = False, palette: bool = False) -> Opened:
    """Open one original by itself.

    Raises:
        SeriesError: as `Originals.opened`.
    """
    return Originals(planar=planar, palette=palette).opened(content)


def _pixel_module(dataset: Dataset) -> tuple[object, ...] | None:
    """Give all on which the decoding of uncompressed little endian pixels depends, values as they were read."""
    elements = [dataset.get_item(tag) if tag in dataset else None for tag in PIXEL_MODULE]
    pixels = dataset.get_item(PIXEL_DATA) if PIXEL_DATA in dataset else None
    native = _syntax(dataset) == dataset.file_meta.get("TransferSyntaxUID")
    if pixels is None or not native or pixels.value is None or _syntax(dataset).is_compressed:
        return None
    return pixels.VR, len(pixels.value), *(each and (each.VR, each.value) for each in elements)


def deidentified_file(original: Opened, bodies: Bodies, *, done: Done = NOTHING_DONE) -> bytes:
    """Write the file of a de-identified object."""
    return b"".join(deidentified_parts(original, bodies, done=done))


def deidentified_parts(original: Opened, bodies: Bodies, *, done: Done = NOTHING_DONE) -> FileParts:
    """Write the file of a de-identified object: zero preamble, fresh meta header, cleaned data set, pixels.

    Pixels that leave as they came are not copied.
    """
    implicit = original.syntax == ImplicitVRLittleEndian
    try:
        with hushed():
            pixels = _pixels(original, implicit=implicit)
            if original.syntax.is_compressed and not pixels.encapsulated:  # it cannot hold what was blanked exactly
                original = replace(original, syntax=ExplicitVRLittleEndian, read=as_uncompressed(original.read))
            body = bodies.body(original.read, implicit=implicit, done=done)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    bodies.ledger.pixels.update(stray=pixels.stray, trailing=pixels.trailing)
    meta = _meta(original.read, original.syntax, bodies)
    head, tail = _around(pixels, implicit=implicit)
    return b"".join((bytes(128), b"DICM", meta, body, head)), pixels.value, tail


def deidentified_report(dataset: Dataset, bodies: Bodies) -> bytes:
    """Write the file of a de-identified object that has no pixels."""
    try:
        with hushed():
            syntax = _syntax(dataset)
            body = bodies.body(dataset, implicit=syntax == ImplicitVRLittleEndian)
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    return b"".join((bytes(128), b"DICM", _meta(dataset, syntax, bodies), body))


def _syntax(dataset: Dataset) -> UID:
    """Keep the transfer syntax, but write what was big endian or deflated as explicit VR little endian."""
    named = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if named and named.is_compressed and not named.is_deflated:
        return named
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit and little else ExplicitVRLittleEndian


def _pixels(original: Opened, *, implicit: bool) -> Pixels:
    if original.syntax.is_compressed:
        return compressed_pixels(original.dataset, original.syntax, original.frames, changed=original.changed)
    if original.as_stored and not original.changed:
        return as_it_is(original.read.get_item(PIXEL_DATA).value, original.frames, implicit=implicit)
    little = bool(original.dataset.original_encoding[1])
    return native_pixels(original.dataset, original.frames, changed=original.changed, little=little, implicit=implicit)


def _around(pixels: Pixels, *, implicit: bool) -> tuple[bytes, bytes]:
    """Give what stands in a file before and behind the value of its pixels."""
    if pixels.encapsulated:
        return header(PIXEL_DATA, pixels.vr, UNDEFINED, implicit=implicit), SEQUENCE_END
    odd = len(pixels.value) % 2
    return header(PIXEL_DATA, pixels.vr, len(pixels.value) + odd, implicit=implicit), b"\0" * odd


def _meta(dataset: Dataset, syntax: UID, bodies: Bodies) -> bytes:
    """Write a fresh file meta group (PS3.10 7.1): nothing of the original's is copied but the transfer syntax."""
    instance = text_of(dataset.get_item(0x00080018), ())
    sop_class = text_of(dataset.get_item(0x00080016), ())  # what the standard registered, as in the data set itself
    elements = [
        Clean(tag=0x00020001, vr="OB", value=b"\0\1"),
        text_element(0x00020002, "UI", sop_class if is_registered_class(sop_class) else dummy("UI").decode("ascii")),
        text_element(0x00020003, "UI", instance if bodies.profile.keeps_uids else bodies.pseudonyms.uid(instance)),
        text_element(0x00020010, "UI", syntax),
        text_element(0x00020012, "UI", IMPLEMENTATION_UID),
        text_element(0x00020013, "SH", IMPLEMENTATION),
    ]
    group = encoded(elements, implicit=False)
    return encoded([Clean(tag=0x00020000, vr="UL", value=struct.pack("<I", len(group)))], implicit=False) + group
