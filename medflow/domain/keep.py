"""For how long what is kept is kept."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how long each store keeps what it holds; None is without end."""

    superseded: timedelta | None = None
    """Stored copies of series that another revision took the place of, or that were withheld, from then on."""
    series: timedelta | None = None
    """Stored copies of any series, from the day on which it was taken in."""
    volumes: timedelta | None = None
    """Volumes in the cache, which are made again when they are wanted."""
    exports: timedelta | None = None
    """Exports made here, from the last writing on."""
    identities: timedelta | None = None
    """What the vault knows of a patient, from the day on which the newest series was taken in."""
