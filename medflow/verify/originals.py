"""The originals read for whose they are: files, and what is in gzip, ZIP and tar, by a reader of its own."""

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from medflow.domain.progress import SILENT, Progress
from medflow.errors import ConfigurationError
from medflow.verify.files import GZIP, ZIP
from medflow.verify.identity import Identity, Value, identity_of_file
from medflow.verify.walk import MOST

DAMAGE = (OSError, EOFError, RuntimeError, NotImplementedError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
DEEPEST = 3
"""Archives within archives that are opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Originals:
    """What a folder of originals says of its patients."""

    identity: Identity = field(repr=False)
    objects: int
    """DICOM objects that were read."""
    unread: int
    """Files and archives that could not be read, or not to their end."""


def read_originals(root: Path, *, progress: Progress = SILENT) -> Originals:
    """Read the identity out of every original below `root`.

    Raises:
        ConfigurationError: the folder is not there, or holds no original that says whose it is.
    """
    if not root.is_dir():
        raise ConfigurationError("the folder of originals is not there, or is no folder")
    paths = sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    progress.start("reading originals", len(paths))
    reading = _Reading()
    for path in paths:
        reading.add(path)
        progress.advance()
    identity = Identity(
        values=frozenset(reading.values),
        moments=frozenset(reading.moments),
        studies=frozenset(reading.studies),
        models=frozenset(reading.models),
    )
    if not identity.values:
        raise ConfigurationError("the folder of originals holds no DICOM object that says whose it is")
    return Originals(identity=identity, objects=reading.objects, unread=reading.unread)


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.values: set[Value] = set()
        self.moments: set[str] = set()
        self.studies: set[str] = set()
        self.models: set[str] = set()
        self.objects = self.unread = 0

    def add(self, path: Path) -> None:
        """Read a file; a link, a pipe or a device is never opened."""
        if path.is_symlink() or not path.is_file():
            return
        try:
            with path.open("rb") as file:
                self._add_stream(file, 0)
        except DAMAGE:
            self.unread += 1

    def _add_stream(self, stream: BinaryIO, depth: int) -> None:
        start = stream.read(512)
        stream.seek(0)
        packed = start.startswith((GZIP, ZIP)) or start[257:262] == b"ustar"
        if packed and depth < DEEPEST:
            for member in _members(stream, start):
                self._add_stream(member, depth + 1)
            return
        found = identity_of_file(stream)
        if found is not None and found.values:
            self.objects += 1
            self.values |= found.values
            self.moments |= found.moments
            self.studies |= found.studies
            self.models |= found.models


def _members(stream: BinaryIO, start: bytes) -> Iterator[BinaryIO]:
    """Open what an archive holds, one after the other."""
    if start.startswith(GZIP):
        with gzip.GzipFile(fileobj=stream) as inner:
            yield BytesIO(inner.read(MOST))
    elif start.startswith(ZIP):
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if not entry.is_dir() and entry.file_size <= MOST:
                    yield BytesIO(archive.read(entry))
    else:
        with tarfile.open(fileobj=stream) as tar:
            for member in tar:
                opened = tar.extractfile(member) if member.isreg() and member.size <= MOST else None
                if opened is not None:
                    yield BytesIO(opened.read())
