"""Compressed pixels leave without the notes that encoders write into them."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from medflow.deid.codestream import without_comments
from medflow.dicom.pixels import read_stored_values
from medflow.errors import SeriesError
from tests.deid.conftest import Deidentify
from tests.deid.phantom import ct_slice, write_files

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
