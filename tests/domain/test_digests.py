"""Facts about canonical text and digests."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medflow.domain.digests import canonical, digest, instant, natural_id

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=plain)
def test_canonical_text_is_ascii_json_without_spaces_to_spare(value: object) -> None:
    text = canonical(value)

    assert text.isascii()
    assert canonical(json.loads(text)) == text


@given(pairs=st.lists(st.tuples(st.text(), st.integers()), unique_by=lambda pair: pair[0], max_size=6))
def test_the_order_in_which_keys_were_added_leaves_no_trace(pairs: list[tuple[str, int]]) -> None:
    assert canonical(dict(pairs)) == canonical(dict(reversed(pairs)))


def test_a_float_is_refused_because_its_text_differs_between_writers() -> None:
    with pytest.raises(TypeError, match=r"float\.hex"):
        canonical({"probability": 0.5})


def test_two_spellings_of_one_character_are_one_text() -> None:
    assert canonical("\u00e9") == canonical("e\u0301")


def test_a_digest_names_its_label_and_rule() -> None:
    assert digest("grid", [1]) != digest("task", [1])
    assert digest("grid", [1]) == hashlib.sha256(b"medflow/grid/1\n[1]").hexdigest()


def test_an_id_is_a_prefix_and_32_hex_digits_of_its_natural_key() -> None:
    assert natural_id("prd_", "prediction", ["s", "i", 0]) == natural_id("prd_", "prediction", ["s", "i", 0])
    assert len(natural_id("prd_", "prediction", ["s"])) == 36


def test_an_instant_is_written_in_utc_with_microseconds() -> None:
    noon_in_tokyo = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=9)))

    assert instant(noon_in_tokyo) == "2026-03-01T03:00:00.000000Z"


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(TypeError, match="time zone"):
        instant(datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None))
