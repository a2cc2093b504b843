"""What ties a patient's objects together stays tied, on any machine; what ties them to the calendar is cut."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import PositronEmissionTomographyImageStorage

from medflow.deid.folder import ONE_INSTANT
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.safe import DeidentifiedSeries, SeriesUID
from tests.deid.conftest import Deidentify
from tests.deid.phantom import ct_slice, file_bytes, write_files

UID = re.compile(rb"(?:[012]\.)(?:\d+\.)+\d+")
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def pet(number: int, seed: int) -> Dataset:
    """Make a slice of a PET whose dose was given on the evening before."""
    ds = ct_slice(number, seed=seed)
    ds.SOPClassUID, ds.Modality, ds.Units = PositronEmissionTomographyImageStorage, "PT", "BQML"
    dose = Dataset()
    dose.RadiopharmaceuticalStartDateTime, dose.RadiopharmaceuticalStartTime = "20240228233000.00", "233000.00"
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = "250000000", "6586.2"
    ds.RadiopharmaceuticalInformationSequence = Sequence([dose])
    return ds


def referring(number: int, seed: int, others: list[Dataset]) -> Dataset:
    """Make a slice that refers to `others` in every way that is kept."""
    ds = ct_slice(number, seed=seed)
    items = []
    for other in others:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = other.SOPClassUID, other.SOPInstanceUID
        items.append(item)
    ds.ReferencedImageSequence = ds.SourceImageSequence = Sequence(items)
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = others[0].SeriesInstanceUID, Sequence(items)
    ds.ReferencedSeriesSequence = Sequence([series])
    ds.FrameOfReferenceUID = others[0].FrameOfReferenceUID
    return ds


def first_of(safe: DeidentifiedSeries) -> Dataset:
    return dcmread(safe.folder / safe.files[0].name)


def day_of(ds: Dataset, keyword: str) -> date:
    return datetime.strptime(ds[keyword].value, "%Y%m%d").date()  # noqa: DTZ007  (a day has no zone)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_two_machines_and_two_nights_give_the_same_bytes(tmp_path: Path, deidentify: Deidentify) -> None:
    studies = [[file_bytes(ct_slice(number, seed=seed)) for number in range(2)] for seed in (1, 2)]
    together = write_files(tmp_path / "together", *(each for study in studies for each in study))
    apart = [write_files(tmp_path / f"study {number}", *studies[number]) for number in (1, 0)]
    key = bytes(range(32))

    deidentify(together, key=Pseudonyms(key=key), root=tmp_path / "one machine")
    for export in apart:  # the later study first, each in a process that knows nothing of the other
        deidentify(export, key=Pseudonyms(key=key), root=tmp_path / "another machine")

    assert contents(tmp_path / "one machine") == contents(tmp_path / "another machine")


def test_one_patient_has_one_pseudonym_and_one_shift_in_all_studies(tmp_path: Path, deidentify: Deidentify) -> None:
    early, late = ct_slice(0, seed=1), ct_slice(0, seed=2)
    for keyword in DATES:
        late[keyword].value = "20250310"

    export = write_files(tmp_path / "in", *map(file_bytes, (early, late)))

    first, second = map(first_of, deidentify(export))

    assert first.PatientID == second.PatientID
    days = {abs((day_of(first, keyword) - day_of(second, keyword)).days) for keyword in DATES}
    assert days == {(date(2025, 3, 10) - date(2024, 2, 29)).days}


def test_the_time_from_dose_to_scan_stays_across_midnight(tmp_path: Path, deidentify: Deidentify) -> None:
    (safe,) = deidentify(write_files(tmp_path / "in", *(file_bytes(pet(number, 3)) for number in range(2))))

    ds = first_of(safe)
    dose = ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
    given = datetime.strptime(dose[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007  (as the scanner's clock)
    scanned = datetime.strptime(ds.AcquisitionDate + ds.AcquisitionTime[:6], "%Y%m%d%H%M%S")  # noqa: DTZ007
    assert (scanned - given).total_seconds() == 8 * 3600 + 50 * 60
    assert ds.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose == 250_000_000


def test_every_reference_leads_to_what_it_led_to(
    tmp_path: Path, deidentify: Deidentify, pseudonyms: Pseudonyms
) -> None:
    others = [ct_slice(number, seed=5) for number in range(2)]
    export = write_files(tmp_path / "in", *map(file_bytes, (*others, referring(0, 6, others), referring(1, 6, others))))

    by_series = {safe.uid: safe for safe in deidentify(export)}

    target = by_series[SeriesUID(pseudonyms.uid(others[0].SeriesInstanceUID))]
    source = next(safe for uid, safe in by_series.items() if uid != target.uid)
    written = [dcmread(target.folder / file.name) for file in target.files]
    for file in source.files:
        ds = dcmread(source.folder / file.name)
        for sequence in (
            ds.ReferencedImageSequence,
            ds.SourceImageSequence,
            ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence,
        ):
            assert [item.ReferencedSOPInstanceUID for item in sequence] == [each.SOPInstanceUID for each in written]
        assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == target.uid
        assert ds.FrameOfReferenceUID == written[0].FrameOfReferenceUID


def test_no_uid_of_an_original_comes_out_and_all_new_ones_have_one_root(tmp_path: Path, deidentify: Deidentify) -> None:
    originals = [ct_slice(number, seed=7) for number in range(2)]
    folder = write_files(tmp_path / "in", *map(file_bytes, (*originals, referring(0, 8, originals))))

    deidentify(folder)

    for name, content in contents(tmp_path / "safe").items():
        found = set(UID.findall(content)) | set(UID.findall(name.encode()))
        assert not [uid for uid in found if uid.startswith(b"1.2.826.0.1.3680043")]


def test_no_day_of_the_original_and_no_day_of_today_stands_in_what_is_written(
    tmp_path: Path, deidentify: Deidentify
) -> None:
    """A day beside a shifted one undoes the shift: no name, record, byte or time of a file may give one."""
    export = write_files(tmp_path / "in", *(file_bytes(ct_slice(number)) for number in range(2)))

    deidentify(export)

    today = datetime.fromtimestamp((export / "0000").stat().st_mtime, UTC)
    days = [f"{day:{form}}".encode() for day in (date(2024, 2, 29), today) for form in ("%Y%m%d", "%Y-%m-%d")]
    safe = tmp_path / "safe"
    written = b"\n".join(name.encode() + content for name, content in contents(safe).items())
    assert not [day for day in days if day in written]
    assert {int(path.stat().st_mtime) for path in safe.rglob("*")} == {ONE_INSTANT}
