"""Profile files: what they may choose, and what a privacy officer would refuse, by its line."""

import json
from pathlib import Path

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

import medflow.deid
from medflow.cli import build
from medflow.deid.dataset import deidentified
from medflow.deid.profile import DEFAULT, TextPolicy, default_profile
from medflow.deid.profile_file import PROFILE_FILE, parse_profile, read_profile
from medflow.deid.treatments import Option
from medflow.documents import packaged_schema
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError
from tests.deid.conftest import HOUSE
from tests.deid.phantom import ct_slice, raw

SHIPPED = Path(medflow.deid.__file__).parent / "tables" / "default.yaml"
SITE = """
name: north
options: [clean_descriptors, modified_dates, safe_private, clean_pixels]
text: blank
stricter:
  - {attributes: [StudyTime, "00081090"], action: remove, reason: the board of 2024 asked for it}
keep:
  - {attributes: [DeviceID], rule: words, reason: our rooms are told apart by it}
  - {attributes: [PatientSpeciesDescription], rule: enum:HUMAN|PHANTOM, reason: phantoms are measured weekly}
words:
  - {words: [Nordbau, TrialX2], reason: names of rooms and of a trial}
safe_private:
  - {creator: NORTH 1.0, group: "0029", element: "0A", vr: DS, reason: a dose that our own script writes}
"""


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        parse_profile(text, "site.yaml")
    return str(refusal.value)


def test_the_shipped_file_is_the_shipped_profile() -> None:
    shipped = read_profile(SHIPPED)

    assert shipped.digest == default_profile().digest
    assert (shipped.name, shipped.options, shipped.text) == (DEFAULT.name, DEFAULT.options, DEFAULT.text)


def test_the_schema_knows_every_option_and_no_other() -> None:
    assert set(packaged_schema(PROFILE_FILE.schema)["properties"]["options"]["items"]["enum"]) == set(Option)


def test_a_site_s_rules_decide_what_comes_out() -> None:
    profile = parse_profile(SITE, "site.yaml")
    ds = ct_slice(0)
    ds.DeviceID, ds.PatientSpeciesDescription, ds.SeriesDescription = (
        "Nordbau 4 Muster",
        "PHANTOM",
        "TRIALX2 Thorax Doe",
    )
    raw(ds, 0x00290010, "LO", b"NORTH 1.0")
    raw(ds, 0x0029100A, "UN", b"12.5")
    raw(ds, 0x0029100B, "LO", b"CHEST")

    kept = deidentified(ds, pseudonyms=HOUSE, profile=profile, patient=Pseudonym("P"))

    assert profile.text is TextPolicy.BLANK
    assert (kept.DeviceID, kept.PatientSpeciesDescription, kept.SeriesDescription) == (
        "Nordbau",
        "PHANTOM",
        "TRIALX2 Thorax",
    )
    assert (kept.StudyTime, "ManufacturerModelName" in kept) == ("", False)
    assert kept[0x0029100A].value == 12.5
    assert 0x0029100B not in kept


def test_equal_meaning_gives_an_equal_digest_and_other_meaning_another() -> None:
    same = """
name: south
safe_private:
  - {reason: another reason for it, vr: DS, group: "0029", element: "0a", creator: NORTH 1.0}
words: [{words: [TRIALX2], reason: as before it}, {words: [nordbau], reason: as before it}]
keep:
  - {attributes: ["0010212A"], rule: enum:HUMAN|PHANTOM, reason: said differently here}
  - {attributes: ["00181003"], rule: words, reason: said differently here}
stricter:
  - {attributes: [ManufacturerModelName, StudyTime, PatientName2], action: remove, reason: said differently}
text: blank
options: [safe_private, modified_dates, clean_pixels, clean_descriptors]
""".replace("0010212A", "00102201").replace(", PatientName2", ", OperatorsName")
    first = parse_profile(SITE, "a").digest

    assert parse_profile(same, "b").digest == first
    assert parse_profile(SITE.replace("text: blank", "text: withhold"), "c").digest != first
    assert parse_profile(SITE.replace("enum:HUMAN|PHANTOM", "enum:HUMAN"), "d").digest != first
    assert parse_profile(SITE.replace("Nordbau", "Suedbau"), "e").digest != first


def private(group: str, vr: str) -> str:
    return f'safe_private: [{{creator: A, group: "{group}", element: "01", vr: {vr}, reason: because of it}}]'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("options: [full_dates, modified_dates]", "not both"),
        ("options: []\ntext: blank", "without the option clean_pixels"),
        ("options: [clean_pixel]", "did you mean clean_pixels?"),
        (f"options: []\n{private('0029', 'DS')}", "without the option safe_private"),
        (f"options: [safe_private]\n{private('0028', 'DS')}", "odd"),
        (f"options: [safe_private]\n{private('0029', 'OB')}", "must be one of"),
        ("options: []\nwords: [{words: [Meyer4711], reason: because of it}]", "may name a patient"),
        ("options: []\nkeep: [{attributes: [DeviceID], rule: whole, reason: because of it}]", "a rule is"),
        ("options: []\nkeep: [{attributes: [DeviceID], rule: words}]", "reason is missing"),
    ],
)
def test_what_makes_no_sense_is_refused(line: str, said: str) -> None:
    assert said in refused(f"name: site\n{line}\n")


@pytest.mark.parametrize(
    ("attribute", "rule", "said"),
    [
        ("PatientName", "words", "it goes under every option"),
        ("PatientID", "words", "it goes under every option"),
        ("OtherPatientIDsSequence", "sequence", "it goes under every option"),
        ("InstitutionName", "words", "choose the option institution_identity"),
        ("StudyDate", "words", "choose the option full_dates or modified_dates"),
        ("PatientBirthDateInAlternativeCalendar", "words", "never stays"),
        ("EncryptedAttributesSequence", "sequence", "never stays"),
        ("ICCProfile", "words", "cannot tell what may stay of OB"),
        ("PersonNameThatNobodyKnows", "words", "nobody knows this attribute"),
        ("00291001", "words", "nobody knows this attribute"),
        ("60003000", "words", "nobody knows this attribute"),
        ("ExpiryDate", "words", "dates are treated by the options of dates"),
        ("SliceThickness", "number", "it is kept already"),
        ("PixelDataProviderURL", "words", "cannot tell what may stay of UR"),
    ],
)
def test_a_site_cannot_keep_what_must_go(attribute: str, rule: str, said: str) -> None:
    text = (
        f'name: site\noptions: []\nkeep:\n  - {{attributes: ["{attribute}"], rule: "{rule}", reason: because of it}}\n'
    )

    assert said in refused(text)
    assert "line 4" in refused(text)


@pytest.mark.parametrize(
    ("attribute", "action", "said"),
    [
        ("Rows", "remove", "cannot be read"),
        ("SOPInstanceUID", "empty", "cannot be read"),
        ("DeidentificationMethod", "remove", "what was done"),
        ("PatientAddress", "empty", "removed already"),
        ("DeviceID", "empty", "removed already"),
    ],
)
def test_a_stricter_rule_leaves_an_object_that_can_be_read_and_is_stricter(
    attribute: str, action: str, said: str
) -> None:
    rule = f"stricter: [{{attributes: [{attribute}], action: {action}, reason: because of it}}]"

    assert said in refused(f"name: site\noptions: []\n{rule}\n")


def test_two_rules_for_one_attribute_are_refused_under_whatever_name() -> None:
    rules = 'keep: [{attributes: [DeviceID, "00181003"], rule: words, reason: because of it}]'

    assert "names it already" in refused(f"name: site\noptions: []\n{rules}\n")


def test_the_verb_prints_a_table_to_sign(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    run = CliRunner()

    table = run.invoke(build(), ["deid", "profile", "--profile", str(file), "--csv", "--sop-class", "CTImageStorage"])
    record = json.loads(run.invoke(build(), ["deid", "profile", "--json"]).stdout)

    lines = table.stdout.splitlines()
    assert lines[0].startswith(f"# profile north, digest {read_profile(file).digest}, engine 3")
    assert "# 113101 Clean Pixel Data Option" in lines
    assert '"0018,1003",DeviceID,LO,kept where it passes the rule,words,removed,"site: kept, our rooms' in table.stdout
    assert '"0010,0010",PatientName,PN,written afresh' in table.stdout
    assert record["digest"] == default_profile().digest
    assert sum(record["counts"].values()) == len(record["attributes"]) > 5000


def test_a_sop_class_that_is_not_cleaned_is_refused() -> None:
    refusal = CliRunner().invoke(build(), ["deid", "profile", "--sop-class", "RTPlanStorage"])

    assert isinstance(refusal.exception, ConfigurationError)


def test_an_absent_file_is_named_by_its_name_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the profile file site\.yaml cannot be read"):
        read_profile(tmp_path / "site.yaml")


def test_nothing_of_an_empty_data_set_needs_a_rule() -> None:
    kept = deidentified(Dataset(), pseudonyms=HOUSE, profile=parse_profile(SITE, "a"), patient=Pseudonym("P"))

    assert kept.PatientIdentityRemoved == "YES"
