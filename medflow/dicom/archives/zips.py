"""A zip archive's directory and members, by APPNOTE.TXT 6.3.10; the section is named at each rule.

A reader of our own, because it must bound memory and time by the archive's size, tell damage from what it does not
support, and raise nothing but `SeriesError`.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

from medflow.dicom.archives.entries import MOST_MEMBERS, Entry, Spent, broken, too_large, unsafe
from medflow.dicom.archives.stream import Stream, exactly
from medflow.errors import Reason, SeriesError

END = struct.Struct("<4s4H2LH")  # 4.3.16
LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
END_64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
LISTED = struct.Struct("<4s6H3L5H2L")  # 4.3.12
LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
END_MAGIC, LOCATOR_MAGIC, END_64_MAGIC = b"PK\5\6", b"PK\6\7", b"PK\6\6"
LISTED_MAGIC, LOCAL_MAGIC = b"PK\1\2", b"PK\3\4"
LONGEST_COMMENT = 0xFFFF
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
"""What stands in a field whose value is in the Zip64 record instead."""
ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13  # 4.4.4
UTF8 = 1 << 11
STORED, DEFLATED, AES = 0, 8, 99
UNIX, LINK, FILE_KINDS = 3, 0o120000, 0o170000
LARGEST_DIRECTORY = 1 << 28


def zip_entries(stream: Stream, size: int) -> list[Entry]:
    """List the members of a zip of `size` bytes in the order in which they stand in it; folders are none.

    Raises:
        SeriesError: the directory is damaged, or says what cannot be: members that overlap, too many of them.
    """
    count, length, offset = _directory(stream, size)
    if count > MOST_MEMBERS or length > LARGEST_DIRECTORY:
        raise Spent("members")
    if offset + length > size:
        raise broken("directory of a zip")
    stream.seek(offset)
    listed = exactly(stream, length)
    entries = sorted(_listed(listed, count), key=lambda entry: entry.offset)
    for entry, following in pairwise([*entries, Entry(name="", size=0, offset=offset, packed=0)]):
        if entry.offset + LOCAL.size + entry.packed > following.offset:
            raise broken("members of a zip overlap")
    return [entry for entry in entries if not (entry.name.endswith("/") and entry.size == 0)]


def zip_member(stream: Stream, entry: Entry) -> bytes:
    """Read and unfold one member; its size and CRC-32 must be those that the directory says.

    Raises:
        SeriesError: it is damaged.
    """
    stream.seek(entry.offset)
    magic, _, _, method, _, _, _, _, _, name, extra = LOCAL.unpack(exactly(stream, LOCAL.size))
    if magic != LOCAL_MAGIC or method != (DEFLATED if entry.deflated else STORED):
        raise broken("member of a zip")
    exactly(stream, name + extra)
    content = exactly(stream, entry.packed)
    if entry.deflated:
        content = _inflated(content, entry.size)
    if len(content) != entry.size or zlib.crc32(content) != entry.crc:
        raise broken("member of a zip")
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(packed, size + 1)
    except zlib.error:
        raise broken("member of a zip") from None
    if not unpacker.eof:
        raise broken("member of a zip")
    return content


def _directory(stream: Stream, size: int) -> tuple[int, int, int]:
    """Find the central directory: its members, bytes and offset."""
    start = max(0, size - END.size - LONGEST_COMMENT)
    stream.seek(start)
    tail = exactly(stream, size - start)
    found = tail.rfind(END_MAGIC)
    while found >= 0 and not _ends_at(tail, found):
        found = tail.rfind(END_MAGIC, 0, found)
    if found < 0:
        raise broken("a zip without its directory")
    _, disk, first, here, count, length, offset, _ = END.unpack_from(tail, found)
    if FULL_16 in {here, count} or FULL_32 in {length, offset}:
        disk, first, here, count, length, offset = _directory_64(stream, start + found)
    if disk or first or here != count:
        raise SeriesError(Reason.ARCHIVE_NOT_OPENED, "in several parts")
    return count, length, offset


def _ends_at(tail: bytes, found: int) -> bool:
    """Tell the record that ends a zip from the same bytes in its comment: what follows is the comment, and no more."""
    return found + END.size <= len(tail) == found + END.size + int.from_bytes(tail[found + 20 : found + 22], "little")


def _directory_64(stream: Stream, end: int) -> tuple[int, ...]:
    if end < LOCATOR.size:
        raise broken("directory of a zip")
    stream.seek(end - LOCATOR.size)
    magic, _, at, _ = LOCATOR.unpack(exactly(stream, LOCATOR.size))
    if magic != LOCATOR_MAGIC or at > end:
        raise broken("directory of a zip")
    stream.seek(at)
    found = END_64.unpack(exactly(stream, END_64.size))
    if found[0] != END_64_MAGIC:
        raise broken("directory of a zip")
    return found[4:]


def _listed(listed: bytes, count: int) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        if len(listed) - at < LISTED.size:
            raise broken("directory of a zip")
        fields = LISTED.unpack_from(listed, at)
        name, extra, comment = fields[10:13]
        at += LISTED.size
        if fields[0] != LISTED_MAGIC or at + name + extra + comment > len(listed):
            raise broken("directory of a zip")
        yield _entry(fields, listed[at : at + name], listed[at + name : at + name + extra])
        at += name + extra + comment
    if listed[at : at + 4] == LISTED_MAGIC:
        raise broken("directory of a zip")  # it lists more than it counts


def _entry(fields: tuple[int, ...], name: bytes, extra: bytes) -> Entry:
    flags, method, crc, packed, size, offset = (fields[number] for number in (3, 4, 7, 8, 9, 16))
    size, packed, offset = _sizes_64(extra, [size, packed, offset])
    text = _text(name, flags)
    kind = fields[15] >> 16 & FILE_KINDS if fields[1] >> 8 == UNIX else 0
    return Entry(
        name=text,
        size=size,
        offset=offset,
        packed=packed,
        crc=crc,
        deflated=method == DEFLATED,
        flaw=unsafe(text) or _not_a_file(text, kind, size) or _not_opened(flags, method) or too_large(size, packed),
    )


def _sizes_64(extra: bytes, sizes: list[int]) -> list[int]:
    """Take those of size, packed size and offset that do not fit from the Zip64 record (4.5.3)."""
    at = 0
    while len(extra) - at >= 4:  # noqa: PLR2004
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            large = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            return [next(large, value) if value == FULL_32 else value for value in sizes]
        at += 4 + length
    return sizes


def _text(name: bytes, flags: int) -> str:
    """Read a name: UTF-8 if it says so or is, else the code page of the first PCs (appendix D)."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "surrogateescape") if flags & UTF8 else name.decode("cp437")


def _not_a_file(name: str, kind: int, size: int) -> SeriesError | None:
    if kind == LINK:
        return SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "link")
    if name.endswith("/") and size:
        return SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "a folder with bytes of its own")
    return None


def _not_opened(flags: int, method: int) -> SeriesError | None:
    if flags & ENCRYPTED or method == AES:
        return SeriesError(Reason.ENCRYPTED_ARCHIVE)
    if method not in {STORED, DEFLATED}:
        return SeriesError(Reason.ARCHIVE_NOT_OPENED, f"compression method {method}")
    return None
