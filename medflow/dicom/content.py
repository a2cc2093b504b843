"""The one way to the bytes of an original: a file of its own, a gzip'd one, or a member of an archive.

Everything that reads an original reads it here, so that a series is the same whichever way it was packed. A link or a
pipe is never opened, and what changed since it was listed is refused.
"""

import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO, cast

from medflow.dicom.archives.entries import allowance
from medflow.dicom.archives.members import Content, Directory, member_content, peeled
from medflow.dicom.archives.stream import exactly
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

MOST_ARCHIVES = 4
"""Archives open at once: a series that was sent in several parts may lie in several."""


class _Shelf:
    """The archives that were read last, kept open with their directories."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int], tuple[ExitStack, BinaryIO, Directory]] = OrderedDict()

    def directory(self, file: SourceFile) -> Directory:
        """Give the directory of the archive that `file` is a member of."""
        key = str(file.path), file.mtime_ns
        if key not in self._open:
            if len(self._open) == MOST_ARCHIVES:
                self._open.popitem(last=False)[1][0].close()
            stack = ExitStack()
            stream = stack.enter_context(_opened(file))
            self._open[key] = stack, stream, _directory(stream)
        self._open.move_to_end(key)
        _, stream, directory = self._open[key]
        _check_unchanged(file, stream, file.path.lstat())
        return directory

    def close(self) -> None:
        """Close every archive."""
        for stack, _, _ in self._open.values():
            stack.close()


_SHELF: ContextVar[_Shelf | None] = ContextVar("archives kept open", default=None)


@contextmanager
def archives_kept_open() -> Iterator[None]:
    """Open each archive once for all that is read of it within; a few at a time, and closed at the end."""
    if _SHELF.get() is not None:
        yield
        return
    shelf = _Shelf()
    token = _SHELF.set(shelf)
    try:
        yield
    finally:
        _SHELF.reset(token)
        shelf.close()


@contextmanager
def open_content(file: SourceFile) -> Iterator[Content]:
    """Open what `file` holds, without its gzip layers; a gzip'd file and a member lie in memory.

    Raises:
        SeriesError: it changed since it was listed, or while it was read; it cannot be unfolded; it is an archive.
        OSError: the system does not let it be read.
    """
    if file.member:
        with _member(file) as content:
            yield content
        return
    with opened_file(file) as stream:
        yield _a_file(peeled(stream, file.size, allowance(file.size)))


def read_content(file: SourceFile) -> bytes:
    """Read all that `file` holds, without its gzip layers.

    Raises:
        SeriesError: as `open_content`.
        OSError: as `open_content`.
    """
    with open_content(file) as content:
        content.stream.seek(0)
        return exactly(content.stream, content.size)


def sha256_of(file: SourceFile) -> str:
    """Name what `file` holds, without its gzip layers, by its SHA-256.

    Raises:
        SeriesError: as `open_content`.
        OSError: as `open_content`.
    """
    with open_content(file) as content:
        return hashlib.file_digest(cast("Any", content.stream), "sha256").hexdigest()


@contextmanager
def opened_file(file: SourceFile) -> Iterator[BinaryIO]:
    """Open the bytes of the file on disk, unbuffered; see at the end that they are still what was listed."""
    with _opened(file) as stream:
        try:
            yield stream
        except SeriesError:
            _check_unchanged(file, stream)
            raise
        _check_unchanged(file, stream)


@contextmanager
def _opened(file: SourceFile) -> Iterator[BinaryIO]:
    # O_NOFOLLOW, O_NONBLOCK: the name may have become a link or a pipe since the folder was listed
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123  (an open descriptor, not a path)
        _check_unchanged(file, stream)
        yield stream


@contextmanager
def _member(file: SourceFile) -> Iterator[Content]:
    shelf = _SHELF.get()
    if shelf is not None:
        yield _a_file(member_content(shelf.directory(file), file.member))
        return
    with _opened(file) as stream:
        yield _a_file(member_content(_directory(stream), file.member))


def _directory(stream: BinaryIO) -> Directory:
    size = os.fstat(stream.fileno()).st_size
    return Directory(peeled(stream, size, allowance(size)))


def _a_file(content: Content) -> Content:
    if content.kind is not None:
        raise SeriesError(Reason.ARCHIVE_NOT_OPENED)
    return content


def _check_unchanged(file: SourceFile, stream: BinaryIO, now: os.stat_result | None = None) -> None:
    """Compare an open file with what was listed; the size that was listed of a member is its own."""
    status = os.fstat(stream.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise SeriesError(Reason.UNREADABLE_FILE)
    same = status.st_mtime_ns == file.mtime_ns and (bool(file.member) or status.st_size == file.size)
    if not same or (now is not None and (now.st_ino, now.st_mtime_ns) != (status.st_ino, status.st_mtime_ns)):
        raise SeriesError(Reason.CHANGED_WHILE_READ)
