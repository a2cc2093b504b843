"""The registry: versions are written once, one is active, and a cohort comes out as it was frozen."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import StatementError

from medflow.domain.model import Example, Model, Stage
from medflow.domain.prediction import CodeVersion
from medflow.errors import StateError
from medflow.store import models
from medflow.store.engine import reading, writing
from medflow.store.models import (
    Registered,
    code_version,
    examples,
    model_row,
    next_version,
    save_code,
    save_model,
)
from medflow.store.stages import move
from tests.store.made import CODE, NOON, RUN, a_house, a_model, a_series, hexed


@pytest.fixture
def house(engine: Engine) -> Engine:
    """A database with one model version, `nodule:1`."""
    with writing(engine) as connection:
        a_house(connection)
    return engine


def cohort(number: int = 5) -> tuple[Example, ...]:
    return tuple(
        Example(
            patient=f"P{place}",
            series_id=a_series().id,
            subject="2.25.7",
            input_digest=hexed(f"input {place}"),
            layout_digest=hexed("layout"),
            label="yes",
            part=("train", "select", "test")[place % 3],
        )
        for place in range(number)
    )


def test_a_model_and_its_cohort_come_out_as_they_went_in(house: Engine) -> None:
    second = a_model(version=2, seed=2)
    with writing(house) as connection:
        assert next_version(connection, "nodule") == 2
        assert next_version(connection, "lesion") == 1
        assert save_model(connection, second, cohort())
        assert not save_model(connection, second, cohort())
    with reading(house) as connection:
        assert models.model(connection, "nodule", 2) == Registered(model=second, stage=Stage.CANDIDATE)
        assert model_row(connection, second.id[:12]).model.metrics == second.metrics
        assert examples(connection, second.id) == cohort()
        assert examples(connection, a_model().id) == ()
        assert [item.model.version for item in models.models(connection, name="nodule")] == [1, 2]


def test_two_models_do_not_share_a_name_and_version(house: Engine) -> None:
    with pytest.raises(StateError, match="another model is called nodule:1"), writing(house) as connection:
        save_model(connection, a_model(seed=2), ())


def test_without_a_number_the_active_version_is_meant_then_the_newest_candidate_then_a_shadow(house: Engine) -> None:
    first, second, third = a_model(), a_model(version=2, seed=2), a_model(version=3, seed=3)
    with writing(house) as connection:
        save_model(connection, second, ())
        assert models.model(connection, "nodule").model == second
        save_model(connection, third, (), stage=Stage.SHADOW)
        assert models.model(connection, "nodule").model == second
        stand(connection, first, Stage.ACTIVE)
        assert models.model(connection, "nodule").model == first
        stand(connection, first, Stage.RETIRED)
        stand(connection, second, Stage.RETIRED)
        assert models.model(connection, "nodule").model == third
    with reading(house) as connection:
        assert [item.model for item in models.models(connection, stage=Stage.SHADOW)] == [third]


def stand(connection: Connection, model: Model, stage: Stage) -> None:
    move(connection, model.name, {model.id: stage}, reason="a test", run_id=RUN, at=NOON)


def test_a_model_that_is_not_there_is_said(house: Engine) -> None:
    with writing(house) as connection:
        stand(connection, a_model(), Stage.RETIRED)
        with pytest.raises(StateError, match="no model nodule to use"):
            models.model(connection, "nodule")
        with pytest.raises(StateError, match="no model nodule:7 to use"):
            models.model(connection, "nodule", 7)
        assert models.model(connection, "nodule", 1).stage is Stage.RETIRED


def test_a_metric_that_is_no_number_is_refused_on_both_databases(house: Engine) -> None:
    with pytest.raises((StatementError, ValueError), match="JSON compliant"), writing(house) as connection:
        save_model(connection, replace(a_model(version=2, seed=2), metrics={"auc": float("nan")}), ())


def test_a_code_version_comes_out_as_it_went_in(house: Engine) -> None:
    with writing(house) as connection:
        assert save_code(connection, CODE) == CODE.digest
    with reading(house) as connection:
        assert code_version(connection, CODE.digest) == CODE
        with pytest.raises(StateError, match="no code version"):
            code_version(connection, CodeVersion(version="0", commit="", packages=()).digest)
