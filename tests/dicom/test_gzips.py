"""A gzip stream gives the same bytes in whichever order they are asked for."""

import gzip
import random
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medflow.dicom.archives import gzips
from medflow.dicom.archives.gzips import Unfolded
from medflow.errors import Reason, SeriesError

PLAIN = random.Random(3).randbytes(200_000) + bytes(300_000)  # noqa: S311
STREAMS = {
    "one": gzip.compress(PLAIN),
    "several": gzip.compress(PLAIN[:7]) + gzip.compress(b"") + gzip.compress(PLAIN[7:]),
    "padded": gzip.compress(PLAIN) + bytes(1000),
}


@pytest.mark.parametrize("spacing", [gzips.SPACING, 1000])
@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(0, len(PLAIN) + 10), max_size=6))
def test_any_place_can_be_read_in_any_order(name: str, spacing: int, places: list[int]) -> None:
    stream = Unfolded(BytesIO(STREAMS[name]), len(PLAIN), spacing=spacing)

    for place in places:
        stream.seek(place)

        assert stream.read(5000) == PLAIN[place : place + 5000]


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (STREAMS["one"][:-9], Reason.DAMAGED_ARCHIVE),
        (STREAMS["one"] + b"garbage", Reason.DAMAGED_ARCHIVE),
        (STREAMS["one"][:-5] + b"\0" + STREAMS["one"][-4:], Reason.DAMAGED_ARCHIVE),
        (gzip.compress(PLAIN + b"\0"), Reason.ARCHIVE_TOO_LARGE),
    ],
)
def test_a_stream_that_is_cut_spoiled_or_too_long_is_refused(packed: bytes, reason: Reason) -> None:
    with pytest.raises(SeriesError) as refused:
        Unfolded(BytesIO(packed), len(PLAIN)).read(len(PLAIN) + 1)

    assert refused.value.reason is reason


def test_what_came_before_the_damage_can_be_read_again() -> None:
    spoiled = bytearray(STREAMS["one"])
    spoiled[120_000:120_100] = bytes(100)
    stream = Unfolded(BytesIO(spoiled), len(PLAIN))
    with pytest.raises(SeriesError):
        stream.read(len(PLAIN))

    stream.seek(1000)

    assert stream.read(1000) == PLAIN[1000:2000]
