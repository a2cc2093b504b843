"""Compressed frames without what rides along: comments and application segments of JPEG, JPEG-LS and JPEG 2000."""

import re
import struct

from medflow.errors import Reason, SeriesError

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
ADOBE = re.compile(rb"\xff\xee\0\x0eAdobe.{6}([\0-\2])", re.DOTALL)
"""The application segment that says into which colour space the components go; version and flags say nothing here."""
COLOURS = 3
NEEDED = FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDD, 0xF7, 0xF8}
"""Segments without which an image cannot be decoded: its frame, tables, restarts, scans, and the two of JPEG-LS."""
NEXT_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
SOC, SOT, SOD, EOC = b"\xff\x4f", 0xFF90, 0xFF93, b"\xff\xd9"
CODING = frozenset({0xFF50, 0xFF51, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61})
"""Segments of JPEG 2000 that say how samples are coded; comments, lengths and what nobody has defined are left out."""
TEXT = re.compile(rb"[0-9A-Za-z^ .,_-]{10}\0*(?:\xff.)?\0?\Z", re.DOTALL)
"""Ten letters or digits in a row before the end: coded values read like that once in a million frames."""
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


def ends_in_text(frame: bytes) -> bool:
    """Say whether a text stands behind the coded values of a frame, where no decoder reads any more."""
    return TEXT.search(frame, max(len(frame) - 64, 0)) is not None


def _jpeg(frame: bytes) -> bytes:
    """Follow the segments of ITU-T T.81 and T.87 to the end of the image.

    Of a colour image the colour transform of an Adobe segment stays, for decoders go by it.
    """
    kept = [frame[:2]]
    transform = b""
    at = 2
    while True:
        marker, at = _marker(frame, at)
        if marker == EOI:
            return b"".join((*kept, frame[at : at + 2]))
        end = at + 2 + struct.unpack_from(">H", frame, at + 2)[0]
        transform = _transform(frame[at:end]) or transform
        if marker in FRAMES and frame[at + 9] == COLOURS:
            kept.insert(1, transform)
        if marker in NEEDED:
            kept.append(frame[at:end])
        if marker == SOS:
            following = NEXT_MARKER.search(frame, end)
            if following is None:
                raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
            kept.append(frame[end : following.start()])
            end = following.start()
        at = end


def _marker(frame: bytes, at: int) -> tuple[int, int]:
    """Read the marker at `at`, and say where it stands behind the bytes that fill up before it."""
    while frame[at] == 0xFF and frame[at + 1] == 0xFF:  # noqa: PLR2004
        at += 1
    if frame[at] != 0xFF:  # noqa: PLR2004
        raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
    return frame[at + 1], at


def _transform(segment: bytes) -> bytes:
    """Write an Adobe segment anew, with nothing of it but its colour transform; empty for any other segment."""
    adobe = ADOBE.fullmatch(segment)
    return b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + adobe[1] if adobe else b""


def _jpeg2000(frame: bytes) -> bytes:
    """Follow the main header and the tile-parts of ISO/IEC 15444-1; JP2 boxes around them are left."""
    start = frame.index(SOC + b"\xff\x51") if SOC + b"\xff\x51" in frame else 0
    header, at = _segments(frame, start + 2, SOT)
    parts: list[bytes] = []
    while frame[at : at + 2] == struct.pack(">H", SOT):
        length = struct.unpack_from(">I", frame, at + 6)[0]
        end = at + length if length else max(frame.rfind(EOC), at)
        inner, data = _segments(frame, at + 12, SOD)
        body = b"".join(segment for marker, segment in inner if marker in CODING) + frame[data:end]
        parts.append(frame[at : at + 6] + struct.pack(">I", 12 + len(body)) + frame[at + 10 : at + 12] + body)
        if end <= at or end > len(frame):
            raise SeriesError(Reason.DAMAGED_PIXELS, "codestream")
        at = end
    return b"".join((SOC, *(segment for marker, segment in header if marker in CODING), *parts, EOC))


def _segments(frame: bytes, at: int, until: int) -> tuple[list[tuple[int, bytes]], int]:
    """List marker segments from `at` up to the marker `until`, and say where that stands."""
    found = []
    while (marker := struct.unpack_from(">H", frame, at)[0]) != until:
        end = at + 2 + struct.unpack_from(">H", frame, at + 2)[0]
        found.append((marker, frame[at:end]))
        at = end
    return found, at
