"""What a file is, by its first bytes, and the parts that it is looked through in: unpacked where it is packed."""

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import accumulate
from typing import Any

from medflow.verify.walk import BEHIND, MAGIC, MOST, PREAMBLE, Part, Piece, parts_of

FILE, RAW = b"txt", b"raw"
"""Instead of a VR: a file that is no DICOM, or a stretch of it; the second one's words are read elsewhere."""
FIELD = re.compile(r"[a-z][a-z0-9_]*")
HEXADECIMAL = re.compile(r"[0-9a-f]{16,}|-?0x[0-9a-f]\.?[0-9a-f]*p[-+]\d+")
SITE = re.compile(rb'"site":"(?:[^"\\]|\\.)*"')
"""The code of a site in a series' record: the operator's word, and a patient may be called like it."""
VOXELS = (0x7FE00010,)
"""Where the pixels of other files stand, as if they were DICOM's."""
PNG = b"\x89PNG\r\n\x1a\n"
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
NUMPY = b"\x93NUMPY"
NIFTI_HEADER, NIFTI_MAGIC = 348, (b"n+1\0", b"ni1\0")
GROUPS = frozenset({b"\x02\0", b"\x08\0", b"\0\x08"})
"""First groups of a data set without a preamble, in either byte order."""
DEEPEST = 4


def opened(content: bytes, depth: int = 0) -> Iterator[Part]:
    """Take a file apart into what is read as text, what is pixels, and what it packs."""
    if is_dicom(content):
        yield from parts_of(content)
        return
    content = SITE.sub(b'"site":null', content) if content.startswith(b"{") else content
    record = _record(content)
    yield Part(content=content, pieces=tuple(_pieces(content)) if record is None else (((), RAW, 0, len(content)),))
    if record is not None:
        yield record
    for packed in _packed(content) if depth < DEEPEST else ():
        for part in opened(packed, depth + 1):
            yield Part(content=part.content, pieces=part.pieces, where="inflated")


def is_dicom(content: bytes) -> bool:
    """Say whether a file is DICOM, with or without a preamble."""
    bare = content[:2] in GROUPS and (content[4:6].isalpha() or content[6:8] == b"\0\0")
    return content[PREAMBLE : PREAMBLE + 4] == MAGIC or bare


def _pieces(content: bytes) -> Iterator[Piece]:
    """Tell the pixels of pictures and volumes from all else."""
    start = end = 0
    if content.startswith(PNG):
        yield from _of_picture(content)
        return
    if content.startswith(NUMPY):
        start, end = 10 + int.from_bytes(content[8:10], "little"), len(content)
    elif content[NIFTI_HEADER - 4 : NIFTI_HEADER] in NIFTI_MAGIC:
        order = "<" if content[:4] == struct.pack("<I", NIFTI_HEADER) else ">"
        offset = struct.unpack_from(f"{order}f", content, 108)[0]
        start, end = (int(offset), len(content)) if NIFTI_HEADER <= offset <= len(content) else (0, 0)
    if start < end:
        yield (), FILE, 0, start
        yield VOXELS, FILE, start, end
    else:
        yield (), FILE, 0, len(content)


def _of_picture(content: bytes) -> Iterator[Piece]:
    """Take a PNG apart: what is packed in its image data is pixels."""
    at = len(PNG)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = min(at + 12 + length, len(content))
        yield VOXELS if kind == b"IDAT" else (), FILE, at, end
        at = end
    yield (), BEHIND, at, len(content)


def _packed(content: bytes) -> Iterator[bytes]:
    """Unpack what a file packs: gzip, the members and names of a ZIP, texts of a PNG."""
    if content.startswith(GZIP):
        yield _inflated(content, 31)
    elif content.startswith(ZIP):
        yield from _members(content)
    elif content.startswith(PNG):
        at = content.find(b"zTXt")
        if at >= 0:
            yield _inflated(content[content.find(b"\0", at) + 2 :], 15)


def _inflated(content: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(content, MOST)
    except zlib.error:
        return b""


def _members(content: bytes) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for member in archive.infolist():
                yield member.filename.encode("utf-8", "surrogateescape")
                if not member.is_dir() and member.file_size <= MOST:
                    yield archive.read(member)
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError):
        return


def _record(content: bytes) -> Part | None:
    """Take the texts of a JSON record apart, without their escapes; None where a file is none."""
    if content[:1] not in {b"{", b"["}:
        return None
    try:
        texts = [text.encode("utf-8", "surrogatepass") for text in _texts(json.loads(content))]
    except (ValueError, RecursionError):
        return None
    ends = list(accumulate(len(text) + 1 for text in texts))
    pieces = [((), FILE, end - len(text) - 1, end - 1) for text, end in zip(texts, ends, strict=True)]
    return Part(content=b"\n".join((*texts, b"")), pieces=tuple(pieces), where="record")


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  (any JSON value)
    """Give the texts and numbers of a record; not its fields' names, and no digests and floats in hexadecimal."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from () if FIELD.fullmatch(name) else (name,)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, int | str) and not isinstance(value, bool) and not HEXADECIMAL.fullmatch(str(value)):
        yield str(value)
