"""The tables and the value rules: what stays, what goes, and that nothing stays by accident."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.sequence import Sequence

from medflow.deid.dataset import deidentified
from medflow.deid.encode import Clean, encoded
from medflow.deid.packaged import rows
from medflow.deid.profile import Action, Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.rules import RULES
from medflow.deid.values import cleaned_age, shifted_date, shifted_date_time
from medflow.deid.vocabulary import SHORT, allowed_words, is_term, speaks_of_head, vocabulary
from medflow.domain.safe import Pseudonym
from tests.deid.conftest import HOUSE, TABLES
from tests.deid.phantom import ct_slice, raw

names = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Lt")), min_size=4, max_size=20).filter(
    lambda name: not allowed_words(name) and not is_term(name) and name.upper() not in {"REMOVED", "OTHER"}
)


def cleaned(ds: Dataset, pseudonyms: Pseudonyms, profile: Profile) -> Dataset:
    return deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))


@given(name=names)
def test_a_name_in_any_text_never_survives(name: str) -> None:
    ds = ct_slice(0)
    ds.SpecificCharacterSet = "ISO_IR 192"
    for tag, vr in TEXTS:
        raw(ds, tag, vr, name.encode("utf-8"))

    shown = str(cleaned(ds, HOUSE, TABLES))

    assert f"'{name}'" not in shown
    assert name.upper() not in {word.upper() for line in shown.splitlines() for word in line[48:].strip("'").split()}


TEXTS = (
    (0x00080070, "LO"), (0x00081030, "LO"), (0x0008103E, "LO"), (0x00081090, "LO"), (0x00100010, "PN"),
    (0x00180015, "CS"), (0x00180022, "CS"), (0x00181030, "LO"), (0x00181210, "SH"), (0x00080020, "DA"),
    (0x00180060, "DS"), (0x00200011, "IS"), (0x00204000, "LT"), (0x00102160, "SH"), (0x00400280, "ST"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("AX T1 FLAIR post Gd", "AX T1 FLAIR post Gd"),
        ("t1_mpr_sag_p2_iso", "t1_mpr_sag_p2_iso"),
        ("CT Thorax 1.5mm Br40d", "CT Thorax 1.5mm Br40d"),
        ("Slice 2.5 mm", "Slice 2.5 mm"),
        ("*tfl3d1_16ns", "*tfl3d1"),
        ("DWI b1000", "DWI b1000"),
        ("HeadNeck", "HeadNeck"),
        ("MRN 4830192", ""),
        ("CT 12.03.1950", "CT"),
        ("CT 20240229", "CT"),
        ("PET 94 J.", "PET"),
        ("Dr. Meyer-Liver", "Liver"),
        ("Abdomen\r\nDoe", "Abdomen"),
    ],
)
def test_a_description_keeps_radiology_s_words_and_short_tokens(text: str, stays: str) -> None:
    assert allowed_words(text) == stays


@given(number=st.integers(min_value=1000, max_value=10**12))
def test_no_longer_number_is_a_word(number: int) -> None:
    assert allowed_words(f"{number}") == ""
    assert SHORT.fullmatch(str(number)) is None


@pytest.mark.parametrize("term", ["ORIGINAL", "HELICAL MODE", "M_FFE", "WATER_FAT", "T2_STAR", "SAT1", "NON_PARALLEL"])
def test_terms_of_the_standard_and_of_scanners_are_known(term: str) -> None:
    assert is_term(term)


def test_words_of_the_head_tell_a_face() -> None:
    assert speaks_of_head(["", "MRI-Brain"])
    assert speaks_of_head(["HeadNeck_64"])
    assert not speaks_of_head(["CT THORAX", "EXTREMITY"])
    assert vocabulary().head <= vocabulary().words


@pytest.mark.parametrize(
    ("age", "stays"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("113Y", "090Y"),
        ("999M", "999M"),
        ("999W", "999W"),
        ("3D", "003D"),
        ("x", None),
    ],
)
def test_ages_end_at_ninety(age: str, stays: str | None) -> None:
    assert cleaned_age(age) == stays


@given(day=st.dates(), days=st.integers(min_value=-3650, max_value=-366))
def test_a_shifted_day_lies_as_many_days_before(day: object, days: int) -> None:
    moved = shifted_date(f"{day:%Y%m%d}".zfill(8), days)

    assert moved is None or shifted_date(moved, -days) == f"{day:%Y%m%d}".zfill(8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20240229101500.123456-0500", "20230228101500.123456-0500"),
        ("2024022910", "2023022810"),
        ("20240229+0100", "20230228+0100"),
        ("2024", "2023"),
        ("20240230", None),
        ("2024022925", None),
        ("MEYER", None),
    ],
)
def test_a_date_time_keeps_its_precision_and_its_offset(before: str, after: str | None) -> None:
    assert shifted_date_time(before, -366) == after


def test_every_row_of_the_tables_is_about_an_attribute_of_the_dictionary_and_has_a_known_rule() -> None:
    kept = list(rows("keep.tsv"))

    assert len(kept) > 500
    for row in kept:
        assert tag_for_keyword(row["keyword"]) == int(row["tag"], 16)
        assert dictionary_VR(int(row["tag"], 16)) == row["vr"]
        assert row["rule"] in {*RULES, "number", "count", "sequence", "code", "pointer", "lut", "palette"} or row[
            "rule"
        ].startswith("enum:")
        assert row["class"]
        assert row["vr"] not in {"PN", "OB", "UN", "AE", "UR"}


def test_no_attribute_has_a_row_in_both_tables() -> None:
    listed = {row["tag"] for row in rows("attributes.tsv")}

    assert listed.isdisjoint(row["tag"] for row in rows("keep.tsv"))


def test_an_attribute_without_any_row_is_removed(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    ds.PatientBirthDateInAlternativeCalendar, ds.DeviceID = "15 Shevat 5690", "CT 2"
    ds.ICCProfile, ds.PatientSpeciesDescription = b"profile", "HUMAN"

    kept = cleaned(ds, pseudonyms, profile)

    assert profile.treatments.get(tag_for_keyword("DeviceID") or 0) is None
    for keyword in ("PatientBirthDateInAlternativeCalendar", "DeviceID", "ICCProfile", "PatientSpeciesDescription"):
        assert keyword not in kept


def test_a_date_time_or_uid_without_a_row_is_treated_as_one(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    ds.ProductExpirationDateTime, ds.ModelGroupUID, ds.ContextUID = "20240229", "1.2.3.4", "1.2.840.10008.1.1"

    kept = cleaned(ds, pseudonyms, profile)

    assert profile.treatments[tag_for_keyword("StudyDate") or 0].action is Action.SHIFT
    assert kept.ModelGroupUID == pseudonyms.uid("1.2.3.4")
    assert "20240229" not in str(kept)


def test_coded_entries_are_rebuilt_from_the_dictionary_or_go(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds, known, unknown = ct_slice(0), Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "T-A0100", "SRT", "Mrs Muster's brain"
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "MUSTER", "99LOCAL", "Muster"
    ds.AnatomicRegionSequence, ds.ViewCodeSequence = Sequence([known]), Sequence([unknown])

    kept = cleaned(ds, pseudonyms, profile)

    assert kept.AnatomicRegionSequence[0].CodeMeaning == "Brain structure (body structure)"
    assert "ViewCodeSequence" not in kept


def test_a_value_under_another_vr_than_the_standard_s_must_still_pass(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    raw(ds, 0x00181050, "UN", b"0.35")
    raw(ds, 0x00180060, "LO", b"120")
    raw(ds, 0x00181160, "UN", b"MEYER")
    raw(ds, 0x00280010, "UL", (64).to_bytes(4, "little"))
    raw(ds, 0x00189087, "FD", b"MUSTER E")

    kept = cleaned(ds, pseudonyms, profile)

    assert kept.SpatialResolution == 0.35
    assert kept.KVP == 120
    assert "FilterType" not in kept
    assert kept.Rows == 64
    assert "DiffusionBValue" not in kept


def test_zero_and_thirty_two_are_numbers_and_not_padding(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    raw(ds, 0x00280103, "US", b"\0\0")
    raw(ds, 0x00541330, "US", b" \0")

    kept = cleaned(ds, pseudonyms, profile)

    assert (kept.PixelRepresentation, kept.ImageIndex) == (0, 32)


def kept_of(pseudonyms: Pseudonyms, profile: Profile, **values: object) -> Dataset:
    ds = ct_slice(0, patient="4830192")
    ds.AccessionNumber = "20077310"
    for keyword, each in values.items():
        setattr(ds, keyword, each)
    return cleaned(ds, pseudonyms, profile)


@pytest.mark.parametrize(
    "value",
    ["4830192", "0004830192", "4830192.0", "4830192.000", "-4830192", "48301.92", "0.4830192", "4830192E0", "20077310"],
)
def test_a_number_that_is_the_patient_s_own_does_not_stay_in_a_measurement(
    value: str, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    ds = ct_slice(0, patient="4830192")
    ds.AccessionNumber = "20077310"
    raw(ds, 0x00541321, "DS", value.encode("ascii"))
    raw(ds, 0x00181074, "DS", f"1.5\\{value}".encode("ascii"))

    kept = cleaned(ds, pseudonyms, profile)

    assert "DecayFactor" not in kept
    assert not kept.get("RadionuclideTotalDose")


@pytest.mark.parametrize("value", ["20240229", "29022024", "19300115", "15011930", "1930.0115", "301234567"])
def test_a_date_or_a_telephone_number_does_not_stay_as_a_number(
    value: str, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    ds = ct_slice(0)
    raw(ds, 0x00200012, "IS", value.encode("ascii"))
    raw(ds, 0x00180050, "DS", value.encode("ascii"))
    raw(ds, 0x00189087, "FD", struct.pack("<d", float(value)))

    kept = cleaned(ds, pseudonyms, profile)

    assert not kept.get("AcquisitionNumber")
    assert not kept.get("SliceThickness")
    assert "DiffusionBValue" not in kept or value == "1930.0115"


def test_measurements_that_only_resemble_short_numbers_stay(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0, patient="1024")
    ds.RadionuclideTotalDose, ds.WindowWidth = "370000000", "1500.5"

    kept = cleaned(ds, pseudonyms, profile)

    assert (kept.RescaleIntercept, kept.RadionuclideTotalDose, kept.WindowWidth) == (-1024, 370000000, 1500.5)
    assert list(kept.ImagePositionPatient) == [-12.5, -30, 0]


def test_every_own_number_is_known_wherever_the_header_says_it(pseudonyms: Pseudonyms, profile: Profile) -> None:
    other = Dataset()
    other.PatientID = "77310045"
    for keyword, said in (
        ("OtherPatientIDsSequence", Sequence([other])),
        ("AdmissionID", "A-77310045"),
        ("PatientTelephoneNumbers", "7731 00-45"),
        ("StudyID", "77310045"),
    ):
        kept = kept_of(pseudonyms, profile, **{keyword: said}, RadionuclideTotalDose="77310045")

        assert "RadionuclideTotalDose" not in kept


@pytest.mark.parametrize("implicit", [True, False])
def test_a_sequence_under_un_is_read_and_cleaned(pseudonyms: Pseudonyms, profile: Profile, *, implicit: bool) -> None:
    item = (
        Clean(tag=0x00080100, vr="SH", value=b"T-A0100 "),
        Clean(tag=0x00080102, vr="SH", value=b"SRT "),
        Clean(tag=0x00080104, vr="LO", value=b"Mrs Muster"),
        Clean(tag=0x00100010, vr="PN", value=b"Muster^Eva"),
    )
    whole = encoded([Clean(tag=0x00082218, vr="SQ", value=(item,))], implicit=implicit)
    ds = ct_slice(0)
    raw(ds, 0x00082218, "UN", whole[8 if implicit else 12 :])

    kept = cleaned(ds, pseudonyms, profile)

    (region,) = kept.AnatomicRegionSequence
    assert (region.CodeMeaning, region.get("PatientName", "")) == ("Brain structure (body structure)", "")
    assert "Muster" not in str(kept)


WIDE = str.maketrans({letter: letter + 0xFEE0 for letter in range(0x21, 0x7F)})
"""Letters as wide as Chinese ones."""


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("M E Y E R", ""),
        ("M-E-Y-E-R CHEST", "CHEST"),
        ("12 03 1950", ""),
        ("CT 5 mm 120 kV", "CT 5 mm 120 kV"),
        ("---", ""),
        ("Meyer CHEST".translate(WIDE), "CHEST"),
        ("T1 AX".translate(WIDE), "T1 AX"),
        ("CHEST\u0661\u0662", ""),
    ],
)
def test_what_is_spelled_or_written_in_other_letters_is_no_way_out(text: str, stays: str) -> None:
    assert allowed_words(text) == stays


@pytest.mark.parametrize("model", ["Meyer01", "12.03.1950", "12 03 50", "030-123-456", "C\0H\0E\0S\0T\0 1\0 9\0 5"])
def test_a_model_s_name_holds_one_number_and_no_person(model: str, pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    raw(ds, 0x00081090, "LO", model.encode("ascii"))

    assert not set("0123456789") & set(str(cleaned(ds, pseudonyms, profile).get("ManufacturerModelName", "")))


@pytest.mark.parametrize(
    "name", ["Discovery CT750 HD", "Biograph 64", "Ingenuity TF PET/CT", "SOMATOM Force", "iCT 256"]
)
def test_names_of_models_stay(name: str, pseudonyms: Pseudonyms, profile: Profile) -> None:
    assert kept_of(pseudonyms, profile, ManufacturerModelName=name).ManufacturerModelName == name


def test_terms_that_spell_a_name_value_by_value_go(pseudonyms: Pseudonyms, profile: Profile) -> None:
    assert "ScanOptions" not in kept_of(pseudonyms, profile, ScanOptions=["M", "E", "Y", "E", "R"])


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("ManufacturerModelName", ["483", "019", "2"]),
        ("SoftwareVersions", ["12.03", "19.50"]),
        ("SeriesDescription", ["A", "L", "P", "S"]),
        ("SeriesDescription", "CHEST 48 MM 301 MM 92 MM"),
    ],
)
def test_values_that_name_somebody_together_do_not_stay(
    keyword: str, values: object, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    kept = kept_of(pseudonyms, profile, **{keyword: values}).get(keyword, "")

    assert not {"1", "2", "3", "A", "L"} & set(str(kept).replace("CHEST", "").replace("MM", ""))


@pytest.mark.parametrize("unset", ["19000101", "19700101", "20000101", "99991231"])
def test_a_day_that_no_clock_has_set_goes_for_moved_it_would_tell_by_how_many_days(
    unset: str, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    ds = ct_slice(0)
    ds.DateOfLastCalibration, ds.AcquisitionDateTime = unset, f"{unset}000000"

    kept = deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))

    assert not kept.get("DateOfLastCalibration")
    assert not kept.get("AcquisitionDateTime")


@pytest.mark.parametrize("number", [-4830192.0, 48301.92, 0.4830192])
def test_an_own_number_does_not_stay_as_a_binary_one(number: float, pseudonyms: Pseudonyms, profile: Profile) -> None:
    assert "TransmitterFrequency" not in kept_of(pseudonyms, profile, TransmitterFrequency=number)


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "utf-16-le"])
def test_a_name_does_not_stay_among_binary_numbers_in_any_character_set(
    codec: str, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    ds = ct_slice(0)
    ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "\u738b\u5c0f\u4e1c"
    written = "\u738b\u5c0f\u4e1c".encode(codec)
    raw(ds, 0x00181310, "US", written + bytes(-len(written) % 2))

    assert "AcquisitionMatrix" not in cleaned(ds, pseudonyms, profile)


def test_pointers_are_tags_and_no_letters(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds, item, other = ct_slice(0), Dataset(), Dataset()
    raw(item, 0x00209165, "AT", b"AEYER ^J")
    raw(other, 0x00209165, "AT", struct.pack("<HH", 0x0020, 0x0032))
    ds.DimensionIndexSequence = Sequence([item, other])

    kept = cleaned(ds, pseudonyms, profile)

    assert [entry.DimensionIndexPointer for entry in kept.DimensionIndexSequence] == [0x00200032]


def test_a_patient_of_ninety_is_ninety_at_any_depth(pseudonyms: Pseudonyms, profile: Profile) -> None:
    item, inner = Dataset(), Dataset()
    inner.PatientAge, item.PatientAge = "101Y", "097Y"
    raw(inner, 0x00080020, "DA", b"20240229")
    item.DerivationImageSequence = Sequence([inner])

    kept = kept_of(pseudonyms, profile, DerivationImageSequence=Sequence([item]))

    outer = kept.DerivationImageSequence[0]
    assert (outer.PatientAge, outer.DerivationImageSequence[0].PatientAge) == ("090Y", "090Y")
    assert "20240229" not in str(kept)
