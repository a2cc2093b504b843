"""Every file ends in a series or is set aside, for a reason a radiographer understands; nothing a file holds raises."""

import bz2
import lzma
import os
import random
import shutil
import socket
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
)

from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import Scan, Sharing, list_files, read_file, scan_folder
from medflow.domain.series import FileState, Instance, SetAside, SourceFile
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import changed, enhanced, one_slice, save, stack, uid, written

Q, I = FileState.QUARANTINED, FileState.IGNORED  # noqa: E741


def only(folder: Path) -> SetAside:
    scan = scan_folder(folder)
    assert (scan.seen, scan.series) == (1, ())
    return scan.set_aside[0]


@pytest.mark.parametrize(
    ("contents", "state", "reason"),
    [
        (b"", Q, Reason.EMPTY_FILE),
        (b"P", I, Reason.NOT_DICOM),
        (b"Patient;Name\n1;2\n" * 40, I, Reason.NOT_DICOM),
        (bytes(200), I, Reason.NOT_DICOM),
        (random.Random(1).randbytes(4000), I, Reason.NOT_DICOM),  # noqa: S311
        (lzma.compress(written(one_slice())), Q, Reason.ARCHIVE_NOT_OPENED),
        (bz2.compress(written(one_slice())), Q, Reason.ARCHIVE_NOT_OPENED),
        (b"7z\xbc\xaf\x27\x1c" + bytes(90), Q, Reason.ARCHIVE_NOT_OPENED),
        (bytes(0x8001) + b"CD001" + bytes(90), Q, Reason.ARCHIVE_NOT_OPENED),
        (bytes(128) + b"DICM", Q, Reason.DAMAGED_HEADER),
        (bytes(128) + b"DICM" + random.Random(2).randbytes(900), Q, Reason.DAMAGED_HEADER),  # noqa: S311
    ],
)
def test_a_file_that_is_no_object_is_set_aside(
    tmp_path: Path, contents: bytes, state: FileState, reason: Reason
) -> None:
    (tmp_path / "x").write_bytes(contents)

    aside = only(tmp_path)

    assert (aside.state, aside.reason) == (state, reason)


GEOMETRY: dict[str, Any] = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}


@pytest.mark.parametrize(
    ("others", "state", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.1.3.10", "PixelData": None}, I, Reason.DICOMDIR),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR", "PixelData": None}, I, Reason.NOT_AN_IMAGE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66", "PixelData": None}, I, Reason.NOT_AN_IMAGE),
        ({"SOPClassUID": SecondaryCaptureImageStorage, **GEOMETRY}, I, Reason.NOT_PATIENT_GEOMETRY),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], **GEOMETRY}, I, Reason.NOT_PATIENT_GEOMETRY),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], **GEOMETRY}, I, Reason.NOT_PATIENT_GEOMETRY),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, I, Reason.PLANAR_IMAGE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US", **GEOMETRY}, I, Reason.NOT_PATIENT_GEOMETRY),
        ({"SOPClassUID": XRayAngiographicImageStorage, "Modality": "XA", **GEOMETRY}, I, Reason.PLANAR_IMAGE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.20", "Modality": "NM"}, I, Reason.OTHER_MODALITY),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2", "Modality": "RTDOSE"}, I, Reason.OTHER_MODALITY),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, I, Reason.COLOUR_IMAGE),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, I, Reason.COLOUR_IMAGE),
        ({"PixelData": None}, Q, Reason.DAMAGED_PIXELS),
        (GEOMETRY, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"PixelSpacing": None}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"PixelSpacing": ["0", "0.5"]}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"PixelSpacing": ["-1", "0.5"]}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"ImagePositionPatient": ["0", "1e9", "0"]}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"ImageOrientationPatient": ["1", "0", "0", "0.5", "1", "0"]}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"ImageOrientationPatient": ["0"] * 6}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"NumberOfFrames": "3", "PixelData": bytes(72)}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, Q, Reason.IMPOSSIBLE_GEOMETRY),
        ({"Rows": 0}, Q, Reason.DAMAGED_HEADER),
        ({"Columns": None}, Q, Reason.DAMAGED_HEADER),
        ({"BitsAllocated": 12}, Q, Reason.DAMAGED_HEADER),
        ({"HighBit": 11}, Q, Reason.DAMAGED_HEADER),
        ({"RescaleSlope": "0"}, Q, Reason.DAMAGED_HEADER),
        ({"Rows": 65535, "Columns": 65535, "NumberOfFrames": "2147483647"}, Q, Reason.DAMAGED_HEADER),
        ({"Rows": 5}, Q, Reason.DAMAGED_PIXELS),
        ({"Rows": 2}, Q, Reason.DAMAGED_PIXELS),
        ({"SOPInstanceUID": None}, Q, Reason.MISSING_IDENTIFIER),
        ({"SeriesInstanceUID": None}, Q, Reason.MISSING_IDENTIFIER),
        ({"StudyInstanceUID": None}, Q, Reason.MISSING_IDENTIFIER),
    ],
)
def test_an_object_that_is_no_slice_is_set_aside(
    tmp_path: Path, others: dict[str, Any], state: FileState, reason: Reason
) -> None:
    save(tmp_path, one_slice(**others))

    aside = only(tmp_path)

    assert (aside.state, aside.reason) == (state, reason)


@pytest.mark.parametrize(
    ("written_as", "damaged_to"),
    [
        (b"\x20\x00\x32\x00DS", b"\x20\x00\x32\x00DR"),
        (b"\x28\x00\x52\x10DS", b"\x28\x00\x52\x10US"),
        (b"\x08\x00\x16\x00UI\x1a\x001.2", b"\x08\x00\x16\x00UI\x1a\x00\xe1.2"),
    ],
)
def test_a_place_a_value_or_a_class_that_two_readers_would_read_in_two_ways_is_damaged(
    tmp_path: Path, written_as: bytes, damaged_to: bytes
) -> None:
    plain = written(one_slice(RescaleIntercept="-102"))
    assert plain.count(written_as) == 1
    (tmp_path / "x").write_bytes(plain.replace(written_as, damaged_to))

    assert only(tmp_path).reason is Reason.DAMAGED_HEADER


@pytest.mark.parametrize("text", [b"NaN ", b"inf ", b"1_0 ", b"0,5 ", b"\xff\xfe\x00 "])
@pytest.mark.parametrize("number", [b"0.70", b"-102"])
def test_a_number_that_is_none_quarantines_its_file(tmp_path: Path, text: bytes, number: bytes) -> None:
    plain = written(one_slice(PixelSpacing=["0.70", "0.5"], RescaleIntercept="-102"))
    assert plain.count(number) == 1
    (tmp_path / "x").write_bytes(plain.replace(number, text))

    assert only(tmp_path).state is Q


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.7.1", "1.2.840.113619.5.2"],
)
def test_video_and_streamed_pixels_are_quarantined(tmp_path: Path, syntax: str) -> None:
    old, new = b"1.2.840.10008.1.2.1\0", syntax.encode()
    tail = written(one_slice()).split(b"UI" + len(old).to_bytes(2, "little") + old)
    value = new + b"\0" * (len(new) % 2)
    (tmp_path / "x").write_bytes((b"UI" + len(value).to_bytes(2, "little") + value).join(tail))

    assert only(tmp_path).reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX


def instance_of(scan: Scan) -> Instance:
    (series,) = scan.series
    (instance,) = series.instances
    return instance


def bare(data: bytes) -> bytes:
    """Take preamble, prefix and file meta information away."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


@pytest.mark.parametrize(
    "spell",
    [
        lambda dataset: written(dataset, ImplicitVRLittleEndian),
        lambda dataset: written(dataset, ExplicitVRBigEndian),
        lambda dataset: written(dataset, DeflatedExplicitVRLittleEndian),
        lambda dataset: written(dataset)[132:],
        lambda dataset: bare(written(dataset)),
        lambda dataset: bare(written(dataset, ImplicitVRLittleEndian)),
        lambda dataset: bare(written(dataset, ExplicitVRBigEndian)),
        lambda dataset: b"\xff" * 128 + written(dataset)[128:],
    ],
)
@pytest.mark.parametrize("draw", [one_slice, lambda: enhanced([(0, 0, 0), (0, 0, 2)])])
def test_a_slice_reads_the_same_however_it_is_spelled(
    tmp_path: Path, spell: Callable[[Dataset], bytes], draw: Callable[[], Dataset]
) -> None:
    save(tmp_path / "plain", draw())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_bytes(spell(draw()))

    plain, other = (instance_of(scan_folder(tmp_path / name)) for name in ("plain", "other"))

    assert other.frames == plain.frames
    assert (other.padding, other.rescaled, other.frame_of_reference) == (
        plain.padding,
        plain.rescaled,
        plain.frame_of_reference,
    )


def test_every_cut_of_a_file_is_quarantined(tmp_path: Path) -> None:
    whole = written(one_slice())
    for length in range(140, len(whole)):
        (tmp_path / "x").write_bytes(whole[:length])

        assert only(tmp_path).state is Q


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_to_a_header_never_raises_and_conserves_files(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    drawn = [one_slice(), enhanced([(0, 0, 0), (0, 0, 2)])][data.draw(st.integers(0, 1))]
    syntax = data.draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]))
    spoiled = bytearray(written(drawn, syntax))
    hits = data.draw(st.lists(st.tuples(st.integers(128, len(spoiled) - 1), st.integers(0, 255)), max_size=12))
    for at, value in hits:
        spoiled[at] = value
    (folder / "spoiled").write_bytes(spoiled)
    (folder / "whole").write_bytes(written(one_slice(2)))

    scan = scan_folder(folder)

    assert scan.seen == 2
    for series in scan.series:
        with suppress(SeriesError):
            lay_out(series)
            intensity_facts(series)
    shutil.rmtree(folder)


@settings(max_examples=25, deadline=None)
@given(names=st.permutations([f"{letter}.dcm" for letter in "abcdef"]))
def test_neither_names_nor_order_of_files_change_a_series(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("named")
    for name, dataset in zip(names, stack([0, 2, 4, 6, 8, 10]), strict=True):
        (folder / name).write_bytes(written(dataset))

    (series,) = scan_folder(folder).series

    assert [instance.instance_number for instance in series.instances] == [1, 2, 3, 4, 5, 6]
    shutil.rmtree(folder)


def reasons(scan: Scan) -> dict[str, Reason]:
    return {aside.file.relative: aside.reason for aside in scan.set_aside}


def test_the_same_bytes_twice_are_kept_once(tmp_path: Path) -> None:
    save(tmp_path / "a", one_slice())
    save(tmp_path / "b", one_slice())

    scan = scan_folder(tmp_path)

    assert reasons(scan) == {"b/0000.dcm": Reason.RESENT}
    assert instance_of(scan).file.relative == "a/0000.dcm"


def test_two_objects_with_one_uid_are_both_quarantined(tmp_path: Path) -> None:
    save(tmp_path, one_slice(), one_slice(StudyDescription="other"), one_slice(2))

    scan = scan_folder(tmp_path)

    assert reasons(scan) == dict.fromkeys(("0000.dcm", "0001.dcm"), Reason.CONFLICTING_OBJECT)
    assert instance_of(scan).instance_number == 2


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"PatientID": "P2"}, Reason.TWO_PATIENTS),
        ({"StudyInstanceUID": uid("another study")}, Reason.MIXED_SERIES),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, Reason.MIXED_SERIES),
    ],
)
def test_a_series_that_contradicts_itself_is_quarantined_whole(
    tmp_path: Path, others: dict[str, Any], reason: Reason
) -> None:
    save(tmp_path, one_slice(1), one_slice(2, **others), one_slice(3, SeriesInstanceUID=uid("good")))

    scan = scan_folder(tmp_path)

    assert reasons(scan) == dict.fromkeys(("0000.dcm", "0001.dcm"), reason)
    assert instance_of(scan).instance_number == 3


def test_patients_without_an_id_are_told_apart_by_their_names(tmp_path: Path) -> None:
    save(tmp_path, one_slice(1, PatientID=""), one_slice(2, PatientID="", PatientName="Other^One"))

    assert set(reasons(scan_folder(tmp_path)).values()) == {Reason.TWO_PATIENTS}


def test_links_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "real", one_slice())
    (tmp_path / "link.dcm").symlink_to(tmp_path / "real" / "0000.dcm")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        assert [file.relative for file in list_files(tmp_path)] == ["real/0000.dcm"]


@pytest.mark.parametrize("become", ["link", "pipe", "folder"])
def test_a_file_that_became_something_else_since_it_was_listed_is_not_opened(tmp_path: Path, become: str) -> None:
    save(tmp_path, one_slice())
    (file,) = list_files(tmp_path)
    elsewhere = file.path.rename(tmp_path.parent / f"moved-{tmp_path.name}")
    if become == "link":
        file.path.symlink_to(elsewhere)
    elif become == "pipe":
        os.mkfifo(file.path)
    else:
        file.path.mkdir()

    (aside,) = scan_folder(tmp_path, files=[file]).set_aside

    assert aside.reason in {Reason.UNREADABLE_FILE, Reason.CHANGED_WHILE_READ}


@pytest.fixture
def as_somebody() -> Iterator[Path]:
    """A folder of an account that may not do everything, and that account."""
    folder = Path(tempfile.mkdtemp(prefix="medflow-closed-"))
    somebody = 65534
    if os.geteuid() == 0:
        os.chown(folder, somebody, somebody)
        os.seteuid(somebody)
    yield folder
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o700)
    os.seteuid(os.getuid())
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_quarantined_and_counted(as_somebody: Path) -> None:
    save(as_somebody / "open", one_slice(), one_slice(2))
    (as_somebody / "open" / "0001.dcm").chmod(0)
    for name, mode in (("closed", 0o000), ("listable", 0o400)):
        save(as_somebody / name, one_slice(3))
        (as_somebody / name).chmod(mode)

    scan = scan_folder(as_somebody)

    assert reasons(scan) == {
        "closed/": Reason.UNREADABLE_FOLDER,
        "listable/0000.dcm": Reason.UNREADABLE_FILE,
        "open/0001.dcm": Reason.UNREADABLE_FILE,
    }
    assert (scan.seen, {aside.state for aside in scan.set_aside}) == (4, {Q})


def test_names_that_are_no_text_are_read_like_any_other(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/M\xfcller\xff"
    Path(os.fsdecode(folder)).mkdir()
    Path(os.fsdecode(folder + b"/\xe9.dcm")).write_bytes(written(one_slice()))

    scan = scan_folder(tmp_path)

    assert os.fsencode(instance_of(scan).file.relative) == b"M\xfcller\xff/\xe9.dcm"


def test_a_file_that_changed_since_it_was_listed_is_left_for_later(tmp_path: Path) -> None:
    save(tmp_path, one_slice(), one_slice(2))
    first, second = list_files(tmp_path)
    first.path.write_bytes(written(one_slice(StudyDescription="longer")))
    second.path.unlink()

    scan = scan_folder(tmp_path, files=[first, second])

    assert reasons(scan) == {"0000.dcm": Reason.CHANGED_WHILE_READ, "0001.dcm": Reason.UNREADABLE_FILE}


def test_nothing_that_is_printed_names_the_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "Canary").mkdir()
    save(tmp_path / "Canary", one_slice(), one_slice(2, PatientID="Canary 7"))
    damaged = written(one_slice(3, SpecificCharacterSet="ISO_IR 100", PatientName="Cänary")).replace(
        b"IR 100", b"IR 999"
    )
    (tmp_path / "Canary" / "x").write_bytes(damaged)

    scan = scan_folder(tmp_path)

    assert "Canary" not in repr(scan) + caplog.text


def test_texts_are_read_in_their_own_character_set(tmp_path: Path) -> None:
    save(tmp_path, changed(one_slice(SpecificCharacterSet="ISO_IR 100"), {"PatientID": "Äß 1"}))

    (series,) = scan_folder(tmp_path).series

    assert series.patient_id == "Äß 1"


def test_an_unknown_character_set_raises_nothing(tmp_path: Path) -> None:
    data = written(one_slice(SpecificCharacterSet="ISO_IR 100", PatientID="Äß 1")).replace(b"ISO_IR 100", b"ISO_IR 999")
    (tmp_path / "x").write_bytes(data)

    assert len(scan_folder(tmp_path).series) == 1


def test_a_deflated_bomb_is_not_unfolded(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(1 << 24)
    bomb = b"".join(packer.compress(block) for _ in range(17)) + packer.flush()
    head = written(one_slice(), DeflatedExplicitVRLittleEndian)
    length = int.from_bytes(head[140:144], "little")
    (tmp_path / "bomb").write_bytes(head[: 144 + length] + bomb)

    assert only(tmp_path).reason is Reason.DAMAGED_HEADER


def test_one_file_is_read_alone_for_a_watcher(tmp_path: Path) -> None:
    save(tmp_path, one_slice())
    (file,) = list_files(tmp_path)

    (found,) = read_file(file, Sharing())
    assert not isinstance(found, SetAside)
    gone = SourceFile(path=tmp_path / "gone", relative="gone", size=1, mtime_ns=1)
    assert list(read_file(gone, Sharing())) == [SetAside(file=gone, state=Q, reason=Reason.UNREADABLE_FILE)]
