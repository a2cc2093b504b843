"""What a value must be to stay: numbers that parse, dates that exist, ages, enumerations."""

import re
import struct
from datetime import date, timedelta

from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary

DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
LONGEST_DECIMAL = 32
"""DS has at most 16 characters (PS3.5 6.2); scanners write longer ones, which still are numbers."""
LEAST = 1e-30
"""Smaller ones but 0 are letters that were written where a number belongs."""
MOST = 10_000_000
"""What a measured number stays below, unless its attribute counts things (rule "count")."""
FIRST_DAY, LAST_DAY = 19000101, 20991231
GE_BIAS, MOST_B = 1e9, 1e5
"""What GE adds to b-values (0043,1039), and what they stay below."""
INTEGER = re.compile(r"[-+]?\d{1,10}", re.ASCII)
TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?", re.ASCII)
DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([-+]\d{4})?", re.ASCII)
OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
"""How ACR-NEMA wrote dates."""
OLDEST_SCAN, NEVER = 1972, 2100
"""Years from which on, and before which, a day may be one on which something was done to a patient."""
RESETS = frozenset({"19800101", "19800106", "20000101"})
"""Where clocks begin that nobody has set."""
AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII | re.IGNORECASE)
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
    **dict.fromkeys(("US", "SS"), bytes(2)),
    **dict.fromkeys(("AT", "FL", "OF", "OL", "SL", "UL"), bytes(4)),
}


def dummy(vr: str) -> bytes:
    """Give a value that says nothing and is valid for `vr`."""
    if vr in {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}:
        return b"REMOVED"
    return DUMMIES.get(vr, bytes(8))


def is_decimal(text: str) -> bool:
    """Say whether `text` is a DS value."""
    return len(text) <= LONGEST_DECIMAL and DECIMAL.fullmatch(text) is not None


def is_measured(number: float) -> bool:
    """Say whether a number may be a measured one: of 8 digits and more are dates, telephones and file numbers.

    >>> is_measured(-1024), is_measured(20240229), is_measured(float("nan"))
    (True, False, False)
    """
    return LEAST < abs(number) < MOST or number == 0


def is_counted(number: float) -> bool:
    """Say whether a number may be a count, a dose or a duration: of any size, but no day as one writes it in digits.

    >>> is_counted(250_000_000.0), is_counted(20240229), is_counted(20249999)
    (True, False, True)
    """
    return not FIRST_DAY <= number <= LAST_DAY or shifted_date(f"{number:.0f}", 0) is None


def is_measured_by_vendor(number: float) -> bool:
    """Say whether a number may be a measured one, or a b-value as GE writes it: a thousand million more than it is.

    >>> is_measured_by_vendor(1_000_000_800), is_measured_by_vendor(20240229)
    (True, False)
    """
    return is_measured(number) or 0 <= number - GE_BIAS < MOST_B


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


def is_unset(text: str) -> bool:
    """Say whether a date is what devices write where they know none: moved, it would tell by how many days.

    >>> [is_unset(each) for each in ("19000101", "99991231", "1970.01.01", "20000101000000", "20240229", "2000")]
    [True, True, True, True, False, False]
    """
    plain = text.replace(".", "")[:8] if OLD_DATE.fullmatch(text) else text[:8]
    year = plain[:4]
    return plain in RESETS or (year.isdigit() and not OLDEST_SCAN <= int(year) < NEVER)


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


def are_pointers(value: bytes) -> bool:
    """Say whether little endian AT values are tags of the dictionary, or private ones that spell nothing."""
    halves = list(struct.iter_unpack("<HH", value))
    return all(
        group << 16 | number in DicomDictionary or _is_private_pointer(group, number) for group, number in halves
    )


def _is_private_pointer(group: int, number: int) -> bool:
    spells = struct.pack("<HH", group, number).isalnum()
    return group % 2 == 1 and group > 0x08 and number >= 0x1000 and not spells  # noqa: PLR2004  (PS3.5 7.8.1)


def is_registered_uid(uid: str) -> bool:
    """Say whether the standard itself gave this UID its meaning, so that it names nobody."""
    return uid in UID_dictionary


def is_registered_class(uid: str) -> bool:
    """Say whether `uid` is a SOP class of the standard."""
    entry = UID_dictionary.get(uid)
    return entry is not None and "SOP Class" in entry[1]
