"""Migrations: bring a database to the shape that this version of medflow expects, and tell whether it has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from medflow.errors import ConfigurationError, IntegrityError
from medflow.store.engine import (
    MODE,
    SETTING,
    connected,
    make_sqlite_file,
    open_engine,
    parsed,
    reading,
    sqlite_file,
)

VAULT_SETTING = "MEDFLOW_VAULT_URL"
MIGRATION_LOCK = 0x6D6564666C6F77
"""PostgreSQL advisory lock: one process migrates at a time."""
NAMES = {"main": "the database", "vault": "the vault's database"}


def upgrade(url: str) -> None:
    """Make the main database, or bring it up to date; where nothing is to be done nothing is."""
    _upgrade(url, "main", SETTING)


def upgrade_vault(url: str) -> None:
    """Make the vault's database, or bring it up to date."""
    _upgrade(url, "vault", VAULT_SETTING)


def exists(url: str, *, setting: str = SETTING) -> bool:
    """Tell whether a database of medflow's (of any version) stands behind the URL.

    Raises:
        ConfigurationError: a server cannot be reached, so that nobody can tell.
    """
    address = parsed(url, setting)
    if address.get_backend_name() == "sqlite" and not sqlite_file(address).exists():
        return False
    engine = open_engine(url, setting=setting)
    try:
        with reading(engine) as connection:
            return _revision(connection) is not None
    finally:
        engine.dispose()


def is_current(engine: Engine, *, vault: bool = False) -> bool:
    """Tell whether the database has the shape that this version expects."""
    with reading(engine) as connection:
        return _revision(connection) == _head("vault" if vault else "main")


def check_current(engine: Engine, *, vault: bool = False) -> None:
    """Refuse a database whose shape is not the one that this version expects, and say what to do.

    Raises:
        ConfigurationError: it cannot be reached, holds no schema, or an older, newer or foreign one.
    """
    folder = "vault" if vault else "main"
    name = NAMES[folder]
    with reading(engine) as connection:
        found = _revision(connection)
    if found is None:
        raise ConfigurationError(f"{name} holds no schema yet: run `medflow db upgrade`")
    with _scripts(folder) as scripts:
        _refuse_unknown(found, scripts, name)
    if found != _head(folder):
        raise ConfigurationError(f"{name} has an older schema ({found}): run `medflow db upgrade`")


def _refuse_unknown(found: str, scripts: Path, name: str) -> None:
    """Stop at a schema of a newer medflow, and at the other one of the two databases."""
    known = {script.revision for script in ScriptDirectory(str(scripts)).walk_revisions()}
    if found not in known:
        what = f"{name} has a schema ({found}) that this version of medflow does not know"
        raise ConfigurationError(f"{what}: update medflow, and see that main database and vault are not one")


def _upgrade(url: str, folder: str, setting: str) -> None:
    address = parsed(url, setting)
    if address.get_backend_name() == "sqlite":
        make_sqlite_file(sqlite_file(address), setting)
    engine = open_engine(url, setting=setting)
    try:
        with connected(engine) as connection, _scripts(folder) as scripts:
            _prepare(connection)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                found = _revision(connection)
                if found is not None:
                    _refuse_unknown(found, scripts, NAMES[folder])
                config = Config(attributes={"connection": connection})
                config.set_main_option("script_location", str(scripts).replace("%", "%%"))
                command.upgrade(config, "head")
                _check_references(connection)
    finally:
        engine.dispose()


def _prepare(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        driver = connection.connection.dbapi_connection
        if driver is not None:
            # neither can change inside a transaction; the first is kept, the second ends with the connection
            driver.cursor().execute("PRAGMA journal_mode = WAL")
            driver.cursor().execute("PRAGMA foreign_keys = OFF")  # a table that others name is changed by copying it
    connection.execution_options(**{MODE: "write"})


def _check_references(connection: Connection) -> None:
    """Make sure, with foreign keys off, that a migration left no row that names what is not there."""
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise IntegrityError("after the upgrade some rows would name others that are not there; nothing was changed")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def _head(folder: str) -> str | None:
    with _scripts(folder) as scripts:
        return ScriptDirectory(str(scripts)).get_current_head()


@contextmanager
def _scripts(folder: str) -> Iterator[Path]:
    """Find the migrations: in the installed package, or beside `medflow/` in a checkout that nobody installed."""
    try:
        package = files("medflow_schemas")
    except ModuleNotFoundError:
        yield Path(__file__).parents[2] / "schemas" / "migrations" / folder
        return
    with as_file(package / "migrations" / folder) as path:
        yield path
