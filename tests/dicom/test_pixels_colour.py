"""Colour comes out as red, green and blue, whatever it was written in, or is refused."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medflow.dicom.hush import hushed
from medflow.dicom.pixels import read_stored_samples, stored_samples, stored_samples_in, stored_values
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import one_slice, written
from tests.dicom.packing import rle

Picture = NDArray[np.integer[Any]]
RGB = np.random.default_rng(2).integers(0, 256, (6, 8, 3)).astype(np.uint8)
DEEP = np.random.default_rng(2).integers(0, 1 << 16, (6, 8, 3)).astype(np.uint16)


def coloured(picture: Picture, data: bytes, syntax: str, photometric: str = "RGB", planar: int = 0) -> Dataset:
    bits = picture.dtype.itemsize * 8
    dataset = one_slice(
        Rows=picture.shape[0],
        Columns=picture.shape[1],
        SamplesPerPixel=3,
        PlanarConfiguration=planar,
        PhotometricInterpretation=photometric,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
        PixelData=data,
    )
    dataset["PixelData"].VR = "OB" if bits == 8 or UID(syntax).is_encapsulated else "OW"
    dataset["PixelData"].is_undefined_length = UID(syntax).is_encapsulated
    written(dataset, syntax)
    return dataset


def samples(dataset: Dataset) -> Picture:
    """Read from the data set and from its file; they must agree."""
    content = written(dataset, dataset.file_meta.TransferSyntaxUID)
    found = stored_samples_in(BytesIO(content), len(content))
    np.testing.assert_array_equal(found, stored_samples(dataset))
    first: Picture = found[0]
    return first


@pytest.mark.parametrize("picture", [RGB, DEEP])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_uncompressed_samples_stand_side_by_side_or_in_planes(picture: Picture, planar: int, syntax: str) -> None:
    dtype = picture.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")
    data = (np.moveaxis(picture, -1, 0) if planar else picture).astype(dtype).tobytes()

    found = samples(coloured(picture, data, syntax, planar=planar))

    assert found.dtype == picture.dtype
    np.testing.assert_array_equal(found, picture)


def test_brightness_and_colour_differences_become_red_green_and_blue() -> None:
    expected = convert_color_space(RGB, "YBR_FULL", "RGB")

    found = samples(coloured(RGB, RGB.tobytes(), ExplicitVRLittleEndian, "YBR_FULL"))

    assert np.abs(found.astype(int) - expected).max() <= 1


def test_two_pixels_share_their_colour_differences() -> None:
    halved = RGB.copy()
    halved[:, 1::2, 1:] = halved[:, ::2, 1:]
    data = np.stack([halved[:, ::2, 0], halved[:, 1::2, 0], halved[:, ::2, 1], halved[:, ::2, 2]], axis=-1).tobytes()

    found = samples(coloured(RGB, data, ExplicitVRLittleEndian, "YBR_FULL_422"))

    np.testing.assert_array_equal(found, samples(coloured(RGB, halved.tobytes(), ExplicitVRLittleEndian, "YBR_FULL")))


@pytest.mark.parametrize(
    ("syntax", "data", "photometric"),
    [
        (RLELossless, rle(RGB, 8), "RGB"),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", reversible=True, mct=True), "YBR_RCT"),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(RGB, codecformat="jp2", reversible=True, mct=True), "RGB"),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", reversible=True, mct=False), "RGB"),
        (HTJ2KLossless, imagecodecs.htj2k_encode(RGB, reversible=True), "YBR_RCT"),
        (JPEGLSLossless, imagecodecs.jpegls_encode(RGB), "RGB"),
        (JPEGLosslessSV1, imagecodecs.jpeg8_encode(RGB, lossless=True), "RGB"),
    ],
)
def test_lossless_packing_changes_no_colour(syntax: str, data: bytes, photometric: str) -> None:
    found = samples(coloured(RGB, encapsulate([bytes(data)]), syntax, photometric))

    np.testing.assert_array_equal(found, RGB)


def test_sixteen_bits_of_each_colour_come_out_as_they_went_in() -> None:
    for syntax, data in ((RLELossless, rle(DEEP, 16)), (JPEGLSLossless, bytes(imagecodecs.jpegls_encode(DEEP)))):
        np.testing.assert_array_equal(samples(coloured(DEEP, encapsulate([data]), syntax)), DEEP)


SHIPPED = [
    "SC_jpeg_no_color_transform.dcm",
    "SC_jpeg_no_color_transform_2.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_jpeg2k.dcm",
    "examples_ybr_color.dcm",
    "GDCMJ2K_TextGBR.dcm",
]


@pytest.mark.parametrize("name", SHIPPED)
def test_pydicom_finds_the_same_colours(name: str) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    with hushed(), warnings.catch_warnings():
        dataset = dcmread(path)
        theirs, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset)

    found = read_stored_samples(path)

    assert np.abs(found.astype(int) - theirs.reshape(found.shape)).max() <= 1


def test_a_grey_picture_has_one_sample() -> None:
    dataset = one_slice()
    written(dataset)

    np.testing.assert_array_equal(stored_samples(dataset)[..., 0], stored_values(dataset))


JFIF = bytes(imagecodecs.jpeg8_encode(np.repeat(np.repeat(RGB, 4, 0), 4, 1)))
BIG = np.repeat(np.repeat(RGB, 4, 0), 4, 1)


@pytest.mark.parametrize(
    ("dataset", "detail"),
    [
        (coloured(BIG, encapsulate([JFIF]), JPEGBaseline8Bit, "RGB"), "contradicts"),
        (coloured(BIG, encapsulate([JFIF]), JPEGBaseline8Bit, "YBR_RCT"), "contradicts"),
        (coloured(RGB, encapsulate([rle(RGB, 8)]), RLELossless, "YBR_FULL_422"), "contradicts"),
        (coloured(RGB, RGB.tobytes(), ExplicitVRLittleEndian, "YBR_ICT"), "contradicts"),
        (one_slice(PhotometricInterpretation="PALETTE COLOR"), "PALETTE COLOR"),
        (coloured(RGB, RGB.tobytes(), ExplicitVRLittleEndian, "HSV"), "colour"),
    ],
)
def test_colours_that_nobody_can_be_sure_of_are_refused(dataset: Dataset, detail: str) -> None:
    with pytest.raises(SeriesError, match=detail) as refused:
        stored_samples(dataset)

    assert refused.value.reason is Reason.COLOUR_IMAGE


def test_colours_are_no_grey_values() -> None:
    with pytest.raises(SeriesError) as refused:
        stored_values(coloured(RGB, RGB.tobytes(), ExplicitVRLittleEndian))

    assert refused.value.reason is Reason.COLOUR_IMAGE
