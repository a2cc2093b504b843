"""A phantom with a fresh seed each time: secrets wherever a file can hide one, none in any byte that comes out."""

import os
import re
import secrets as chances
import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from medflow.deid.bodies import Bodies
from medflow.deid.marks import Person
from medflow.deid.object import Originals, deidentified_file
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.safe import DeidentifiedSeries, Pseudonym
from medflow.errors import Reason, SeriesError
from tests.deid.conftest import Deidentify
from tests.deid.hiding import PLANTS, person
from tests.deid.hostile import Pieces, Secrets, Spelling, file_of, pieces
from tests.deid.phantom import STRUCTURE, ct_slice
from tests.deid.shaken import shaken

SEED = int(os.environ.get("MEDFLOW_TEST_SEED", chances.randbelow(10**6)))
"""Printed where a test fails; `MEDFLOW_TEST_SEED` draws the same phantom again."""
KINDS = [
    pytest.param(ExplicitVRLittleEndian, CTImageStorage, "CT", id="explicit-CT"),
    pytest.param(ImplicitVRLittleEndian, MRImageStorage, "MR", id="implicit-MR"),
    pytest.param(ExplicitVRBigEndian, PositronEmissionTomographyImageStorage, "PT", id="big-endian-PT"),
    pytest.param(DeflatedExplicitVRLittleEndian, CTImageStorage, "CT", id="deflated-CT"),
]


NEW_UID = re.compile(rb"2\.25\.\d{30,39}")
DECODING = {"PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "FrameIncrementPointer"}
"""With `STRUCTURE`, what a reader needs to be right to read the pixels at all."""


def spelling_of(syntax: str) -> Spelling:
    return Spelling(explicit=syntax != ImplicitVRLittleEndian, little=syntax != ExplicitVRBigEndian)


def haunted(secrets: Secrets, spelling: Spelling, made: Pieces) -> Pieces:
    """Hide a secret in everything."""
    for plant in PLANTS:
        plant(secrets, spelling, made)
    return made


def slice_of(number: int, spelling: Spelling, sop_class: str = CTImageStorage, modality: str = "CT") -> Pieces:
    """Write a slice of some modality."""
    ds = ct_slice(number)
    ds.SOPClassUID, ds.Modality = sop_class, modality
    return pieces(ds, spelling)


def bytes_of(safe: DeidentifiedSeries) -> bytes:
    """Give all that was written: names, bytes, and the values as a reader decodes them; but for the new UIDs.

    Their digits are drawn as if by chance, and hold any day sooner or later.
    """
    parts = []
    for path in sorted(safe.folder.rglob("*")):
        parts += [str(path.relative_to(safe.folder.parents[2])).encode(), path.read_bytes()]
        if path.suffix == ".dcm":
            parts.append(str(dcmread(path)).encode())
    return NEW_UID.sub(b"", b"\n".join(parts))


@pytest.mark.parametrize(("syntax", "sop_class", "modality"), KINDS)
def test_no_secret_comes_out_of_a_series_that_hides_them_everywhere(
    tmp_path: Path, deidentify: Deidentify, syntax: str, sop_class: str, modality: str
) -> None:
    secrets, spelling = Secrets(seed=SEED), spelling_of(syntax)
    who, export = person(secrets, spelling), tmp_path / secrets.word("folder's name").decode()
    export.mkdir()
    for number in range(3):
        made = slice_of(number, spelling, sop_class, modality)
        made = made if number == 1 else haunted(secrets, spelling, made)
        name = f"{secrets.word('file name').decode()}.{number}"
        (export / name).write_bytes(file_of(made | who, syntax, preamble=secrets.word("preamble").ljust(128, b"\0")))

    (safe,) = deidentify(export)

    assert len(safe.files) == 3
    assert len(secrets.words) > 1000
    assert secrets.found_in(bytes_of(safe)) == [], f"MEDFLOW_TEST_SEED={SEED}"


def test_the_phantom_itself_shows_its_secrets() -> None:
    secrets, spelling = Secrets(seed=SEED), Spelling()

    made = haunted(secrets, spelling, slice_of(0, spelling)) | person(secrets, spelling)

    found = secrets.found_in(file_of(made, ExplicitVRLittleEndian))

    assert set(found) == {*secrets.words, *secrets.patterns}, f"MEDFLOW_TEST_SEED={SEED}"


def test_no_secret_rides_in_the_meta_group_behind_the_end_or_in_an_archives_names(
    tmp_path: Path, deidentify: Deidentify
) -> None:
    secrets, spelling = Secrets(seed=SEED + 1), Spelling()
    write = spelling.element
    meta = b"".join(
        (
            write(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
            write(0x00020016, "AE", secrets.word("source AE")),
            write(0x00020026, "UR", secrets.word("source URL")),
            write(0x00020100, "UI", b"1.2.826.0.1." + secrets.number("creator's UID", 12)),
            write(0x00020102, "OB", secrets.word("private information")),
        )
    )
    tail = write(0x7FE10010, "LO", secrets.word("creator behind the pixels")) + secrets.word("behind the end")
    made = b"".join(bytes_ for _, bytes_ in sorted((pieces(ct_slice(0), spelling) | person(secrets, spelling)).items()))
    content = file_of(made + tail, ExplicitVRLittleEndian, meta=meta)
    export = tmp_path / "export"
    export.mkdir()
    with zipfile.ZipFile(export / f"{secrets.word('archive').decode()}.zip", "w") as archive:
        archive.comment = secrets.word("archive's comment")
        archive.writestr(f"{secrets.word('member').decode()}/IM1", content)

    (safe,) = deidentify(export)

    assert secrets.found_in(bytes_of(safe)) == [], f"MEDFLOW_TEST_SEED={SEED}"


@pytest.mark.parametrize("kind", ["day", "wide word"])
def test_no_day_and_no_word_of_another_coding_comes_out_of_any_attribute_of_the_dictionary(
    tmp_path: Path, deidentify: Deidentify, kind: str
) -> None:
    secrets, spelling, made = Secrets(seed=SEED), Spelling(), {}
    plain = slice_of(0, spelling)
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if keyword in STRUCTURE or keyword in DECODING or tag in plain or vr == "SQ":
            continue
        if not 0x0008 <= tag >> 16 < 0x7FE0 or tag >> 16 == 0x0400:
            continue
        secret = secrets.date(keyword) if kind == "day" else secrets.word(keyword, 8).decode().encode("utf-16-le")
        made[tag] = spelling.element(tag, vr if len(vr) == 2 else "US", secret)
    export = tmp_path / "export"
    export.mkdir()
    (export / "0").write_bytes(file_of(plain | made | person(secrets, spelling), ExplicitVRLittleEndian))

    (safe,) = deidentify(export)

    assert len(made) > 3000
    assert secrets.found_in(bytes_of(safe)) == [], f"MEDFLOW_TEST_SEED={SEED}"


def test_a_file_comes_out_the_same_whatever_files_came_before_it(pseudonyms: Pseudonyms, profile: Profile) -> None:
    """What the headers of a series repeat is cleaned once; files shaken byte by byte must not gain by it."""

    def outcome(content: bytes, originals: Originals, bodies: Bodies) -> bytes | Reason:
        try:
            return deidentified_file(originals.opened(content), bodies)
        except SeriesError as error:
            return error.reason

    def new_bodies() -> Bodies:
        return Bodies(pseudonyms=pseudonyms, profile=profile, person=Person(pseudonym=Pseudonym("P"), days=-400))

    for round_ in range(12):
        secrets = Secrets(seed=SEED + round_)
        syntax = secrets.chance.choice((ExplicitVRLittleEndian, ImplicitVRLittleEndian))
        originals, bodies = Originals(), new_bodies()
        for content in shaken(secrets, spelling_of(syntax), syntax, files=5):
            together = outcome(content, originals, bodies)
            alone = outcome(content, Originals(), new_bodies())
            assert together == alone, f"MEDFLOW_TEST_SEED={SEED}"
