"""A series under other names is the one that de-identification would have written under them."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from medflow.deid.profile import DEFAULT, profile_of
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.relabel import Renaming, for_recipient, relabelled, relabelled_series, renamed
from medflow.deid.treatments import Option
from medflow.domain.safe import DeidentifiedSeries
from medflow.errors import SeriesError
from tests.deid.conftest import Deidentify
from tests.deid.phantom import ct_slice, file_bytes, write_files


def merged(pseudonyms: Pseudonyms, one: str, into: str) -> Pseudonyms:
    old, new = pseudonyms.patient_of_id(one), pseudonyms.patient_of_id(into)
    assert old is not None
    assert new is not None
    return replace(pseudonyms, aliases={old: new})


def renaming_of(before: Pseudonyms, after: Pseudonyms, series: DeidentifiedSeries) -> Renaming:
    patient = after.recoded_patient(after.aliases.get(series.patient, series.patient))
    days = after.day_shift(patient) - before.day_shift(series.patient)
    return Renaming(patient=patient, days=days, uid=after.recoded_uid)


def contents(series: DeidentifiedSeries) -> list[bytes]:
    return [(series.folder / file.name).read_bytes() for file in series.files]


@pytest.mark.parametrize("implicit", [False, True])
def test_a_merged_copy_is_what_the_originals_would_have_become(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms, *, implicit: bool
) -> None:
    slices = [file_bytes(ct_slice(number, patient="ONE"), implicit=implicit) for number in range(3)]
    folder = write_files(tmp_path / "export", *slices)
    after = merged(pseudonyms, "ONE", "OTHER")
    (before,), (expected,) = deidentify(folder), deidentify(folder, key=after, root=tmp_path / "expected")

    renaming = renaming_of(pseudonyms, after, before)
    moved = relabelled_series(before, renaming, tmp_path / "moved", source_digest="0" * 64)

    assert contents(moved) == contents(expected) != contents(before)
    assert (moved.patient, moved.study, moved.uid) == (expected.patient, expected.study, expected.uid)
    assert moved.series_digest == before.series_digest


def test_two_recipients_share_no_name_no_uid_and_no_date(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    (safe,) = deidentify(write_files(tmp_path / "export", file_bytes(ct_slice(0))))
    files = []
    for label in ("registry", "trial"):
        renaming = renaming_of(pseudonyms, pseudonyms.for_recipient(label), safe)
        copy = relabelled_series(safe, renaming, tmp_path / label, source_digest="0" * 64)
        files.append(dcmread(copy.folder / copy.files[0].name))

    one, other = files
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert len({str(file[keyword].value) for file in (one, other, dcmread(safe.folder / "IM000001.dcm"))}) == 3
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert one.SOPClassUID == other.SOPClassUID
    assert one.PixelData == other.PixelData


def test_a_recipients_copy_is_what_the_engine_writes_for_that_recipient(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    folder, after = write_files(tmp_path / "export", file_bytes(ct_slice(0))), pseudonyms.for_recipient("trial")
    (safe,), (expected,) = deidentify(folder), deidentify(folder, key=after, root=tmp_path / "expected")

    copy = relabelled_series(safe, renaming_of(pseudonyms, after, safe), tmp_path / "copy", source_digest="0" * 64)

    assert contents(copy) == contents(expected)


def test_nothing_of_the_record_that_is_keyed_is_shared_by_two_recipients(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    ds = ct_slice(0)
    ds.DeviceSerialNumber = "65432"
    folder = write_files(tmp_path / "export", file_bytes(ds))
    (safe,), (expected,) = deidentify(folder), deidentify(folder, key=pseudonyms.for_recipient("a"), root=tmp_path)
    records = []
    for label in ("a", "b"):
        renaming, source_digest = for_recipient(safe, pseudonyms, label)
        records.append(relabelled_series(safe, renaming, tmp_path / label, source_digest=source_digest))

    one, other = records
    assert one.written() == expected.written()
    assert one.descriptors.scanner != other.descriptors.scanner != safe.descriptors.scanner
    assert len({series.source_digest for series in (safe, *records)}) == 3
    assert len({series.id for series in (safe, *records)}) == 3


def test_dates_that_a_profile_keeps_are_not_shifted_for_a_recipient_either(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    options = DEFAULT.options - {Option.MODIFIED_DATES} | {Option.FULL_DATES}
    kept = profile_of(replace(DEFAULT, options=options))
    folder = write_files(tmp_path / "export", file_bytes(ct_slice(0)))
    (safe,) = deidentify(folder, under=kept)
    renaming, source_digest = for_recipient(safe, pseudonyms, "trial")

    copy = relabelled_series(safe, renaming, tmp_path / "copy", source_digest=source_digest)

    assert dcmread(copy.folder / copy.files[0].name).StudyDate == dcmread(folder / "0000").StudyDate


def test_a_copy_that_was_tampered_with_is_not_passed_on(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    (safe,) = deidentify(write_files(tmp_path / "export", file_bytes(ct_slice(0))))
    path = safe.folder / safe.files[0].name
    path.write_bytes(path.read_bytes().replace(b"CHEST", b"HEART"))

    with pytest.raises(SeriesError, match="not what its digest says"):
        relabelled_series(safe, Renaming(patient=safe.patient, days=0), tmp_path / "copy", source_digest="0" * 64)
    with pytest.raises(SeriesError):
        relabelled(b"no file of ours" * 20, Renaming(patient=safe.patient, days=0))
    assert pseudonyms.for_recipient("a").recipient == "a"


@pytest.mark.parametrize(
    ("scanner", "moves"),
    [
        ("SIEMENS | SYMPHONY", False),
        ("SYMPHONY", False),
        ("", False),
        ("ABCDEFGH", True),
        ("GE | SYMPHONY | SYMPHONY", True),
    ],
)
def test_only_the_code_of_a_scanner_is_another_one_for_a_recipient(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms, scanner: str, *, moves: bool
) -> None:
    (safe,) = deidentify(write_files(tmp_path / "export", file_bytes(ct_slice(0))))
    named = replace(safe, descriptors=replace(safe.descriptors, scanner=scanner))
    renaming, source_digest = for_recipient(named, pseudonyms, "trial")

    new = renamed(named, renaming, source_digest=source_digest)

    assert (new.descriptors.scanner != scanner) == moves
