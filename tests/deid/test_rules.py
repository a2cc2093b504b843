"""The tables and the value rules: what stays, what goes, and that nothing stays by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.sequence import Sequence

from medflow.deid.dataset import deidentified
from medflow.deid.profile import Action, Profile, rows
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
        assert row["rule"] in {*RULES, "number", "sequence", "code", "pointer", "lut"} or row["rule"].startswith(
            "enum:"
        )
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
