"""The reader's views: what a data scientist needs, and nothing from which a date shift could be undone."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from medflow.domain.safe import Pseudonym
from medflow.errors import Reason
from medflow.store import exclusions, tables
from medflow.store.columns import Instant
from medflow.store.engine import open_engine, reading, writing
from medflow.store.predictions import save_prediction
from medflow.store.series import erase_series, save_refused_series, save_series
from medflow.store.views import VIEWS
from tests.conftest import PostgresServer
from tests.store.made import NOON, RUN, a_house, a_prediction, a_series, hexed

OTHER = Pseudonym("PZZZZZZZZZZZZZZZZ")
UNDO = {"source", "source_digest", "record_digest", "folder", "code", "revision", "superseded_by", "evidence", "place"}
"""Columns that lead to a file, to a version of the code of a certain day, or to an order in time."""
GRANTS = "GRANT SELECT ON reader_series, reader_prediction, reader_model TO medflow_reader"


def filled(connection: Connection) -> None:
    """Two patients with a series and a prediction each, and one series that was turned away."""
    series, model = a_house(connection)
    other = replace(a_series("b", uid="2.25.8"), patient=OTHER)
    save_series(connection, other, run_id=RUN, at=NOON)
    save_prediction(connection, a_prediction(series, model))
    save_prediction(connection, a_prediction(other, model))
    save_refused_series(
        connection,
        series_id="ser_refused",
        patient=OTHER,
        study=series.study,
        uid=a_series("c", uid="2.25.9").uid,
        source_digest=hexed("c"),
        profile_digest=hexed("profile"),
        modality=series.modality,
        state="withheld",
        reason=Reason.BURNED_IN_TEXT,
        run_id=RUN,
        at=NOON,
    )


def test_no_view_shows_a_moment_a_run_or_what_leads_to_one(engine: Engine) -> None:
    moments = {
        column.name for table in tables.metadata.tables.values() for column in table.columns if _is_instant(column.type)
    }
    runs = {key.parent.name for table in tables.metadata.tables.values() for key in table.foreign_keys if _of_run(key)}
    known = {column.name for table in (tables.series, tables.prediction) for column in table.columns}
    others = {column.name for table in (tables.file, tables.job) for column in table.columns} - known
    forbidden = moments | runs | others | UNDO
    assert {"at", "opened", "since", "run", "first_run", "file_key", "mtime_ns", "lease_until"} <= forbidden

    with reading(engine) as connection:
        shown = {name: set(connection.exec_driver_sql(f"SELECT * FROM {name}").keys()) for name in VIEWS}

    assert set(shown) == {"reader_series", "reader_prediction", "reader_model"}
    assert {name: columns & forbidden for name, columns in shown.items()} == {name: set() for name in shown}


def _is_instant(kind: object) -> bool:
    return isinstance(kind, Instant)


def _of_run(key: object) -> bool:
    return getattr(key, "target_fullname", "") == "run.id"


def test_no_value_of_a_view_is_a_moment_or_a_runs_id(engine: Engine) -> None:
    with writing(engine) as connection:
        filled(connection)
        shown = [str(row) for name in VIEWS for row in connection.exec_driver_sql(f"SELECT * FROM {name}")]

    assert shown
    assert not [row for row in shown if "2026" in row or RUN in row]


def test_a_reader_sees_what_stands_in_the_order_of_ids(engine: Engine) -> None:
    with writing(engine) as connection:
        filled(connection)
        series = connection.exec_driver_sql("SELECT id, patient, state FROM reader_series").all()
        said = connection.exec_driver_sql("SELECT id, class, probability, input_erased FROM reader_prediction").all()
        models = connection.exec_driver_sql("SELECT name, version, flags FROM reader_model").all()

    assert [row.id for row in series] == sorted(row.id for row in series)
    assert {row.patient for row in series} == {"PABCDEFGHIJKLMNOP", OTHER}
    assert len(said) == 4
    assert [row.id for row in said] == sorted(row.id for row in said)
    assert sorted((row[1], row.probability) for row in said[:2]) == [("class 0", 0.25), ("class 1", 0.75)]
    assert not any(row.input_erased for row in said)
    assert list(map(tuple, models)) == [("nodule", 1, 0)]


def test_a_reader_sees_nobody_who_opted_out_and_knows_what_lost_its_input(engine: Engine) -> None:
    with writing(engine) as connection:
        filled(connection)
        exclusions.exclude(connection, [OTHER], run_id=RUN, at=NOON)
        erase_series(connection, [a_series().id], reason=Reason.RETENTION_ENDED)

        series = connection.exec_driver_sql("SELECT id FROM reader_series").all()
        said = connection.exec_driver_sql("SELECT patient, input_erased FROM reader_prediction").all()

    assert series == []
    assert {(row.patient, bool(row.input_erased)) for row in said} == {("PABCDEFGHIJKLMNOP", True)}


def test_a_role_with_the_views_alone_reaches_no_table_behind_them(
    postgres_server: PostgresServer, postgres_templates: tuple[str, str]
) -> None:
    url = postgres_server.new_database(postgres_templates[0])
    house = open_engine(url)
    with writing(house) as connection:
        filled(connection)
        connection.exec_driver_sql("CREATE ROLE medflow_reader LOGIN")
        connection.exec_driver_sql(GRANTS)
    reader = create_engine(make_url(url).set(username="medflow_reader"))
    try:
        with reader.connect() as connection:
            assert {len(connection.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in VIEWS} == {1, 2, 4}
        for table in tables.metadata.tables:
            with pytest.raises(DBAPIError, match="permission denied"), reader.connect() as connection:
                connection.exec_driver_sql(f"SELECT * FROM {table}")
        for hidden in ("SELECT xmin FROM reader_series", "UPDATE reader_model SET stage = 'active'"):
            with pytest.raises(DBAPIError), reader.connect() as connection:
                connection.exec_driver_sql(hidden)
    finally:
        reader.dispose()
        house.dispose()
        postgres_server.drop(url)
        postgres_server.run("DROP ROLE medflow_reader")
