"""Stages: every change is a row, there is one active version at most, and the past can be asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, update
from sqlalchemy.exc import DBAPIError

from medflow.domain.model import Stage
from medflow.store import stages, tables
from medflow.store.engine import open_engine, reading, writing
from medflow.store.models import models, save_model
from medflow.store.runs import open_run
from tests.conftest import Database
from tests.store.made import CODE, NOON, a_house, a_model, a_run

FIRST, SECOND, THIRD = (a_model(version=number, seed=number) for number in (1, 2, 3))
NAME = FIRST.name
VERSIONS = {1: FIRST, 2: SECOND, 3: THIRD}


@pytest.fixture
def house(engine: Engine) -> Engine:
    """A database with three versions of one model."""
    with writing(engine) as connection:
        a_house(connection)
        for model in (SECOND, THIRD):
            save_model(connection, model, ())
        for number in range(10):
            run = {"id": run_of(number), "kind": "promote", "source": "", "actor": "night", "code": CODE.digest}
            open_run(connection, **run, at=NOON)
    return engine


def run_of(number: int) -> str:
    return f"run_of_{number}"


def moved(
    connection: Connection, number: int, wanted: dict[int, Stage], *, undoes: str | None = None
) -> tuple[stages.StageChange, ...]:
    """Move versions in the run and in the hour of that number."""
    return stages.move(
        connection,
        NAME,
        {VERSIONS[version].id: stage for version, stage in wanted.items()},
        reason=f"reason {number}",
        run_id=run_of(number),
        at=NOON + timedelta(hours=number),
        undoes=undoes,
    )


def standing(engine: Engine) -> list[Stage]:
    with reading(engine) as connection:
        return [item.stage for item in models(connection, name=NAME)]


def test_a_new_active_version_takes_the_place_of_the_one_before_and_both_changes_are_rows(house: Engine) -> None:
    with writing(house) as connection:
        moved(connection, 1, {1: Stage.ACTIVE})
        done = moved(connection, 2, {2: Stage.ACTIVE, 1: Stage.RETIRED})

    assert standing(house) == [Stage.RETIRED, Stage.ACTIVE, Stage.CANDIDATE]
    with reading(house) as connection:
        assert stages.history(connection, name=NAME)[1:] == done
        assert stages.history(connection, model_id=SECOND.id) == done[1:]
    assert [(one.number, one.former, one.stage) for one in done] == [
        (2, Stage.ACTIVE, Stage.RETIRED),
        (3, Stage.CANDIDATE, Stage.ACTIVE),
    ]


def test_who_stands_there_already_makes_no_row(house: Engine) -> None:
    with writing(house) as connection:
        moved(connection, 1, {1: Stage.SHADOW})

        assert moved(connection, 2, {1: Stage.SHADOW}) == ()


def test_the_active_version_of_any_instant_is_told(house: Engine) -> None:
    with writing(house) as connection:
        moved(connection, 1, {1: Stage.ACTIVE})
        moved(connection, 2, {2: Stage.ACTIVE, 1: Stage.RETIRED})
        moved(connection, 4, {2: Stage.CANDIDATE, 1: Stage.ACTIVE}, undoes=run_of(2))
        moved(connection, 6, {1: Stage.RETIRED})
    expected = {0.5: None, 1.0: 1, 1.5: 1, 2.0: 2, 3.5: 2, 4.0: 1, 5.5: 1, 6.0: None, 6.5: None}

    with reading(house) as connection:
        told = {hour: stages.active_at(connection, NOON + timedelta(hours=hour)).get(NAME) for hour in expected}

    ids = {hour: None if version is None else VERSIONS[version].id for hour, version in expected.items()}
    assert {hour: None if change is None else change.model_id for hour, change in told.items()} == ids


def test_what_was_taken_back_is_not_what_is_taken_back_next(house: Engine) -> None:
    with writing(house) as connection:
        assert stages.last_act(connection, NAME) == ()
        first = moved(connection, 1, {1: Stage.ACTIVE})
        second = moved(connection, 2, {2: Stage.ACTIVE, 1: Stage.RETIRED})
        assert stages.last_act(connection, NAME) == second
        moved(connection, 3, {2: Stage.CANDIDATE, 1: Stage.ACTIVE}, undoes=run_of(2))
        assert stages.last_act(connection, NAME) == first
        moved(connection, 4, {1: Stage.CANDIDATE}, undoes=run_of(1))
        assert stages.last_act(connection, NAME) == ()
        again = moved(connection, 5, {2: Stage.ACTIVE})

        assert stages.last_act(connection, NAME) == again


ACTS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([Stage.SHADOW, Stage.ACTIVE, Stage.RETIRED])), max_size=8)


@given(acts=ACTS)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_taking_everything_back_leads_to_where_it_began_whatever_was_done(
    sqlite_engine: Engine, acts: list[tuple[int, Stage]]
) -> None:
    with writing(sqlite_engine) as connection:
        seed = len(models(connection))
        name = f"model {seed}"
        known = [a_model(name, version=number, seed=seed + number) for number in (1, 2, 3)]
        for step in range(2 * len(acts) + 1):
            a_run(connection, f"{name} {step}")
        for model in known:
            save_model(connection, model, ())
        for step, (version, stage) in enumerate(acts):
            active = [one.model.id for one in stages.hold(connection, name) if one.stage is Stage.ACTIVE]
            leaving = dict.fromkeys(active, Stage.RETIRED) if stage is Stage.ACTIVE else {}
            wanted = leaving | {known[version - 1].id: stage}
            stages.move(connection, name, wanted, reason="on", run_id=f"{name} {step}", at=NOON)
            assert [item.stage for item in models(connection, name=name)].count(Stage.ACTIVE) <= 1

        step = len(acts)
        while act := stages.last_act(connection, name):
            back = {change.model_id: change.former for change in act}
            stages.move(connection, name, back, reason="off", run_id=f"{name} {step}", at=NOON, undoes=act[0].run)
            step += 1

        assert {item.stage for item in models(connection, name=name)} == {Stage.CANDIDATE}


def test_no_row_is_changed_or_removed(house: Engine) -> None:
    with writing(house) as connection:
        moved(connection, 1, {1: Stage.ACTIVE})

    for statement in (update(tables.stage_change).values(reason="another"), delete(tables.stage_change)):
        with pytest.raises(DBAPIError, match="never changed or removed"), writing(house) as connection:
            connection.execute(statement)


@pytest.fixture
def other(house: Engine, database: Database) -> Iterator[Engine]:
    """Another process on the same database."""
    assert house is not None
    opened = open_engine(database.url)
    yield opened
    opened.dispose()


def test_two_promotions_at_once_leave_one_active_version(house: Engine, other: Engine) -> None:
    def promote(engine: Engine, number: int, version: int) -> None:
        with writing(engine) as connection:
            active = [item.model.version for item in stages.hold(connection, NAME) if item.stage is Stage.ACTIVE]
            moved(connection, number, dict.fromkeys(active, Stage.RETIRED) | {version: Stage.ACTIVE})

    with ThreadPoolExecutor(2) as pool:
        for number in (1, 3, 5):
            at_once = ((house, number, 2 + number // 4), (other, number + 1, 1))
            list(pool.map(lambda work: promote(*work), at_once))

    assert sorted(standing(house)).count(Stage.ACTIVE) == 1
    with reading(house) as connection:
        numbers = [change.number for change in stages.history(connection, name=NAME)]
    assert numbers == list(range(1, len(numbers) + 1))
