"""The verb that shows which series of each study a task takes: select."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.data import DataDir, Json, finish, opened
from medflow.cli.screen import out, print_json, print_table, progress

if TYPE_CHECKING:
    from medflow.steps.candidates import Candidate, Study


def register(app: typer.Typer) -> None:
    """Add this verb to `medflow`."""
    app.command("select")(select)


def select(
    task: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="Task file; see pipelines/tasks for examples.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List which series of each study a task takes, and which rules the others fail; nothing is written or scored.

    Example: medflow select pipelines/tasks/chest_ct_nodule.yaml
    """
    from medflow.learning.task_file import read_task
    from medflow.steps.candidates import look

    wanted = read_task(task)
    _, house = opened(data_dir, writing=False)
    with progress() as bars:
        found = look(house, wanted, bars)
    if as_json:
        print_json("select", found.record())
    else:
        show_studies(found.studies)
    finish(clean=not any(study.selection.reason and not study.foreign for study in found.studies))


def show_studies(studies: "tuple[Study, ...]") -> None:
    """Draw each study with its series: taken, or the rules that they fail; studies of other modalities as a number."""
    asked = [study for study in studies if not study.foreign]
    print_table(
        f"{len(asked)} studies",
        ("study", "series", "slices", "taken", "fails", "completeness"),
        [
            (study.selection.study[-12:], one.row.id[:16], one.row.slices, *_said(study, one), one.row.completeness)
            for study in asked
            for one in study.candidates
        ],
    )
    if len(asked) < len(studies):
        out.print(f"{len(studies) - len(asked)} studies hold no series of the task's modality")


def _said(study: "Study", one: "Candidate") -> tuple[str, str]:
    """Say whether a series is taken, and if not what it fails: a rule, or the choice among those that pass."""
    if one.row.id in study.selection.chosen:
        return "yes", ""
    return "no", ", ".join(one.failed) or str(study.selection.reason)
