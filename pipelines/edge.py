"""What crosses into Prefect, which keeps all it is told in the clear: names, ids, counts and codes."""

import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.tasks import Task
from pydantic import Field

from medflow.domain.progress import Progress
from medflow.errors import BatchError, ConfigurationError, IntegrityError, StateError
from medflow.settings import Settings, open_house, read_settings
from medflow.steps.house import House

T = TypeVar("T")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A source's or a task's name. A path is refused by Prefect's server before a run with it exists."""
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}(:[0-9]{1,9})?$")]
"""`NAME` or `NAME:VERSION`."""

CODES = {ConfigurationError: "configuration", StateError: "state", IntegrityError: "integrity"}

AGAIN = [2.0, 10.0]
"""Seconds before each further try of a step that may be tried again."""

watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)
"""Who looks on while a flow runs in this process; without one, stages are named in the run's log."""


class Stopped(Exception):
    """A step stopped, and another try would stop as well. Its text is a code."""


class Stumbled(Exception):
    """A step failed in a way nobody foresaw; what it left undone can be tried again. Its text is a code."""


class Logged:
    """Names each stage of a step in the log of the run."""

    def start(self, what: str, total: int | None) -> None:
        """Name the stage and the number of its parts."""
        get_run_logger().info("%s: %s", what, "?" if total is None else total)

    def advance(self, parts: int = 1) -> None:
        """Say nothing: a line for each part would drown the log."""


def shown() -> Progress:
    """Give the step of this run someone to tell how far it is."""
    return watcher.get() or Logged()


def at_work(step: str, work: Callable[[Settings, House], T]) -> T:
    """Open the house, do `work` in it, close it; whatever goes wrong leaves as a code.

    What the code stands for is told on this process's stderr, which Prefect does not keep.

    Raises:
        Stopped: the step raised BatchError.
        Stumbled: it raised anything else.
    """
    gone_wrong: Exception
    try:
        settings = read_settings()
        with closing(open_house(settings)) as house:
            return work(settings, house)
    except BatchError as error:
        tell(f"{step} stopped: {error}")
        gone_wrong = Stopped(f"{step}: {CODES.get(type(error), 'stopped')}")
    except Exception as error:  # noqa: BLE001  (its text may quote a header, and Prefect would keep it)
        last = traceback.extract_tb(error.__traceback__)[-1]
        tell(f"{step} failed: {type(error).__name__} in {last.name}, line {last.lineno}")
        gone_wrong = Stumbled(f"{step}: unexpected {type(error).__name__}")
    raise gone_wrong  # out here, where it does not carry the first error along as its context


def tell(message: str) -> None:
    """Tell the operator of this process something that Prefect shall not keep."""
    sys.stderr.write(f"medflow: {message}\n")


def worth_another_try(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry what nobody foresaw (a share that was away, a busy database), not what an operator has to mend."""
    return not isinstance(state.result(raise_on_failure=False), Stopped)
