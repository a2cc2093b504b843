"""The size that a compressed frame says of itself, read before it is decoded: a decoder is never let loose on a lie."""

from typing import NamedTuple

from medflow.dicom.syntaxes import Packing

_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""JPEG (ITU-T T.81 table B.1) and JPEG-LS (ITU-T T.87 annex C)."""
_ALONE = frozenset({0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xFF})
"""Markers without a segment."""


class Stated(NamedTuple):
    """What a bit stream says of the picture in it."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits of a sample."""


def stated(frame: bytes, packing: Packing) -> Stated | None:
    """Read what a frame's bit stream states of itself; None where it states nothing."""
    if packing is Packing.JPEG_2000:
        return _jpeg_2000(frame)
    if packing is Packing.RLE:
        return None
    return _jpeg(frame)


def rle_segments(frame: bytes) -> int:
    """Count the segments of an RLE frame (PS3.5 G.5): one for each byte of a pixel."""
    return int.from_bytes(frame[:4], "little")


def _jpeg(frame: bytes) -> Stated | None:
    at = 0
    while at + 10 <= len(frame) and frame[at] == 0xFF:  # noqa: PLR2004
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            return Stated(_number(frame, at + 5, 2), _number(frame, at + 7, 2), frame[at + 9], frame[at + 4])
        at += (1 if marker == 0xFF else 2) if marker in _ALONE else 2 + _number(frame, at + 2, 2)  # noqa: PLR2004
    return None


def _jpeg_2000(frame: bytes) -> Stated | None:
    """Read SIZ (ITU-T T.800 A.5.1), also behind the boxes of a JP2 file that some writers embed."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or start + 43 > len(frame):
        return None
    columns = _number(frame, start + 8, 4) - _number(frame, start + 16, 4)
    rows = _number(frame, start + 12, 4) - _number(frame, start + 20, 4)
    return Stated(rows, columns, _number(frame, start + 40, 2), (frame[start + 42] & 0x7F) + 1)


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")
