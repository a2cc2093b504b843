"""Uncompressed pixels as they leave: no bit that no pixel needs, and every value that nobody blanked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from medflow.deid.native import AsStored, Integers, as_it_is, native_pixels
from medflow.dicom.pixels import stored_samples, stored_values
from medflow.errors import Reason, SeriesError

SIDE = 6


def image(values: Integers, **changes: object) -> Dataset:
    """Make an image of stored values (row, column), or several frames of them."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape[-2:]
    if values.ndim > 2:
        ds.NumberOfFrames = len(values)
    ds.BitsAllocated = ds.BitsStored = 8 * values.itemsize
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    ds.HighBit = ds.BitsStored - 1
    ds.add_new(0x7FE00010, "OB" if values.itemsize == 1 else "OW", values.tobytes())
    return ds


def read_back(ds: Dataset, value: bytes | memoryview) -> Integers:
    ds.PixelData = bytes(value)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return stored_values(ds)


@settings(max_examples=80, deadline=None)
@given(
    stored=arrays.arrays(np.uint16, (2, SIDE, SIDE)),
    bits=st.integers(9, 16),
    sign=st.booleans(),
    padding=st.none() | st.integers(0, 65535),
)
def test_no_bit_above_the_stored_ones_says_anything_and_every_value_decodes_as_before(
    stored: NDArray[np.uint16], bits: int, padding: int | None, *, sign: bool
) -> None:
    ds = image(stored, BitsStored=bits, PixelRepresentation=int(sign))
    if padding is not None:
        ds.add_new(0x00280120, "US", padding)
    decoded = stored_values(ds)

    pixels = native_pixels(ds, decoded, little=True, implicit=False)

    clean = np.frombuffer(pixels.value, "<u2").reshape(stored.shape)
    above = clean >> bits
    negative = (clean >> (bits - 1)) & 1 == 1
    silent = (above == 0) | (clean == padding)
    assert np.all(silent | (sign & negative & (above == (1 << 16 - bits) - 1)))
    assert pixels.stray == np.count_nonzero(clean != stored)
    assert np.array_equal(read_back(ds, pixels.value), decoded)


@settings(max_examples=80, deadline=None)
@given(values=arrays.arrays(np.int16, (SIDE, SIDE)), bits=st.integers(9, 16), sign=st.booleans())
def test_pixels_that_leave_as_they_came_hold_nothing_stray(values: NDArray[np.int16], bits: int, *, sign: bool) -> None:
    ds = image(values.view(np.int16 if sign else np.uint16), BitsStored=bits, PixelRepresentation=int(sign))
    decoded = stored_values(ds)

    frames = AsStored.of(decoded, bits).frames(ds.PixelData)

    if frames is not None:
        assert np.array_equal(frames, decoded)
        whole = native_pixels(ds, decoded, little=True, implicit=False)
        quick = as_it_is(ds.PixelData, frames, implicit=False)
        assert (whole.value, whole.stray, whole.vr) == (bytes(quick.value), 0, quick.vr)
        assert whole.trailing == quick.trailing


@settings(max_examples=60, deadline=None)
@given(stored=arrays.arrays(np.uint16, (2, SIDE, SIDE)), bits=st.integers(9, 16), sign=st.booleans())
def test_a_blanked_frame_is_written_and_all_else_keeps_its_bits(
    stored: NDArray[np.uint16], bits: int, *, sign: bool
) -> None:
    ds = image(stored, BitsStored=bits, PixelRepresentation=int(sign))
    decoded = stored_values(ds)
    untouched = np.frombuffer(native_pixels(ds, decoded, little=True, implicit=False).value, "<u2")
    blanked = decoded.copy()
    blanked[1, 1:3, 2:5] = decoded[1].min()

    pixels = native_pixels(ds, blanked, changed={1}, little=True, implicit=False)

    written = np.frombuffer(pixels.value, "<u2").reshape(stored.shape)
    kept = blanked == decoded
    assert np.array_equal(written[kept], untouched.reshape(stored.shape)[kept])
    assert np.array_equal(read_back(ds, pixels.value), blanked)


@pytest.mark.parametrize("planes", [0, 1])
def test_colours_are_blanked_in_either_order(planes: int) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    stored = np.moveaxis(colours, -1, 1) if planes else colours
    ds = image(colours[0, :, :, 0], SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=planes)
    ds.PixelData = stored.tobytes()
    blanked = colours.copy()
    blanked[0, 2:4, 2:4] = 0

    ds.PixelData = native_pixels(ds, blanked, changed={0}, little=True, implicit=False).value

    assert np.array_equal(stored_samples(ds), blanked)


def test_brightness_and_differences_are_not_blanked_but_withheld() -> None:
    ds = image(np.zeros((SIDE, SIDE), np.uint8), SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL")
    ds.PlanarConfiguration = 0
    ds.PixelData = bytes(SIDE * SIDE * 3)

    with pytest.raises(SeriesError) as caught:
        native_pixels(ds, stored_samples(ds), changed={0}, little=True, implicit=False)

    assert caught.value.reason is Reason.BURNED_IN_TEXT


@pytest.mark.parametrize(("tail", "counted"), [(b"", 0), (b"\0", 0), (b"A", 1), (b"\0SECRET", 6), (b"SOMEBODY1", 9)])
def test_what_stands_behind_odd_pixels_goes_and_a_zero_alone_is_no_message(tail: bytes, counted: int) -> None:
    values = np.arange(15, dtype=np.uint8).reshape(3, 5)
    ds = image(values)
    ds["PixelData"].value = values.tobytes() + tail

    pixels = native_pixels(ds, values[None], little=True, implicit=False)
    quick = as_it_is(ds.PixelData, values[None], implicit=False)

    assert bytes(pixels.value) == bytes(quick.value) == values.tobytes()
    assert pixels.trailing == quick.trailing == counted


@pytest.mark.parametrize(("dtype", "vr"), [("u1", "OW"), ("u1", "OB"), ("u2", "OW"), ("i4", "OW")])
def test_big_endian_pixels_come_out_little_endian(dtype: str, vr: str) -> None:
    values = np.random.default_rng(2).integers(0, 100, (4, 4)).astype(dtype)
    ds = image(values)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    swapped = values.view("u2").byteswap() if (dtype, vr) == ("u1", "OW") else values.byteswap()
    ds["PixelData"].VR, ds["PixelData"].value = vr, swapped.tobytes()
    decoded = stored_values(ds)

    pixels = native_pixels(ds, decoded, little=False, implicit=False)

    assert np.array_equal(decoded[0], values)
    assert bytes(pixels.value) == values.tobytes()


def test_fewer_bytes_than_the_header_says_are_damage() -> None:
    ds = image(np.zeros((SIDE, SIDE), np.int16))
    ds.PixelData = ds.PixelData[:-2]

    with pytest.raises(SeriesError) as caught:
        native_pixels(ds, np.zeros((1, SIDE, SIDE), np.int16), little=True, implicit=False)

    assert caught.value.reason is Reason.DAMAGED_PIXELS
