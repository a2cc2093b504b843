"""Migrations: they make the shape that the code and the golden DDL describe, and triggers that hold."""

import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from medflow.domain.model import Example
from medflow.domain.task import Level
from medflow.errors import ConfigurationError
from medflow.store import flags, tables, vault_tables
from medflow.store.audit import append
from medflow.store.cohorts import save_cohort
from medflow.store.ddl import statements
from medflow.store.engine import open_engine, reading, writing
from medflow.store.erasures import Erasure, save_erasure
from medflow.store.evaluations import save_evaluation, save_opening
from medflow.store.labels import LabelRow, add_labels
from medflow.store.models import save_model
from medflow.store.predictions import save_prediction
from medflow.store.schema import check_current, exists, is_current, upgrade, upgrade_vault
from medflow.store.selections import save_selection
from tests.conftest import Database, PostgresServer
from tests.store.made import (
    NOON,
    RUN,
    SIGNER,
    a_cohort,
    a_house,
    a_member,
    a_model,
    a_prediction,
    a_selection,
    an_evaluation,
    an_event,
    an_opening,
    hexed,
)

SCHEMAS = Path(__file__).parents[2] / "schemas"
BOTH = pytest.mark.parametrize("metadata", [tables.metadata, vault_tables.metadata], ids=["main", "vault"])


def url_of(database: Database, metadata: MetaData) -> str:
    return database.url if metadata is tables.metadata else database.vault_url


@BOTH
def test_the_migrations_make_what_the_tables_describe(database: Database, metadata: MetaData) -> None:
    engine = open_engine(url_of(database, metadata))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@BOTH
def test_the_golden_ddl_makes_the_same_database_as_the_migrations(
    database: Database, metadata: MetaData, request: pytest.FixtureRequest
) -> None:
    migrated = open_engine(url_of(database, metadata))
    if database.dialect == "sqlite":
        drawn = create_engine("sqlite://")
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        drawn = open_engine(server.new_database())

    with drawn.begin() as connection:
        for statement in statements(metadata, database.dialect):
            connection.execute(text(statement))
        described = catalog(connection)

    with migrated.connect() as connection:
        assert catalog(connection) == described
    migrated.dispose()
    drawn.dispose()


def catalog(connection: Connection) -> dict[str, Any]:
    """All that a database knows of its own shape, alembic's table aside."""
    looked = inspect(connection)
    names = sorted(set(looked.get_table_names()) - {"alembic_version"})
    shape: dict[str, Any] = {
        name: [
            [{**column, "type": str(column["type"])} for column in looked.get_columns(name)],
            looked.get_pk_constraint(name),
            *(
                sorted(map(spelled, rows))
                for rows in (
                    looked.get_foreign_keys(name),
                    looked.get_unique_constraints(name),
                    looked.get_check_constraints(name),
                    looked.get_indexes(name),
                )
            ),
        ]
        for name in names
    }
    shape["views"] = {name: looked.get_view_definition(name) for name in sorted(looked.get_view_names())}
    shape["triggers"] = sorted(map(tuple, connection.exec_driver_sql(TRIGGERS[connection.dialect.name])))
    return {**shape, "head": connection.exec_driver_sql("SELECT * FROM audit_head").all() if "audit" in names else []}


def spelled(described: Mapping[str, Any]) -> str:
    """Write a description as text, SQL within it too."""
    options = {name: str(value) for name, value in described.get("dialect_options", {}).items()}
    return str(sorted({**described, "dialect_options": options}.items()))


TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname, pg_get_triggerdef(t.oid) || tgenabled::text || pg_get_functiondef(tgfoid)"
    " FROM pg_trigger t WHERE NOT tgisinternal",
}


@pytest.fixture
def full(engine: Engine) -> Engine:
    """A database with a row in every append-only table."""
    with writing(engine) as connection:
        series, model = a_house(connection)
        taught = a_model(seed=2, version=2)
        example = Example(
            patient=series.patient,
            series_id=series.id,
            subject=series.uid,
            input_digest=hexed("i"),
            layout_digest=hexed("l"),
            label="yes",
            part="train",
        )
        save_model(connection, taught, (example,))
        row = LabelRow(level=Level.SERIES, subject=series.uid, name="n", value="yes", source="s", version="1")
        add_labels(connection, [row], run_id=RUN, at=NOON)
        save_prediction(connection, a_prediction(series, model))
        save_selection(connection, a_selection(series), run_id=RUN, at=NOON)
        save_erasure(connection, Erasure(patient=series.patient, state="done", counts={"series": 1}, run=RUN, at=NOON))
        flags.save(connection, "erased", series.patient, {taught.id: {"examples": 1}}, run_id=RUN, at=NOON)
        cohort = a_cohort(a_member(series))
        save_cohort(connection, cohort, run_id=RUN)
        save_opening(connection, an_opening(taught, cohort))
        save_evaluation(connection, an_evaluation(taught, cohort))
        change = {"number": 1, "former": "candidate", "stage": "active", "reason": "better", "at": NOON}
        connection.execute(tables.stage_change.insert().values(name="nodule", model_id=taught.id, **change))
        append(connection, an_event(), SIGNER)
    return engine


@pytest.mark.parametrize("table", tables.APPEND_ONLY, ids=lambda table: table.name)
@pytest.mark.parametrize("verb", ["update", "delete", "truncate", "replace"])
def test_a_row_that_was_written_for_good_is_neither_changed_nor_removed(full: Engine, table: Table, verb: str) -> None:
    name, first = table.name, table.primary_key.columns.keys()[0]
    sqlite = full.dialect.name == "sqlite"
    statement = {
        "update": f"UPDATE {name} SET {first} = {first}",
        "delete": f"DELETE FROM {name}",
        "truncate": f"TRUNCATE {name} CASCADE" if not sqlite else f"DELETE FROM {name} WHERE true",
        "replace": f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}"
        if sqlite
        else f"UPDATE {name} SET {first} = ''",
    }[verb]
    with reading(full) as connection:
        before = connection.execute(table.select()).all()
    assert before

    if verb == "replace" and sqlite and table.info.get(tables.REPEATABLE):
        with writing(full) as connection:
            connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")  # as any other client has it
            connection.exec_driver_sql(statement)
    else:
        refusal = pytest.raises(DBAPIError, match=rf"rows of {name} are never changed or removed|invalid input syntax")
        with refusal, writing(full) as connection:
            connection.exec_driver_sql(statement)

    with reading(full) as connection:
        assert connection.execute(table.select()).all() == before


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    engine = open_engine(database.url)
    with writing(engine) as connection:
        append(connection, an_event(), SIGNER)
    upgrade(database.url)
    upgrade_vault(database.vault_url)
    assert exists(database.url)
    assert is_current(engine)
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT seq FROM audit_head").scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("place", ["sqlite_url", "postgres_url"])
def test_several_processes_may_make_the_database_at_once(place: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(place)
    assert not exists(url)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upgrade, [url] * 3))
    engine = open_engine(url)
    assert is_current(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE alembic_version", "holds no schema yet: run `medflow db upgrade`"),
        ("UPDATE alembic_version SET version_num = 'f00d'", "does not know: update medflow"),
    ],
)
def test_a_database_of_another_shape_is_refused_with_advice(engine: Engine, change: str, said: str) -> None:
    check_current(engine)
    with writing(engine) as connection:
        connection.execute(text(change))
    with pytest.raises(ConfigurationError, match=said):
        check_current(engine)
    assert not is_current(engine)


def test_a_newer_schema_and_the_other_database_are_not_upgraded(database: Database) -> None:
    with pytest.raises(ConfigurationError, match=r"schema \(main_0004\) .* are not one"):
        upgrade_vault(database.url)
    with pytest.raises(ConfigurationError, match=r"schema \(vault_0002\) .* are not one"):
        upgrade(database.vault_url)


def test_an_empty_database_is_refused_with_advice(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with pytest.raises(ConfigurationError, match="run `medflow db upgrade`"):
        check_current(engine, vault=True)
    engine.dispose()


def test_a_database_of_an_older_shape_is_refused_with_advice(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_current(engine)
    newer = tmp_path / "newer" / "medflow_schemas"
    shutil.copytree(SCHEMAS, newer)
    later = newer / "migrations" / "main" / "versions" / "9999_later.py"
    later.write_text("revision, down_revision = 'main_9999', 'main_0004'\ndef upgrade(): pass\n")
    monkeypatch.syspath_prepend(newer.parent)
    monkeypatch.delitem(sys.modules, "medflow_schemas", raising=False)

    with pytest.raises(ConfigurationError, match=r"older schema \(main_0004\): run `medflow db upgrade`"):
        check_current(engine)
    upgrade(engine.url.render_as_string(hide_password=False))
    check_current(engine)
