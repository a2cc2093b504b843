"""A checker that stands apart: pydicom and nibabel say where each frame of a layout lies and what it is worth."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from medflow.dicom.content import open_content, read_content
from medflow.dicom.layout import LaidOut
from medflow.dicom.pixels import stored_values_in
from medflow.domain.layout import Layout, Place
from medflow.domain.series import SourceFile

Vector = NDArray[np.float64]
TOLERANCE, DIGITS = 0.05, 1.5


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A frame as its own file has it, LPS+, mm."""

    position: Vector
    across: Vector
    down: Vector
    slope: float
    intercept: float
    values: NDArray[Any]
    unit: float
    """Value of the last digit that was written of the position, of the coarsest coordinate; 0 where all are whole."""


def assert_placed(result: LaidOut) -> None:
    """Check that every frame of every object stands in one layout, where its header says, at its own value."""
    expected = {
        (number, frame.number, frame.corner)
        for number, instance in enumerate(result.series.instances)
        for frame in instance.frames
    }
    standing = [(place.file, place.frame, place.corner) for layout in result.layouts for place in layout.places]
    assert sorted(standing) == sorted(expected)
    for layout in result.layouts:
        shape = layout.rows, layout.columns
        off, units = 0.0, set()
        for k, place in enumerate(layout.places):
            file = result.series.instances[place.file].file
            stated = stated_frame(file, place, shape)
            units.add(stated.unit)
            off = max(off, distance(layout, k, stated))
            assert (place.slope, place.intercept) == (stated.slope, stated.intercept)
            np.testing.assert_array_equal(cut(decoded(file)[place.frame], place, shape), stated.values)
        assert off <= max(TOLERANCE, DIGITS * min(units - {0.0}, default=0.0)) + 1e-9


def distance(layout: Layout, k: int, stated: Stated) -> float:
    """Measure how far (mm) the corners of slice `k` lie from where its header puts them."""
    corners = np.asarray([(i, j) for i in (0, layout.columns - 1) for j in (0, layout.rows - 1)], float)
    placed = (np.asarray(layout.affine) @ np.column_stack([corners, np.full(4, k), np.ones(4)]).T).T[:, :3]
    expected = stated.position + corners @ np.stack([stated.across, stated.down])
    return float(np.linalg.norm(placed - expected * [-1, -1, 1], axis=1).max())


def stated_frame(file: SourceFile, place: Place, shape: tuple[int, int]) -> Stated:
    """Read one frame of `file`; `shape` is (rows, columns)."""
    dataset = read_independently(file)
    described = dict(_described(dataset, place.frame))
    position, unit = _written(described["ImagePositionPatient"])
    spacing = np.asarray(described["PixelSpacing"], float)
    cosines = np.asarray(described["ImageOrientationPatient"], float).reshape(2, 3)
    if "MOSAIC" in dataset.ImageType and "PerFrameFunctionalGroupsSequence" not in dataset:
        position = _tile(dataset, place, shape)
    if "VFRAME" in dataset.ImageType:
        items = dataset.private_block(0x0065, "Image Private Header")[0x51].value
        position, unit = _written(items[_number(dataset, place, shape, len(items))].ImagePositionPatient)
    return Stated(
        position=position,
        across=cosines[0] * spacing[1],
        down=cosines[1] * spacing[0],
        slope=float(described.get("RescaleSlope", 1)),
        intercept=float(described.get("RescaleIntercept", 0)),
        values=cut(pixels_of(file)[place.frame], place, shape),
        unit=unit,
    )


def cut(plane: NDArray[Any], place: Place, shape: tuple[int, int]) -> NDArray[Any]:
    """Cut a tile out of a plane."""
    top, left = place.corner
    return plane[top : top + shape[0], left : left + shape[1]]


@lru_cache(maxsize=2)
def decoded(file: SourceFile) -> NDArray[Any]:
    with open_content(file) as content:
        return stored_values_in(content.stream, content.size)


@lru_cache(maxsize=2)
def read_independently(file: SourceFile) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(BytesIO(read_content(file)), force=True)


@lru_cache(maxsize=2)
def pixels_of(file: SourceFile) -> NDArray[Any]:
    dataset = read_independently(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)


def _described(dataset: pydicom.Dataset, frame: int) -> Iterator[tuple[str, Any]]:
    """Name the attributes of a frame: those of the data set, under those of its functional groups."""
    levels = [dataset]
    if "PerFrameFunctionalGroupsSequence" in dataset:
        own, shared = dataset.PerFrameFunctionalGroupsSequence[frame], dataset.SharedFunctionalGroupsSequence[0]
        macros = ("PlanePosition", "PlaneOrientation", "PixelMeasures", "PixelValueTransformation")
        groups = ((group, f"{name}Sequence") for group in (shared, own) for name in macros)
        levels += [group[keyword][0] for group, keyword in groups if keyword in group]
    for level in levels:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            if keyword in level:
                yield keyword, level[keyword].value
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            if level.get(keyword) is not None:
                yield keyword, level[keyword].value


def _written(position: Any) -> tuple[Vector, float]:  # noqa: ANN401
    texts = [str(getattr(value, "original_string", value)) for value in position]
    digits = {len(text.lower().partition("e")[0].partition(".")[2]) for text in texts} - {0}
    return np.asarray(position, float), 10.0 ** -min(digits) if digits else 0.0


def _number(dataset: pydicom.Dataset, place: Place, shape: tuple[int, int], count: int) -> int:
    row, column = place.corner[0] // shape[0], place.corner[1] // shape[1]
    number = row * (int(dataset.Columns) // shape[1]) + column
    assert number < count
    return number


def _tile(dataset: pydicom.Dataset, place: Place, shape: tuple[int, int]) -> Vector:
    """Place a tile of a Siemens mosaic as nibabel does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel's readers call themselves experimental when imported
        from nibabel.nicom.csareader import get_csa_header  # noqa: PLC0415
        from nibabel.nicom.dicomwrappers import MosaicWrapper  # noqa: PLC0415

        wrapper = MosaicWrapper(dataset, get_csa_header(dataset, "image"))
    try:
        normal = np.asarray(wrapper.slice_normal)
    except AssertionError:
        raise ValueError("nibabel does not believe the normal") from None
    assert wrapper.image_shape[:2] == shape
    number = _number(dataset, place, shape, wrapper.image_shape[2])
    return np.asarray(wrapper.image_position + number * wrapper.voxel_sizes[2] * normal, float)
