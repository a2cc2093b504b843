"""The proof that a second look can see: values planted in copies, in memory, in each kind of place."""

import base64
import struct
import zlib
from collections.abc import Iterator

from medflow.verify.forms import DAYS, LONG, PACKED, PEOPLE, is_plain, name_parts
from medflow.verify.identity import Kind, Value
from medflow.verify.walk import DEFLATED, MAGIC, PIXELS, PREAMBLE, Part, parts_of
from medflow.verify.words import WIDE, codecs_for

META = 0x0002
Planted = tuple[str, bytes, str]
"""Kind of place, the file with the value in it, the name that the file has."""


def planted(content: bytes, value: Value) -> Iterator[Planted]:
    """Plant a value in a DICOM file in each kind of place where it is looked for."""
    part = next(parts_of(content))
    at = _data_set(part)
    explicit = content[at + 4 : at + 6].isalpha()
    for place, inserted in _elements(value, explicit=explicit):
        yield place, content[:at] + inserted + content[at:], ""
    written = value.text.encode("utf-8")
    if content[PREAMBLE : PREAMBLE + 4] == MAGIC:
        yield "preamble", written[:PREAMBLE].ljust(PREAMBLE, b"\0") + content[PREAMBLE:], ""
        yield "file meta", content[:at] + _element(0x00020016, b"AE", written, explicit=True) + content[at:], ""
    yield "behind the data set", content + b"\0\0" + written, ""
    yield "deflated", _deflated(value), ""
    yield "file name", content, f"{value.text}.dcm"
    if len(written) >= LONG and not is_plain(written):  # a plain is not looked for in pixels
        yield from _in_pixels(part, written)


def _data_set(part: Part) -> int:
    """Say where the data set begins."""
    ends = [end for path, _, _, end in part.pieces if path and path[0] >> 16 == META]
    return max(ends, default=PREAMBLE + 4 if part.content[PREAMBLE : PREAMBLE + 4] == MAGIC else 0)


def _elements(value: Value, *, explicit: bool) -> Iterator[tuple[str, bytes]]:
    """Write elements that hold a value in several ways."""
    for place, written in _written(value):
        yield place, _element(0x00104000, b"LT", written, explicit=explicit)
    plain = value.text.encode("utf-8")
    yield "private element", _element(0x00091001, b"UN", plain, explicit=explicit)
    yield "bytes", _element(0x00091002, b"OB", b"\x01\x02\x03" + plain + b"\x04", explicit=explicit)
    nested = _element(0x00100010, b"PN", plain, explicit=explicit)
    for depth in (0x00400275, 0x00081140):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + nested + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        nested = _element(depth, b"SQ", item, explicit=explicit)
        yield "nested element", nested


def _written(value: Value) -> Iterator[tuple[str, bytes]]:
    """Spell a value in the ways that the second look must see through."""
    text = value.text
    yield "element", text.encode("utf-8")
    yield "sentence", f"seen by ({text}), then".encode()
    yield "upper case", text.upper().encode("utf-8")
    yield "UTF-16", text.encode("utf-16")
    yield "UTF-16 big endian", text.encode("utf-16-be")
    yield from ((f"character set {codec}", text.encode(codec)) for codec in codecs_for([text]) if codec not in WIDE)
    if len(text.encode("utf-8")) >= PACKED and value.kind is not Kind.UID:
        yield "base 64", base64.b64encode(text.encode("utf-8"))
        yield "hexadecimal", text.encode("utf-8").hex().encode("ascii")
    if value.kind in PEOPLE:
        turned = name_parts(text)[0][1::-1]
        yield "turned name", ", ".join(turned).encode("utf-8")
    if value.kind in DAYS:
        yield "date with dashes", f"{text[:4]}-{text[4:6]}-{text[6:]}".encode()
        yield "date, day first", f"{text[6:]}.{text[4:6]}.{text[:4]}".encode()


def _element(tag: int, vr: bytes, value: bytes, *, explicit: bool) -> bytes:
    value += b"\0" * (len(value) % 2) if vr in {b"UN", b"OB"} else b" " * (len(value) % 2)
    place = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return place + struct.pack("<I", len(value)) + value
    if vr in {b"UN", b"OB", b"SQ"}:
        return place + vr + struct.pack("<HI", 0, len(value)) + value
    return place + vr + struct.pack("<H", len(value)) + value


def _deflated(value: Value) -> bytes:
    """Write a data set of one value, deflated (PS3.5 A.5)."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    inner = _element(0x00104000, b"LT", value.text.encode("utf-8"), explicit=True)
    syntax = _element(0x00020010, b"UI", DEFLATED, explicit=True)
    return bytes(PREAMBLE) + MAGIC + syntax + deflater.compress(inner) + deflater.flush()


def _in_pixels(part: Part, written: bytes) -> Iterator[Planted]:
    """Overwrite the middle and the end of the pixels."""
    content = part.content
    for path, _, start, end in part.pieces:
        if path and path[-1] in PIXELS and end - start > 2 * len(written):
            middle = (start + end) // 2
            yield "pixels", content[:middle] + written + content[middle + len(written) :], ""
            yield "end of pixels", content[: end - len(written)] + written + content[end:], ""
