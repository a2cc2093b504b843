"""Facts about labels: what cannot be stored is told by its line, and never by its content."""

from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medflow.errors import ConfigurationError
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from tests.steps.conftest import EXPORT
from tests.steps.exports import write_cohort


@pytest.fixture
def taken_in(house: House, tmp_path: Path) -> House:
    write_cohort(tmp_path / "export", 3)
    ingest(house, tmp_path / "export", source=EXPORT)
    return house


def _csv(folder: Path, *lines: str) -> Path:
    path = folder / "some.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_labels_are_stored_once_and_known_the_second_time(taken_in: House, tmp_path: Path) -> None:
    table = _csv(tmp_path, "PatientID,ball", "PAT-000,dull", "PAT-001,bright")

    first = import_labels(taken_in, table, source="reader", version="1")
    second = import_labels(taken_in, table, source="reader", version="1")

    assert (first.new, first.already, first.complete) == (2, 0, True)
    assert (second.new, second.already, second.complete) == (0, 2, True)


def test_unknown_contradictory_and_malformed_lines_are_told_by_number(taken_in: House, tmp_path: Path) -> None:
    table = _csv(
        tmp_path,
        "PatientID,ball",
        "PAT-000,dull",
        "PAT-999,dull",
        "PAT-001,dull",
        "PAT-001,bright",
        ",dull",
        "PAT-002,dull,more",
    )

    report = import_labels(taken_in, table, source="reader", version="1")

    assert (report.new, report.unknown, report.contradictory, report.malformed) == (1, (3,), (4, 5), (6, 7))


def test_a_line_against_what_the_same_version_said_is_contradictory(taken_in: House, tmp_path: Path) -> None:
    import_labels(taken_in, _csv(tmp_path, "PatientID,ball", "PAT-000,dull"), source="reader", version="1")

    again = _csv(tmp_path, "PatientID,ball", "PAT-000,bright")
    against = import_labels(taken_in, again, source="reader", version="1")
    newer = import_labels(taken_in, again, source="reader", version="2")

    assert (against.new, against.contradictory) == (0, (2,))
    assert (newer.new, newer.complete) == (1, True)


def test_an_empty_cell_is_no_label(taken_in: House, tmp_path: Path) -> None:
    table = _csv(tmp_path, "PatientID,ball,other", "PAT-000,,x", "PAT-001,bright,")

    report = import_labels(taken_in, table, source="reader", version="1")

    assert (report.new, report.blank, report.complete) == (2, 2, True)


def test_labels_may_be_keyed_by_original_study_or_series(taken_in: House, tmp_path: Path) -> None:
    uid = f"1.2.826.0.1.3680043.10.1.{int.from_bytes(b'-000', 'big')}"

    study = import_labels(taken_in, _csv(tmp_path, "StudyInstanceUID;x", f"{uid};1"), source="r", version="1")
    series = import_labels(taken_in, _csv(tmp_path, "SeriesInstanceUID\tx", f"{uid}.1\t1"), source="r", version="1")

    assert (study.new, series.new) == (1, 1)


@pytest.mark.parametrize("header", ["", "Name,ball", "PatientID", "PatientID,StudyInstanceUID,ball", "PatientID,a,a"])
def test_a_table_without_one_key_and_a_label_is_refused_whole(taken_in: House, tmp_path: Path, header: str) -> None:
    with pytest.raises(ConfigurationError, match="first line"):
        import_labels(taken_in, _csv(tmp_path, header, "PAT-000,dull"), source="reader", version="1")


def test_every_line_is_stored_or_told(taken_in: House, tmp_path: Path) -> None:
    cells = st.tuples(st.sampled_from(["PAT-000", "PAT-001", "PAT-404", ""]), st.sampled_from(["a", "b", ""]))

    @settings(max_examples=25, deadline=None)
    @given(rows=st.lists(cells, max_size=8))
    def holds(rows: list[tuple[str, str]]) -> None:
        table = _csv(tmp_path, "PatientID,ball", *(f"{patient},{value}" for patient, value in rows))

        report = import_labels(taken_in, table, source="reader", version=uuid4().hex)

        told = {*report.unknown, *report.contradictory, *report.malformed}
        agreed = {patient for patient, value in rows if patient in {"PAT-000", "PAT-001"} and value}
        disputed = {p for p in agreed if len({value for patient, value in rows if patient == p and value}) > 1}
        assert report.new == len(agreed - disputed)
        assert told == {
            number
            for number, (patient, value) in enumerate(rows, start=2)
            if patient in {"PAT-404", ""} or (patient in disputed and value)
        }

    holds()
