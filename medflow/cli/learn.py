"""The verb that learns: train."""

from pathlib import Path
from typing import Annotated

import typer

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import print_json, progress


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("train")(train)


def train(
    task: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="Task file; see pipelines/tasks for examples.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train a task on what was taken in and labelled, and register the model version.

    Example: medflow train pipelines/tasks/chest_ct_nodule.yaml
    """
    from medflow.cli.show import show_training
    from medflow.learning.task_file import read_task
    from medflow.steps.train import train as step

    wanted = read_task(task)
    _, house = opened(data_dir)
    with progress() as bars:
        report = step(house, wanted, progress=bars)
    if as_json:
        print_json("train", report.record())
    else:
        show_training(report)
