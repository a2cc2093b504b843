"""What a value must be to stay: numbers that parse, dates that exist, ages, enumerations."""

import re
from datetime import date, timedelta

from pydicom._uid_dict import UID_dictionary

DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?")
LONGEST_DECIMAL = 32
"""DS has at most 16 characters (PS3.5 6.2); scanners write longer ones, which still are numbers."""
INTEGER = re.compile(r"[-+]?\d{1,10}")
TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")
DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([-+]\d{4})?")
OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})")
"""How ACR-NEMA wrote dates."""
AGE = re.compile(r"(\d{1,3})([DWMY])", re.IGNORECASE)
OLDEST = 89
DAYS_OF = {"D": 1.0, "W": 7.0, "M": 30.436875, "Y": 365.2425}
DUMMIES = {
    "AS": b"000D",
    "CS": b"OTHER",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "TM": b"000000",
    "UR": b"urn:removed",
    "UI": b"2.25.0",
}


def dummy(vr: str) -> bytes:
    """Give a value that says nothing and is valid for `vr`."""
    if vr in {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}:
        return b"REMOVED"
    return DUMMIES.get(vr, bytes(8))


def is_decimal(text: str) -> bool:
    """Say whether `text` is a DS value."""
    return len(text) <= LONGEST_DECIMAL and DECIMAL.fullmatch(text) is not None


def is_integer(text: str) -> bool:
    """Say whether `text` is an IS value (PS3.5: 32 bits)."""
    return INTEGER.fullmatch(text) is not None and abs(int(text)) < 2**31


def is_time(text: str) -> bool:
    """Say whether `text` is a time of day."""
    return TIME.fullmatch(text) is not None


def shifted_date(text: str, days: int) -> str | None:
    """Move a DA by whole days; None for what is no date.

    >>> shifted_date("20240301", -366), shifted_date("MEYER", -366)
    ('20230301', None)
    """
    old = OLD_DATE.fullmatch(text)
    plain = "".join(old.groups()) if old else text
    if re.fullmatch(r"\d{8}", plain, re.ASCII) is None:
        return None
    try:
        moved = date(int(plain[:4]), int(plain[4:6]), int(plain[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return moved.strftime("%Y%m%d").zfill(8)


def shifted_date_time(text: str, days: int) -> str | None:
    """Move a DT by whole days, keeping its precision, time of day and offset from UTC (PS3.5 6.2).

    A year or a month alone is moved as its middle.

    >>> shifted_date_time("20240301101500.5+0100", -366), shifted_date_time("202403", -366)
    ('20230301101500.5+0100', '202303')
    """
    parts = DATE_TIME.fullmatch(text)
    if parts is None:
        return None
    year, month, day, clock, offset = parts.groups()
    moved = shifted_date(year + (month or "07") + (day or "15"), days)
    if moved is None or (clock and (not day or not is_time(clock))):
        return None
    return moved[: 8 if day else 6 if month else 4] + (clock or "") + (offset or "")


def cleaned_age(text: str) -> str | None:
    """Keep an AS up to 89 years; 90 and over become 090Y. None for what is no age.

    >>> [cleaned_age(each) for each in ("045Y", "093Y", "007M", "999W", "1Y", "old")]
    ['045Y', '090Y', '007M', '999W', '001Y', None]
    """
    parts = AGE.fullmatch(text)
    if parts is None:
        return None
    count, unit = int(parts[1]), parts[2].upper()
    years = count if unit == "Y" else int(count * DAYS_OF[unit] / DAYS_OF["Y"] + 1e-9)
    return "090Y" if years > OLDEST else f"{count:03d}{unit}"


def is_registered_uid(uid: str) -> bool:
    """Say whether the standard itself gave this UID its meaning, so that it names nobody."""
    return uid in UID_dictionary


def is_registered_class(uid: str) -> bool:
    """Say whether `uid` is a SOP class of the standard."""
    entry = UID_dictionary.get(uid)
    return entry is not None and "SOP Class" in entry[1]
