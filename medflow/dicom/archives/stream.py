"""The little that is asked of a stream of bytes: a file, bytes in memory, or what a gzip stream unfolds to."""

from typing import Protocol

from medflow.dicom.archives.entries import broken

PORTION = 1 << 20


class Stream(Protocol):
    """Bytes that can be read from any place."""

    def read(self, length: int, /) -> bytes:
        """Read up to `length` bytes; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Go to `offset`."""


def exactly(stream: Stream, length: int) -> bytes:
    """Read `length` bytes of an archive; nothing is set aside in memory for bytes that are not there.

    Raises:
        SeriesError: it breaks off before.
    """
    parts = []
    while length > 0:
        part = stream.read(min(length, PORTION))
        if not part:
            raise broken("breaks off")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
