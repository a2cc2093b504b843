"""Upgrades: a database that older code filled keeps every row, its references and its triggers."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from medflow.store.audit import append
from medflow.store.engine import open_engine, reading, writing
from medflow.store.schema import check_current, upgrade
from tests.store.made import SIGNER, an_event

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture(params=["sqlite", "postgresql"])
def first_shape(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as main_0001 left it, with a row in every table that main_0002 changes or that names one of them."""
    return older_shape(request, tmp_path, "0001", FIRST_ROWS)


@pytest.fixture(params=["sqlite", "postgresql"])
def second_shape(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as main_0002 left it, with a row in every table that main_0003 changes or that names one of them."""
    return older_shape(request, tmp_path, "0002", SECOND_ROWS)


@pytest.fixture(params=["sqlite", "postgresql"])
def third_shape(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as main_0003 left it, with a row in every table that main_0004 changes or that names one of them."""
    return older_shape(request, tmp_path, "0003", SECOND_ROWS)


def older_shape(request: pytest.FixtureRequest, tmp_path: Path, newest: str, rows: tuple[str, ...]) -> str:
    """Make a database with the migrations up to one, and fill it."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    older = tmp_path / "older" / "medflow_schemas"
    shutil.copytree(SCHEMAS, older)
    for path in (older / "migrations" / "main" / "versions").glob("*.py"):
        if path.name[:4] > newest:
            path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(older.parent)
        patch.delitem(sys.modules, "medflow_schemas", raising=False)
        upgrade(url)
    sys.modules.pop("medflow_schemas", None)
    engine = open_engine(url)
    with writing(engine) as connection:
        for statement in rows:
            connection.exec_driver_sql(statement)
        append(connection, an_event(), SIGNER)
    engine.dispose()
    return url


AT = "'2026-01-02T03:04:05.000006Z'"
OLD_SERIES = (
    "INSERT INTO series (id, patient, barred, study, uid, modality, state, reason, detail, source_digest,"
    " profile_digest, series_digest, record_digest, folder, source, slices, layouts, revision, superseded_by, run, at)"
    " VALUES ('{0}', 'P', false, 's', 'u', 'CT', '{1}', {2}, '', '{0}', 'p', 'd', 'r', 'f', 'export', 2, 1, {3}, {4},"
    f" 'run_1', {AT})"
)
FIRST_ROWS = (
    "INSERT INTO code_version VALUES ('c', '0.1.0', 'abc', '[]')",
    f"INSERT INTO run (id, kind, source, actor, code, state, opened) VALUES ('run_1', 'i', 'e', 'a', 'c', 'open',{AT})",
    OLD_SERIES.format("ser_2", "accepted", "NULL", 2, "NULL"),
    OLD_SERIES.format("ser_1", "superseded", "NULL", 1, "'ser_2'"),
    OLD_SERIES.format("ser_3", "refused", "'damaged-pixels'", 0, "NULL"),
    "INSERT INTO file VALUES ('f', 1, 2, 'accepted', NULL, '', 'ser_2', 'run_1', 'run_1')",
    f"INSERT INTO model VALUES ('mod_1', 'n', 1, 'active', 't', 'c', 1, 'c', 'm', 'g', 'f', '{{}}', {AT})",
    "INSERT INTO example VALUES ('mod_1', 0, 'P', 'ser_2', 'u', 'i', 'l', 'yes', 'train')",
    (
        "INSERT INTO prediction VALUES ('prd_1', 'u', 'P', 'ser_2', 'd', 'l', 'i', 'mod_1', 'm', 'g', 0, 'yes', NULL,"
        f" 'c', 'cpu', 'x', 1, 1, 'float32', {AT})"
    ),
    "INSERT INTO probability VALUES ('prd_1', 0, 'yes', 1.0)",
)
SECOND_ROWS = (
    *(row.replace(f"{AT})", f"{AT}, 'proven')") if "prd_1', 'u'" in row else row for row in FIRST_ROWS),
    f"INSERT INTO selection VALUES ('sel_1', 't', 's', 'c', 'every', 'ser_2', NULL, '', 1, '{{}}', 'run_1', {AT})",
    f"INSERT INTO job VALUES ('job_1', 'score', 'ser_2', 'm', 0, 'done', NULL, 1, {'NULL, ' * 4}{AT})",
    "UPDATE series SET completeness = 'proven', evidence = '[]' WHERE id = 'ser_2'",
)


def test_an_upgrade_keeps_every_row_of_the_first_shape(first_shape: str) -> None:
    names = ("series", "file", "example", "prediction", "probability", "audit", "audit_head", "run", "model")
    before = {name: rows_of(first_shape, name) for name in names}
    assert all(before.values())

    upgrade(first_shape)

    for name, rows in before.items():
        after = rows_of(first_shape, name)
        assert [{key: row[key] for key in rows[0]} for row in after] == rows
        assert all(row[key] is None for row in after for key in row.keys() - rows[0].keys())
    engine = open_engine(first_shape)
    check_current(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            OLD_SERIES.format("ser_4", "refused", "'planar-image'", 0, "NULL").replace("CT", "DX")
        )
    with pytest.raises(DBAPIError), writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM series WHERE id = 'ser_2'")
    with pytest.raises(DBAPIError, match="never changed"), writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM prediction")
    engine.dispose()


def test_an_upgrade_keeps_every_row_of_the_second_shape(second_shape: str) -> None:
    names = ("series", "file", "example", "prediction", "selection", "job", "audit", "audit_head", "run", "model")
    before = {name: rows_of(second_shape, name) for name in names}
    assert all(before.values())

    upgrade(second_shape)

    for name, rows in before.items():
        assert [{key: row[key] for key in rows[0]} for row in rows_of(second_shape, name)] == rows
    engine = open_engine(second_shape)
    check_current(engine)
    emptied = "state = 'erased', reason = 'patient-erased', folder = NULL, record_digest = NULL"
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE series SET {emptied} WHERE id = 'ser_1'")
    for wrong in ("state = 'erased'", "state = 'erased', reason = 'patient-erased'", "state = 'gone'"):
        with pytest.raises(DBAPIError), writing(engine) as connection:
            connection.exec_driver_sql(f"UPDATE series SET {wrong} WHERE id = 'ser_2'")
    with pytest.raises(DBAPIError), writing(engine) as connection:  # of one series one row stands
        connection.exec_driver_sql(OLD_SERIES.format("ser_5", "accepted", "NULL", 3, "NULL"))
    engine.dispose()


def test_an_upgrade_keeps_every_row_of_the_third_shape_and_when_a_model_was_active(third_shape: str) -> None:
    names = ("example", "prediction", "model", "audit", "audit_head")
    before = {name: rows_of(third_shape, name) for name in names}
    assert all(before.values())

    upgrade(third_shape)

    for name, rows in before.items():
        assert [{key: row[key] for key in rows[0]} for row in rows_of(third_shape, name)] == rows
    (change,) = rows_of(third_shape, "stage_change")
    assert (change["model_id"], change["former"], change["stage"]) == ("mod_1", "candidate", "active")
    engine = open_engine(third_shape)
    check_current(engine)
    example = "INSERT INTO example VALUES ('mod_1', {}, 'P', 'ser_2', 'u', 'i', 'l', 'yes', '{}')"
    with writing(engine) as connection:
        connection.exec_driver_sql(example.format(1, "calibrate"))
    for wrong in (example.format(2, "elsewhere"), "DELETE FROM example"):
        with pytest.raises(DBAPIError), writing(engine) as connection:
            connection.exec_driver_sql(wrong)
    engine.dispose()


def rows_of(url: str, name: str) -> list[dict[str, Any]]:
    """All rows of a table, in order."""
    engine = open_engine(url)
    with reading(engine) as connection:
        rows = [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()]
    engine.dispose()
    return sorted(rows, key=str)
