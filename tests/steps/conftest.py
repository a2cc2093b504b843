"""A house on real databases, with a clock that a test can read."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from medflow.deid.keys import new_key, write_new_key
from medflow.deid.series import Source
from medflow.domain.task import Task
from medflow.learning.task_file import read_task
from medflow.steps.house import House, KeyFiles, Outside, Places, open_house
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.train import train
from tests.conftest import Database
from tests.steps.exports import write_cohort, write_series

EXPORT = Source(name="export", site="north")

TASK = """\
name: ball
series: {modality: CT, body_parts: [CHEST], minimum_slices: 4}
unit: HU
grid: {axes: RAS, spacing: [4, 4, 1], shape: [32, 32, 32], crop: center, intensity: window,
       window: [-1000, 1000], padding: -1000, interpolation: linear, antialias: true}
network: {name: densenet121, dimensions: 3}
labels: {name: ball, level: patient, classes: [dull, bright]}
split: {train: 0.5, select: 0.25, test: 0.25, seed: 1}
schedule: {seed: 1, epochs: 1, batch_size: 4, learning_rate: 0.001}
"""


def outside() -> Outside:
    """A clock that moves a second at each look."""
    ticks = count()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Outside(
        actor="night",
        threads=2,
        now=lambda: start + timedelta(seconds=next(ticks)),
        token=lambda: uuid4().hex,
    )


def places(root: Path, database: Database) -> Places:
    """Name a house around a database, with keys of its own."""
    keys = KeyFiles(
        pseudonym=root / "keys" / "pseudonym.key", vault=root / "keys" / "vault.key", audit=root / "keys" / "audit.key"
    )
    if not (root / "keys").exists():
        (root / "keys").mkdir(parents=True)
        for _, path in keys.named():
            write_new_key(path, new_key())
    return Places(data=root, main_url=database.url, vault_url=database.vault_url, keys=keys)


@pytest.fixture
def open_again(tmp_path: Path, sqlite_database: Database) -> Iterator[Callable[[], House]]:
    """Opens the same house once more, as another process would."""
    with _opener(tmp_path / "data", sqlite_database) as another:
        yield another


@contextmanager
def _opener(root: Path, database: Database) -> Iterator[Callable[[], House]]:
    opened: list[House] = []

    def another() -> House:
        opened.append(open_house(places(root, database), outside()))
        return opened[-1]

    yield another
    for house in opened:
        house.close()


@pytest.fixture
def house(open_again: Callable[[], House]) -> House:
    """A house on SQLite."""
    return open_again()


@pytest.fixture
def any_house(tmp_path: Path, database: Database) -> Iterator[House]:
    """A house on SQLite, and one on PostgreSQL."""
    opened = open_house(places(tmp_path / "data", database), outside())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ball_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task that a tiny network learns from tiny series in seconds."""
    path = tmp_path_factory.mktemp("task") / "ball.yaml"
    path.write_text(TASK, encoding="utf-8")
    return read_task(path)


PATIENTS = 12


@pytest.fixture(scope="session")
def trained_folder(
    tmp_path_factory: pytest.TempPathFactory, sqlite_templates: tuple[Path, Path], ball_task: Task
) -> Path:
    """A house with twelve labelled patients, one that nobody labelled, and a model: made once, to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    table = write_cohort(folder / "export", PATIENTS)
    write_series(folder / "export" / "unlabelled", patient="PAT-900")
    for template in sqlite_templates:
        shutil.copy(template, folder / template.name)
    with _opener(folder / "data", _beside(folder)) as opened:
        house = opened()
        ingest(house, folder / "export", source=EXPORT)
        import_labels(house, table, source="reader", version="1")
        train(house, ball_task)
    return folder


@pytest.fixture
def trained_again(trained_folder: Path, tmp_path: Path) -> Iterator[Callable[[], House]]:
    """Opens a copy of the house that holds a model; its export lies beside it."""
    shutil.copytree(trained_folder, tmp_path, dirs_exist_ok=True)
    with _opener(tmp_path / "data", _beside(tmp_path)) as another:
        yield another


@pytest.fixture
def trained(trained_again: Callable[[], House]) -> House:
    """A house that holds a model."""
    return trained_again()


def _beside(folder: Path) -> Database:
    return Database("sqlite", f"sqlite:///{folder}/main.db", f"sqlite:///{folder}/vault.db")
