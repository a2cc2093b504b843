"""Frames of enhanced multi-frame objects: each frame's functional groups speak for it (PS3.3 C.7.6.16)."""

import struct

from medflow.dicom.geometry import (
    impossible,
    orientation_of,
    position_of,
    rescale_of,
    spacing_of,
    thickness_of,
    unit_of_last_digit,
)
from medflow.dicom.header import Header, damaged
from medflow.dicom.labels import frame_labels
from medflow.dicom.objects import image_type_of
from medflow.dicom.tags import Tag
from medflow.domain.series import Frame

PLACES = frozenset({Tag.ImagePositionPatient, 0x00209057, Tag.StackID})
"""Dimensions that order slices in space (position, in-stack position, stack): they tell no repeats apart."""

RESCALE = frozenset({Tag.RescaleSlope, Tag.RescaleIntercept})
"""Some writers put these into the data set, as in single-frame objects: asked where the functional groups lack both."""

HOMES: dict[int, int] = {
    Tag.ImagePositionPatient: 0x00209113,
    Tag.ImageOrientationPatient: 0x00209116,
    Tag.PixelSpacing: 0x00289110,
    Tag.SliceThickness: 0x00289110,
    Tag.RescaleIntercept: 0x00289145,
    Tag.RescaleSlope: 0x00289145,
    Tag.RescaleType: 0x00289145,
}
"""Sequences (PS3.3 C.7.6.16.2) that alone say where a frame lies and what it is worth; other copies are not asked."""


def enhanced_frames(header: Header, count: int, rows: int, columns: int) -> tuple[tuple[Frame, ...], bool]:
    """Read the frames of an enhanced object, and whether each of them states its rescale.

    Raises:
        SeriesError: functional groups are missing, or a frame's geometry or rescale is missing or impossible.
    """
    groups = header.items(Tag.PerFrameFunctionalGroupsSequence)
    if len(groups) != count:
        raise impossible("PerFrameFunctionalGroupsSequence")
    shared = _flat(header.items(Tag.SharedFunctionalGroupsSequence)[:1])
    outside: dict[int, bytes | list[Header]] = {tag: header.elements[tag] for tag in RESCALE if tag in header}
    dimensions = _repeats(header)
    frames, all_stated = [], True
    for number, group in enumerate(groups):
        own = {**shared, **_flat([group])}
        described = Header(own if own.keys() & RESCALE else {**own, **outside}, header.order)
        slope, intercept, stated = rescale_of(described)
        all_stated &= stated
        frames.append(
            Frame(
                number=number,
                rows=rows,
                columns=columns,
                position=position_of(described),
                orientation=orientation_of(described),
                spacing=spacing_of(described),
                slope=slope,
                intercept=intercept,
                unit_of_last_digit=unit_of_last_digit(described),
                image_type=_frame_type(header, described),
                labels=frame_labels(described, dimensions),
                thickness=thickness_of(described),
                kernel=described.texts(Tag.ConvolutionKernel),
            )
        )
    return tuple(frames), all_stated


def first_group(header: Header) -> Header:
    """Lay the shared groups and those of the first frame over the data set itself."""
    shared = _flat(header.items(Tag.SharedFunctionalGroupsSequence)[:1])
    first = _flat(header.items(Tag.PerFrameFunctionalGroupsSequence)[:1])
    return Header({**header.elements, **shared, **first}, header.order)


def _flat(groups: list[Header]) -> dict[int, "bytes | list[Header]"]:
    """Lay the macros of a functional group side by side: each is a sequence of one item."""
    flat: dict[int, bytes | list[Header]] = {}
    for group in groups:
        for tag, macro in group.elements.items():
            if macro and not isinstance(macro, list) and tag in HOMES.values():
                raise damaged("functional group")
            if isinstance(macro, list) and macro:
                flat.update((t, value) for t, value in macro[0].elements.items() if HOMES.get(t, tag) == tag)
                flat.update(_direction(tag, macro[0]))
    return flat


def _direction(tag: int, macro: Header) -> dict[int, "bytes | list[Header]"]:
    """Lift the gradient's direction out of the sequence that the diffusion macro (PS3.3 C.8.13.5.9) keeps it in."""
    nested = macro.items(0x00189076) if tag == 0x00189117 else []  # noqa: PLR2004  (MR Diffusion Sequence)
    return dict(nested[0].elements) if nested else {}


def _frame_type(header: Header, described: Header) -> tuple[str, ...]:
    own = described.texts(Tag.FrameType)
    return tuple(value.upper() for value in own) if own else image_type_of(header)


def _repeats(header: Header) -> tuple[int, ...]:
    """Find which dimension indices (PS3.3 C.7.6.17) do not order slices in space."""
    pointers = []
    for item in header.items(Tag.DimensionIndexSequence):
        raw = item.raw(Tag.DimensionIndexPointer)
        group, number = struct.unpack(f"{item.order}HH", raw) if len(raw) == 4 else (0, 0)  # noqa: PLR2004
        pointers.append(group << 16 | number)
    return tuple(number for number, pointer in enumerate(pointers) if pointer not in PLACES)
