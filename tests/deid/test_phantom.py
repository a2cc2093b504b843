"""Nothing that names a patient comes out, wherever it was hidden."""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from medflow.deid.dataset import deidentified
from medflow.deid.encode import text_element
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.safe import DeidentifiedSeries, Pseudonym
from tests.deid.conftest import Deidentify
from tests.deid.phantom import (
    Tokens,
    ct_slice,
    file_bytes,
    plant_aside,
    plant_everywhere,
    planted_item,
    raw,
    write_files,
)


def all_bytes(safe: DeidentifiedSeries) -> bytes:
    return b"\n".join(path.name.encode() + path.read_bytes() for path in sorted(safe.folder.rglob("*")))


@pytest.mark.parametrize("implicit", [False, True])
def test_no_token_of_any_attribute_of_the_dictionary_comes_out(
    tmp_path: Path, deidentify: Deidentify, *, implicit: bool
) -> None:
    tokens, ds = Tokens(seed=3), ct_slice(0)
    plant_everywhere(ds, tokens, implicit=implicit)
    folder = write_files(tmp_path / "export", file_bytes(ds, implicit=implicit))

    (safe,) = deidentify(folder)

    assert len(tokens.planted) > 10_000
    assert tokens.found_in(all_bytes(safe)) == []


def test_no_token_hides_in_private_blocks_overlays_file_meta_preamble_or_behind_the_end(
    tmp_path: Path, deidentify: Deidentify
) -> None:
    tokens, ds, meta = Tokens(seed=4), ct_slice(0), Dataset()
    plant_aside(ds, tokens)
    meta.SourceApplicationEntityTitle = tokens.word("source AE")
    meta.ImplementationVersionName = tokens.word("implementation")
    meta.PrivateInformationCreatorUID = tokens.uid("private information creator")
    meta.PrivateInformation = tokens.word("private information").encode("ascii")
    preamble = tokens.word("preamble").encode("ascii").ljust(128, b"\0")
    content = file_bytes(ds, preamble=preamble, tail=tokens.word("tail").encode("ascii"), extra_meta=meta)

    (safe,) = deidentify(write_files(tmp_path / "export", content))

    assert tokens.found_in(all_bytes(safe)) == []
    assert (safe.folder / safe.files[0].name).read_bytes()[:132] == bytes(128) + b"DICM"


def test_no_token_survives_at_any_depth_of_kept_sequences(pseudonyms: Pseudonyms, profile: Profile) -> None:
    tokens, ds = Tokens(seed=5), ct_slice(0)
    item = planted_item(tokens, "1")
    for depth in range(2, 7):
        outer = planted_item(tokens, str(depth))
        outer.SharedFunctionalGroupsSequence = Sequence([item])
        item = outer
    ds.SharedFunctionalGroupsSequence = Sequence([item])

    cleaned = deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))

    assert tokens.found_in(str(cleaned).encode()) == []
    assert str(cleaned).count("Anatomic Region Sequence") == 6


@pytest.mark.parametrize(
    ("character_set", "codec", "name"),
    [
        ("ISO_IR 100", "latin-1", "Müllér^Jürgen"),
        ("ISO_IR 144", "iso8859_5", "Жданов^Яков"),
        ("ISO_IR 192", "utf-8", "山田^太郎"),
        ("GB18030", "gb18030", "王^小东"),
        ("\\ISO 2022 IR 87", "iso2022_jp", "山田^太郎"),
        ("\\ISO 2022 IR 149", "euc_kr", "홍^길동"),
        ("NONSENSE", "utf-8", "Ædgår^Þor"),
    ],
)
def test_a_name_in_any_character_set_does_not_survive_in_any_text(
    character_set: str, codec: str, name: str, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    ds, written = ct_slice(0), name.encode(codec)
    raw(ds, 0x00080005, "CS", character_set.encode("ascii"))
    for tag, vr in ((0x00100010, "PN"), (0x0008103E, "LO"), (0x00204000, "LT"), (0x00180015, "CS"), (0x00321060, "LO")):
        raw(ds, tag, vr, written)

    cleaned = deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("PSEUDONYM"))

    assert cleaned.PatientName == "PSEUDONYM"
    assert "SpecificCharacterSet" not in cleaned
    texts = [cleaned.get(keyword, "") for keyword in ("SeriesDescription", "ImageComments", "BodyPartExamined")]
    assert not any(texts)


def test_a_patient_called_like_a_bone_has_no_bone_in_the_description(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    ds.PatientName, ds.SeriesDescription = "Bone^Sharp", "CT Bone sharp 1.5mm"

    cleaned = deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))

    assert cleaned.SeriesDescription == "CT 1.5mm"


def test_a_number_of_the_patient_does_not_stay_as_a_number(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0, patient="48301927")
    ds.AcquisitionNumber = "48301927"

    cleaned = deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))

    assert not cleaned.AcquisitionNumber


def test_what_was_written_elsewhere_of_the_original_stays_as_it_was(pseudonyms: Pseudonyms, profile: Profile) -> None:
    ds = ct_slice(0)
    before = file_bytes(ds)

    deidentified(ds, pseudonyms=pseudonyms, profile=profile, patient=Pseudonym("P"))

    assert file_bytes(ds) == before


def test_the_phantom_itself_shows_its_tokens(tmp_path: Path) -> None:
    tokens, ds = Tokens(seed=6), ct_slice(0)
    plant_everywhere(ds, tokens)
    plant_aside(ds, tokens)

    content = file_bytes(ds)

    assert set(tokens.planted) - set(tokens.found_in(content)) == {
        "InstanceCoercionDateTime",
        "ProtocolName",
    }  # planted over
    assert dcmread(write_files(tmp_path, content) / "0000").PatientID == "4711-0815"
    assert text_element(0x00100010, "PN", "X").value == b"X"
