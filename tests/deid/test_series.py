"""A folder of the safe store: whole, repeatable, conformant, and as useful as the original."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from medflow.deid.object import opened
from medflow.deid.pixels import frame_digest
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import read_record
from medflow.errors import Reason, SeriesError
from tests.deid.conftest import Deidentify
from tests.deid.phantom import ct_slice, file_bytes, write_files

KEPT = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "KVP",
    "PatientWeight",
    "PatientSize",
    "PatientSex",
    "PatientPosition",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "ImageType",
    "SeriesDescription",
    "BodyPartExamined",
    "Rows",
    "Columns",
    "BitsStored",
    "PixelRepresentation",
    "Modality",
    "StudyTime",
    "AcquisitionTime",
)


def slices(**changes: object) -> list[Dataset]:
    made = [ct_slice(number) for number in range(3)]
    for ds in made:
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
    return made


def export(folder: Path, datasets: list[Dataset], *, implicit: bool = False) -> Path:
    return write_files(folder, *(file_bytes(ds, implicit=implicit) for ds in datasets))


def test_geometry_intensity_and_patient_characteristics_stay(tmp_path: Path, deidentify: Deidentify) -> None:
    originals = slices()

    (safe,) = deidentify(export(tmp_path / "export", originals))

    for original, file in zip(originals, safe.files, strict=True):
        cleaned = dcmread(safe.folder / file.name)
        for keyword in KEPT:
            assert cleaned[keyword].value == original[keyword].value
        assert cleaned.PixelData == original.PixelData
        assert cleaned.PatientAge == "090Y"
        assert cleaned.PatientBirthDate == ""
    assert safe.descriptors.age == 90
    assert safe.descriptors.sex == "F"
    assert safe.descriptors.description == "Thorax 1.5mm Br40d"
    assert not safe.descriptors.head


def test_what_was_done_is_marked_with_its_codes(tmp_path: Path, deidentify: Deidentify) -> None:
    (safe,) = deidentify(export(tmp_path / "export", slices()))

    cleaned = dcmread(safe.folder / "IM000001.dcm")

    assert cleaned.PatientIdentityRemoved == "YES"
    assert cleaned.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = {item.CodeValue for item in cleaned.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113101", "113103", "113105", "113107", "113108", "113111"}
    assert cleaned.PatientName == cleaned.PatientID == safe.patient


def test_running_twice_leaves_the_same_bytes_and_touches_nothing(tmp_path: Path, deidentify: Deidentify) -> None:
    folder = export(tmp_path / "export", slices())
    (first,) = deidentify(folder)
    stamps = {path: path.stat().st_ino for path in first.folder.iterdir()}

    (again,) = deidentify(folder)
    (elsewhere,) = deidentify(folder, root=tmp_path / "other")

    assert again == first == elsewhere
    assert {path: path.stat().st_ino for path in again.folder.iterdir()} == stamps
    for path in first.folder.iterdir():
        assert (elsewhere.folder / path.name).read_bytes() == path.read_bytes()
        assert path.stat().st_mtime == 946_684_800
    assert list(first.folder.parent.iterdir()) == [first.folder]


def test_another_key_gives_other_names_for_the_same_pixels(tmp_path: Path, deidentify: Deidentify) -> None:
    folder = export(tmp_path / "export", slices())

    (one,) = deidentify(folder)
    (two,) = deidentify(folder, key=Pseudonyms(key=bytes(32)), root=tmp_path / "other")

    assert one.series_digest == two.series_digest
    assert {one.patient, one.study, one.uid}.isdisjoint({two.patient, two.study, two.uid})
    assert {file.sha256 for file in one.files}.isdisjoint({file.sha256 for file in two.files})


def test_the_digest_of_a_series_does_not_depend_on_how_it_is_written(tmp_path: Path, deidentify: Deidentify) -> None:
    (explicit,) = deidentify(export(tmp_path / "a", slices()))
    (implicit,) = deidentify(export(tmp_path / "b", slices(), implicit=True), root=tmp_path / "other")

    assert explicit.series_digest == implicit.series_digest
    assert explicit.source_digest != implicit.source_digest


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_what_was_big_endian_or_deflated_comes_out_little_endian_with_the_same_values(
    syntax: UID, tmp_path: Path, deidentify: Deidentify
) -> None:
    ds = ct_slice(0)
    plain = ds.PixelData
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(plain, "<u2").astype(">u2").tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    (tmp_path / "export").mkdir()
    ds.save_as(tmp_path / "export" / "0000", enforce_file_format=True)

    (safe,) = deidentify(tmp_path / "export")

    cleaned = dcmread(safe.folder / "IM000001.dcm")
    assert cleaned.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (cleaned.PixelData, cleaned.Rows, cleaned.RescaleIntercept) == (plain, 64, -1024)


def test_the_record_beside_the_files_reads_back_as_the_series(tmp_path: Path, deidentify: Deidentify) -> None:
    (safe,) = deidentify(export(tmp_path / "export", slices()))

    assert read_record((safe.folder / "series.json").read_text(), safe.folder) == safe
    assert safe.folder == tmp_path / "safe" / safe.relative_folder


def test_a_damaged_copy_is_replaced(tmp_path: Path, deidentify: Deidentify) -> None:
    folder = export(tmp_path / "export", slices())
    (first,) = deidentify(folder)
    before = (first.folder / "IM000002.dcm").read_bytes()
    (first.folder / "IM000002.dcm").write_bytes(b"broken")

    deidentify(folder)

    assert (first.folder / "IM000002.dcm").read_bytes() == before


def test_intervals_between_dates_stay_and_no_date_stays(tmp_path: Path, deidentify: Deidentify) -> None:
    first, second = slices(), [ct_slice(number, seed=1) for number in range(3)]
    for ds in second:
        ds.StudyDate, ds.AcquisitionDateTime = "20240301", "20240301101500.000000+0100"

    one, two = deidentify(export(tmp_path / "export", first + second))

    cleaned = [dcmread(safe.folder / "IM000001.dcm") for safe in (one, two)]
    dates = sorted(np.datetime64(f"{ds.StudyDate[:4]}-{ds.StudyDate[4:6]}-{ds.StudyDate[6:]}") for ds in cleaned)
    assert dates[1] - dates[0] == np.timedelta64(1, "D")
    assert dates[1] < np.datetime64("2023-03-03")
    later = max(cleaned, key=lambda ds: str(ds.StudyDate))
    assert later.AcquisitionDateTime == f"{later.StudyDate}101500.000000+0100"
    assert one.patient == two.patient
    for safe in (one, two):
        assert not any(
            b"202402" in path.read_bytes() or b"202403" in path.read_bytes() for path in safe.folder.iterdir()
        )


def test_references_lead_to_the_renamed_objects_of_other_series(tmp_path: Path, deidentify: Deidentify) -> None:
    scout, stack = [ct_slice(0, seed=1)], slices()
    reference = Dataset()
    reference.ReferencedSOPClassUID = scout[0].SOPClassUID
    reference.ReferencedSOPInstanceUID = scout[0].SOPInstanceUID
    for ds in stack:
        ds.ReferencedImageSequence = Sequence([reference])
        ds.StudyInstanceUID = scout[0].StudyInstanceUID

    done = deidentify(export(tmp_path / "export", scout + stack))

    short, long = sorted(done, key=lambda safe: len(safe.files))
    there = dcmread(short.folder / "IM000001.dcm")
    here = dcmread(long.folder / "IM000002.dcm")
    assert here.ReferencedImageSequence[0].ReferencedSOPInstanceUID == there.SOPInstanceUID
    assert here.StudyInstanceUID == there.StudyInstanceUID == short.study == long.study
    assert here.SOPClassUID == scout[0].SOPClassUID
    assert there.file_meta.MediaStorageSOPInstanceUID == there.SOPInstanceUID


def test_a_pet_keeps_what_its_uptake_is_computed_from(tmp_path: Path, deidentify: Deidentify) -> None:
    stack = slices(
        SOPClassUID=PositronEmissionTomographyImageStorage, Modality="PT", Units="BQML", DecayCorrection="START",
        SeriesType=["STATIC", "IMAGE"], CountsSource="EMISSION", CorrectedImage=["DECY", "ATTN"],
    )  # fmt: skip
    isotope = Dataset()
    isotope.Radiopharmaceutical = "FDG, Muster"
    isotope.RadiopharmaceuticalStartTime, isotope.RadionuclideTotalDose = "073000.00", "370000000"
    isotope.RadiopharmaceuticalStartDateTime = "20240229073000.00"
    isotope.RadionuclideHalfLife, isotope.RadionuclidePositronFraction = "6586.2", "0.97"
    nuclide = Dataset()
    nuclide.CodeValue, nuclide.CodingSchemeDesignator, nuclide.CodeMeaning = "C-111A1", "SRT", "^18^Muster"
    isotope.RadionuclideCodeSequence = Sequence([nuclide])
    for ds in stack:
        ds.RadiopharmaceuticalInformationSequence = Sequence([isotope])

    (safe,) = deidentify(export(tmp_path / "export", stack))

    cleaned = dcmread(safe.folder / "IM000001.dcm")
    (kept,) = cleaned.RadiopharmaceuticalInformationSequence
    assert (kept.RadionuclideTotalDose, kept.RadionuclideHalfLife) == (370000000, 6586.2)
    assert kept.RadiopharmaceuticalStartTime == "073000.00"
    assert kept.RadiopharmaceuticalStartDateTime == f"{cleaned.StudyDate}073000.00"
    assert kept.Radiopharmaceutical == "FDG"
    assert kept.RadionuclideCodeSequence[0].CodeValue == "C-111A1"
    assert "Muster" not in kept.RadionuclideCodeSequence[0].CodeMeaning
    assert (cleaned.Units, list(cleaned.CorrectedImage)) == ("BQML", ["DECY", "ATTN"])


def test_safe_private_values_stay_wherever_their_block_lies(tmp_path: Path, deidentify: Deidentify) -> None:
    stack = slices(SOPClassUID=MRImageStorage, Modality="MR")
    for ds in stack:
        ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.25)
        ds.private_block(0x0019, "SOMEONE ELSE", create=True).add_new(0x0C, "IS", "1000")
        ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")

    (safe,) = deidentify(export(tmp_path / "export", stack))

    cleaned = dcmread(safe.folder / "IM000001.dcm")
    assert cleaned.private_block(0x2005, "Philips MR Imaging DD 001")[0x0E].value == 0.25
    assert cleaned.private_block(0x0019, "SIEMENS MR HEADER")[0x0C].value == 1000
    assert len([element for element in cleaned if element.tag.is_private]) == 4


def test_stray_high_bits_and_bytes_behind_the_pixels_go_and_values_stay(tmp_path: Path, deidentify: Deidentify) -> None:
    stack = slices()
    values = np.frombuffer(stack[0].PixelData, "<u2").copy()
    stack[0].PixelData = (values | (values % 7 == 0).astype(np.uint16) << 13).astype("<u2").tobytes() + b"SOMEBODY"

    (safe,) = deidentify(export(tmp_path / "export", stack))

    stored = dcmread(safe.folder / "IM000001.dcm").PixelData
    assert stored == values.tobytes()


def test_the_sign_and_the_padding_value_above_the_stored_bits_stay(tmp_path: Path, deidentify: Deidentify) -> None:
    stack = slices(PixelRepresentation=1)
    for ds in stack:
        ds.add_new(0x00280120, "SS", -2000 - 4096)
        values = (np.frombuffer(ds.PixelData, "<u2").astype(np.int16) - 2048).astype("<i2")
        values[0] = ds.PixelPaddingValue
        ds.PixelData = values.tobytes()

    (safe,) = deidentify(export(tmp_path / "export", stack))

    for ds, file in zip(stack, safe.files, strict=True):
        assert dcmread(safe.folder / file.name).PixelData == ds.PixelData


@pytest.mark.parametrize(
    "change", [{"BurnedInAnnotation": "YES"}, {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}]
)
def test_a_series_with_text_in_its_pixels_is_withheld_and_leaves_nothing(
    change: dict[str, object], tmp_path: Path, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    (series,) = scan_folder(export(tmp_path / "export", slices(**change))).series
    laid_out = lay_out(series)

    with pytest.raises(SeriesError) as caught:
        deidentify_series(
            laid_out.series, laid_out.layouts, intensity_facts(laid_out.series), pseudonyms=pseudonyms, profile=profile,
            source=Source(name="a", site="A"), sha256s=source_sha256s(laid_out.series), root=tmp_path / "safe",
        )  # fmt: skip

    assert caught.value.reason is Reason.BURNED_IN_TEXT
    assert not list((tmp_path / "safe").rglob("*"))


def test_a_file_that_changed_since_it_was_hashed_is_refused(
    tmp_path: Path, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    folder = export(tmp_path / "export", slices())
    laid_out = lay_out(scan_folder(folder).series[0])
    sha256s = source_sha256s(laid_out.series)
    (folder / "0001").write_bytes((folder / "0001").read_bytes() + b"\0\0")

    with pytest.raises(SeriesError) as caught:
        deidentify_series(
            laid_out.series, laid_out.layouts, intensity_facts(laid_out.series), pseudonyms=pseudonyms, profile=profile,
            source=Source(name="a", site="A"), sha256s=sha256s, root=tmp_path / "safe",
        )  # fmt: skip

    assert caught.value.reason is Reason.CHANGED_WHILE_READ


def cut_off(content: bytes) -> bytes:
    return content[:-2]


def with_a_group_length_of_six_bytes(content: bytes) -> bytes:
    return content.replace(b"UL\x04\x00", b"UL\x06\x00", 1)


@pytest.mark.parametrize(
    ("syntax", "damage"),
    [
        (DeflatedExplicitVRLittleEndian, cut_off),
        (ExplicitVRLittleEndian, with_a_group_length_of_six_bytes),
    ],
)
def test_a_file_that_cannot_be_parsed_is_damaged_and_no_error_of_a_library_comes_through(
    syntax: UID, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    ds = ct_slice(0)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(tmp_path / "0000", enforce_file_format=True)

    with pytest.raises(SeriesError) as caught:
        opened(damage((tmp_path / "0000").read_bytes()))

    assert caught.value.reason is Reason.DAMAGED_HEADER


def test_stored_files_decode_to_what_the_originals_did(tmp_path: Path, deidentify: Deidentify) -> None:
    folder = export(tmp_path / "export", slices())

    (safe,) = deidentify(folder)

    for number, file in enumerate(safe.files):
        assert np.array_equal(read_stored_values(safe.folder / file.name), read_stored_values(folder / f"{number:04d}"))


def test_a_frame_is_named_by_its_values_and_not_by_their_type() -> None:
    values = np.arange(12).reshape(3, 4)

    assert frame_digest(values.astype(np.uint16)) == frame_digest(values.astype(np.int32))
    assert frame_digest(values) != frame_digest(values.reshape(4, 3))
    assert frame_digest(values + 65_000) == frame_digest((values + 65_000).astype(np.uint16))
