"""Compressed frames without what rides along: comments and application segments of JPEG, JPEG-LS and JPEG 2000."""

import re
import struct

from medflow.errors import Reason, SeriesError

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
NEXT_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
SOC, SOT, SOD, EOC, COMMENT, LENGTHS = b"\xff\x4f", 0xFF90, 0xFF93, b"\xff\xd9", 0xFF64, 0xFF55
BOX = b"jP\x20\x20"


def without_comments(frame: bytes) -> bytes:
    """Give the frame's codestream without comments, application data and what follows its end; pixels untouched.

    Raises:
        SeriesError: the codestream cannot be followed.
    """
    try:
        if frame[:2] == SOC or frame[4:8] == BOX:
            return _jpeg2000(frame)
        if frame[:2] == bytes((0xFF, SOI)):
            return _jpeg(frame)
    except (struct.error, IndexError):
        raise SeriesError(Reason.DAMAGED_PIXELS, "codestream") from None
    raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")


def _jpeg(frame: bytes) -> bytes:
    """Follow the segments of ITU-T T.81 and T.87 to the end of the image."""
    kept = [frame[:2]]
    at = 2
    while True:
        while frame[at] == 0xFF and frame[at + 1] == 0xFF:  # noqa: PLR2004
            at += 1
        if frame[at] != 0xFF:  # noqa: PLR2004
            raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
        marker = frame[at + 1]
        if marker == EOI:
            return b"".join((*kept, frame[at : at + 2]))
        end = at + 2 + struct.unpack_from(">H", frame, at + 2)[0]
        if marker != COM and not 0xE0 <= marker <= 0xEF:  # noqa: PLR2004
            kept.append(frame[at:end])
        if marker == SOS:
            following = NEXT_MARKER.search(frame, end)
            if following is None:
                raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
            kept.append(frame[end : following.start()])
            end = following.start()
        at = end


def _jpeg2000(frame: bytes) -> bytes:
    """Follow the main header and the tile-parts of ISO/IEC 15444-1; JP2 boxes around them are left."""
    start = frame.index(SOC + b"\xff\x51") if SOC + b"\xff\x51" in frame else 0
    header, at = _segments(frame, start + 2, SOT)
    parts: list[bytes] = []
    trimmed = False
    while frame[at : at + 2] == struct.pack(">H", SOT):
        length = struct.unpack_from(">I", frame, at + 6)[0]
        end = at + length if length else max(frame.rfind(EOC), at)
        inner, data = _segments(frame, at + 12, SOD)
        body = b"".join(segment for marker, segment in inner if marker != COMMENT) + frame[data:end]
        trimmed = trimmed or any(marker == COMMENT for marker, _ in inner)
        parts.append(frame[at : at + 6] + struct.pack(">I", 12 + len(body)) + frame[at + 10 : at + 12] + body)
        if end <= at or end > len(frame):
            raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
        at = end
    dropped = {COMMENT, LENGTHS} if trimmed else {COMMENT}
    return b"".join((SOC, *(segment for marker, segment in header if marker not in dropped), *parts, EOC))


def _segments(frame: bytes, at: int, until: int) -> tuple[list[tuple[int, bytes]], int]:
    """List marker segments from `at` up to the marker `until`, and say where that stands."""
    found = []
    while (marker := struct.unpack_from(">H", frame, at)[0]) != until:
        end = at + 2 + struct.unpack_from(">H", frame, at + 2)[0]
        found.append((marker, frame[at:end]))
        at = end
    return found, at
