"""A gzip stream (RFC 1952), read at any place without unfolding it to memory or disk."""

import zlib

from medflow.dicom.archives.entries import broken
from medflow.dicom.archives.stream import Stream
from medflow.errors import Reason, SeriesError

MAGIC = b"\x1f\x8b\x08"
GZIP = 31
"""zlib's window bits for a stream with gzip's header, CRC-32 and length, all of which it checks."""
PORTION = 1 << 16
SPACING = 1 << 22
"""Bytes between two places from which unfolding can be taken up again, to begin with."""
MOST_PLACES = 256
"""Each holds some 40 KB; when there are more, every other one goes."""
MOST_STREAMS = 100_000
"""Streams in one file: bgzip writes one for each 64 KB, and millions of empty ones would cost time without end."""


class Unfolded:
    """What a gzip stream holds, as a stream: it can be read from and sought in, and refuses to grow beyond `limit`.

    Going back takes up the unfolding at one of the places kept on the way, so that reading the members of a tar.gz in
    any order costs a few megabytes each.
    """

    def __init__(self, packed: Stream, limit: int, *, spacing: int = SPACING) -> None:
        self._packed, self._limit, self._spacing = packed, limit, spacing
        self._inside, self._pending = zlib.decompressobj(GZIP), b""
        self._at, self._fed_to, self._streams = 0, 0, 1
        self._places = [(0, 0, 1, self._inside.copy())]

    def tell(self) -> int:
        """Say where the next read begins."""
        return self._at

    def seek(self, offset: int) -> int:
        """Go to `offset`, or to the end of the stream if that comes first."""
        if offset < self._at:
            self._take_up(offset)
        while self._at < offset and self.read(min(PORTION, offset - self._at)):
            pass
        return self._at

    def read(self, length: int) -> bytes:
        """Unfold the next `length` bytes; fewer at the end.

        Raises:
            SeriesError: the stream is damaged, breaks off or unfolds to more than it may.
        """
        parts = []
        while length > 0 and (part := self._part(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _part(self, length: int) -> bytes:
        """Unfold some bytes; none at the end of the stream."""
        while True:
            if self._inside.eof and not self._next_stream():
                return b""
            pending = self._pending or self._fed()
            try:
                part = self._inside.decompress(pending, min(length, PORTION))
            except zlib.error:
                self._take_up(self._at)  # zlib cannot go on from here, not even to what came before
                raise broken("gzip stream") from None
            self._pending = self._inside.unconsumed_tail
            if part:
                self._grow(len(part))
                return part
            if not pending and not self._inside.eof:
                raise broken("gzip stream breaks off")

    def _fed(self) -> bytes:
        self._packed.seek(self._fed_to)
        portion = self._packed.read(PORTION)
        self._fed_to += len(portion)
        return portion

    def _next_stream(self) -> bool:
        """Go on to the stream that may follow in the same file (RFC 1952 2.2), over padding of zeros."""
        rest = self._inside.unused_data
        while not rest.strip(b"\0"):
            rest = self._fed()
            if not rest:
                return False
        self._streams += 1
        if self._streams > MOST_STREAMS:
            raise SeriesError(Reason.ARCHIVE_TOO_LARGE, "gzip streams")
        self._inside, self._pending = zlib.decompressobj(GZIP), rest.lstrip(b"\0")
        return True

    def _grow(self, length: int) -> None:
        self._at += length
        if self._at > self._limit:
            raise SeriesError(Reason.ARCHIVE_TOO_LARGE, "gzip stream")
        if self._at >= self._places[-1][0] + self._spacing and not self._inside.eof:
            fed_to = self._fed_to - len(self._pending)
            self._places.append((self._at, fed_to, self._streams, self._inside.copy()))
        if len(self._places) > MOST_PLACES:
            self._places, self._spacing = self._places[::2], 2 * self._spacing

    def _take_up(self, offset: int) -> None:
        """Go back to the last place kept at or before `offset`."""
        place = max((place for place in self._places if place[0] <= offset), key=lambda place: place[0])
        self._at, self._fed_to, self._streams, inside = place
        self._inside, self._pending = inside.copy(), b""
