"""Position, orientation and spacing as a header writes them, believed only where they can be right."""

import math

from medflow.dicom.header import Header
from medflow.dicom.tags import Tag
from medflow.domain.series import Triple
from medflow.errors import Reason, SeriesError

FARTHEST = 1e5
"""mm from the origin; no scanner's frame of reference is larger."""
SPACINGS = (1e-4, 1e3)
"""mm; smallest and largest distance between pixels that is believed."""
ORTHONORMAL = 2e-3
"""How far direction cosines may be from unit length and from a right angle: writers round them to three decimals."""


def impossible(keyword: str) -> SeriesError:
    """Say that an attribute of the geometry is missing or cannot be right."""
    return SeriesError(Reason.IMPOSSIBLE_GEOMETRY, keyword)


def position_of(header: Header) -> Triple:
    """Read ImagePositionPatient (PS3.3 C.7.6.2.1.1), mm, LPS+."""
    values = header.decimals(Tag.ImagePositionPatient) or ()
    if len(values) != 3 or max(map(abs, values)) > FARTHEST:  # noqa: PLR2004
        raise impossible("ImagePositionPatient")
    return values[0] + 0.0, values[1] + 0.0, values[2] + 0.0  # no negative zero


def orientation_of(header: Header) -> tuple[Triple, Triple]:
    """Read ImageOrientationPatient: two unit vectors at a right angle, LPS+."""
    values = header.decimals(Tag.ImageOrientationPatient) or ()
    if len(values) != 6:  # noqa: PLR2004
        raise impossible("ImageOrientationPatient")
    a, b, c, d, e, f = (value + 0.0 for value in values)
    lengths = math.hypot(a, b, c), math.hypot(d, e, f)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(a * d + b * e + c * f)) > ORTHONORMAL:
        raise impossible("ImageOrientationPatient")
    return (a, b, c), (d, e, f)


def spacing_of(header: Header) -> tuple[float, float]:
    """Read PixelSpacing: mm between rows, then between columns."""
    values = header.decimals(Tag.PixelSpacing) or ()
    if len(values) != 2 or not all(SPACINGS[0] <= value <= SPACINGS[1] for value in values):  # noqa: PLR2004
        raise impossible("PixelSpacing")
    return values[0], values[1]


def thickness_of(header: Header) -> float | None:
    """Read SliceThickness (mm); None where it is absent or cannot be right."""
    value = header.decimal(Tag.SliceThickness)
    return value if value is not None and SPACINGS[0] <= value <= SPACINGS[1] else None


def unit_of_last_digit(header: Header) -> float:
    r"""Tell how finely (mm) the position was written: the coarsest of the components that have decimals at all.

    Writers leave out trailing zeros, so a component without decimals tells nothing beside one with them; where
    none has any, the unit is 1.

    >>> unit_of_last_digit(Header({Tag.ImagePositionPatient: b"-120.25\\-7\\30.5"}))
    0.1
    """
    exponents = [_exponent(text) for text in header.texts(Tag.ImagePositionPatient)]
    return float(f"1e{max((exponent for exponent in exponents if exponent < 0), default=0)}")


def rescale_of(header: Header) -> tuple[float, float, bool]:
    """Read RescaleSlope and RescaleIntercept, 1 and 0 where absent, and whether both are there (PS3.3 C.11.1).

    Raises:
        SeriesError: a value is there and is not one finite number, or the slope is zero.
    """
    slope = header.decimal(Tag.RescaleSlope)
    intercept = header.decimal(Tag.RescaleIntercept)
    for tag, value in ((Tag.RescaleSlope, slope), (Tag.RescaleIntercept, intercept)):
        if header.raw(tag).strip(b" \0") and (value is None or len(header.texts(tag)) > 1):
            raise SeriesError(Reason.DAMAGED_HEADER, tag.name)
    if slope == 0:
        raise SeriesError(Reason.DAMAGED_HEADER, "RescaleSlope")
    stated = slope is not None and intercept is not None
    return 1.0 if slope is None else slope, 0.0 if intercept is None else intercept, stated


def _exponent(text: str) -> int:
    mantissa, _, exponent = text.upper().partition("E")
    _, _, decimals = mantissa.partition(".")
    return int(exponent or 0) - len(decimals)
