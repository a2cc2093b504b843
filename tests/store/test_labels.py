"""Labels: rows are added, a newer version of the same source counts, and sources that disagree are reported."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from medflow.domain.task import LabelRule, Level
from medflow.store.engine import reading, writing
from medflow.store.labels import Added, LabelRow, Labels, add_labels, labels_for
from tests.store.made import NOON, RUN, a_run

RULE = LabelRule(name="nodule", level=Level.PATIENT, classes=("no", "yes"))


@pytest.fixture
def running(engine: Engine) -> Engine:
    """A database with an open run."""
    with writing(engine) as connection:
        a_run(connection)
    return engine


def said(subject: str, value: str, *, source: str = "reader", version: str = "1", line: int | None = None) -> LabelRow:
    level = Level.PATIENT
    return LabelRow(level=level, subject=subject, name="nodule", value=value, source=source, version=version, line=line)


def added(engine: Engine, *rows: LabelRow, day: int = 0) -> Added:
    with writing(engine) as connection:
        return add_labels(connection, rows, run_id=RUN, at=NOON + timedelta(days=day))


def read(engine: Engine, rule: LabelRule = RULE) -> Labels:
    with reading(engine) as connection:
        return labels_for(connection, rule)


def test_labels_are_read_by_subject_and_the_silent_are_absent(running: Engine) -> None:
    assert added(running, said("P1", "yes"), said("P2", "no")) == Added(new=2, known=0, contradictory=())
    assert read(running) == Labels(values={"P1": "yes", "P2": "no"}, contradictory=())
    for other in ("name", "level"):
        changed = {"name": "other"} if other == "name" else {"level": Level.STUDY}
        rule = LabelRule(**{"name": "nodule", "level": Level.PATIENT, "classes": (), **changed})  # type: ignore[arg-type]  # built of plain values
        assert read(running, rule).values == {}


def test_what_contradicts_its_own_version_is_reported_and_not_written(running: Engine) -> None:
    wrong = said("P1", "no", line=7)
    first = added(running, said("P1", "yes", line=3), said("P1", "yes", line=5), wrong)
    again = added(running, said("P1", "yes"), day=1)
    assert first == Added(new=1, known=1, contradictory=(wrong,))
    assert again == Added(new=0, known=1, contradictory=())
    assert read(running).values == {"P1": "yes"}


def test_the_latest_version_of_a_source_counts_unless_one_is_named(running: Engine) -> None:
    added(running, said("P1", "yes"), said("P2", "yes"))
    added(running, said("P1", "no", version="0.9"), day=1)
    assert read(running).values == {"P1": "no", "P2": "yes"}
    old = LabelRule(name="nodule", level=Level.PATIENT, classes=("no", "yes"), version="1")
    assert read(running, old).values == {"P1": "yes", "P2": "yes"}


def test_sources_that_disagree_leave_no_value_unless_one_is_named(running: Engine) -> None:
    added(running, said("P1", "yes"), said("P2", "yes"))
    added(running, said("P1", "no", source="report"), said("P2", "yes", source="report"))
    assert read(running) == Labels(values={"P2": "yes"}, contradictory=("P1",))
    report = LabelRule(name="nodule", level=Level.PATIENT, classes=("no", "yes"), source="report")
    assert read(running, report).values == {"P1": "no", "P2": "yes"}
