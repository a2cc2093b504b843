"""Frames of a Siemens mosaic: one picture that holds a volume's slices as tiles, whose geometry stands in CSA data."""

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.csa import is_csa, read_csa
from medflow.dicom.geometry import SPACINGS, impossible
from medflow.dicom.header import Header
from medflow.dicom.tags import SIEMENS_CSA, Tag
from medflow.dicom.vendors import SIEMENS_MR
from medflow.domain.series import Frame, Triple

CSA_CREATOR = "SIEMENS CSA HEADER"
IMAGE_ELEMENT, SERIES_ELEMENT, TILE_COUNT = 0x10, 0x20, 0x0A
NORMAL = 1e-3
"""How far the CSA normal may be from the cross product of row and column direction."""

Csa = Mapping[str, tuple[str, ...]]


def is_mosaic(header: Header, frame: Frame) -> bool:
    """Tell whether a plane holds tiles: by its ImageType, or by their number where somebody changed that."""
    return "MOSAIC" in frame.image_type or _private_count(header) > 1


def mosaic_frames(header: Header, plane: Frame) -> tuple[Frame, ...]:
    """Cut the plane of a mosaic into its slices; `plane` is the whole of it, as its public header describes it.

    The header gives the position that the corner of one slice as large as the whole plane would have, so every
    tile's corner lies inwards by half of what the plane is larger than a tile. Tiles follow row by row along the
    normal that the CSA header states.

    Raises:
        SeriesError: the CSA data is missing, or says something that cannot be.
    """
    image = _csa(header, IMAGE_ELEMENT)
    tiles = _count(header, image)
    side = math.isqrt(tiles - 1) + 1
    if plane.rows % side or plane.columns % side:
        raise impossible("NumberOfImagesInMosaic")
    rows, columns = plane.rows // side, plane.columns // side
    step = _step(header, plane, image)
    first = _first_corner(plane, rows, columns)
    return tuple(
        Frame(
            number=0,
            rows=rows,
            columns=columns,
            position=_triple(first + number * step),
            orientation=plane.orientation,
            spacing=plane.spacing,
            slope=plane.slope,
            intercept=plane.intercept,
            unit_of_last_digit=plane.unit_of_last_digit,
            image_type=plane.image_type,
            labels=plane.labels,
            corner=(number // side * rows, number % side * columns),
            thickness=plane.thickness,
        )
        for number in range(tiles)
    )


def _csa(header: Header, element: int) -> Csa:
    """Read a CSA header in the block that Siemens reserves, or in any of its group whose creator was taken away."""
    block = header.blocks().get((SIEMENS_CSA, CSA_CREATOR))
    if block is None:
        known = {tag for tag in header.elements if tag >> 16 == SIEMENS_CSA and tag & 0xFF == element}
        block = next((tag & ~0xFF for tag in sorted(known) if is_csa(header.raw(tag))), None)
    data = b"" if block is None else header.raw(block | element)
    return read_csa(data) if data else {}


def _count(header: Header, image: Csa) -> int:
    """Count the tiles, by the CSA header or else by (0019,xx0A) of SIEMENS MR HEADER."""
    values = image.get("NumberOfImagesInMosaic", ())
    if values and not re.fullmatch(r"\d{1,4}", values[0]):
        raise impossible("NumberOfImagesInMosaic")
    count = int(values[0]) if values else _private_count(header)
    if not count:
        raise impossible("NumberOfImagesInMosaic")
    return count


def _private_count(header: Header) -> int:
    block = header.blocks().get(SIEMENS_MR)
    return (header.integer(block | TILE_COUNT) or 0) if block else 0


def _step(header: Header, plane: Frame, image: Csa) -> NDArray[np.float64]:
    """Work out the way (mm, LPS+) from one slice to the next."""
    assert plane.orientation is not None  # noqa: S101  (a mosaic's plane was read with its geometry)
    normal = np.cross(*np.asarray(plane.orientation))
    stated = _numbers(image.get("SliceNormalVector", ()))
    if len(stated) != 3:  # noqa: PLR2004
        raise impossible("SliceNormalVector")
    sign = float(np.sign(normal @ np.asarray(stated)))
    if not np.allclose(sign * normal, stated, atol=NORMAL):
        raise impossible("SliceNormalVector")
    distance = header.decimal(Tag.SpacingBetweenSlices)
    if distance is None:
        distance = _protocol_distance(_csa(header, SERIES_ELEMENT), normal)
    if distance is None or not SPACINGS[0] <= distance <= SPACINGS[1]:
        raise impossible("SpacingBetweenSlices")
    return np.asarray(sign * distance * normal, np.float64)


def _protocol_distance(series: Csa, normal: NDArray[np.float64]) -> float | None:
    """Measure the distance of the first two slice positions in the measurement protocol, along the normal."""
    protocol = "\n".join(series.get("MrPhoenixProtocol", ()) or series.get("MrProtocol", ()))
    centres = np.zeros((2, 3))
    found = re.findall(
        r"sSliceArray\.asSlice\[([01])\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)", protocol
    )
    for number, axis, value in found:
        centres[int(number), ("Sag", "Cor", "Tra").index(axis)] = float(value)
    if {number for number, _, _ in found} != {"0", "1"}:
        return None
    return float(abs((centres[1] - centres[0]) @ normal))


def _first_corner(plane: Frame, rows: int, columns: int) -> NDArray[np.float64]:
    assert plane.position and plane.orientation and plane.spacing  # noqa: S101, PT018
    along_row, along_column = np.asarray(plane.orientation)
    inwards = along_row * plane.spacing[1] * (plane.columns - columns) / 2
    downwards = along_column * plane.spacing[0] * (plane.rows - rows) / 2
    return np.asarray(np.asarray(plane.position) + inwards + downwards, np.float64)


def _numbers(texts: tuple[str, ...]) -> tuple[float, ...]:
    try:
        values = tuple(map(float, texts))
    except ValueError:
        return ()
    return values if all(map(math.isfinite, values)) else ()


def _triple(vector: NDArray[np.float64]) -> Triple:
    return float(vector[0]), float(vector[1]), float(vector[2])
