"""Compressed pixels leave without the notes that encoders write into them."""

import struct
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from medflow.deid.codestream import without_comments
from medflow.deid.compressed import as_uncompressed, compressed_pixels
from medflow.deid.native import Pixels
from medflow.deid.object import opened
from medflow.dicom.codestreams import stated
from medflow.dicom.pixels import read_stored_values, stored_samples, stored_values
from medflow.dicom.syntaxes import ENCAPSULATED
from medflow.errors import SeriesError
from tests.deid.conftest import Deidentify
from tests.deid.phantom import ct_slice, write_files
from tests.dicom import packing

NOTE = b"seen by Dr. Meyer"


def compressed(syntax: UID) -> Dataset:
    ds = ct_slice(0)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(syntax, generate_instance_uid=False)
    return ds


def with_note(frame: bytes, marker: bytes) -> bytes:
    """Put a comment segment behind the first marker of a codestream (behind SIZ in JPEG 2000)."""
    at = 2 if marker == b"\xff\xfe" else 4 + struct.unpack_from(">H", frame, 4)[0]
    return frame[:at] + marker + struct.pack(">H", len(NOTE) + 4) + b"\0\1" + NOTE + frame[at:]


@pytest.mark.parametrize(("syntax", "marker"), [(JPEG2000Lossless, b"\xff\x64"), (JPEGLSLossless, b"\xff\xfe")])
def test_comments_and_bytes_behind_the_end_go_and_the_pixels_stay(
    syntax: UID, marker: bytes, tmp_path: Path, deidentify: Deidentify
) -> None:
    ds = compressed(syntax)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([with_note(frame, marker) + NOTE])
    ds.save_as(tmp_path / "one.dcm", enforce_file_format=True)
    folder = write_files(tmp_path / "export", (tmp_path / "one.dcm").read_bytes())

    (safe,) = deidentify(folder)

    stored = safe.folder / safe.files[0].name
    assert NOTE in (folder / "0000").read_bytes()
    assert NOTE not in stored.read_bytes()
    assert dcmread(stored).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_stored_values(stored), np.frombuffer(ct_slice(0).PixelData, "<u2").reshape(1, 64, 64))


@pytest.mark.parametrize("marker", [b"\xff\x6f", b"\xff\x7a", b"\xff\x30"])
def test_segments_that_no_decoder_needs_go(marker: bytes) -> None:
    (frame,) = generate_frames(compressed(JPEG2000Lossless).PixelData, number_of_frames=1)

    assert NOTE not in without_comments(with_note(frame, marker))


def test_a_text_between_the_coded_values_and_the_end_goes_and_the_pixels_stay(
    tmp_path: Path, deidentify: Deidentify
) -> None:
    ds = compressed(JPEG2000Lossless)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    at = frame.index(b"\xff\x90") + 6
    whole = frame[: frame.rindex(b"\xff\xd9")]
    ds.PixelData = encapsulate([whole[:at] + bytes(4) + whole[at + 4 :] + b"seenByDrMeyer" + b"\xff\xd9"])
    ds.save_as(tmp_path / "one.dcm", enforce_file_format=True)

    (safe,) = deidentify(write_files(tmp_path / "export", (tmp_path / "one.dcm").read_bytes()))

    stored = safe.folder / safe.files[0].name
    assert b"DrMeyer" not in stored.read_bytes()
    assert np.array_equal(read_stored_values(stored), np.frombuffer(ct_slice(0).PixelData, "<u2").reshape(1, 64, 64))


def test_nothing_rides_behind_the_runs_of_rle(tmp_path: Path, deidentify: Deidentify) -> None:
    ds = compressed(RLELossless)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([frame + NOTE])
    ds.save_as(tmp_path / "one.dcm", enforce_file_format=True)

    (safe,) = deidentify(write_files(tmp_path / "export", (tmp_path / "one.dcm").read_bytes()))

    stored = safe.folder / safe.files[0].name
    assert NOTE not in stored.read_bytes()
    assert np.array_equal(read_stored_values(stored), np.frombuffer(ct_slice(0).PixelData, "<u2").reshape(1, 64, 64))


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xfe\xff", b"\xff\x4f\xff\x51\0", b"no codestream"])
def test_a_codestream_that_breaks_off_is_refused(frame: bytes) -> None:
    with pytest.raises(SeriesError):
        without_comments(frame)


def two_frames(name: str, bits: int, *, signed: bool = False) -> Dataset:
    """Make an object of two frames in the packing called `name`, one of them twice as steep."""
    values = np.stack([packing.smooth(bits, signed=signed), packing.smooth(bits, signed=signed)[::-1]])
    syntax, encode = packing.PACKINGS[name]
    return packing.holding(values, bits, syntax, encapsulate([encode(frame, bits) for frame in values]))


def with_pixels(dataset: Dataset, pixels: Pixels) -> Dataset:
    """Give the object as it would be written."""
    changed = Dataset(dict((dataset if pixels.encapsulated else as_uncompressed(dataset)).items()))
    changed.file_meta = FileMetaDataset()
    native = UID(ExplicitVRLittleEndian)
    changed.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID if pixels.encapsulated else native
    changed.PixelData = pixels.value
    changed["PixelData"].VR = pixels.vr
    return changed


def file_of(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("name", packing.PACKINGS)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, True)])
def test_what_was_blanked_is_packed_anew_exactly_and_the_other_frame_stays_byte_for_byte(
    name: str, bits: int, *, signed: bool
) -> None:
    if bits > {"jpeg baseline": 8, "jpeg extended": 12}.get(name, 16) or (bits, name) == (8, "jpeg extended"):
        pytest.skip("the process knows no such precision")
    original = opened(file_of(two_frames(name, bits, signed=signed)))
    frames = original.frames.copy()
    frames[1, 5:15, 5:30] = frames.min()

    pixels = compressed_pixels(original.dataset, original.syntax, frames, changed={1})

    assert np.array_equal(stored_values(with_pixels(original.dataset, pixels)), frames)
    assert pixels.encapsulated == (name not in {"jpeg baseline", "jpeg extended"})
    if pixels.encapsulated:
        (before, _), (after, blanked) = (
            generate_frames(value, number_of_frames=2)
            for value in (original.dataset.get_item(0x7FE00010).value, bytes(pixels.value))
        )
        if stated(blanked, ENCAPSULATED[original.syntax]) == stated(before, ENCAPSULATED[original.syntax]):
            assert after.rstrip(b"\0") == (before.rstrip(b"\0") if name == "rle" else without_comments(before))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_FULL_422"])
def test_a_colour_frame_that_changed_stays_as_it_is_elsewhere(photometric: str) -> None:
    colours = np.random.default_rng(3).integers(0, 255, (40, 48, 3), np.uint8)
    syntax, stream = {
        "RGB": (JPEGLSLossless, imagecodecs.jpegls_encode(colours, out=1 << 16)),
        "YBR_RCT": (JPEG2000Lossless, imagecodecs.jpeg2k_encode(colours, codecformat="j2k", reversible=True)),
        "YBR_FULL_422": (JPEGBaseline8Bit, imagecodecs.jpeg8_encode(colours, level=95)),
    }[photometric]
    dataset = packing.holding(
        colours[..., 0], 8, syntax, encapsulate([bytes(stream)]), SamplesPerPixel=3, PlanarConfiguration=0,
        PhotometricInterpretation=photometric,
    )  # fmt: skip
    original = opened(file_of(dataset), planar=True)
    frames = original.frames.copy()
    frames[0, :10] = 0

    pixels = compressed_pixels(original.dataset, original.syntax, frames, changed={0})

    assert pixels.encapsulated == (photometric != "YBR_FULL_422")
    assert np.array_equal(stored_samples(with_pixels(original.dataset, pixels)), frames)


@pytest.mark.parametrize("name", ["rle", "jpeg lossless sv1", "jpeg-ls", "jpeg 2000", "htj2k"])
def test_bits_above_the_stored_ones_go_from_compressed_frames_too(name: str) -> None:
    values = packing.smooth(12).astype(np.uint16)
    syntax, encode = packing.PACKINGS[name]
    hidden = values | np.uint16(0x5000)
    dataset = packing.holding(values, 12, syntax, encapsulate([encode(hidden, 16)]))
    original = opened(file_of(dataset))

    pixels = compressed_pixels(original.dataset, original.syntax, original.frames)

    raw = with_pixels(original.dataset, pixels)
    raw.BitsStored, raw.HighBit = 16, 15
    assert pixels.stray == values.size
    assert np.array_equal(stored_values(raw)[0], values)


def test_nothing_rides_in_boxes_fragments_or_offset_tables(tmp_path: Path, deidentify: Deidentify) -> None:
    ds = compressed(JPEG2000Lossless)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    box = struct.pack(">I4s", 12, b"jP  ") + b"\r\n\x87\n" + struct.pack(">I4s", 9 + len(NOTE), b"uuid") + NOTE + b"\0"
    items = (NOTE + b"\0" * (-len(NOTE) % 4), box + frame[: len(frame) // 4 * 2], frame[len(frame) // 4 * 2 :], NOTE)
    ds.PixelData = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item) + len(item) % 2) + item + b"\0" * (len(item) % 2)
        for item in items
    )
    ds["PixelData"].is_undefined_length = True
    ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = NOTE[:16], NOTE[:16]
    ds.save_as(tmp_path / "one.dcm", enforce_file_format=True)

    (safe,) = deidentify(write_files(tmp_path / "export", (tmp_path / "one.dcm").read_bytes()))

    stored = safe.folder / safe.files[0].name
    assert NOTE[:10] not in stored.read_bytes()
    assert "ExtendedOffsetTable" not in dcmread(stored)
    assert np.array_equal(read_stored_values(stored), np.frombuffer(ct_slice(0).PixelData, "<u2").reshape(1, 64, 64))
