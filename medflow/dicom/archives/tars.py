"""The members of a tar: ustar, pax (POSIX.1-2017, pax, EXTENDED DESCRIPTION), GNU's long names, and what is older."""

from collections.abc import Iterator

from medflow.dicom.archives.entries import Entry, broken, too_large, unsafe
from medflow.dicom.archives.stream import Stream, exactly
from medflow.errors import Reason, SeriesError

BLOCK = 512
EMPTY = bytes(BLOCK)
FARTHEST = 1 << 60
LONGEST_RECORD = 1 << 20
"""Bytes of a pax record or a long name."""
FILES, FOLDERS, LINKS, DEVICES = b"0\0007", b"5D", b"12", b"346"
PAX, GLOBAL_PAX, LONG_NAME, LONG_LINK, VOLUME, SPARSE = b"x", b"g", b"L", b"K", b"V", b"S"


def is_tar(block: bytes) -> bool:
    """Tell a tar by the checksum of its first header."""
    return len(block) >= BLOCK and block[:BLOCK] != EMPTY and _checks(block[:BLOCK])


def tar_entries(stream: Stream) -> Iterator[Entry]:
    """List the members of a tar, one after another; folders are none.

    Raises:
        SeriesError: a header is damaged, or the tar breaks off; what came before stands.
    """
    at, said = 0, dict[str, str]()
    while True:
        stream.seek(at)
        block = exactly(stream, BLOCK)
        if block == EMPTY:
            return
        if not _checks(block):
            raise broken("header in a tar")
        kind, size = block[156:157], _number(block[124:136])
        at += BLOCK
        if kind in {PAX, LONG_NAME}:
            said |= _record(stream, kind, size)
        elif kind not in {GLOBAL_PAX, LONG_LINK, VOLUME}:
            size = _size(said, size)
            name = said.get("path") or _name(block)
            if kind not in FOLDERS and not (name.endswith("/") and size == 0):
                yield _entry(name, kind, at, size, sparse=any(key.startswith("GNU.sparse") for key in said))
            said = {}
        at += -(-size // BLOCK) * BLOCK
        if at > FARTHEST:
            raise broken("header in a tar")


def _entry(name: str, kind: bytes, offset: int, size: int, *, sparse: bool) -> Entry:
    flaw = unsafe(name)
    if kind in LINKS or kind in DEVICES:
        flaw = SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "link" if kind in LINKS else "device")
    elif sparse or kind not in FILES:
        flaw = SeriesError(Reason.ARCHIVE_NOT_OPENED, "sparse" if sparse or kind == SPARSE else "kind of member")
    return Entry(name=name, size=size, offset=offset, packed=size, flaw=flaw or too_large(size, size))


def _checks(block: bytes) -> bool:
    """Compare a header with its checksum: the sum of its bytes, its own field taken as spaces."""
    digits = block[148:156].strip(b" \0")
    stated = int(digits, 8) if digits and not digits.strip(b"01234567") else -1
    return stated == sum(block) - sum(block[148:156]) + 8 * 0x20


def _number(field: bytes) -> int:
    """Read a size: octal digits, or GNU's binary form with the first bit set."""
    if field[0] == 0x80:  # noqa: PLR2004
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise broken("header in a tar")
    return int(digits or b"0", 8)


def _size(said: dict[str, str], size: int) -> int:
    """Take the size that a pax record says, which goes before the header's."""
    text = said.get("size", str(size))
    if not (text.isascii() and text.isdigit() and len(text) <= 20):  # noqa: PLR2004
        raise broken("record in a tar")
    return int(text)


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _record(stream: Stream, kind: bytes, size: int) -> dict[str, str]:
    """Read what goes before a header: a long name, or pax's lines of "length keyword=value"."""
    if size > LONGEST_RECORD:
        raise broken("record in a tar")
    content = exactly(stream, size)
    if kind == LONG_NAME:
        return {"path": content.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    found = {}
    at = 0
    while at < len(content):
        digits, space, _ = content[at : at + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        if not len(digits) + 1 < length <= len(content) - at:
            raise broken("record in a tar")
        keyword, _, value = content[at + len(digits) + 1 : at + length - 1].partition(b"=")
        found[keyword.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found
