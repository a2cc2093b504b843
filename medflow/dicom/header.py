"""What a DICOM header says: raw values by tag, read by accessors that trust none of them."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from medflow.errors import Reason, SeriesError

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixels stand: value of (7FE0,00xx), `length` bytes at `offset`."""

    tag: int
    vr: str
    length: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """One data set or sequence item: raw values and items by tag; the accessors answer None for what is unusable."""

    elements: Mapping[int, "bytes | list[Header]"] = field(repr=False)
    order: str = "<"
    pixels: PixelElement | None = None

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements

    def raw(self, tag: int) -> bytes:
        """Give the bytes of a value; none where it is absent or a sequence."""
        value = self.elements.get(tag)
        return value if isinstance(value, bytes) else b""

    def items(self, tag: int) -> "list[Header]":
        """Give the items of a sequence; none where it is absent."""
        value = self.elements.get(tag)
        return value if isinstance(value, list) else []

    def text(self, tag: int) -> str:
        """Read a value of the default repertoire, without its padding; what is not ASCII shows as U+FFFD."""
        return self.raw(tag).decode("ascii", "replace").strip(" \0\t\r\n")

    def texts(self, tag: int) -> tuple[str, ...]:
        """Read a multi-valued text."""
        text = self.text(tag)
        return tuple(part.strip(" \0") for part in text.split("\\")) if text else ()

    def decimals(self, tag: int) -> tuple[float, ...] | None:
        """Read DS or IS values (PS3.5 6.2); None unless each is a finite number."""
        parts = self.texts(tag)
        if not parts or not all(map(_NUMBER.fullmatch, parts)):
            return None
        values = tuple(map(float, parts))
        return values if all(map(math.isfinite, values)) else None

    def decimal(self, tag: int) -> float | None:
        """Read the first DS or IS value."""
        values = self.decimals(tag)
        return values[0] if values else None

    def integer(self, tag: int, *, signed: bool = False) -> int | None:
        """Read the first US, SS, UL or SL value."""
        return next(iter(self.integers(tag, signed=signed)), None)

    def integers(self, tag: int, *, signed: bool = False, wide: bool = False) -> tuple[int, ...]:
        """Read US or SS values; UL or SL with `wide`, or where there are four bytes."""
        raw = self.raw(tag)
        code, width = ("i", 4) if wide or len(raw) == 4 else ("h", 2)  # noqa: PLR2004
        count = len(raw) // width
        return struct.unpack_from(f"{self.order}{count}{code if signed else code.upper()}", raw)

    def doubles(self, tag: int) -> tuple[float, ...]:
        """Read FD values; none where one is not a finite number."""
        return self._floats(tag, "d", 8)

    def singles(self, tag: int) -> tuple[float, ...]:
        """Read FL values; none where one is not a finite number."""
        return self._floats(tag, "f", 4)

    def blocks(self) -> dict[tuple[int, str], int]:
        """List the private blocks (PS3.5 7.8.1): first tag of each by its group and its creator in capitals."""
        return {
            (tag >> 16, self.text(tag).upper()): (tag & 0xFFFF0000) | (tag & 0xFF) << 8
            for tag in self.elements
            if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF  # noqa: PLR2004
        }

    def _floats(self, tag: int, code: str, width: int) -> tuple[float, ...]:
        raw = self.raw(tag)
        values: tuple[float, ...] = struct.unpack_from(f"{self.order}{len(raw) // width}{code}", raw)
        return values if all(map(math.isfinite, values)) else ()


def damaged(detail: str) -> SeriesError:
    """Say that a header cannot be believed; `detail` names what, and holds no value."""
    return SeriesError(Reason.DAMAGED_HEADER, detail)
