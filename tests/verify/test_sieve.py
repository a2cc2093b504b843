"""The sieve finds what a plain search finds, wherever it stands, and nothing else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medflow.verify.forms import Pattern
from medflow.verify.sieve import BLOCK, Sieve

RUNS = st.one_of(
    st.text("abcXYZ019^ ", min_size=7, max_size=30).map(str.encode),
    st.text("abcXYZ019", min_size=4, max_size=12).map(lambda text: text.encode("utf-16-le").rstrip(b"\0")),
    st.binary(min_size=7, max_size=20),
)


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(RUNS, min_size=1, max_size=8), seed=st.integers(0, 99), near=st.integers(-40, 40))
def test_a_run_is_found_at_any_place_in_any_case(runs: list[bytes], seed: int, near: int) -> None:
    content = bytearray(np.random.default_rng(seed).integers(0, 4096, BLOCK, np.uint16).tobytes())
    place = BLOCK + near
    content[place : place + len(runs[0])] = runs[0].upper() if seed % 2 and runs[0].isascii() else runs[0]

    found = set(Sieve([Pattern(run, pixels=True) for run in runs]).found_in(bytes(content), 0, len(content)))

    assert (0, place) in found or (seed % 2 and runs[0].isascii() and not _is_text(runs[0]))
    assert all(bytes(content[at : at + len(runs[n])]).lower() == runs[n].lower() for n, at in found)


def _is_text(run: bytes) -> bool:
    """Say whether case is overlooked: runs of control signs and letters mixed are compared as they are."""
    return all(byte >= 0x20 for byte in run)


def test_the_edges_of_a_stretch_hide_nothing() -> None:
    sieve = Sieve([Pattern(b"zwinglih", pixels=True)])
    content = b"\0" * 1001 + b"Zwinglih" + b"\0" * 1000

    for edge in range(996, 1014):
        assert {*sieve.found_in(content, 0, edge), *sieve.found_in(content, edge, len(content))} == {(0, 1001)}
