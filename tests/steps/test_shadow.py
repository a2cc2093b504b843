"""Facts about nights with a shadow: it scores beside the one that speaks, and nobody is told what it said."""

from pathlib import Path

import pytest

from medflow.domain.model import Stage
from medflow.domain.task import Task
from medflow.errors import IntegrityError
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.models import listed as registered
from medflow.steps.predictions import listed
from medflow.steps.promotion import promote, retire
from medflow.steps.score import score
from tests.steps.conftest import EXPORT
from tests.steps.enrolled import enrolled, measured, tiny
from tests.steps.exports import write_series

SERIES = 3


@pytest.fixture
def task(ball_task: Task) -> Task:
    """A task that is scored at once."""
    return tiny(ball_task)


@pytest.fixture
def night(any_house: House, task: Task, tmp_path: Path) -> House:
    """A house with three series, an active version and a shadow."""
    arrive(any_house, tmp_path, SERIES)
    for seed in (1, 2):
        measured(any_house, enrolled(any_house, task, seed=seed))
    promote(any_house, "ball", 1, reason="first")
    promote(any_house, "ball", 2, reason="to be watched", to=Stage.SHADOW)
    return any_house


def arrive(house: House, tmp_path: Path, series: int) -> None:
    for number in range(series):
        write_series(tmp_path / "export" / str(number), patient=f"PAT-{number:03d}")
    ingest(house, tmp_path / "export", source=EXPORT)


def said(house: House, *, shadow: bool = False) -> list[tuple[int, str | None]]:
    """Give version and stage of what was said."""
    return sorted((one.model.version, one.prediction.stage) for one in listed(house, shadow=shadow))


def test_a_shadow_scores_every_series_and_is_neither_counted_nor_listed_with_what_is_delivered(night: House) -> None:
    report = score(night)

    assert (report.models, report.scored) == (("ball:1",), SERIES)
    assert (report.shadow["models"], report.shadow["scored"]) == (["ball:2"], SERIES)
    assert said(night) == [(1, "active")] * SERIES
    assert said(night, shadow=True) == [(1, "active")] * SERIES + [(2, "shadow")] * SERIES


def test_a_second_night_scores_nothing_twice(night: House) -> None:
    score(night)

    report = score(night)

    assert (report.scored, report.already) == (0, SERIES)
    assert (report.shadow["scored"], report.shadow["already"]) == (0, SERIES)


def test_what_was_said_as_a_shadow_stays_undelivered_when_the_shadow_becomes_active(
    night: House, tmp_path: Path
) -> None:
    score(night)
    promote(night, "ball", 2, reason="as good by day")
    arrive(night, tmp_path, SERIES + 1)

    report = score(night)

    assert (report.models, report.scored, report.already) == (("ball:2",), 1, SERIES)
    assert said(night) == [(1, "active")] * SERIES + [(2, "active")]
    assert len(said(night, shadow=True)) == 2 * SERIES + 1


def test_a_candidate_scores_where_nobody_is_active_and_a_retired_one_never(
    any_house: House, task: Task, tmp_path: Path
) -> None:
    arrive(any_house, tmp_path, 1)
    enrolled(any_house, task, seed=1)
    enrolled(any_house, task, seed=2)
    retire(any_house, "ball", 2, reason="a mistake")

    report = score(any_house)

    assert (report.models, report.shadow) == (("ball:1",), {})
    assert said(any_house) == [(1, "candidate")]


def test_a_shadow_alone_delivers_nothing(any_house: House, task: Task, tmp_path: Path) -> None:
    arrive(any_house, tmp_path, 1)
    measured(any_house, enrolled(any_house, task))
    promote(any_house, "ball", 1, reason="to be watched", to=Stage.SHADOW)

    report = score(any_house)

    assert (report.models, report.scored, report.shadow["scored"]) == ((), 0, 1)
    assert said(any_house) == []


def test_a_damaged_shadow_does_not_keep_the_active_version_from_speaking(night: House) -> None:
    weights = night.models / registered(night)[1].model.folder / "models" / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")

    with pytest.raises(IntegrityError, match=r"model ball 2: models/model\.safetensors"):
        score(night)

    assert said(night, shadow=True) == [(1, "active")] * SERIES


def test_a_shadow_that_is_asked_for_by_name_stays_a_shadow(night: House) -> None:
    report = score(night, "ball:2")

    assert (report.models, report.shadow["scored"]) == ((), SERIES)
    assert said(night) == []
