"""Pseudonyms are stable under one key and strangers under two."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medflow.deid.keys import new_key, read_key, write_new_key
from medflow.deid.pseudonyms import Pseudonyms
from medflow.errors import ConfigurationError

ONE = Pseudonyms(key=bytes(range(32)))
TWO = Pseudonyms(key=bytes(reversed(range(32))))
ids = st.text(min_size=3).filter(lambda text: ONE.patient_of_id(text) is not None)


@given(patient_id=ids, issuer=st.text())
def test_the_same_patient_has_the_same_pseudonym_whatever_the_study_and_the_padding(
    patient_id: str, issuer: str
) -> None:
    first, barred = ONE.patient(patient_id, issuer, "1.2.3")
    again, _ = ONE.patient(f" {patient_id} ", issuer, "1.2.4")

    assert first == again
    assert not barred
    assert re.fullmatch("P[A-Z2-7]{16}", first)
    assert TWO.patient(patient_id, issuer, "1.2.3")[0] != first


def test_two_issuers_mean_two_patients_and_the_default_issuer_fills_in() -> None:
    house = Pseudonyms(key=ONE.key, default_issuer="HOUSE")

    assert ONE.patient_of_id("4711", "A") != ONE.patient_of_id("4711", "B")
    assert house.patient_of_id("4711") == ONE.patient_of_id("4711", "HOUSE")


@pytest.mark.parametrize("placeholder", ["", "  ", "0", "00000", "n/a", "UNKNOWN", "Anonymous", "XXXX", "---"])
def test_a_placeholder_stands_for_one_study_and_is_barred(placeholder: str) -> None:
    first, barred = ONE.patient(placeholder, "", "1.2.3")
    other, _ = ONE.patient(placeholder, "", "1.2.4")

    assert barred
    assert first != other
    assert first == ONE.patient("", "", "1.2.3")[0]
    assert ONE.patient_of_id(placeholder) is None


@given(uid=st.from_regex(r"[0-9]{1,3}(\.[1-9][0-9]{0,8}){1,6}", fullmatch=True))
def test_a_mapped_uid_is_a_valid_version_8_uuid_below_2_25(uid: str) -> None:
    mapped = ONE.uid(uid)
    number = int(mapped.removeprefix("2.25."))

    assert mapped == ONE.uid(uid + "\0")
    assert len(mapped) <= 64
    assert number >> 76 & 0xF == 8
    assert number >> 62 & 0b11 == 0b10
    assert mapped != TWO.uid(uid)


@given(patient_id=ids)
def test_dates_move_backwards_by_one_to_ten_years(patient_id: str) -> None:
    pseudonym, _ = ONE.patient(patient_id, "", "")

    assert -(366 + 3285) < ONE.day_shift(pseudonym) <= -366


def test_keys_of_different_purposes_do_not_meet() -> None:
    names = {ONE.code("device", "1"), ONE.code("staff", "1"), ONE.file_key("a", "1"), ONE.file_key("a", "", "1")}

    assert len(names) == 4
    assert ONE.source_digest(["b", "a"]) == ONE.source_digest(["a", "b"]) != TWO.source_digest(["a", "b"])


def test_pseudonyms_do_not_print_their_key() -> None:
    assert repr(ONE.key) not in repr(ONE)


def test_a_key_file_is_written_once_for_its_owner_only(tmp_path: Path) -> None:
    path, key = tmp_path / "key", new_key()
    write_new_key(path, key)

    assert read_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError):
        write_new_key(path, new_key())
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_key(path)


def test_a_missing_or_short_key_is_a_configuration_error(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.touch(mode=0o600)

    for path in (tmp_path / "none", short):
        with pytest.raises(ConfigurationError):
            read_key(path)


@given(patient_id=ids, uid=st.from_regex(r"[0-9]{1,3}(\.[1-9][0-9]{0,8}){1,6}", fullmatch=True))
def test_two_recipients_know_a_patient_and_a_uid_by_names_that_share_nothing(patient_id: str, uid: str) -> None:
    trial, registry = ONE.for_recipient("trial"), ONE.for_recipient("registry")
    known = [key.patient_of_id(patient_id) for key in (ONE, trial, registry)]
    shifts = {key.day_shift(patient) for key, patient in zip((ONE, trial, registry), known, strict=True) if patient}

    assert len({*known}) == 3
    assert len({ONE.uid(uid), trial.uid(uid), registry.uid(uid)}) == 3
    assert len({key.code("device", "4711") for key in (ONE, trial, registry)}) == 3
    assert all(-3650 <= shift <= -366 for shift in shifts)
    assert known[0] is not None
    assert trial.recoded_patient(known[0]) == known[1] == ONE.for_recipient(" trial ").patient_of_id(patient_id)
    assert trial.recoded_uid(ONE.uid(uid)) == trial.uid(uid)


def test_a_recipient_has_a_label() -> None:
    with pytest.raises(ConfigurationError, match="label"):
        ONE.for_recipient("  ")


def test_a_merged_patient_is_known_by_the_other_ones_pseudonym_in_every_study() -> None:
    old, into = ONE.patient_of_id("4711"), ONE.patient_of_id("0815")
    assert old is not None
    assert into is not None
    merged = Pseudonyms(key=ONE.key, aliases={old: into})

    assert merged.patient("4711", "", "1.2.3") == (into, False)
    assert (merged.merged_into("4711"), merged.merged_into("0815"), merged.merged_into("")) == (into, None, None)
    assert merged.for_recipient("trial").patient_of_id("4711") == ONE.for_recipient("trial").patient_of_id("0815")
    digest = merged.source_digest(["a" * 64])
    assert merged.source_digest(["a" * 64], merged_into=into) == merged.merged_digest(digest, into) != digest
