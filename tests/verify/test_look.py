"""Whatever is planted is found, wherever it stands and however it is written; what was not planted is not."""

import random
import string
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence

from medflow.verify.files import opened
from medflow.verify.identity import Identity, Kind, Value
from medflow.verify.look import Looker
from medflow.verify.plant import planted
from medflow.verify.wanted import wanted
from tests.deid.phantom import ct_slice, file_bytes, raw
from tests.verify.made import VALUES, clean_file, found_in, looker

ALL = wanted(Identity(values=frozenset(VALUES)))
NAME = Value(Kind.NAME, "Zwingli^Huldrych")
LETTERS = st.sampled_from(
    ["abcdefghijklmnopqrstuvwxyz", "äéñøüæçêå", "бвгдежзиклмн", "王李张刘陈杨黄", "김이박최정강조"]
)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value.kind.value}-{value.text[:2]}")
def test_a_planted_value_is_found_in_every_kind_of_place(value: Value, *, implicit: bool) -> None:
    content = clean_file(implicit=implicit)

    missed = [
        place
        for place, copy, name in planted(content, value)
        if value.kind not in found_in(Looker(wanted=ALL), copy, name)
    ]

    assert missed == []


def test_nothing_is_found_where_nothing_was_planted() -> None:
    assert found_in(Looker(wanted=ALL), clean_file()) == {}


@settings(max_examples=25, deadline=None)
@given(data=st.data(), place=st.integers(0, 7))
def test_a_name_in_any_script_is_found_wherever_another_writer_puts_it(data: st.DataObject, place: int) -> None:
    alphabet = data.draw(LETTERS)
    family, given_name = (data.draw(st.text(alphabet, min_size=4, max_size=9)) for _ in range(2))
    codec = data.draw(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "gb18030"]))
    written = data.draw(st.sampled_from([f"{family}^{given_name}", f"{given_name} {family}".upper(), family.title()]))
    ds = ct_slice(0)
    inner = Dataset()
    bytes_of = written.encode(codec)
    target = inner if place % 2 else ds
    raw(
        target,
        (0x00104000, 0x00091001, 0x00081030, 0x00400280)[place // 2],
        ("LT", "UN", "CS", "ST")[place // 2],
        bytes_of,
    )
    if place % 2:
        ds.RequestAttributesSequence = Sequence([inner])

    told = found_in(looker(Value(Kind.NAME, f"{family}^{given_name}")), file_bytes(ds))

    assert Kind.NAME in told


@pytest.mark.parametrize(
    "written",
    ["ZWINGLI", "huldrych,zwingli", "HuldrychZwingli", "Zwingli_H", "x(zwingli)", "Zwingli1983", "Zwi\u0301ngli"],
)
def test_a_name_is_found_in_any_case_order_and_neighbourhood(written: str) -> None:
    ds = ct_slice(0)
    raw(ds, 0x00204000, "LT", written.encode())

    assert found_in(looker(NAME), file_bytes(ds)) == {Kind.NAME: {"(0020,4000)"}}


def test_a_short_name_inside_a_longer_word_is_none() -> None:
    ds = ct_slice(0)
    ds.ImageComments = "Annular Leeward"

    assert found_in(looker(Value(Kind.NAME, "Lee^Ann")), file_bytes(ds)) == {}


def test_a_word_of_the_trade_is_not_told_from_chance_but_a_whole_name_is() -> None:
    bone = Value(Kind.NAME, "Bone^Head")
    ds = ct_slice(0)
    ds.SeriesDescription, ds.BodyPartExamined = "CT bone", "HEAD"
    alone = found_in(looker(bone), file_bytes(ds))
    ds.ImageComments = "Head, Bone"

    together = found_in(looker(bone), file_bytes(ds))

    assert (alone, together) == ({}, {Kind.NAME: {"(0020,4000)"}})


@pytest.mark.parametrize("number", ["1", "512", "1024", "120", "CT1"])
def test_a_number_as_short_as_those_of_every_header_is_not_told_from_chance(number: str) -> None:
    look = looker(Value(Kind.PATIENT_ID, number))
    ds = ct_slice(0)
    ds.StudyID, ds.SeriesNumber = "1", "512"

    assert found_in(look, file_bytes(ds)) == {}


def test_a_number_is_found_as_decimal_and_in_binary() -> None:
    for vr, value in (("IS", b"48301927"), ("DS", b"+48301927.0 "), ("UL", struct.pack("<I", 48301927)),
                      ("FD", struct.pack("<d", 48301927)), ("OB", struct.pack(">d", 48301927))):  # fmt: skip
        ds = ct_slice(0)
        raw(ds, 0x00280106, vr, value)

        assert found_in(looker(VALUES[5]), file_bytes(ds)) == {Kind.PATIENT_ID: {"(0028,0106)"}}, vr


def test_a_date_that_was_not_moved_is_told_by_the_time_beside_it_among_many_dates() -> None:
    days = [Value(Kind.DATE, f"20{year}{month:02d}{day:02d}") for year in (19, 20, 21, 22, 23) for month in (1, 3, 9)
            for day in range(4, 14)]  # fmt: skip
    ds = ct_slice(0)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20210305"
    ds.StudyTime = ds.SeriesTime = "114203.25"

    moved = found_in(looker(*days, moments=frozenset({"20220305114203"})), file_bytes(ds))
    left = found_in(looker(*days, moments=frozenset({"20210305114203"})), file_bytes(ds))

    assert moved == {}
    assert left == {Kind.DATE: {"(0008,0020)", "(0008,0021)"}}


def test_what_the_objects_codes_say_is_retained_does_not_alarm() -> None:
    ds, code = ct_slice(0), Dataset()
    ds.StationName, ds.ImageComments = "AWP45123", "Zwingli"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113109", "DCM", "Retain Device Identity Option"
    ds.DeidentificationMethodCodeSequence = Sequence([code])
    look = looker(VALUES[8], NAME)

    told = found_in(look, file_bytes(ds))

    assert told == {Kind.NAME: {"(0020,4000)"}}
    assert look.retained == {Kind.DEVICE}


def test_names_that_nobody_planted_are_found_no_more_often_than_is_computed() -> None:
    chance = random.Random(7)  # noqa: S311  (a test's data)

    def drawn() -> str:
        return "".join(chance.choices(string.ascii_lowercase, k=3))

    names = {Value(Kind.NAME, drawn()) for _ in range(1500)}
    ds = ct_slice(0)
    ds.ImageComments = " ".join(drawn() for _ in range(400))
    look = looker(*names)

    hits = {hit.form for hit in look.look(opened(file_bytes(ds)))}

    expected = sum(look.expected().values())
    assert expected / 2 < len(hits) < 2 * expected
    assert look.admitted(0.05)[1] <= 0.05


@pytest.mark.parametrize("patient_id", ["xxxxxxxxxx", "123456789", "7070707070"])
def test_an_id_that_reads_like_a_plain_or_a_slope_of_pixels_is_told_from_chance_by_nobody(patient_id: str) -> None:
    look = Looker(wanted=wanted(Identity(values=frozenset([Value(Kind.PATIENT_ID, patient_id)]))))
    slope = np.arange(20, 80, dtype="<u2").repeat(3).tobytes() + np.arange(20, 120, dtype="<u2").tobytes()
    plain = np.full(500, 0x78, "<u2").tobytes() + np.tile(np.array([0x37, 0x30], "<u2"), 99).tobytes()
    image = ct_slice(0)
    image.PixelData = (image.PixelData[: -len(slope + plain)] + slope + plain)[: len(image.PixelData)]

    hits = look.look(opened(file_bytes(image)))

    assert hits == ()
    assert "pixels" not in {place for place, _, _ in planted(clean_file(), Value(Kind.PATIENT_ID, patient_id))}


def test_a_station_that_is_called_like_a_scanners_model_names_nobody() -> None:
    value = Value(Kind.DEVICE, "Intera")

    assert Identity(values=frozenset([value])).telling == {value}
    assert not Identity(values=frozenset([value]), models=frozenset(["INTERA"])).telling
