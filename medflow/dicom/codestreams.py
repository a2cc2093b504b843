"""What a compressed frame says of itself, read before it is decoded: a decoder is never let loose on a lie."""

import re
from dataclasses import dataclass

from medflow.dicom.syntaxes import Packing

_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
"""Sequential, extended, progressive and lossless JPEG, all of them with Huffman's code (ITU-T T.81 table B.1)."""
_START_OF_FRAME_LS = 0xF7
"""JPEG-LS (ITU-T T.87 annex C)."""
_ALONE = frozenset({0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xFF})
"""Markers without a segment."""
_START_OF_SCAN, _END = 0xDA, 0xD9
_MARKER, _MARKER_LS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]"), re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""What follows 0xFF in a scan otherwise is a bit of its data (ITU-T T.81 B.1.1.5, T.87 A.1) or counts its restarts."""
_ADOBE, _JFIF = b"Adobe", b"JFIF\0"
_SIZ = b"\xff\x4f\xff\x51"
_COD, _SOT = 0x52, 0x90
_BOXES = 1 << 16
"""Bytes of JP2 boxes before a codestream in which it is looked for."""
_LETTERS = (0x52, 0x47, 0x42)
"""Component identifiers that spell RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a bit stream says of the picture in it."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits of a sample."""
    signed: bool = False
    halved: bool = False
    """Its components have different sizes, so they are brightness and colour differences."""
    rgb: bool | None = None
    """What the stream says of its colours: red, green and blue; brightness and differences; None if nothing."""
    jfif: bool = False
    """It is a JFIF file, whose colours are brightness and differences; some writers say so of anything."""
    transformed: bool = False
    """JPEG 2000 has turned red, green and blue into something else, which decoding undoes."""


def stated(frame: bytes, packing: Packing) -> Stated | None:
    """Read what a frame's bit stream states of itself; None where it states nothing, or breaks off."""
    try:
        if packing is Packing.JPEG_2000:
            return _jpeg_2000(frame)
        if packing is Packing.RLE:
            return None
        return _jpeg(frame, ls=packing is Packing.JPEG_LS)
    except IndexError:
        return None


def bare(frame: bytes, packing: Packing) -> bytes:
    """Take the boxes of a JP2 file off a JPEG 2000 frame; DICOM takes no notice of them (PS3.5 8.2.4)."""
    return frame[_siz(frame) :] if packing is Packing.JPEG_2000 else frame


def rle_segments(frame: bytes) -> int:
    """Count the segments of an RLE frame (PS3.5 G.5): one for each byte of a pixel."""
    return int.from_bytes(frame[:4], "little")


def _jpeg(frame: bytes, *, ls: bool) -> Stated | None:
    if frame[:2] != b"\xff\xd8":
        return None
    at, start, scans = 2, 0, 0
    notes: list[int] = []
    while at + 2 <= len(frame) and frame[at] == 0xFF:  # noqa: PLR2004
        marker = frame[at + 1]
        if marker == _END:
            return _picture(frame, start, notes) if start and scans else None
        if marker == _START_OF_FRAME_LS if ls else marker in _START_OF_FRAME:
            start = at
        if marker in {0xE0, 0xEE}:
            notes.append(at)
        at += (1 if marker == 0xFF else 2) if marker in _ALONE else 2 + _number(frame, at + 2, 2)  # noqa: PLR2004
        if marker == _START_OF_SCAN:
            scans += 1
            at = _end_of_scan(frame, at, ls=ls)
    return None


def _end_of_scan(frame: bytes, at: int, *, ls: bool) -> int:
    """Find the marker behind a scan, whose own bytes never look like one; without it, the end of the frame.

    What a scan breaks off before is filled up by its decoder, which does not complain: so a frame is followed to its
    end of image, and one with a marker in it that is none is not decoded.
    """
    found = (_MARKER_LS if ls else _MARKER).search(frame, at)
    return found.start() if found else len(frame)


def _picture(frame: bytes, start: int, notes: list[int]) -> Stated:
    components = frame[start + 9]
    parts = [frame[start + 10 + 3 * number : start + 13 + 3 * number] for number in range(components)]
    rgb = True if components == len(_LETTERS) and tuple(part[0] for part in parts) == _LETTERS else None
    jfif = False
    for at in notes:
        note = frame[at + 4 : at + 2 + _number(frame, at + 2, 2)]
        if note.startswith(_ADOBE) and len(note) == 12:  # noqa: PLR2004
            rgb = note[11] == 0
        jfif |= note.startswith(_JFIF)
    return Stated(
        rows=_number(frame, start + 5, 2),
        columns=_number(frame, start + 7, 2),
        components=components,
        precision=frame[start + 4],
        halved=len({part[1] for part in parts}) > 1,
        rgb=rgb,
        jfif=jfif,
    )


def _siz(frame: bytes) -> int:
    return frame.find(_SIZ, 0, _BOXES)


def _jpeg_2000(frame: bytes) -> Stated | None:
    """Read SIZ and COD (ITU-T T.800 A.5.1, A.6.1), also behind the boxes of a JP2 file that some writers embed."""
    start = _siz(frame)
    if start < 0 or start + 43 > len(frame):
        return None
    components = _number(frame, start + 40, 2)
    depths = {frame[start + 42 + 3 * number] for number in range(components)}
    if len(depths) != 1:
        return None
    depth = depths.pop()
    return Stated(
        rows=_number(frame, start + 12, 4) - _number(frame, start + 20, 4),
        columns=_number(frame, start + 8, 4) - _number(frame, start + 16, 4),
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth >> 7),
        halved=len({frame[start + 43 + 3 * n : start + 45 + 3 * n] for n in range(components)}) > 1,
        transformed=_transformed(frame, start + 2),
    )


def _transformed(frame: bytes, at: int) -> bool:
    """Read from COD whether the components were transformed together."""
    while frame[at] == 0xFF and frame[at + 1] != _SOT:  # noqa: PLR2004
        if frame[at + 1] == _COD:
            return frame[at + 8] == 1
        at += 2 + _number(frame, at + 2, 2)
    return False


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")
