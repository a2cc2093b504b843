"""The flow `ingest`: take in what is new in a source, and score it at once where asked to."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from medflow.settings import Settings
from medflow.steps.house import House
from pipelines.edge import AGAIN, Name, at_work, shown, worth_another_try
from pipelines.score import score_new


@task(
    name="ingest-source",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=len(AGAIN),  # safe: what was taken in before is recognised
    retry_delay_seconds=AGAIN,
    retry_condition_fn=worth_another_try,
)
def ingest_source(source: str, quiet: float) -> dict[str, Any]:
    """Take in what is new in `source`; give back ids and counts."""
    from medflow.steps.ingest import ingest as step

    def work(settings: Settings, house: House) -> dict[str, Any]:
        folder = settings.source_folder(source)
        named = settings.source(folder, source, house)
        return step(house, folder, source=named, quiet=quiet, progress=shown()).record()

    return at_work("ingest", work)


@flow(name="ingest", persist_result=False)
def ingest(source: Name = "export", quiet: float = 0.0, and_score: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  (Prefect calls it by name)
    """Take in what is new in `source`, the name of a folder that the settings know.

    A series with a file younger than `quiet` seconds is left for the next run.
    """
    report = ingest_source(source, quiet)
    if and_score and report["series"]["new"]:
        score_new(None)
    return report
