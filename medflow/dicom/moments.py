"""Dates and times as headers write them (PS3.5 6.2: DA, TM, DT), local and without a zone."""

import re
from datetime import date, datetime, time

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")


def day(text: str) -> date | None:
    """Read a DA value; None where it is none."""
    match = _DATE.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def clock(text: str) -> time | None:
    """Read a TM value; None where it is none. A leap second counts as the second before."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups()
    try:
        return time(int(hours), int(minutes or 0), min(int(seconds or 0), 59), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None


def moment(date_text: str, time_text: str) -> datetime | None:
    """Put a DA and a TM value together; None unless both are there."""
    on, at = day(date_text), clock(time_text)
    return datetime.combine(on, at) if on and at else None


def stamp(text: str) -> datetime | None:
    """Read a DT value to the second or finer; its offset from UTC, if any, is left out."""
    local = re.sub(r"[+-]\d{4}$", "", text)
    return moment(local[:8], local[8:]) if len(local) >= 14 else None  # noqa: PLR2004  (YYYYMMDDHHMMSS)


def seconds(at: time | None) -> float | None:
    """Count the seconds since midnight."""
    return None if at is None else at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6
