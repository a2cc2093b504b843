"""What an archive says of one member before it is read, and how much an archive may unfold to.

Members are read into memory, never onto a disk: a copy there would be identity outside the export. So the limits
bound memory and time alike, whatever an archive claims.
"""

import re
from dataclasses import dataclass, field

from medflow.errors import Reason, SeriesError

LARGEST_MEMBER = 1 << 30
"""Bytes of the largest member, which is held in memory whole: an enhanced CT of two thousand 512 x 512 frames fits."""
LARGEST_TOTAL = 1 << 36
"""Bytes that one archive may unfold to, with all that is nested in it: more than a disc or a night's export holds."""
RATIO = 50
"""Unfolded bytes for each packed one. CT packs to a half, MR and PET with much empty space to a tenth or so."""
FREE = 1 << 28
"""Bytes that may unfold at any ratio, because empty slices pack a thousandfold. A bomb costs this much and no more."""
MOST_MEMBERS = 500_000
"""Members of one archive, with all that is nested in it."""
LONGEST_NAME = 4096
WITHIN = "!/"
"""Stands between the path of an archive and the path of a member in it, and so in no path of its own."""
SEPARATORS = re.compile(r"[/\\]")
DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member as its archive lists it. The name may be a patient's, so it never prints."""

    name: str = field(repr=False)
    size: int
    """Bytes, unfolded."""
    offset: int
    """Where its bytes begin in a tar; where its local header begins in a zip."""
    packed: int
    crc: int | None = None
    """CRC-32 of the member of a zip."""
    deflated: bool = False
    flaw: SeriesError | None = None
    """Why it is not read."""


class Spent(SeriesError):
    """An archive unfolds to more than any archive may: nothing more of it is read."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.ARCHIVE_TOO_LARGE, detail)


@dataclass(slots=True)
class Budget:
    """What one archive of an export, with all that is nested in it, may still unfold to."""

    unfolded: int
    members: int = MOST_MEMBERS

    def take(self, size: int) -> None:
        """Spend a member of `size` bytes.

        Raises:
            Spent: that much is not left.
        """
        self.unfolded -= size
        self.members -= 1
        if self.unfolded < 0:
            raise Spent("bytes")
        if self.members < 0:
            raise Spent("members")


def allowance(packed: int) -> int:
    """Say how many bytes `packed` ones may unfold to."""
    return min(LARGEST_TOTAL, max(FREE, RATIO * packed))


def unsafe(name: str) -> SeriesError | None:
    """Say what is wrong with a member's name: it points out of its archive, or is none. Nothing is unpacked to it."""
    if not name or "\0" in name or WITHIN in name or len(name) > LONGEST_NAME:
        return SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "name")
    if name[0] in "/\\" or DRIVE.match(name) or ".." in SEPARATORS.split(name):
        return SeriesError(Reason.UNSAFE_ARCHIVE_MEMBER, "path leads out of the archive")
    return None


def too_large(size: int, packed: int) -> SeriesError | None:
    """Say whether one member would unfold to more than a member may."""
    if size > min(LARGEST_MEMBER, allowance(packed)):
        return SeriesError(Reason.ARCHIVE_TOO_LARGE, "member")
    return None


def broken(detail: str) -> SeriesError:
    """Say that an archive, or what a member is packed in, cannot be believed; `detail` names what, and no value."""
    return SeriesError(Reason.DAMAGED_ARCHIVE, detail)
