"""However a file is damaged, every byte of it is looked at."""

from hypothesis import given, settings
from hypothesis import strategies as st

from medflow.verify.files import opened
from medflow.verify.identity import Kind, Value
from medflow.verify.walk import parts_of
from tests.verify.made import clean_file, found_in, looker

FILES = [clean_file(), clean_file(implicit=True)]


@settings(max_examples=25, deadline=None)
@given(which=st.sampled_from(FILES), at=st.integers(132, 900), junk=st.binary(max_size=24), cut=st.integers(0, 60))
def test_a_value_behind_damage_is_found(which: bytes, at: int, junk: bytes, cut: int) -> None:
    names = b" Zwingli" * 4 + b" "  # the end of a value may part one of them
    content = which[:at] + junk + names + which[at + len(junk) + cut :]

    assert Kind.NAME in found_in(looker(Value(Kind.NAME, "Zwingli^H")), content)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=400), dicom=st.booleans())
def test_bytes_of_any_kind_are_taken_apart_without_a_fault(content: bytes, *, dicom: bool) -> None:
    content = bytes(128) + b"DICM" + content if dicom else content

    for part in opened(content):
        assert all(0 <= start <= end <= len(part.content) for _, _, start, end in part.pieces)


def test_a_file_meta_that_breaks_off_ends_the_walk() -> None:
    content = bytes(128) + b"DICM\2\0\2\0UI\xff\x7f Zwingli"

    assert Kind.NAME in found_in(looker(Value(Kind.NAME, "Zwingli^H")), content)


def test_items_of_items_are_walked_to_any_depth() -> None:
    inner = b"\x10\x00\x10\x00PN\x08\x00Zwingli "
    for _ in range(100):
        item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
        inner = b"\x40\x00\x75\x02SQ\0\0" + len(item).to_bytes(4, "little") + item

    part = next(parts_of(bytes(128) + b"DICM" + inner))

    assert max(len(path) for path, *_ in part.pieces) > 60
    assert Kind.NAME in found_in(looker(Value(Kind.NAME, "Zwingli^H")), part.content)
