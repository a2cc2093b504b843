"""What a profile says of an attribute is what the cleaner does, under every option, and the object says so too."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, MRImageStorage, UltrasoundImageStorage

from medflow.deid.dataset import deidentified
from medflow.deid.encode import encoded
from medflow.deid.marks import NOTHING_DONE, Done, Person, marks
from medflow.deid.packaged import rows
from medflow.deid.profile import DEFAULT, Choices, Profile, TextPolicy, default_profile, profile_of
from medflow.deid.rules import RULES
from medflow.deid.statement import MEANINGS, Outcome, Row, iod_of, statement
from medflow.deid.treatments import OPTION_COLUMNS, Action, Option
from medflow.deid.values import dummy, shifted_date, shifted_date_time
from medflow.domain.safe import Pseudonym
from tests.deid.conftest import HOUSE
from tests.deid.phantom import ct_slice, raw

ANYBODY = Pseudonym("P")
DAYS = HOUSE.day_shift(ANYBODY)
LEFT_OUT = {"SpecificCharacterSet", "SOPClassUID", "PixelRepresentation", "PatientName", "PatientID", "ContentSequence"}
"""What decides how an object is read, or is looked at elsewhere."""
NO_TEXT = {"AT": b"\x08\0\x18\0", "AS": b"045Y", "DA": b"20210304", "DT": b"20210304101500.5", "TM": b"101500.25"}
NUMBERS = {"DS": b"1.5", "IS": b"7", "US": b"\7\0", "SS": b"\7\0", "UL": b"\7\0\0\0", "SL": b"\7\0\0\0"}
NUMBERS |= {"FL": b"\0\0\x80?", "FD": b"\0\0\0\0\0\0\xf0?", "UV": b"\7" + bytes(7), "SV": b"\7" + bytes(7)}
PLAIN = "CHEST"
WORD = "QXBCDFGHJK"


def profile_with(*options: Option, without: frozenset[Option] = frozenset()) -> Profile:
    return profile_of(Choices(name="tried", options=(DEFAULT.options | set(options)) - without))


PROFILES = {
    "the shipped one": (default_profile(), CTImageStorage),
    "the shipped one, for ultrasound": (default_profile(), UltrasoundImageStorage),
    "the basic one": (profile_of(Choices(name="basic", options=frozenset())), MRImageStorage),
    "full dates, all identity": (
        profile_of(Choices(name="all", options=frozenset(Option) - {Option.MODIFIED_DATES}, text=TextPolicy.BLANK)),
        CTImageStorage,
    ),
    "UIDs and devices": (profile_with(Option.UIDS, Option.DEVICE_IDENTITY), EnhancedMRImageStorage),
}
"""Profiles, and the SOP class of an object to try each on."""


def filled(rows_of: tuple[Row, ...], word: str) -> Dataset:
    """Make a CT with every attribute of the dictionary: valid numbers and dates, and `word` in every text."""
    ds = ct_slice(0)
    for row in rows_of:
        tag = top_level(row)
        if tag is None or row.keyword in LEFT_OUT:
            continue
        if row.vr == "SQ":
            item = Dataset()
            item.StudyDate, item.Rows = "20210304", 9
            ds.add_new(tag, "SQ", Sequence([item]))
        elif row.vr == "UI":
            raw(ds, tag, "UI", b"1.2.3.4")
        elif row.vr:
            raw(ds, tag, row.vr, NO_TEXT.get(row.vr) or NUMBERS.get(row.vr) or word.encode("ascii"))
    return ds


def top_level(row: Row) -> int | None:
    """Give the tag of a row that is about one attribute which a data set may hold before its pixels."""
    digits = row.tag.replace(",", "")
    if any(digit not in "0123456789ABCDEF" for digit in digits) or digits[:4] in {"0000", "0002", "FFFE", "FFFC"}:
        return None
    tag = int(digits, 16)
    return tag if tag < 0x7FE00000 and (tag >> 16) % 2 == 0 else None


@pytest.mark.parametrize("word", [PLAIN, WORD])
@pytest.mark.parametrize("name", PROFILES)
def test_the_statement_says_of_every_attribute_what_the_cleaner_does(name: str, word: str) -> None:
    profile, sop_class = PROFILES[name]
    said = statement(profile, iod_of(sop_class)).rows
    original = filled(said, word)
    original.SOPClassUID = sop_class

    kept = deidentified(original, pseudonyms=HOUSE, profile=profile, patient=ANYBODY)

    wrong = [
        (row.tag, row.keyword, row.outcome)
        for row in said
        if (tag := top_level(row)) is not None and row.keyword not in LEFT_OUT and not holds(row, tag, original, kept)
    ]
    assert wrong == []
    assert WORD not in str(kept)


def holds(row: Row, tag: int, original: Dataset, kept: Dataset) -> bool:
    """Say whether what came out of an attribute is what its row says."""
    match row.outcome:
        case Outcome.AFRESH:
            return True
        case Outcome.REMOVED | Outcome.EMPTIED | Outcome.DUMMY:
            return is_gone(row.outcome, row.vr, tag, kept)
        case Outcome.ITEMS:
            return tag not in kept or all(set(item.keys()) <= {0x00080020, 0x00280010} for item in kept[tag].value)
        case Outcome.CHECKED:
            before = value(original, tag)
            known = tag in kept and value(kept, tag) in {before, b"OTHER "}
            return known or is_gone(Outcome(row.fails), row.vr, tag, kept)
        case Outcome.MAPPED:
            return value(kept, tag).decode().strip("\0") == HOUSE.uid("1.2.3.4")
        case Outcome.DATED | Outcome.SHIFTED:
            text, days = value(original, tag).decode().strip(), DAYS if row.outcome is Outcome.SHIFTED else 0
            moved = {"DA": shifted_date, "DT": shifted_date_time}.get(row.vr, lambda each, _: each)(text, days)
            return value(kept, tag).decode().strip() == moved
    raise AssertionError(row.outcome)


def is_gone(outcome: Outcome, vr: str, tag: int, kept: Dataset) -> bool:
    if outcome is Outcome.REMOVED or tag not in kept:
        return outcome is Outcome.REMOVED and tag not in kept
    return value(kept, tag).strip() == (dummy(vr) if outcome is Outcome.DUMMY else b"")


def value(ds: Dataset, tag: int) -> bytes:
    element = ds.get_item(tag)
    assert element is not None
    return bytes(element.value or b"")


def test_the_table_of_the_standard_is_whole() -> None:
    listed = list(rows("attributes.tsv"))
    actions = {"", "K", "C"}

    assert len(listed) == 656
    assert {row["basic"] for row in listed} <= set(Action)
    assert all(row[option] in actions for row in listed for option in (*OPTION_COLUMNS, Option.SAFE_PRIVATE))
    assert sum(row[Option.MODIFIED_DATES] == "C" for row in listed) == 165
    assert sum(row[Option.UIDS] == "K" for row in listed) == 59
    assert {row["keyword"] for row in listed if row[Option.INSTITUTION_IDENTITY]} >= {
        "InstitutionName",
        "ClinicalTrialSiteName",
    }


def cleaned(profile: Profile, **values: object) -> Dataset:
    ds = ct_slice(0)
    for keyword, each in values.items():
        setattr(ds, keyword, each)
    return deidentified(ds, pseudonyms=HOUSE, profile=profile, patient=ANYBODY)


def test_full_dates_stay_and_a_birth_date_never_does() -> None:
    profile = profile_with(Option.FULL_DATES, without=frozenset({Option.MODIFIED_DATES}))

    kept = cleaned(profile, TimezoneOffsetFromUTC="+0100", ProductExpirationDateTime="20300101")

    assert (kept.StudyDate, kept.ContentTime, kept.TimezoneOffsetFromUTC) == ("20240229", "082000.5", "+0100")
    assert kept.ProductExpirationDateTime == "20300101"
    assert kept.PatientBirthDate == ""
    assert kept.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_without_an_option_of_dates_none_stays_and_the_object_says_so() -> None:
    kept = cleaned(profile_with(without=frozenset({Option.MODIFIED_DATES})), ProductExpirationDateTime="20300101")

    assert (kept.StudyDate, kept.StudyTime) == ("", "")
    assert "AcquisitionDate" not in kept
    assert "ProductExpirationDateTime" not in kept
    assert kept.LongitudinalTemporalInformationModified == "REMOVED"


def test_identity_of_device_and_institution_stays_as_it_is_written_but_for_the_patient_s_own_words() -> None:
    profile = profile_with(Option.DEVICE_IDENTITY, Option.INSTITUTION_IDENTITY)
    site = Dataset()
    site.CodeValue, site.CodingSchemeDesignator, site.CodeMeaning = "KH-7", "99OURS", "Klinikum Süd"
    names = {
        "SpecificCharacterSet": "ISO_IR 192",
        "InstitutionName": "Klinikum Süd, 山田病院",
        "StationName": "CT_7/Nord",
    }

    kept = cleaned(
        profile,
        **names,
        DeviceSerialNumber="SN 2233",
        InstitutionCodeSequence=Sequence([site]),
        InstitutionalDepartmentName="Station Muster",
        InstitutionAddress="Tel. 0471108150",
        DateOfLastCalibration="20240101",
        StationAETitle="CT QXBCDFGH",
    )

    assert {keyword: kept[keyword].value for keyword in names} == names
    assert (kept.DeviceSerialNumber, kept.InstitutionCodeSequence[0].CodeMeaning) == ("SN 2233", "Klinikum Süd")
    assert kept.DateOfLastCalibration == shifted_date("20240101", DAYS)
    assert "InstitutionalDepartmentName" not in kept
    assert "InstitutionAddress" not in kept
    assert "QXBCDFGH" not in str(kept)


def test_uids_stay_in_every_reference_where_they_are_retained() -> None:
    kept = cleaned(profile_with(Option.UIDS), DeviceUID="1.2.3.4.5")

    assert (kept.SOPInstanceUID, kept.DeviceUID) == (ct_slice(0).SOPInstanceUID, "1.2.3.4.5")


def test_the_shipped_profile_keeps_four_characteristics_and_the_option_itself_more() -> None:
    said = {"SmokingStatus": "YES", "EthnicGroup": "Chest", "PregnancyStatus": 1, "PatientSexNeutered": "ALTERED"}
    option = profile_of(Choices(name="all", options=DEFAULT.options))

    kept, more = cleaned(default_profile(), **said), cleaned(option, **said, Allergies="Gadolinium, Muster")

    assert (kept.PatientSex, kept.PatientAge, kept.PatientSize, kept.PatientWeight) == ("F", "090Y", 1.64, 61.5)
    assert not any(kept.get(keyword) for keyword in said)
    assert (more.SmokingStatus, more.PregnancyStatus, more.PatientSexNeutered) == ("YES", 1, "ALTERED")
    assert (more.EthnicGroup, more.Allergies) == ("Chest", "Gadolinium")


def test_without_clean_descriptors_no_description_stays() -> None:
    kept = cleaned(profile_with(without=frozenset({Option.CLEAN_DESCRIPTORS})))

    assert "SeriesDescription" not in kept
    assert kept.BodyPartExamined == "CHEST"


def codes_of(
    profile: Profile, *, head: bool, done: Done = NOTHING_DONE, image: bool = True
) -> tuple[set[str], Dataset]:
    made = marks(profile, Person(pseudonym=ANYBODY, days=0), head=head, done=done, image=image)
    ds = read_dataset(BytesIO(encoded(made, implicit=False)), is_implicit_VR=False, is_little_endian=True)
    return {str(item.CodeValue) for item in ds.DeidentificationMethodCodeSequence}, ds


def test_an_object_says_only_what_was_done_to_it() -> None:
    profile = profile_with(Option.CLEAN_PIXELS, Option.CLEAN_FACES)

    shown, face = codes_of(profile, head=True)
    cut, faceless = codes_of(profile, head=True, done=Done(faceless=True))
    chest, _ = codes_of(profile, head=False)
    report, words = codes_of(profile, head=False, image=False)

    assert "113102" not in shown
    assert face.RecognizableVisualFeatures == "YES"
    assert "113102" in cut
    assert faceless.RecognizableVisualFeatures == "NO"
    assert {"113101", "113102"} <= chest
    assert report.isdisjoint({"113101", "113102"})
    assert "BurnedInAnnotation" not in words
    assert face.BurnedInAnnotation == "NO"
    assert codes_of(profile_with(), head=False)[0] == {
        "113100",
        "113101",
        "113103",
        "113105",
        "113107",
        "113108",
        "113111",
    }


def test_claims_of_others_do_not_stay() -> None:
    claim = Dataset()
    claim.CodeValue, claim.CodingSchemeDesignator, claim.CodeMeaning = "113102", "DCM", "Clean Faces"

    kept = cleaned(
        profile_with(Option.CLEAN_PIXELS),
        PatientIdentityRemoved="NO",
        DeidentificationMethod="by hand",
        DeidentificationMethodCodeSequence=Sequence([claim]),
        LongitudinalTemporalInformationModified="REMOVED",
        RecognizableVisualFeatures="NO",
        BurnedInAnnotation="YES",
    )

    assert [item.CodeValue for item in kept.DeidentificationMethodCodeSequence][:2] == ["113100", "113101"]
    assert "113102" not in str(kept)
    assert (kept.PatientIdentityRemoved, kept.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert "RecognizableVisualFeatures" not in kept
    assert kept.BurnedInAnnotation == "NO"
    assert kept.DeidentificationMethod[-1] == "engine 3"


def test_a_statement_says_what_each_of_its_rules_lets_stay() -> None:
    named = {row["rule"].split(":", maxsplit=1)[0] for row in rows("keep.tsv")} - {"sequence", "code"}

    assert named | set(RULES) - {"codes"} <= set(MEANINGS)
    for profile, _ in PROFILES.values():
        assert all(row.rule.split(":", maxsplit=1)[0] in {"", *MEANINGS} for row in statement(profile).rows)
