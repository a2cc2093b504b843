"""Facts about comparisons: pairs only, known patients aside, and differences that were put there are found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from medflow.domain.digests import instant
from medflow.domain.model import Model
from medflow.domain.prediction import Prediction, Runtime
from medflow.domain.task import Task
from medflow.errors import ConfigurationError
from medflow.steps.compare import compare
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.models import listed, read_instant
from medflow.store.engine import reading, writing
from medflow.store.predictions import save_prediction
from medflow.store.series import SeriesRow, accepted_series
from tests.steps.conftest import EXPORT
from tests.steps.enrolled import ONE, enrolled, tiny
from tests.steps.exports import write_cohort, write_series

SERIES = 6
CLASSES = ("dull", "bright")


@pytest.fixture
def task(ball_task: Task) -> Task:
    """The balls, dull and bright."""
    return tiny(ball_task)


@pytest.fixture
def compared(house: House, task: Task, tmp_path: Path) -> House:
    """A house with six labelled series, one that nobody labelled, and two versions of a model."""
    table = write_cohort(tmp_path / "export", SERIES)
    write_series(tmp_path / "export" / "more", patient="PAT-900")
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    for seed in (1, 2):
        enrolled(house, task, seed=seed, examples=())
    return house


def series_of(house: House) -> list[SeriesRow]:
    """Give the labelled series, dull and bright by turns, then the one without a label."""
    names = [f"PAT-{number:03d}" for number in range(SERIES)] + ["PAT-900"]
    order = [house.pseudonyms.patient_of_id(name) for name in names]
    with reading(house.engine) as connection:
        return sorted(accepted_series(connection), key=lambda row: order.index(row.patient))


def say(house: House, model: Model, likely: Mapping[int, float] | Sequence[float]) -> None:
    """Let a model give probabilities of the finding about series, by their place."""
    given = likely if isinstance(likely, Mapping) else dict(enumerate(likely))
    rows = series_of(house)
    with writing(house.engine) as connection:
        for place, value in given.items():
            row = rows[place]
            assert row.patient is not None
            prediction = Prediction(
                subject=row.uid,
                patient=row.patient,
                series_id=row.id,
                series_digest=row.series_digest or "",
                layout_digest="2" * 64,
                input_digest=f"{place}" * 64,
                model_id=model.id,
                model_digest=model.model_digest,
                grid_digest=model.grid_digest,
                generation=0,
                classes=CLASSES,
                probabilities=(1 - value, value),
                label=CLASSES[value >= 0.5],
                withheld=None,
                code=house.code.digest,
                runtime=Runtime(device="cpu", capability="none", threads=1, batch=1, dtype="float32"),
                at=house.now(),
                stage="active",
            )
            assert save_prediction(connection, prediction)


def versions(house: House) -> tuple[Model, Model]:
    first, second = (row.model for row in listed(house))
    return first, second


def test_a_difference_that_was_put_there_is_found_with_its_limits(compared: House) -> None:
    first, second = versions(compared)
    say(compared, first, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8])
    say(compared, second, [0.2, 0.7, 0.3, 0.8, 0.6, 0.9])

    found = compare(compared, "ball:1", "ball:2")

    assert (found.pairs, found.patients, found.labelled) == (SERIES, SERIES, SERIES)
    assert found.agreement == pytest.approx(5 / 6)
    assert found.differences["bright"]["mean"] == pytest.approx(-(5 * 0.1 + 0.3) / 6)
    spread = 1.96 * 0.0816496580927726
    assert found.differences["bright"]["high"] - found.differences["bright"]["mean"] == pytest.approx(spread)
    assert found.differences["dull"]["mean"] == pytest.approx(-found.differences["bright"]["mean"])
    assert found.against_truth


def test_only_what_both_said_is_compared_and_an_unlabelled_series_has_no_truth(compared: House) -> None:
    first, second = versions(compared)
    say(compared, first, {0: 0.1, 1: 0.9, 6: 0.5})
    say(compared, second, {1: 0.9, 2: 0.4, 6: 0.25})

    found = compare(compared, "ball:1", "ball:2")

    assert (found.pairs, found.labelled) == (2, 1)
    assert found.differences["bright"]["mean"] == pytest.approx(0.125)


def test_models_that_share_no_series_have_nothing_to_compare(compared: House) -> None:
    first, second = versions(compared)
    say(compared, first, {0: 0.1})
    say(compared, second, {1: 0.1})

    found = compare(compared, "ball:1", "ball:2")

    assert (found.pairs, found.agreement, found.differences, found.against_truth) == (0, None, {}, None)


def test_patients_of_either_cohort_are_left_out_and_counted_unless_asked_for(compared: House, task: Task) -> None:
    first, _ = versions(compared)
    known = replace(ONE, patient=str(series_of(compared)[0].patient))
    model = enrolled(compared, task, seed=3, examples=(known,))
    say(compared, first, [0.1, 0.9])
    say(compared, model, [0.2, 0.8])

    found = compare(compared, "ball:1", "ball:3")
    whole = compare(compared, "ball:1", "ball:3", trained_on=True)

    assert (found.pairs, found.trained_on, found.left_out) == (1, 1, True)
    assert (whole.pairs, whole.trained_on, whole.left_out) == (2, 1, False)
    assert found.differences["bright"]["mean"] == pytest.approx(0.1)


def test_since_keeps_what_both_said_from_then_on(compared: House) -> None:
    first, second = versions(compared)
    say(compared, first, {0: 0.1})
    say(compared, second, {0: 0.2})
    moment = read_instant(instant(compared.now()))
    say(compared, first, {1: 0.1})
    say(compared, second, {1: 0.4})

    found = compare(compared, "ball:1", "ball:2", since=moment)

    assert found.pairs == 1
    assert found.differences["bright"]["mean"] == pytest.approx(-0.3)


def test_versions_that_cannot_be_compared_are_refused(compared: House, ball_task: Task) -> None:
    other = tiny(ball_task)
    enrolled(compared, replace(other, name="other", labels=replace(other.labels, classes=("no", "yes"))), examples=())

    with pytest.raises(ConfigurationError, match="two different versions"):
        compare(compared, "ball:1", "ball:1")
    with pytest.raises(ConfigurationError, match="different outputs"):
        compare(compared, "ball:1", "other:1")
