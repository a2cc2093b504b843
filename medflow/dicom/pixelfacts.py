"""What a header says of its pixels, checked against the bytes that are there: a cut-off file is found by its size."""

from dataclasses import dataclass

from medflow.dicom.header import Header, damaged
from medflow.dicom.syntaxes import ENCAPSULATED, RLE
from medflow.dicom.tags import Tag
from medflow.dicom.walking import ITEM, SEQUENCE_END, UNDEFINED, Window
from medflow.errors import Reason, SeriesError

MOST_BYTES = 1 << 33
"""Decoded size of one object that is believed: 8 GiB."""
BITS_ALLOCATED = (8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """The image pixel module (PS3.3 C.7.6.3) of one grey image."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Size of a decoded frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def pixel_facts(header: Header) -> PixelFacts:
    """Read the image pixel module.

    Raises:
        SeriesError: something is missing or cannot be right.
    """
    frames = header.decimal(Tag.NumberOfFrames) if header.raw(Tag.NumberOfFrames).strip(b" \0") else 1.0
    facts = PixelFacts(
        rows=_count(header, Tag.Rows),
        columns=_count(header, Tag.Columns),
        frames=_frames(frames),
        bits_allocated=_count(header, Tag.BitsAllocated),
        bits_stored=_count(header, Tag.BitsStored),
        signed=_flag(header, Tag.PixelRepresentation),
    )
    if not header.text(Tag.PhotometricInterpretation):
        raise damaged("PhotometricInterpretation")
    if facts.bits_allocated not in BITS_ALLOCATED or facts.bits_stored > facts.bits_allocated:
        raise damaged("BitsAllocated")
    if header.integer(Tag.HighBit) not in {None, facts.bits_stored - 1}:
        raise damaged("HighBit")
    if facts.frame_bytes * facts.frames > MOST_BYTES:
        raise damaged("Rows, Columns or NumberOfFrames is too large")
    return facts


def padding_of(header: Header, *, signed: bool) -> tuple[int, int] | None:
    """Read PixelPaddingValue and its range limit (PS3.3 C.7.5.1.1.2), lowest first."""
    value = header.integer(Tag.PixelPaddingValue, signed=signed)
    limit = header.integer(Tag.PixelPaddingRangeLimit, signed=signed)
    if value is None:
        return None
    other = value if limit is None else limit
    return min(value, other), max(value, other)


def check_size(header: Header, window: Window, facts: PixelFacts, transfer_syntax_uid: str) -> None:
    """Compare the size of the pixel data with what the header says, without reading it.

    Raises:
        SeriesError: it breaks off, is too short, or is longer by a frame or more.
    """
    pixels = header.pixels
    if pixels is None or pixels.tag != Tag.PixelData:
        raise broken("no integer pixel data")
    if transfer_syntax_uid in ENCAPSULATED:
        fragments = _fragments(window, pixels.offset, pixels.length)
        whole = transfer_syntax_uid == RLE and facts.frames > 1  # PS3.5 A.4.2: no RLE frame is cut
        if fragments < facts.frames or (whole and fragments != facts.frames):
            raise broken("fragments")
        return
    expected = facts.frame_bytes * facts.frames
    if pixels.length == UNDEFINED or pixels.offset + pixels.length > window.size or pixels.length < expected:
        raise broken("breaks off")
    if pixels.length >= expected + facts.frame_bytes > expected + 1:
        raise broken("longer than the header says")


def broken(detail: str) -> SeriesError:
    """Say that pixel data cannot be believed."""
    return SeriesError(Reason.DAMAGED_PIXELS, detail)


def _fragments(window: Window, offset: int, length: int) -> int:
    """Count the fragments of encapsulated pixel data (PS3.5 A.4) behind its offset table."""
    if length != UNDEFINED:
        raise broken("not encapsulated")
    count = -1
    while offset < window.size:
        head = window.bytes(offset, 8)
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        size = int.from_bytes(head[4:], "little")
        offset += 8 + size
        if tag == SEQUENCE_END:
            return count
        if tag != ITEM or offset > window.size:
            break
        count += 1
    raise broken("breaks off")


def _count(header: Header, tag: Tag) -> int:
    value = header.integer(tag)
    if not value:
        raise damaged(tag.name)
    return value


def _frames(value: float | None) -> int:
    if value is None or value < 1 or value != int(value) or value > 2**31:
        raise damaged("NumberOfFrames")
    return int(value)


def _flag(header: Header, tag: Tag) -> bool:
    value = header.integer(tag)
    if value not in {0, 1}:
        raise damaged(tag.name)
    return value == 1
