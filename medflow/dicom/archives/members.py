"""Archives of an export: what kind a file is, what it holds, and each member's bytes. Nothing is unpacked to disk.

A gzip'd file is the file that it holds; gzip counts as no archive. Zip and tar are archives: each file in them is a
member, also in archives that are nested in them down to `DEEPEST`, and an archive within an archive is a member itself
only where it cannot be read whole. A path within a path is written "inner.zip!/series/1.dcm".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from io import BytesIO
from typing import BinaryIO, cast

from medflow.dicom.archives.entries import LARGEST_MEMBER, LARGEST_TOTAL, WITHIN, Budget, Entry, Spent, allowance
from medflow.dicom.archives.gzips import MAGIC, Unfolded
from medflow.dicom.archives.stream import Stream, exactly
from medflow.dicom.archives.tars import BLOCK, is_tar, tar_entries
from medflow.dicom.archives.zips import zip_entries, zip_member
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

DEEPEST = 3
"""Archives within one another, and gzip layers around a file: what is deeper is left closed."""
HEAD = BLOCK
UNOPENED = (
    b"PK\x07\x08",  # zip in several parts
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\x04\x22\x4d\x18",  # lz4
    b"\x1f\x9d",  # compress
    b"LZIP",
    b"MSCF",
)
"""How archives begin that are not opened here."""


class Kind(Enum):
    """What the first bytes of a file say of it, where they do not say that it is a file of its own."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    UNOPENED = "unopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive that was opened: one file of the export, whose members are counted by themselves."""

    file: SourceFile
    reason: Reason | None = None
    """Why it could not be read whole; members that were read before count."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of one file or member, without its gzip layers; `size` counts all of them."""

    stream: BinaryIO = field(repr=False)
    size: int
    kind: Kind | None = None
    """None: a file of its own. Of a zip or a tar `stream` is the archive's, and `size` may not be known of a tar.gz."""


def kind_of(head: bytes) -> Kind | None:
    """Tell an archive by its first 512 bytes. What bears DICOM's prefix (PS3.10 7.1) is DICOM."""
    if head[128:132] == b"DICM":
        return None
    if head.startswith(MAGIC):
        return Kind.GZIP
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return Kind.ZIP
    if head.startswith(UNOPENED):
        return Kind.UNOPENED
    return Kind.TAR if is_tar(head) else None


def peeled(stream: BinaryIO, size: int, limit: int) -> Content:
    """Take the gzip layers off a file of `size` bytes; unfold up to `limit` bytes in memory, unless a tar is inside.

    Raises:
        SeriesError: it is damaged, too large, or not opened here.
    """
    layers = 0
    while (kind := kind_of(_head(stream))) is Kind.GZIP:
        layers += 1
        if layers > DEEPEST:
            raise SeriesError(Reason.ARCHIVE_NOT_OPENED, "packed too often")
        unfolded = Unfolded(stream, limit)
        if kind_of(_head(unfolded)) is Kind.TAR:
            return Content(stream=cast("BinaryIO", unfolded), size=0, kind=Kind.TAR)  # it reads and seeks, no more
        content = _whole(unfolded)
        stream, size = BytesIO(content), len(content)
    if kind is Kind.UNOPENED:
        raise SeriesError(Reason.ARCHIVE_NOT_OPENED)
    return Content(stream=stream, size=size, kind=kind)


def members(file: SourceFile, archive: Content) -> Iterator[tuple[SourceFile, Content | SeriesError]]:
    """Read each member of an archive that was peeled from `file`, and say of each what it holds or why it is not read.

    Raises:
        SeriesError: the archive is damaged or unfolds to too much; the members that came before stand.
    """
    walk = _Walk(file=file, budget=Budget(allowance(file.size)))
    yield from walk.through(archive, "", 1)


def member_content(directory: "Directory", member: str) -> Content:
    """Find one member again, by its path, in an archive that was read before.

    Raises:
        SeriesError: it is not there any more, or is damaged.
    """
    entry = directory.entries.get(member)
    if entry is not None:
        return directory.content(entry)
    at = member.find(WITHIN)
    while at >= 0:
        if member[:at] in directory.entries:
            return member_content(directory.nested(member[:at]), member[at + len(WITHIN) :])
        at = member.find(WITHIN, at + 1)
    raise SeriesError(Reason.CHANGED_WHILE_READ)


class Directory:
    """An archive whose members can be read in any order; it keeps the nested archive that was asked for last."""

    def __init__(self, archive: Content) -> None:
        self._archive = archive
        self._nested: tuple[str, Directory] | None = None
        self.entries: dict[str, Entry] = {}
        try:
            for entry in _entries(archive):
                if entry.flaw is None:
                    self.entries.setdefault(entry.name, entry)
        except SeriesError:
            pass  # it breaks off; what came before can be read

    def content(self, entry: Entry) -> Content:
        """Read one member."""
        return _content(self._archive, entry, LARGEST_TOTAL)

    def nested(self, name: str) -> "Directory":
        """Open the archive that a member is."""
        if self._nested is None or self._nested[0] != name:
            self._nested = name, Directory(self.content(self.entries[name]))
        return self._nested[1]


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One way through an archive and those nested in it."""

    file: SourceFile
    budget: Budget
    names: set[str] = field(default_factory=set, repr=False)

    def through(self, archive: Content, prefix: str, depth: int) -> Iterator[tuple[SourceFile, Content | SeriesError]]:
        for entry in _allowed(_entries(archive), archive, self.budget):
            member, flaw = self._named(prefix + entry.name), entry.flaw
            if member.member != prefix + entry.name:
                flaw = SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "another member has its name")
            self.budget.take(entry.size if flaw is None or archive.kind is Kind.TAR else 0)
            try:
                if flaw is not None:
                    raise flaw
                yield from self._held(member, self._read(archive, entry), depth)
            except Spent:
                raise
            except SeriesError as error:
                yield replace(member, size=entry.size), error

    def _held(
        self, member: SourceFile, content: Content, depth: int
    ) -> Iterator[tuple[SourceFile, Content | SeriesError]]:
        """Give a member that is a file of its own, or go through the archive that it is."""
        if content.kind is None:
            yield replace(member, size=content.size), content
            return
        if depth == DEEPEST:
            raise SeriesError(Reason.ARCHIVE_NOT_OPENED, "nested too deep")
        before = len(self.names)
        yield from self.through(content, member.member + WITHIN, depth + 1)
        if len(self.names) == before:
            raise SeriesError(Reason.ARCHIVE_WITHOUT_IMAGES)

    def _read(self, archive: Content, entry: Entry) -> Content:
        """Read a member; what gzip folded in it is spent, and so is a bomb."""
        limit = min(allowance(entry.size), max(self.budget.unfolded, 0))
        try:
            content = _content(archive, entry, limit)
        except SeriesError as error:
            self.budget.take(limit if error.reason is Reason.ARCHIVE_TOO_LARGE else 0)
            raise
        self.budget.take(max(0, content.size - entry.size))
        return content

    def _named(self, name: str) -> SourceFile:
        """Name a member as no other one of its archive: a second of one name takes a number."""
        unique, number = name or "#1", 1
        while unique in self.names:
            number += 1
            unique = f"{name}#{number}"
        self.names.add(unique)
        return replace(self.file, member=unique)


def _entries(archive: Content) -> Iterable[Entry]:
    return zip_entries(archive.stream, archive.size) if archive.kind is Kind.ZIP else tar_entries(archive.stream)


def _allowed(entries: Iterable[Entry], archive: Content, budget: Budget) -> Iterable[Entry]:
    """Refuse a zip before anything is unfolded, where its directory already says that it is too large."""
    if archive.kind is Kind.ZIP:
        entries = list(entries)
        if sum(entry.size for entry in entries if entry.flaw is None) > budget.unfolded:
            raise Spent("bytes")
    return entries


def _content(archive: Content, entry: Entry, limit: int) -> Content:
    if archive.kind is Kind.ZIP:
        content = zip_member(archive.stream, entry)
    else:
        archive.stream.seek(entry.offset)
        content = exactly(archive.stream, entry.size)
    return peeled(BytesIO(content), len(content), limit)


def _whole(unfolded: Unfolded) -> bytes:
    content = unfolded.read(LARGEST_MEMBER + 1)
    if len(content) > LARGEST_MEMBER:
        raise SeriesError(Reason.ARCHIVE_TOO_LARGE, "gzip stream")
    return content


def _head(stream: Stream) -> bytes:
    stream.seek(0)
    head = stream.read(HEAD)
    stream.seek(0)
    return head
