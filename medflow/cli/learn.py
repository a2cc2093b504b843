"""The verb that learns: train."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import Shown, err, print_json, say
from medflow.domain.cohort import Duplicates
from medflow.errors import ConfigurationError

if TYPE_CHECKING:
    from medflow.steps.cohort import Dealing


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("train")(train)


def train(
    task: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="Task file; see pipelines/tasks for examples.")],
    cohort: Annotated[str | None, typer.Option(metavar="ID", help="A frozen cohort; without it one is built.")] = None,
    split_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who stands in which part, as `medflow cohort build` takes it.")
    ] = None,
    duplicates: Annotated[Duplicates, typer.Option(help="What becomes of images of several patients.")] = (
        Duplicates.REFUSE
    ),
    reason: Annotated[str, typer.Option(help="Why duplicates may stay; it is audited.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Train with this seed [the task's].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was killed.")] = False,
    track: Annotated[str, typer.Option(metavar="NAMES", help="tensorboard, mlflow or both, with a comma.")] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train a task on what was taken in and labelled, and register the model version.

    On several GPUs, or processes of one machine: torchrun --nproc-per-node 2 -m medflow train TASK.yaml

    Example: medflow train pipelines/tasks/chest_ct_nodule.yaml
    """
    from dataclasses import replace

    from medflow.cli.show import show_training
    from medflow.learning.task_file import read_task
    from medflow.steps.train import train as step

    wanted = read_task(task)
    if seed is not None:
        wanted = replace(wanted, schedule=replace(wanted.schedule, seed=seed))
    dealing = _dealing(cohort, split_file, duplicates, reason)
    trackers = [name.strip() for name in track.split(",") if name.strip()]
    _, house = opened(data_dir)
    with bars(wanted.schedule.epochs) as shown:
        report = step(
            house,
            wanted,
            cohort=cohort,
            dealing=dealing,
            resume=resume,
            trackers=trackers,
            progress=shown,
            shown=shown,
        )
    if not report.main:
        return
    if resume and report.new and report.model.metrics["training"]["resumed_from"] is None:
        say("nothing to go on from: no training of this task, cohort, seed and code was interrupted; it began anew")
    if as_json:
        print_json("train", report.record())
    else:
        show_training(report)


def _dealing(cohort: str | None, split_file: Path | None, duplicates: Duplicates, reason: str) -> "Dealing | None":
    """Say how to deal; None where a frozen cohort is named, which is dealt already."""
    from medflow.steps.cohort import Dealing

    if cohort is None:
        return Dealing(split_file=split_file, duplicates=duplicates, reason=reason)
    if split_file is not None or duplicates is not Duplicates.REFUSE or reason:
        raise ConfigurationError("--cohort names a cohort that is dealt already; leave out how to deal it")
    return None


class LearningBars(Shown):
    """Bars of the stages, and beside that of training the epoch and its loss as they come."""

    def __init__(self, shown: Bars, epochs: int) -> None:
        super().__init__(shown)
        self._shown, self._epochs, self._judged = shown, epochs, ""

    def step(self, **values: Any) -> None:  # noqa: ANN401
        """Show the epoch and the loss of its newest step."""
        self._say(f"training: epoch {values['epoch']} of {self._epochs}, loss {values['loss']:.3f}{self._judged}")

    def epoch(self, **values: Any) -> None:  # noqa: ANN401
        """Show what the epoch came to on the select part."""
        self._judged = f", select {values['validation_loss']:.3f} (best: epoch {values['best']})"
        self._say(f"training: epoch {values['epoch']} of {self._epochs}{self._judged}")

    def close(self) -> None:
        """Leave the bars as they are."""

    def _say(self, what: str) -> None:
        if self._stage is not None:
            self._shown.update(self._stage, description=what)


@contextmanager
def bars(epochs: int) -> Iterator[LearningBars]:
    """Show the bars of a training on stderr; nothing where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, disable=not err.is_terminal) as shown:
        yield LearningBars(shown, epochs)
