"""Predictions: one row for each natural key, and probabilities to the last bit."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from medflow.domain.prediction import Prediction
from medflow.errors import StateError
from medflow.store import tables
from medflow.store.engine import reading, writing
from medflow.store.predictions import prediction, predictions, save_prediction, scored
from tests.store.made import NOON, a_house, a_model, a_prediction, a_series, undone

PARTS = st.floats(0, 1).map(abs)  # a probability is never -0.0


@pytest.fixture
def house(engine: Engine) -> Engine:
    """A database with a run, a series and a model."""
    with writing(engine) as connection:
        a_house(connection)
    return engine


def saved(engine: Engine, *made: Prediction) -> list[bool]:
    with writing(engine) as connection:
        return [save_prediction(connection, one) for one in made]


def test_scoring_a_series_twice_keeps_one_row(house: Engine) -> None:
    said = a_prediction(a_series(), a_model())
    assert saved(house, said, said) == [True, False]
    assert saved(house, replace(said, probabilities=(0.5, 0.5))) == [False]
    with reading(house) as connection:
        assert predictions(connection) == (said,)
        assert connection.scalar(select(func.count()).select_from(tables.probability)) == 2
        assert scored(connection, model_digest=said.model_digest) == {said.series_id}
        assert scored(connection, model_digest=said.model_digest, generation=1) == frozenset()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(probabilities=st.lists(PARTS, min_size=1, max_size=6))
def test_probabilities_keep_every_bit(house: Engine, probabilities: list[float]) -> None:
    said = a_prediction(a_series(), a_model(), probabilities=tuple(probabilities))
    with undone(house) as connection:
        assert save_prediction(connection, said)
        found = prediction(connection, said.id)
    assert [value.hex() for value in found.probabilities] == [value.hex() for value in said.probabilities]


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1, float("inf")])
def test_what_is_no_probability_is_refused_and_the_prediction_with_it(house: Engine, value: float) -> None:
    with pytest.raises(DBAPIError):
        saved(house, a_prediction(a_series(), a_model(), probabilities=(0.5, value)))
    with reading(house) as connection:
        assert predictions(connection) == ()


def test_predictions_are_filtered_and_the_newest_comes_first(house: Engine) -> None:
    first = a_prediction(a_series(), a_model())
    second = replace(a_prediction(a_series(), a_model(), generation=1), withheld="below-threshold")
    third = a_prediction(a_series(), a_model(), probabilities=(0.9, 0.1), generation=2)
    saved(house, first, second, third)

    with reading(house) as connection:
        assert predictions(connection) == (third, second, first)
        assert predictions(connection, limit=1) == (third,)
        assert predictions(connection, withheld=True) == (second,)
        assert predictions(connection, withheld=False, label="class 1") == (first,)
        assert predictions(connection, since=NOON + timedelta(seconds=1)) == (third, second)
        for name in ("model_id", "model_digest", "series_id", "subject", "patient"):
            same = {name: str(getattr(first, name))}
            assert len(predictions(connection, **same)) == 3  # type: ignore[arg-type]  # names of text filters
            assert predictions(connection, **{name: "x"}) == ()  # type: ignore[arg-type]  # names of text filters
        with pytest.raises(StateError, match="no prediction"):
            prediction(connection, "prd_nothing")
