"""What a header says of its pixels, checked against the bytes that are there: a cut-off file is found by its size."""

from dataclasses import dataclass

from medflow.dicom.fragments import check_fragments, fragments
from medflow.dicom.header import Header, damaged
from medflow.dicom.syntaxes import ENCAPSULATED, RLE
from medflow.dicom.tags import Tag
from medflow.dicom.walking import UNDEFINED, Window
from medflow.errors import Reason, SeriesError

MOST_BYTES = 1 << 33
"""Decoded size of one object that is believed: 8 GiB."""
ALWAYS_BELIEVED = 1 << 28
"""Decoded size that any compressed data is believed to have: 256 MiB."""
RATIO = 1000
"""Decoded bytes that are believed of each compressed one beyond that: frames that are all black come near it alone."""
BITS_ALLOCATED = (8, 16, 32)
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
"""Photometric interpretations (PS3.3 C.7.6.3.1.2) of three samples that are read."""
FLOATS: dict[int, str] = {Tag.FloatPixelData: "FloatPixelData", Tag.DoubleFloatPixelData: "DoubleFloatPixelData"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """The image pixel module (PS3.3 C.7.6.3) of one image."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    samples: int = 1
    """3 in a colour image."""
    photometric: str = "MONOCHROME2"
    planes: bool = False
    """Uncompressed samples stand in a plane for each colour, instead of side by side."""

    @property
    def halved(self) -> bool:
        """Uncompressed, two pixels of a row share their colour differences."""
        return self.samples == 3 and self.photometric == "YBR_FULL_422"  # noqa: PLR2004

    @property
    def frame_bytes(self) -> int:
        """Size of a decoded frame, whose pixels have all of their samples."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def written_bytes(self) -> int:
        """Size of an uncompressed frame as it is written."""
        return self.frame_bytes * 2 // 3 if self.halved else self.frame_bytes


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
        samples=header.integer(Tag.SamplesPerPixel) or 1,
        photometric=header.text(Tag.PhotometricInterpretation),
        planes=header.integer(Tag.PlanarConfiguration) == 1,
    )
    if not facts.photometric:
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
        raise broken("no integer pixel data" if pixels is None else FLOATS.get(pixels.tag, "no pixel data"))
    if transfer_syntax_uid in ENCAPSULATED:
        if pixels.length != UNDEFINED:
            raise broken("not encapsulated")
        found = fragments(window, pixels.offset)
        check_fragments(found, facts.frames, whole=transfer_syntax_uid == RLE and facts.frames > 1)
        check_ratio(sum(size for _, size in found), facts)
        return
    expected = facts.written_bytes * facts.frames
    if pixels.length == UNDEFINED or pixels.offset + pixels.length > window.size or pixels.length < expected:
        raise broken("breaks off")
    if pixels.length >= expected + facts.written_bytes > expected + 1:
        raise broken("longer than the header says")


def check_ratio(compressed: int, facts: PixelFacts) -> None:
    """Refuse compressed data that would unfold to far more than images do.

    Raises:
        SeriesError: it would.
    """
    if facts.frame_bytes * facts.frames > ALWAYS_BELIEVED + RATIO * compressed:
        raise broken("unfolds to more than images do")


def broken(detail: str) -> SeriesError:
    """Say that pixel data cannot be believed."""
    return SeriesError(Reason.DAMAGED_PIXELS, detail)


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
