"""Frames of a United Imaging grid: one picture that holds a volume's slices as tiles, each with its own position."""

import math
from dataclasses import replace

from medflow.dicom.geometry import impossible, orientation_of, position_of, unit_of_last_digit
from medflow.dicom.header import Header
from medflow.dicom.tags import TILES, UIH_FRAMES
from medflow.dicom.vendors import UIH_IMAGE
from medflow.domain.series import Frame

TILE_COUNT, FRAME_SEQUENCE = 0x50, 0x51
"""MR Number Of Slice In Volume, MR VFrame Sequence"""
MOST_TILES = 10_000


def is_grid(frame: Frame) -> bool:
    """Tell by its ImageType whether a plane holds tiles."""
    return TILES[UIH_FRAMES].decode() in frame.image_type


def grid_frames(header: Header, plane: Frame) -> tuple[Frame, ...]:
    """Cut the plane of a grid into its slices; `plane` is the whole of it, as its public header describes it.

    Tiles follow row by row in as many columns as the root of their number rounded up, and as many rows as that
    needs. The position of each one's corner stands in its item of the frame sequence.

    Raises:
        SeriesError: the private block is missing, or says something that cannot be.
    """
    block = header.blocks().get(UIH_IMAGE)
    if block is None:
        raise impossible("Image Private Header")
    tiles = header.decimal(block | TILE_COUNT) or 0.0
    items = header.items(block | FRAME_SEQUENCE)
    if not 1 <= tiles <= MOST_TILES or len(items) != tiles:
        raise impossible("MRNumberOfSliceInVolume")
    across = math.isqrt(len(items) - 1) + 1
    down = -(-len(items) // across)
    if plane.rows % down or plane.columns % across:
        raise impossible("MRNumberOfSliceInVolume")
    rows, columns = plane.rows // down, plane.columns // across
    return tuple(
        replace(
            plane,
            rows=rows,
            columns=columns,
            position=position_of(item),
            orientation=orientation_of(_over(header, item)),
            unit_of_last_digit=unit_of_last_digit(item),
            corner=(number // across * rows, number % across * columns),
        )
        for number, item in enumerate(items)
    )


def _over(header: Header, item: Header) -> Header:
    """Lay an item over the data set that it refines."""
    return Header({**header.elements, **item.elements}, header.order)
