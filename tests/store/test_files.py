"""The safe store: a series is loaded as deid wrote it, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from medflow.errors import Reason, SeriesError, StateError
from medflow.store.engine import reading, writing
from medflow.store.files import check, described, load
from medflow.store.series import SeriesRow, accepted_series, save_series
from tests.store.made import NOON, RUN, a_run, a_series, write_out


@pytest.fixture
def row(sqlite_engine: Engine, tmp_path: Path) -> SeriesRow:
    """The row of a series whose files lie in `tmp_path`."""
    write_out(a_series(), tmp_path)
    with writing(sqlite_engine) as connection:
        a_run(connection)
        save_series(connection, a_series(), run_id=RUN, at=NOON)
    with reading(sqlite_engine) as connection:
        return accepted_series(connection)[0]


def test_a_series_is_loaded_as_it_was_written(row: SeriesRow, tmp_path: Path) -> None:
    loaded = load(tmp_path, row)
    assert loaded == a_series()
    assert loaded.folder == tmp_path / a_series().relative_folder


@pytest.mark.parametrize(
    ("name", "content", "detail"),
    [
        ("series.json", b"{}", "series.json"),
        ("series.json", None, "series.json is missing"),
        ("IM000001.dcm", b"", "file 1 of 2"),
        ("IM000002.dcm", None, "file 2 of 2"),
    ],
)
def test_a_stored_file_that_differs_is_named_by_its_number(
    row: SeriesRow, tmp_path: Path, name: str, content: bytes | None, detail: str
) -> None:
    path = tmp_path / a_series().relative_folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    with pytest.raises(SeriesError) as raised:
        load(tmp_path, row)
    assert (raised.value.reason, raised.value.detail) == (Reason.STORED_COPY_DIFFERS, detail)
    assert str(tmp_path) not in str(raised.value)


def test_choosing_by_the_record_reads_no_image(row: SeriesRow, tmp_path: Path) -> None:
    (tmp_path / a_series().relative_folder / "IM000001.dcm").unlink()
    series = described(tmp_path, row)
    assert series == a_series()
    with pytest.raises(SeriesError):
        check(series)


def test_a_row_that_points_at_another_series_record_is_refused(row: SeriesRow, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="another series'"):
        load(tmp_path, replace(row, id="ser_0"))


def test_a_series_that_was_refused_has_no_files(row: SeriesRow, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="was refused"):
        load(tmp_path, replace(row, state="refused", folder=None))
