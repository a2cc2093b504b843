"""The flow `score`: judge the accepted series that a model wants and has not judged yet."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from medflow.settings import Settings
from medflow.steps.house import House
from pipelines.edge import AGAIN, ModelName, at_work, shown, worth_another_try


@task(
    name="score-series",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=len(AGAIN),  # safe: each series is claimed from the job table, and written once
    retry_delay_seconds=AGAIN,
    retry_condition_fn=worth_another_try,
)
def score_series(model: str | None) -> dict[str, Any]:
    """Score with `model`; give back ids and counts."""
    from medflow.steps.score import score as step

    def work(_: Settings, house: House) -> dict[str, Any]:
        return step(house, model, progress=shown()).record()

    return at_work("score", work)


@task(name="score-new", persist_result=False, cache_policy=NO_CACHE)
def score_new(model: str | None) -> dict[str, Any] | None:
    """Score with `model`; None where no model was trained yet, or all are retired, which is no fault of the night."""
    from medflow.domain.model import Stage
    from medflow.steps.models import listed

    def any_model(_: Settings, house: House) -> bool:
        return any(row.stage is not Stage.RETIRED for row in listed(house))

    return score_series(model) if at_work("score", any_model) else None


@flow(name="score", persist_result=False)
def score(model: ModelName | None = None) -> dict[str, Any]:
    """Score with `model` (`NAME` or `NAME:VERSION`); without one, with each name's active version and shadows."""
    return score_series(model)
