"""Whatever pixels were packed in, they come out as they went in: checked against what was drawn, and other codecs."""

import subprocess
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames, itemize_fragment
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, RLELossless

from medflow.dicom.pixels import stored_values, stored_values_in
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import written
from tests.dicom.packing import LOSSLESS, LOSSY, holding, jpeg_2000, jpeg_lossless, jpeg_ls, packed, rle, smooth

DEPTHS = [(8, False), (8, True), (10, False), (12, False), (12, True), (16, False), (16, True)]
PEERS = {"rle": "pydicom", "jpeg-ls": "pyjpegls", "jpeg 2000": "pylibjpeg", "htj2k": "pylibjpeg", "jpeg": "gdcm"}
"""pydicom's plugin to compare with, by the beginning of a packing's name."""


def both_ways(dataset: Dataset) -> np.ndarray:
    """Read from the data set and from its file; they must agree."""
    content = written(dataset, dataset.file_meta.TransferSyntaxUID)
    found = stored_values_in(BytesIO(content), len(content))
    np.testing.assert_array_equal(found, stored_values(dcmread(BytesIO(content))))
    return found


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
def test_lossless_packing_changes_no_value(name: str, bits: int, signed: bool) -> None:  # noqa: FBT001
    values = smooth(bits, signed=signed)

    found = both_ways(packed(values, bits, name))

    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values[np.newaxis])


@pytest.mark.parametrize("name", [name for name in LOSSLESS if "jpeg l" in name or name == "jpeg-ls"])
@pytest.mark.parametrize("bits", [5, 7, 9, 11, 13, 15])
def test_odd_depths_come_out_as_they_went_in(name: str, bits: int) -> None:
    for signed in (False, True):
        values = smooth(bits, signed=signed)

        np.testing.assert_array_equal(both_ways(packed(values, bits, name))[0], values)


@pytest.mark.parametrize(("name", "bits"), [(n, b) for n in LOSSY for b in (8, 12) if not ("base" in n and b == 12)])
def test_lossy_packing_changes_values_by_little(name: str, bits: int) -> None:
    values = smooth(bits)

    found = both_ways(packed(values, bits, name))

    assert found.dtype == values.dtype
    assert np.abs(found[0].astype(int) - values).max() <= (2 if "near" in name else (1 << bits) // 20)


@pytest.mark.parametrize("shipped", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_of_twelve_bits_is_what_dcmtk_makes_of_it(shipped: str, tmp_path: Path) -> None:
    path = Path(str(get_testdata_file(shipped, download=False)))
    subprocess.run(["dcmdjpeg", path, tmp_path / "plain"], check=True, capture_output=True)  # noqa: S603, S607

    content = path.read_bytes()
    found = stored_values_in(BytesIO(content), len(content))

    np.testing.assert_array_equal(found, stored_values(dcmread(tmp_path / "plain")))


@pytest.mark.parametrize("name", [name for name in LOSSLESS | LOSSY if name != "jpeg extended"])
def test_another_codec_finds_the_same(name: str) -> None:
    dataset = packed(smooth(8), 8, name)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    plugin = next(plugin for start, plugin in PEERS.items() if name.startswith(start))

    theirs, _ = decoder.as_array(dataset, raw=True, decoding_plugin=plugin)

    np.testing.assert_array_equal(stored_values(dataset)[0], theirs)


@pytest.mark.parametrize("signed", [False, True])
def test_two_decoders_of_high_throughput_jpeg_2000_agree(signed: bool) -> None:  # noqa: FBT001
    dataset = packed(smooth(12, signed=signed), 12, "htj2k")
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)

    np.testing.assert_array_equal(stored_values(dataset)[0], imagecodecs.htj2k_decode(frame))


def cut(stream: bytes, at: int) -> list[bytes]:
    return [stream[:at], stream[at:]]


@pytest.mark.parametrize("table", ["none", "basic", "extended", "wrong, but a fragment for each frame"])
def test_frames_are_found_whatever_the_offset_table_is(table: str) -> None:
    frames = np.stack([smooth(12) + number for number in range(4)]).astype(np.uint16)
    streams = [jpeg_2000(frame, 12) for frame in frames]
    others: dict[str, bytes] = {}
    if table == "extended":
        value, offsets, lengths = encapsulate_extended(streams)
        others = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    elif table.startswith("wrong"):
        value = itemize_fragment(bytes(16)) + b"".join(map(itemize_fragment, streams))
    else:
        value = encapsulate(streams, has_bot=table == "basic")

    found = both_ways(holding(frames, 12, JPEG2000Lossless, value, **others))

    np.testing.assert_array_equal(found, frames)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_of_several_fragments_are_put_together(frames: int, has_table: bool) -> None:  # noqa: FBT001
    values = np.stack([smooth(12) + number for number in range(frames)]).astype(np.uint16)
    streams = [jpeg_lossless(frame, 12) for frame in values]

    value = encapsulate(streams, fragments_per_frame=3, has_bot=has_table)

    np.testing.assert_array_equal(both_ways(holding(values, 12, JPEGLossless, value)), values)


def test_fragments_that_cannot_be_divided_into_frames_are_refused() -> None:
    values = np.stack([smooth(8)] * 2)
    streams = [jpeg_lossless(frame, 8) for frame in values]
    wrong = itemize_fragment((0).to_bytes(4, "little") + (4).to_bytes(4, "little"))
    parts = b"".join(itemize_fragment(part + b"\0" * (len(part) % 2)) for s in streams for part in cut(s, 100))

    for value in (wrong + parts, itemize_fragment(b"") + parts + itemize_fragment(streams[0])):
        with pytest.raises(SeriesError) as refused:
            stored_values(holding(values, 8, JPEGLossless, value))
        assert refused.value.reason is Reason.DAMAGED_PIXELS


def test_padding_behind_a_codestream_is_passed_over() -> None:
    values = smooth(12)
    for syntax, stream in ((JPEG2000Lossless, jpeg_2000(values, 12)), (RLELossless, rle(values, 12) + b"\xff" * 6)):
        found = stored_values(holding(values, 12, syntax, encapsulate([stream + b"\0\0"])))

        np.testing.assert_array_equal(found[0], values)


def test_a_codestream_without_a_sign_is_read_with_the_sign_of_the_header() -> None:
    values = smooth(13, signed=True)
    patterns = (values.astype(int) & 0x1FFF).astype(np.uint16)

    found = stored_values(holding(values, 13, JPEG2000Lossless, encapsulate([jpeg_2000(patterns, 13)])))

    np.testing.assert_array_equal(found[0], values)


@pytest.mark.parametrize(
    ("values", "bits", "stream"),
    [
        (smooth(16, signed=True), 16, jpeg_ls(smooth(12), 12)),
        (smooth(16, signed=True), 16, jpeg_2000(smooth(12), 12)),
        (smooth(16), 16, jpeg_2000(smooth(16, signed=True), 16)),
    ],
)
def test_values_whose_sign_nobody_can_know_are_refused(values: np.ndarray, bits: int, stream: bytes) -> None:
    syntax = JPEG2000Lossless if stream.startswith(b"\xff\x4f") else "1.2.840.10008.1.2.4.80"

    with pytest.raises(SeriesError, match="PixelRepresentation"):
        stored_values(holding(values, bits, syntax, encapsulate([stream])))


def test_a_jpeg_that_breaks_off_is_refused_though_its_decoder_would_fill_it_up() -> None:
    values = smooth(8)
    stream = packed(values, 8, "jpeg baseline").PixelData[16:]

    for syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        with pytest.raises(SeriesError) as refused:
            stored_values(holding(values, 8, syntax, encapsulate([stream[: len(stream) // 2]])))
        assert refused.value.reason is Reason.DAMAGED_PIXELS


def test_a_few_bytes_that_unfold_to_gigabytes_are_refused_unread() -> None:
    dataset = packed(np.zeros((64, 64), np.uint16), 16, "jpeg 2000")
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream] * 64)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = "64", 30000, 2000

    with pytest.raises(SeriesError, match="unfolds"):
        stored_values(dataset)


def test_a_jpeg_with_a_marker_amid_its_scan_is_refused() -> None:
    values = smooth(8)
    stream = bytearray(jpeg_lossless(values, 8))
    at = len(stream) // 2
    stream[at : at + 2] = b"\xff\xc8"

    with pytest.raises(SeriesError) as refused:
        stored_values(holding(values, 8, JPEGLossless, encapsulate([bytes(stream)])))

    assert refused.value.reason is Reason.DAMAGED_PIXELS


def test_runs_that_give_more_than_a_plane_are_refused() -> None:
    values = smooth(8)
    head, runs = rle(values, 8)[:64], rle(values, 8)[64:]

    with pytest.raises(SeriesError) as refused:
        stored_values(holding(values, 8, RLELossless, encapsulate([head + b"\0\7" + runs])))

    assert refused.value.reason is Reason.DAMAGED_PIXELS
