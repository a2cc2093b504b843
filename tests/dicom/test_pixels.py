"""Stored values come out as the modality wrote them, whatever they were packed in, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SMPTEST211020UncompressedProgressiveActiveVideo,
)

from medflow.dicom.pixels import read_stored_values, stored_values
from medflow.dicom.scan import scan_folder
from medflow.dicom.syntaxes import REFUSED, is_read
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import changed, one_slice, written


def image(values: np.ndarray[Any, Any], bits: int) -> Dataset:
    signed = values.dtype.kind == "i"
    return one_slice(
        Rows=values.shape[0],
        Columns=values.shape[1],
        BitsAllocated=values.dtype.itemsize * 8,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
        PixelData=values.astype(values.dtype.newbyteorder("<")).tobytes(),
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@settings(deadline=None)
@given(data=st.data())
def test_native_values_come_out_as_they_went_in(
    syntax: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"])))
    bits = data.draw(st.integers(1, dtype.itemsize * 8))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.kind == "i" else (0, (1 << bits) - 1)
    numbers = data.draw(st.lists(st.integers(low, high), min_size=6, max_size=6))
    values = np.asarray(numbers, dtype).reshape(2, 3)
    dataset = image(values, bits)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = values.astype(dtype.newbyteorder(">")).tobytes()
        dataset["PixelData"].VR = "OB" if dtype.itemsize == 1 else "OW"
    path = tmp_path_factory.mktemp("native") / "x"
    path.write_bytes(written(dataset, syntax))

    for found in (read_stored_values(path), stored_values(dcmread(path))):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found[0], values)


@pytest.mark.parametrize(("dtype", "expected"), [("uint16", [0xFFF, 1, 0x800]), ("int16", [-1, 1, -2048])])
def test_bits_above_bits_stored_are_cleared_or_filled_with_the_sign(dtype: str, expected: list[int]) -> None:
    values = np.asarray([[0xAFFF, 0xF001, 0x5800]], "uint16").astype(dtype)
    dataset = image(values, 12)
    written(dataset)

    np.testing.assert_array_equal(stored_values(dataset)[0, 0], expected)


def compressed(dataset: Dataset, syntax: str) -> Dataset:
    written(dataset)
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(
    ("dtype", "bits"), [("uint8", 8), ("uint16", 12), ("uint16", 16), ("int16", 16), ("int16", 12)]
)
def test_lossless_compression_changes_no_value(tmp_path: Path, syntax: str, dtype: str, bits: int) -> None:
    top = 1 << bits
    numbers = np.random.default_rng(1).integers(0, top, (64, 80)) - (top // 2 if dtype == "int16" else 0)
    values = numbers.astype(dtype)
    path = tmp_path / "x"
    dataset = compressed(image(values, bits), syntax)
    path.write_bytes(written(dataset, syntax))

    found = read_stored_values(path)

    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found[0], values)
    assert len(scan_folder(tmp_path).series) == 1


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_bit_stream_of_another_size_than_the_header_says_is_not_decoded(syntax: str) -> None:
    dataset = compressed(image(np.zeros((64, 64), "uint16"), 16), syntax)
    dataset.Rows = 4000

    with pytest.raises(SeriesError) as refused:
        stored_values(dataset)

    assert refused.value.reason is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, Reason.COLOUR_IMAGE),
        ({"PixelData": bytes(4)}, Reason.DAMAGED_PIXELS),
        ({"PixelData": bytes(4000)}, Reason.DAMAGED_PIXELS),
        ({"PixelData": None}, Reason.DAMAGED_PIXELS),
        ({"Rows": 0}, Reason.DAMAGED_PIXELS),
        ({"BitsStored": 40}, Reason.DAMAGED_PIXELS),
        ({"BitsStored": 12, "HighBit": 13}, Reason.DAMAGED_PIXELS),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, Reason.DAMAGED_PIXELS),
    ],
)
def test_pixels_that_cannot_be_right_are_refused(others: dict[str, Any], reason: Reason) -> None:
    dataset = one_slice(**others)
    written(dataset)

    with pytest.raises(SeriesError) as refused:
        stored_values(dataset)

    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (MPEG2MPML, "MPEG2 Main Profile / Main Level"),
        (MPEG4HP41, "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
        (HEVCMP51, "HEVC/H.265 Main Profile / Level 5.1"),
        (UID("1.2.840.10008.1.2.4.95"), "JPIP Referenced Deflate"),
        (SMPTEST211020UncompressedProgressiveActiveVideo, "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
        (UID("1.2.3.4"), "unknown transfer syntax"),
    ],
)
def test_other_transfer_syntaxes_are_refused_by_name(syntax: UID, name: str) -> None:
    dataset = one_slice(PixelData=encapsulate([b"\0\0"]))
    written(dataset)
    dataset.file_meta.TransferSyntaxUID = syntax

    with pytest.raises(SeriesError) as refused:
        stored_values(dataset)

    assert (refused.value.reason, refused.value.detail) == (Reason.UNSUPPORTED_TRANSFER_SYNTAX, name)


def test_every_transfer_syntax_with_pixels_is_read_or_refused_by_name() -> None:
    no_pixels = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}

    assert all(is_read(uid) or uid in REFUSED for uid in AllTransferSyntaxes if uid not in no_pixels)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_pixels_that_are_no_whole_numbers_are_refused_by_name(keyword: str, tmp_path: Path) -> None:
    dataset = changed(one_slice(PixelData=None), {keyword: bytes(96)})
    (tmp_path / "x").write_bytes(written(dataset))

    with pytest.raises(SeriesError, match=keyword) as refused:
        read_stored_values(tmp_path / "x")

    assert refused.value.reason is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_one_image_in_every_packing_has_one_set_of_values(name: str) -> None:
    plain = dcmread(shipped("MR_small_expb.dcm" if name == "MR_small.dcm" else "MR_small.dcm"))

    np.testing.assert_array_equal(read_stored_values(shipped(name)), stored_values(plain))


def shipped(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)
