"""Whatever bytes are damaged, in header or pixels: a refusal, or an array of the announced shape; never a crash."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from medflow.dicom.files import open_object
from medflow.dicom.hush import hushed
from medflow.dicom.pixelfacts import pixel_facts
from medflow.dicom.pixels import stored_samples_in, stored_values, stored_values_in
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import one_slice, written
from tests.dicom.packing import PACKINGS, packed, smooth

VALUES = smooth(8, shape=(24, 20))
HEADER_REASONS = {Reason.DAMAGED_HEADER, Reason.NOT_DICOM, Reason.DICOMDIR, Reason.EMPTY_FILE}
PIXEL_REASONS = {Reason.DAMAGED_PIXELS, Reason.COLOUR_IMAGE, Reason.UNSUPPORTED_TRANSFER_SYNTAX}
"""None of them is `DECODER_FAILED`: the codecs stand what is tried here."""


def drawn(name: str) -> Dataset:
    if name in PACKINGS:
        return packed(VALUES, 8, name)
    return one_slice(PixelData=VALUES.tobytes(), Rows=24, Columns=20, BitsAllocated=8, BitsStored=8, HighBit=7)


NATIVE = {
    "little endian": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
FILES = {
    name: written(drawn(name), NATIVE.get(name) or PACKINGS[name][0])  # drawn once, at the start
    for name in [*NATIVE, *PACKINGS]
}

damages = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5)


def damaged(content: bytes, damage: list[tuple[float, int]], since: int, cut: float) -> bytes:
    spoiled = bytearray(content)
    for place, value in damage:
        spoiled[since + int(place * (len(spoiled) - since))] = value
    return bytes(spoiled[: len(spoiled) - int(cut * (len(spoiled) - since))])


def read(content: bytes) -> NDArray[np.integer[Any]] | None:
    """Read grey values; also see that they have the shape that the bytes announce, and are the same as samples."""
    try:
        found = stored_values_in(BytesIO(content), len(content))
    except SeriesError as error:
        assert error.reason in HEADER_REASONS | PIXEL_REASONS  # noqa: PT017
        return None
    facts = pixel_facts(open_object(BytesIO(content), len(content))[1])
    assert found.shape == (facts.frames, facts.rows, facts.columns)
    assert found.dtype == np.dtype(f"{'i' if facts.signed else 'u'}{facts.bits_allocated // 8}")
    np.testing.assert_array_equal(stored_samples_in(BytesIO(content), len(content))[..., 0], found)
    return found


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None)
@given(damage=damages, cut=st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3]))
def test_damaged_pixels_are_refused_or_read_as_they_are(name: str, damage: list[tuple[float, int]], cut: float) -> None:
    content = FILES[name]
    start = content.find(b"\xe0\x7f\x10\x00") if name != "big endian" else content.find(b"\x7f\xe0\x00\x10")
    content = damaged(content, damage, max(start, 132), cut)

    found = read(content)

    if found is not None:
        with hushed():
            dataset = dcmread(BytesIO(content), force=True)
            np.testing.assert_array_equal(stored_values(dataset), found)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None)
@given(damage=damages, cut=st.sampled_from([0.0, 0.0, 0.0, 0.5]))
def test_damaged_headers_are_refused_or_read_as_they_are(
    name: str, damage: list[tuple[float, int]], cut: float
) -> None:
    content = FILES[name]
    end = content.find(b"\xe0\x7f\x10\x00") if name != "big endian" else content.find(b"\x7f\xe0\x00\x10")
    end = end if end > 0 else len(content)
    content = damaged(content[:end], damage, 132, cut) + content[end:]

    read(content)


@given(values=st.binary(min_size=480, max_size=480))
def test_uncompressed_values_are_the_bytes_themselves(values: bytes) -> None:
    content = FILES["little endian"][:-480] + values

    np.testing.assert_array_equal(read(content), np.frombuffer(values, np.int8).reshape(1, 24, 20))
