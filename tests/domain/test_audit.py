"""Facts about a line of the audit trail."""

import json
from datetime import UTC, datetime

import pytest

from medflow.domain.audit import START, AuditEvent, line_hash

EVENT = AuditEvent(
    at=datetime(2026, 1, 1, tzinfo=UTC),
    actor="night",
    kind="series-accepted",
    run="run_1",
    subject="ser_1",
    code="c" * 64,
    detail={"files": 3},
)


def test_a_line_holds_what_happened_its_place_and_the_hash_before() -> None:
    line = json.loads(EVENT.line(7, START))

    assert sorted(line) == ["actor", "at", "code", "detail", "kind", "prev", "run", "seq", "subject"]
    assert (line["seq"], line["prev"], line["detail"]) == (7, START, {"files": 3})


def test_another_predecessor_makes_another_hash() -> None:
    assert line_hash(EVENT.line(1, START)) != line_hash(EVENT.line(1, "1" * 64))


def test_a_detail_with_a_float_is_refused() -> None:
    event = AuditEvent(at=EVENT.at, actor="night", kind="k", run="r", subject="", code="", detail={"probability": 0.5})

    with pytest.raises(TypeError, match="float"):
        event.line(1, START)
