"""The short way through a series' headers leads where pydicom's own way leads: element by element, byte by byte."""

import struct
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from medflow.deid.bodies import Bodies
from medflow.deid.headers import Headers
from medflow.deid.marks import Person
from medflow.deid.object import Originals, deidentified_file, opened
from medflow.dicom.hush import hushed
from medflow.domain.safe import Pseudonym
from tests.deid.conftest import HOUSE, TABLES
from tests.deid.phantom import ct_slice, file_bytes, raw

Change = Callable[[Dataset, int], None]


def _another_time(ds: Dataset, number: int) -> None:
    ds.AcquisitionTime = f"0815{number:02}.25"


def _no_weight(ds: Dataset, _: int) -> None:
    del ds.PatientWeight


def _empty(ds: Dataset, _: int) -> None:
    ds.PatientWeight = ds.ConvolutionKernel = None


def _another_name(ds: Dataset, number: int) -> None:
    ds.PatientName, ds.SeriesDescription = f"Bone^N{number}", "CT Bone sharp"


def _another_character_set(ds: Dataset, _: int) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    raw(ds, 0x0008103E, "LO", "Schädel".encode())


def _nested(ds: Dataset, number: int) -> None:
    item, inner = Dataset(), Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "113100", "DCM", f"of N{number}"
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{number % 2}"
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    item.is_undefined_length_sequence_item = bool(number % 2)
    ds.SourceImageSequence = Sequence([item, item])
    ds["SourceImageSequence"].is_undefined_length = bool(number % 2)


def _private(ds: Dataset, number: int) -> None:
    creator = b"GEMS_PARM_01" if number % 2 else b"SOMEBODY ELSE"
    raw(ds, 0x00430010, "LO", creator)
    raw(ds, 0x00431027, "SH", b"0.984:1")
    raw(ds, 0x00191001, "UN", bytes(range(20)))


def _other_vr(ds: Dataset, number: int) -> None:
    raw(ds, 0x00180050, "UN" if number % 2 else "DS", b"1.50")


def _another_sign(ds: Dataset, number: int) -> None:
    ds.PixelRepresentation = number % 2
    ds.add_new(0x00280106, "SS" if number % 2 else "US", 5)


def _unlisted(ds: Dataset, _: int) -> None:
    ds.add_new(0x00189999, "LO", "nobody knows me")


CHANGES: tuple[Change, ...] = (
    _another_time, _no_weight, _empty, _another_name, _another_character_set, _nested, _private, _other_vr,
    _another_sign, _unlisted,
)  # fmt: skip
TAILS = (b"", b"\0", b"SOMEBODY", struct.pack("<HHI", 0xFFFC, 0xFFFC, 4) + b"tail")
slices = st.tuples(st.frozensets(st.sampled_from(CHANGES), max_size=5), st.sampled_from(TAILS))


def series(changes: list[tuple[frozenset[Change], bytes]], *, implicit: bool) -> list[bytes]:
    contents = []
    for number, (chosen, tail) in enumerate(changes):
        ds = ct_slice(number)
        for change in sorted(chosen, key=CHANGES.index):
            change(ds, number)
        contents.append(file_bytes(ds, implicit=implicit, tail=tail))
    return contents


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(slices, min_size=2, max_size=5), implicit=st.booleans())
def test_a_series_comes_out_the_same_whether_its_headers_are_read_together_or_one_by_one(
    changes: list[tuple[frozenset[Change], bytes]], *, implicit: bool
) -> None:
    contents = series(changes, implicit=implicit)
    originals, bodies = Originals(), new_bodies()

    for content in contents:
        together = _file(lambda: deidentified_file(originals.opened(content), bodies))  # noqa: B023  (called at once)
        alone = _file(lambda: deidentified_file(opened(content), new_bodies()))  # noqa: B023

        assert together == alone


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(slices, min_size=2, max_size=5), implicit=st.booleans())
def test_every_element_is_what_pydicom_makes_of_it(
    changes: list[tuple[frozenset[Change], bytes]], *, implicit: bool
) -> None:
    headers = Headers()

    with hushed():
        for content in series(changes, implicit=implicit):
            expected = _parsed(lambda: dcmread(BytesIO(content), force=True))  # noqa: B023
            found = _parsed(lambda: headers.dataset(content))  # noqa: B023

            assert found == expected


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_what_is_written_in_an_unusual_way_is_left_to_pydicom(syntax: UID) -> None:
    headers = Headers()
    with hushed():
        headers.dataset(file_bytes(ct_slice(0)))
        stream = BytesIO()
        ds = ct_slice(1)
        ds.file_meta = dcmread(BytesIO(file_bytes(ds))).file_meta
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(stream, enforce_file_format=True)

        assert isinstance(headers.dataset(stream.getvalue()), FileDataset)
        assert isinstance(headers.dataset(file_bytes(ct_slice(2))), FileDataset)
        assert not isinstance(headers.dataset(file_bytes(ct_slice(3))), FileDataset)


def new_bodies() -> Bodies:
    return Bodies(pseudonyms=HOUSE, profile=TABLES, person=Person(pseudonym=Pseudonym("P"), days=-500))


def _file(write: Callable[[], bytes]) -> bytes | str:
    try:
        return write()
    except Exception as error:  # noqa: BLE001  (both ways must refuse alike)
        return f"{type(error).__name__} {error}"


def _parsed(parse: Callable[[], Dataset]) -> object:
    try:
        ds = parse()
    except Exception as error:  # noqa: BLE001
        return type(error)
    elements = [(int(tag), each.VR, each.value) for tag, each in ds.items()]
    return elements, ds.original_encoding, ds.original_character_set, ds.file_meta.TransferSyntaxUID
