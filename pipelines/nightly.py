"""The flow `nightly`: take in what is new, score it, remove what is kept too long, verify the audit chain, report."""

from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from medflow.settings import Settings
from medflow.steps.house import House
from pipelines.edge import AGAIN, Name, Stopped, at_work, worth_another_try
from pipelines.ingest import ingest_source
from pipelines.score import score_new

QUIET = 60.0
"""Seconds without a change after which a series counts as complete; what still arrives is the next night's."""


@task(
    name="verify-chain",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=len(AGAIN),  # safe: it only reads
    retry_delay_seconds=AGAIN,
    retry_condition_fn=worth_another_try,
)
def verify_chain() -> dict[str, int]:
    """Walk the audit chain; give back its length and the number of faults."""
    from medflow.steps.audit import verify

    def work(_: Settings, house: House) -> dict[str, int]:
        report = verify(house)
        return {"rows": report.rows, "faults": len(report.faults)}

    return at_work("verify", work)


@task(
    name="enforce-retention",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=len(AGAIN),  # safe: what is gone already is not found again
    retry_delay_seconds=AGAIN,
    retry_condition_fn=worth_another_try,
)
def enforce_retention() -> dict[str, Any]:
    """Remove what is kept longer than the settings allow; give back counts."""
    from medflow.steps.retention import retention

    def work(settings: Settings, house: House) -> dict[str, Any]:
        record = retention(house, settings.keep()).record()
        return {name: value for name, value in record.items() if name != "dry_run"}

    return at_work("retention", work)


@flow(name="nightly", persist_result=False)
def nightly(source: Name = "export") -> dict[str, Any]:
    """Do the night's work on `source`. A part that fails keeps no other from being done; the run fails at its end."""
    done = {
        "ingest": outcome(ingest_source(source, QUIET, return_state=True)),
        "score": outcome(score_new(None, return_state=True)),
        "retention": outcome(enforce_retention(return_state=True)),
        "audit": outcome(verify_chain(return_state=True)),
    }
    create_markdown_artifact(key="nightly", markdown=report(done), description="What the night did: counts only.")
    wrong = faults(done)
    get_run_logger().info("night done: %s", ", ".join(wrong) or "nothing went wrong")
    if wrong:
        raise Stopped(f"nightly: {', '.join(wrong)}")
    return done


def outcome(state: State[Any]) -> Any:  # noqa: ANN401  (counts, None, or the code of what went wrong)
    """Take a part's counts, or the error that stands for its code."""
    return state.result(raise_on_failure=False)


def faults(done: Mapping[str, Any]) -> list[str]:
    """Name the parts that failed, models that must be trained again, and a chain that does not hold."""
    failed = [str(result) for result in done.values() if isinstance(result, BaseException)]
    broken = isinstance(done["audit"], dict) and done["audit"]["faults"]
    outdated = done["score"]["outdated"] if isinstance(done["score"], dict) else []
    aged = [f"train again: {', '.join(outdated)}"] if outdated else []
    return [*failed, *aged, *(["the audit chain is broken"] if broken else [])]


def report(done: Mapping[str, Any]) -> str:
    """Write the night's counts as Markdown."""
    lines = ["# medflow: the night's work", "", "| part | count | |", "|---|---|---|"]
    for part, result in done.items():
        if isinstance(result, BaseException):
            lines.append(f"| {part} | **failed** | {result} |")
        elif result is None:
            lines.append(f"| {part} | nothing to do | no model was trained yet |")
        else:
            lines += [f"| {part} | {name} | {count} |" for name, count in counts(result)]
    return "\n".join(lines) + "\n"


def counts(result: Mapping[str, Any], above: str = "") -> list[tuple[str, int | str]]:
    """Give the numbers of a report by name, nested names joined, and the run's id."""
    found: list[tuple[str, int | str]] = []
    for name, value in result.items():
        if isinstance(value, Mapping):
            found += counts(value, f"{above}{name} ")
        elif isinstance(value, int) or name == "run":
            found.append((f"{above}{name}", value))
    return found
