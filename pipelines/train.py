"""The flow `train`: a task that the house knows by name becomes a model version."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from medflow.errors import ConfigurationError
from medflow.settings import Settings
from medflow.steps.house import House
from pipelines.edge import Name, at_work, shown

SHIPPED = Path(__file__).with_name("tasks")
"""Task files that ship with the project."""


def task_file(settings: Settings, name: str) -> Path:
    """Find the task file that `name` stands for.

    Raises:
        ConfigurationError: no task file has that name.
    """
    folder = settings.tasks_dir or SHIPPED
    known = {path.stem: path for path in folder.glob("*.yaml")}
    if name not in known:
        raise ConfigurationError(f"no task is named {name!r} (known: {', '.join(sorted(known)) or 'none'})")
    return known[name]


@task(name="train-task", persist_result=False, cache_policy=NO_CACHE)
def train_task(name: str, cohort: str | None, *, resume: bool) -> dict[str, Any]:
    """Train the task `name`; give back ids, counts and metrics."""
    from medflow.learning.task_file import read_task
    from medflow.steps.train import train as step

    def work(settings: Settings, house: House) -> dict[str, Any]:
        wanted = read_task(task_file(settings, name))
        return step(house, wanted, cohort=cohort, resume=resume, progress=shown()).record()

    return at_work("train", work)


@flow(name="train", persist_result=False)
def train(task: Name = "chest_ct_nodule", cohort: Name | None = None, resume: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
    """Train `task`, the name of a task file; the same task, cohort, seed and code are trained once.

    `cohort` is the id of a frozen one; without it the task's own is built. With `resume` a killed training goes on.
    """
    return train_task(task, cohort, resume=resume)
