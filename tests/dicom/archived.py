"""Archives for the tests, packed in every way, and some that no honest program writes."""

import gzip
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO

from tests.dicom.drawn import stack, written

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]
NAMES = [f"study/series/{number}.dcm" for number in range(len(HEIGHTS))]


def series() -> dict[str, bytes]:
    """Draw the files of one series, by name."""
    return dict(zip(NAMES, map(written, stack(HEIGHTS)), strict=True))


def zipped(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w", style: int = tarfile.PAX_FORMAT) -> bytes:
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=style) as archive:  # type: ignore[call-overload]  # any mode
        for name, content in files.items():
            archive.addfile(tar_member(name, len(content)), BytesIO(content))
    return stream.getvalue()


def tar_member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, "/etc/passwd" if kind != tarfile.REGTYPE else ""
    return member


def gzipped(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def zip_of_bytes(listed: list[tuple[bytes, bytes, int, int]], content: bytes) -> bytes:
    """Write `content` and a zip's directory that says what it is asked: (name, data, size, offset) of each member."""
    directory = b""
    for name, packed, size, offset in listed:
        crc = zlib.crc32(bytes(min(size, 1 << 20)))
        sizes = crc, len(packed), size, len(name)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, *sizes, *[0] * 5, offset) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(listed), len(listed), len(directory), len(content), 0)
    return content + directory + end


def as_zip_64(content: bytes) -> bytes:
    """Let a zip say the numbers of its directory in the Zip64 record, as those do that need to."""
    *_, count, length, offset, _ = struct.unpack("<4s4H2LH", content[-22:])
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(content) - 22, 1)
    full = 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    return content[:-22] + end + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *full, 0)


def local(name: bytes, packed: bytes, size: int) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0) + name + packed


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def overlapping_bomb(members: int = 200) -> bytes:
    """Let many members share one kernel of 16 MiB that packs to 16 KB (after D. Fifield, WOOT 2019)."""
    packed = deflated(bytes(1 << 24))
    content = local(b"0", packed, 1 << 24)
    return zip_of_bytes([(str(n).encode(), packed, 1 << 24, 0) for n in range(members)], content)


def gzip_of_zeros(size: int) -> bytes:
    """Pack `size` zeros without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 24)
    return b"".join(packer.compress(block) for _ in range(size >> 24)) + packer.flush()
