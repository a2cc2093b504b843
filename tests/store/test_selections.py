"""Rows of selections: one for each look at the same candidates, and another where the candidates changed."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from medflow.errors import Reason
from medflow.store import tables
from medflow.store.engine import reading, writing
from medflow.store.selections import known_selections, save_selection, selections
from tests.store.made import NOON, RUN, a_house, a_selection, hexed


def test_the_same_candidates_make_one_row_and_others_another(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
        first = a_selection(series)
        changed = replace(first, failures={**first.failures, "ser_late": ("modality",)})

        assert [save_selection(connection, one, run_id=RUN, at=NOON) for one in (first, first, changed)] == [
            True, False, True,
        ]  # fmt: skip
        assert connection.scalar(select(func.count()).select_from(tables.selection)) == 2
        assert known_selections(connection, [first.id, "sel_other"]) == {first.id}


@pytest.mark.parametrize("chosen", [True, False])
def test_what_was_written_is_read(engine: Engine, chosen: bool) -> None:  # noqa: FBT001
    with writing(engine) as connection:
        series, _ = a_house(connection)
        written = a_selection(series, chosen=chosen)
        save_selection(connection, written, run_id=RUN, at=NOON)

    with reading(engine) as connection:
        assert selections(connection, task_digest=hexed("task"), study=series.study) == (written,)
        assert selections(connection, study="2.25.0") == ()


def test_a_row_takes_a_series_or_says_why_none(engine: Engine) -> None:
    with writing(engine) as connection:
        series, _ = a_house(connection)
    both = replace(a_selection(series), reason=Reason.SEVERAL_SERIES)

    with pytest.raises(DBAPIError), writing(engine) as connection:
        save_selection(connection, both, run_id=RUN, at=NOON)
