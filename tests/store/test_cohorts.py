"""Facts about the rows of cohorts, openings and evaluations: they come out as they went in, and only once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from medflow.errors import StateError
from medflow.store.cohorts import cohort, cohort_of, cohorts, save_cohort
from medflow.store.engine import reading, writing
from medflow.store.evaluations import (
    evaluations,
    opened,
    openings,
    save_evaluation,
    save_opening,
)
from medflow.store.models import save_model
from tests.store.made import (
    NOON,
    RUN,
    a_cohort,
    a_house,
    a_member,
    a_model,
    a_series,
    an_evaluation,
    an_opening,
)


@pytest.fixture
def house(engine: Engine) -> Engine:
    with writing(engine) as connection:
        a_house(connection)
    return engine


def test_a_cohort_comes_out_as_it_went_in_and_is_written_once(house: Engine) -> None:
    series = a_series()
    first = a_cohort(a_member(series), a_member(series, part="train"))
    second = replace(first, members=first.members[:1], at=NOON + timedelta(seconds=1))
    with writing(house) as connection:
        assert save_cohort(connection, second, run_id=RUN)
        assert save_cohort(connection, first, run_id=RUN)
        assert not save_cohort(connection, replace(first, task="another", at=second.at), run_id=RUN)

    with reading(house) as connection:
        assert tuple(cohorts(connection)) == (first, second)
        assert cohort(connection, first.id[:14]) == cohort_of(connection, first.digest) == first
        assert cohort_of(connection, "0" * 64) is None
        with pytest.raises(StateError):
            cohort(connection, "coh_0000")


def test_a_model_opens_a_test_part_once_and_everyone_sees_how_often_it_was_opened(house: Engine) -> None:
    frozen, other = a_cohort(a_member(a_series())), a_model("other", seed=5)
    opening = an_opening(a_model(), frozen)
    with writing(house) as connection:
        save_model(connection, other, ())
        assert save_opening(connection, opening)
        assert not save_opening(connection, replace(opening, at=NOON + timedelta(days=1)))
        assert save_opening(connection, an_opening(other, frozen))

    with reading(house) as connection:
        assert opened(connection, opening.test_digest) == 2
        assert openings(connection, model_id=a_model().id) == (opening,)
        assert len(openings(connection, test_digest=opening.test_digest)) == 2


def test_an_evaluation_comes_out_as_it_went_in_and_is_written_once(house: Engine) -> None:
    frozen = a_cohort(a_member(a_series()))
    first, second = an_evaluation(a_model(), frozen), an_evaluation(a_model(), frozen, part="select")
    with writing(house) as connection:
        assert save_evaluation(connection, first)
        assert save_evaluation(connection, second)
        assert not save_evaluation(connection, replace(first, metrics={}))

    with reading(house) as connection:
        assert evaluations(connection, model_id=a_model().id, part="test") == (first,)
        assert len(evaluations(connection, cohort_digest=frozen.digest)) == 2
