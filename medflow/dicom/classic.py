"""Frames of single-frame objects: the header speaks of one slice."""

from medflow.dicom.geometry import (
    impossible,
    orientation_of,
    position_of,
    rescale_of,
    spacing_of,
    thickness_of,
    unit_of_last_digit,
)
from medflow.dicom.header import Header
from medflow.dicom.labels import classic_labels
from medflow.dicom.objects import image_type_of
from medflow.dicom.tags import Tag
from medflow.domain.series import Frame, Modality


def classic_frame(header: Header, modality: Modality, rows: int, columns: int) -> tuple[Frame, bool]:
    """Read the one frame of a single-frame object, and whether it states its rescale.

    Raises:
        SeriesError: position, orientation, spacing or rescale is missing or cannot be right.
    """
    slope, intercept, stated = rescale_of(header)
    frame = Frame(
        number=0,
        rows=rows,
        columns=columns,
        position=position_of(header),
        orientation=orientation_of(header),
        spacing=spacing_of(header),
        slope=slope,
        intercept=intercept,
        unit_of_last_digit=unit_of_last_digit(header),
        image_type=image_type_of(header),
        labels=classic_labels(header, modality),
        thickness=thickness_of(header),
        kernel=header.texts(Tag.ConvolutionKernel),
    )
    return frame, stated


def only_frame(count: int) -> None:
    """Refuse several frames in an object whose class gives all of them one position."""
    if count != 1:
        raise impossible("NumberOfFrames")
