"""What the database holds, in numbers."""

from sqlalchemy import Engine

from medflow.domain.series import FileState
from medflow.errors import Reason
from medflow.store.audit import append
from medflow.store.engine import reading, writing
from medflow.store.predictions import save_prediction
from medflow.store.runs import FileRow, save_files
from medflow.store.status import status
from tests.store.made import RUN, SIGNER, a_house, a_prediction, an_event


def test_an_empty_database_counts_nothing(engine: Engine) -> None:
    with reading(engine) as connection:
        counted = status(connection)
    assert (counted.files, counted.series, counted.runs, counted.predictions, counted.events) == ({}, {}, {}, 0, 0)


def test_rows_are_counted_by_state(engine: Engine) -> None:
    with writing(engine) as connection:
        series, model = a_house(connection)
        empty = FileRow(file_key="f", size=0, mtime_ns=0, state=FileState.QUARANTINED, reason=Reason.EMPTY_FILE)
        save_files(connection, RUN, [empty])
        save_prediction(connection, a_prediction(series, model))
        append(connection, an_event(), SIGNER)
    with reading(engine) as connection:
        counted = status(connection)

    assert (counted.files, counted.reasons) == ({"quarantined": 1}, {"empty-file": 1})
    assert counted.completeness == {"unjudged": 1}
    assert (counted.series, counted.modalities, counted.patients) == ({"accepted": 1}, {"CT": 1}, 1)
    assert (counted.models, counted.predictions, counted.withheld) == ({"candidate": 1}, 1, 0)
    assert (counted.runs, counted.jobs, counted.labels, counted.events) == ({"open": 1}, {}, 0, 1)
