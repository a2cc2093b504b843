"""Every file below a folder is looked at, and every name; what could not be looked at is said."""

import gzip
import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from pydicom import dcmread

from medflow.errors import ConfigurationError
from medflow.verify.folder import Owner, entries, look_at_files, verify_folder
from medflow.verify.identity import Identity, Kind, Value, identity_of_dataset, identity_of_file, identity_of_model
from medflow.verify.originals import read_originals
from medflow.verify.report import VerifyReport
from tests.deid.phantom import Tokens, ct_slice, file_bytes, planted_item
from tests.verify.made import VALUES, clean_file

NAME = Value(Kind.NAME, "Zwingli^Huldrych")


def verified(folder: Path, *values: Value, known: bool = True) -> VerifyReport:
    def anybody(_: Owner) -> bool:
        return known

    return verify_folder(entries(folder), Identity(values=frozenset(values)), known=anybody, seed=3)


def picture(text: bytes) -> bytes:
    """Make a PNG whose only text is `text`, packed."""
    body = b"Comment\0\0" + zlib.compress(text)
    chunk = b"zTXt" + body
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_clean_folder_is_clean_and_the_look_is_proved(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(clean_file())
    (tmp_path / "series.json").write_text(json.dumps({"slice": "0x1.8p+3", "files": [["a.dcm", "ab" * 32]]}))

    report = verified(tmp_path, *VALUES)

    assert report.clean
    assert report.complete
    assert (report.files, report.objects, report.unread) == (2, 1, 0)
    assert 0 < report.expected <= report.budget
    assert sum(report.proof.planted.values()) == sum(report.proof.found.values()) > 100
    assert verified(tmp_path, *VALUES) == report


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("series.json", json.dumps({"description": "CT Zw\u00edngli"}).encode()),
        ("report.json", json.dumps({"Zwingli.dcm": 1}).encode()),
        ("volume.nii.gz", gzip.compress(bytes(344) + b"n+1\0" + b"seen: Zwingli" + bytes(400), mtime=0)),
        ("slice.png", picture(b"seen: Zwingli")),
        ("notes.txt", "Huldrych, ZWINGLI".encode("utf-16")),
        ("Zwingli_Huldrych/empty", b""),
    ],
)
def test_a_name_is_found_in_other_files_and_in_their_names(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)

    assert {finding.kind for finding in verified(tmp_path, NAME).findings} == {Kind.NAME}


def test_a_link_is_not_followed_but_where_it_leads_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to("../export/zwingli")
    (tmp_path / "out" / "Huldrych").mkdir()

    findings = verified(tmp_path / "out", NAME).findings

    assert [(found.file, found.place) for found in findings] == [(1, "file name"), (2, "file")]


def test_what_could_not_be_looked_at_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(clean_file())
    os.mkfifo(tmp_path / "pipe")

    report = verified(tmp_path, *VALUES, known=False)

    assert (report.unread, report.unmatched, report.clean, report.complete) == (1, 1, True, False)


def test_a_look_that_could_plant_nothing_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")

    assert not verified(tmp_path, NAME).complete


def test_no_report_holds_a_value(tmp_path: Path) -> None:
    content = file_bytes(ct_slice(0, patient="PAT-7731"))
    (tmp_path / "Muster.dcm").write_bytes(content)
    identity = identity_of_dataset(dcmread(tmp_path / "Muster.dcm"))

    _, findings = look_at_files(entries(tmp_path), identity)

    assert {Kind.NAME, Kind.PATIENT_ID, Kind.BIRTH_DATE, Kind.UID} <= {finding.kind for finding in findings}
    told = repr(findings) + repr(identity) + json.dumps([finding.record() for finding in findings])
    assert not [value.text for value in identity.values if value.text in told]


def test_the_originals_identity_is_read_at_any_depth_and_from_archives(tmp_path: Path) -> None:
    tokens, ds = Tokens(seed=2), ct_slice(0)
    ds.SharedFunctionalGroupsSequence = [planted_item(tokens, "deep")]
    (tmp_path / "one.gz").write_bytes(gzip.compress(file_bytes(ds)))
    (tmp_path / "notes.txt").write_text("no DICOM")

    read = read_originals(tmp_path)

    texts = {value.text for value in read.identity.values}
    assert {tokens.planted[f"deep.{name}"].decode() for name in ("PatientName", "OtherPatientIDs")} <= texts
    assert {"Muster^Eva", "4711-0815", "19300115", "20240229"} <= texts
    assert "20240229081500" in read.identity.moments
    assert (read.objects, read.unread) == (1, 0)
    with pytest.raises(ConfigurationError):
        read_originals(tmp_path / "nowhere")


def test_the_vaults_model_gives_the_same_identity_as_the_object(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(file_bytes(ct_slice(0)))
    ds = dcmread(tmp_path / "a", stop_before_pixels=True)

    with (tmp_path / "a").open("rb") as stream:
        read = identity_of_file(stream)

    assert read is not None
    assert identity_of_model(ds.to_json_dict()).values <= read.values
    assert Value(Kind.NAME, "Muster^Eva") in identity_of_model(ds.to_json_dict()).values
