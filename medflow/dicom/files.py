"""The files below a folder, and what a first look at their bytes tells."""

import os
import stat
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from medflow.dicom.header import Header, damaged
from medflow.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, coding
from medflow.dicom.tags import Tag
from medflow.dicom.walking import LONG_VRS, SHORT_VRS, Window, read_header, read_meta
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

PREAMBLE = 132
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
INFLATED_LIMIT = 1 << 28
"""Bytes that a deflated object may unfold to."""
DISC_IMAGE = 0x8001
"""Where the first descriptor of a disc image says CD001 (ECMA-119 8.4)."""


def list_files(root: Path) -> Iterator[SourceFile]:
    """Name every regular file below `root` in the order of their relative paths.

    Symbolic links are not followed; pipes, sockets and devices are no files. A folder that may not be looked into
    stands as one file of no bytes, whose relative path ends in "/": what it holds is not known, and that is counted.
    What vanishes meanwhile is passed over.
    """
    found: list[tuple[str, str, int, int]] = []
    folders = [(os.fspath(root), "")]
    while folders:
        path, relative = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, f"{relative}{entry.name}/"))
                    else:
                        found += _sized(entry, relative)
        except FileNotFoundError:
            continue
        except OSError:
            found.append((relative or "./", path, 0, 0))
    for relative, path, size, mtime_ns in sorted(found):
        yield SourceFile(path=Path(path), relative=relative, size=size, mtime_ns=mtime_ns)


def _sized(entry: os.DirEntry[str], folder: str) -> list[tuple[str, str, int, int]]:
    """Describe a regular file; one that may not be asked about is one of unknown size, which will not open either."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return []
    except OSError:
        return [] if entry.is_symlink() else [(f"{folder}{entry.name}", entry.path, 0, 0)]
    regular = stat.S_ISREG(status.st_mode)
    return [(f"{folder}{entry.name}", entry.path, status.st_size, status.st_mtime_ns)] if regular else []


def open_object(stream: BinaryIO, size: int) -> tuple[Header, Header, str, Window]:
    """Read file meta information and header of an open file; also its transfer syntax, and the window to its pixels.

    Raises:
        SeriesError: it is empty, the image of a disc, no DICOM, or damaged.
    """
    if size == 0:
        raise SeriesError(Reason.EMPTY_FILE)
    window = Window(stream, size)
    start = _start(window)
    meta, offset = read_meta(window, start)
    if meta.text(Tag.MediaStorageSOPClassUID) == MEDIA_DIRECTORY:
        raise SeriesError(Reason.DICOMDIR)
    if offset >= size:
        raise damaged("no data set")
    syntax = meta.text(Tag.TransferSyntaxUID) or _guessed(window, offset) or _named_vr(window, offset)
    if syntax == DEFLATED_LITTLE:
        data = _inflated(stream, offset)
        window, offset = Window(BytesIO(data), len(data)), 0
    return meta, read_header(window, offset, coding(syntax)), syntax, window


def _start(window: Window) -> int:
    """Find where the elements begin: behind preamble and prefix (PS3.10 7.1), or at once in files older than those."""
    head = window.bytes(0, 512)
    if head[128:PREAMBLE] == b"DICM":
        return PREAMBLE
    for offset in (0, 128):
        if not head[:offset].strip(b"\0") and (head[offset : offset + 2] == b"\2\0" or _guessed(window, offset)):
            return offset
    if window.bytes(DISC_IMAGE, 5) == b"CD001":
        raise SeriesError(Reason.ARCHIVE_NOT_OPENED, "image of a disc")
    raise SeriesError(Reason.NOT_DICOM)


def _guessed(window: Window, offset: int) -> str | None:
    """Tell the spelling of a data set without file meta information by its first element, of group 0008."""
    head = window.bytes(offset, 8)
    vr = head[4:6]
    if len(head) < 8:  # noqa: PLR2004
        return None
    if vr in LONG_VRS | SHORT_VRS:
        return {b"\x08\0": EXPLICIT_LITTLE, b"\0\x08": EXPLICIT_BIG}.get(head[:2])
    fits = int.from_bytes(head[4:8], "little") <= min(1024, window.size - offset)
    return IMPLICIT_LITTLE if head[:2] == b"\x08\0" and head[3] <= 1 and fits else None


def _named_vr(window: Window, offset: int) -> str:
    """Tell the spelling of a little-endian data set that begins with any group."""
    return EXPLICIT_LITTLE if window.bytes(offset + 4, 2) in LONG_VRS | SHORT_VRS else IMPLICIT_LITTLE


def _inflated(stream: BinaryIO, offset: int) -> bytes:
    stream.seek(offset)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(stream.read(), INFLATED_LIMIT)
    except zlib.error:
        raise damaged("deflated data set") from None
    if unpacker.unconsumed_tail:
        raise damaged("deflated data set is too long")
    if not unpacker.eof:
        raise damaged("deflated data set breaks off")
    return data
