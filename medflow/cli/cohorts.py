"""The verbs for frozen cohorts: build, list, show."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import out, print_json, print_table, progress
from medflow.domain.cohort import Duplicates
from medflow.domain.task import Part
from medflow.errors import ConfigurationError

if TYPE_CHECKING:
    from medflow.domain.cohort import FrozenCohort, Member

cohort = typer.Typer(no_args_is_help=True, help="Frozen cohorts: who is learned from, and who is not.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.add_typer(cohort, name="cohort")


@cohort.command("build")
def build(
    task: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="Task file; see pipelines/tasks for examples.")],
    show: Annotated[bool, typer.Option("--show", help="Print series and patients by part, class and site.")] = False,
    split_file: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV: one key column, and `part`.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Build one cohort for each of so many folds.")] = None,
    leave_one_site_out: Annotated[
        bool, typer.Option("--leave-one-site-out", help="Build one cohort for each site, which is its test part.")
    ] = False,
    duplicates: Annotated[Duplicates, typer.Option(help="What becomes of images of several patients.")] = (
        Duplicates.REFUSE
    ),
    reason: Annotated[str, typer.Option(help="Why duplicates may stay; it is audited.")] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Deal the labelled patients of a task to train, select, calibrate and test, and freeze who stands where.

    Refused is what would leak: a patient, study or image, the same or nearly, on two sides.

    Example: medflow cohort build pipelines/tasks/chest_ct_nodule.yaml --show
    """
    from medflow.learning.task_file import read_task
    from medflow.steps import cohort as step
    from medflow.steps.run import opened as run_opened

    if sum((split_file is not None, folds is not None, leave_one_site_out)) > 1:
        raise ConfigurationError("choose one of --split-file, --folds and --leave-one-site-out")
    wanted = read_task(task)
    whole = step.Dealing(split_file=split_file, duplicates=duplicates, reason=reason)
    _, house = opened(data_dir)
    with progress() as bars, run_opened(house, "cohort", source=wanted.name) as run:
        each: tuple[step.Dealing, ...] = (whole,)
        if folds is not None or leave_one_site_out:
            each = step.dealings(
                house, wanted, folds=folds, sites=leave_one_site_out, duplicates=duplicates, reason=reason
            )
        built = step.build(run, wanted, each, bars)
        run.detail = {"cohorts": [one.cohort.id for one in built], "new": sum(one.new for one in built)}
    if as_json:
        print_json("cohort", {"cohorts": [{**_record(one.cohort), "new": one.new} for one in built]})
        return
    for one in built:
        _head(one.cohort, "new" if one.new else "known already")
        _tables(one.cohort, whole=show)


@cohort.command("list")
def list_cohorts(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the frozen cohorts, oldest first.

    Example: medflow cohort list
    """
    from medflow.steps.cohort import listed

    _, house = opened(data_dir, writing=False)
    found = listed(house)
    if as_json:
        print_json("cohort", {"cohorts": [_record(one) for one in found]})
        return
    counts = [(one, Counter(member.part for member in one.members)) for one in found]
    print_table(
        f"{len(found)} cohorts",
        ("id", "task", "dealt", *(part.value for part in Part), "frozen"),
        [
            (one.id[:16], one.task, _dealt(one), *(parts[part.value] for part in Part), f"{one.at:%Y-%m-%d %H:%M}")
            for one, parts in counts
        ],
    )


@cohort.command("show")
def show_cohort(
    start: Annotated[str, typer.Argument(metavar="ID", help="Id of the cohort, or how it begins.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show one cohort: how it was dealt, and who stands in it by part, class and site; --json gives every row.

    Example: medflow cohort show coh_3f2a91
    """
    from medflow.steps.cohort import found

    _, house = opened(data_dir, writing=False)
    one = found(house, start)
    if as_json:
        members = [{name: getattr(member, name) for name in member.__slots__} for member in one.members]
        print_json("cohort", {"cohorts": [{**_record(one), "members": members}]})
        return
    _head(one, _dealt(one))
    _tables(one, whole=True)


def _head(one: "FrozenCohort", said: str) -> None:
    out.print(f"{one.id}  {said}", markup=False)
    out.print(f"digest {one.digest}", markup=False)


def _tables(one: "FrozenCohort", *, whole: bool) -> None:
    table = _counted(one)
    print_table(
        f"{len(one.members)} series of {len({member.patient for member in one.members})} patients",
        ("part", "class", "series", "patients"),
        [(part, name, *count) for part, classes in table.items() for name, count in classes.items()],
    )
    if whole:
        by_site = _grouped((member.part, member.site) for member in one.members)
        print_table("by site", ("part", "site", "series"), [(*key, count) for key, count in by_site])
        for name in ("duplicates", "reason", "identical", "alike"):
            out.print(f"{name}: {one.dealing.get(name, '')}", markup=False)
    if one.left_out:
        print_table("left out", ("reason", "series"), sorted(one.left_out.items()))


def _grouped(keys: Any) -> list[tuple[tuple[str, str], int]]:  # noqa: ANN401  (an iterable of pairs)
    order = [part.value for part in Part]
    return sorted(Counter(keys).items(), key=lambda item: (order.index(item[0][0]), item[0][1]))


def _counted(one: "FrozenCohort") -> dict[str, dict[str, tuple[int, int]]]:
    """Count series and patients by part and class; of a multi-label cohort by finding, and one may bear several."""
    outputs = one.labels.get("findings") or one.labels.get("classes", [])
    names = [*outputs, *(["none"] if one.labels.get("findings") else [])]

    def of(part: Part, name: str) -> tuple[int, int]:
        bearing: list[Member] = [m for m in one.members if m.part == part.value and name in _said(one, m.label)]
        return len(bearing), len({member.patient for member in bearing})

    return {part.value: {name: of(part, name) for name in names} for part in Part}


def _said(one: "FrozenCohort", label: str) -> list[str]:
    return label.split("+") if one.labels.get("findings") else [label]


def _dealt(one: "FrozenCohort") -> str:
    dealing = one.dealing
    if dealing.get("folds"):
        return f"fold {dealing['fold'] + 1} of {dealing['folds']}"
    if dealing.get("site"):
        return f"without {dealing['site']}"
    return "by a file" if dealing.get("split_file") else f"seed {dealing.get('seed', '')}"


def _record(one: "FrozenCohort") -> dict[str, Any]:
    table = _counted(one)
    return {
        "id": one.id,
        "digest": one.digest,
        "task": one.task,
        "task_digest": one.task_digest,
        "at": one.at.isoformat(),
        "parts": {
            part: {name: {"series": series, "patients": patients} for name, (series, patients) in classes.items()}
            for part, classes in table.items()
        },
        "series": len(one.members),
        "patients": len({member.patient for member in one.members}),
        "sites": {site: count for (site,), count in sorted(Counter((m.site,) for m in one.members).items())},
        "left_out": one.left_out,
        "dealing": one.dealing,
        "duplicates": {name: one.dealing.get(name, 0) for name in ("identical", "alike")},
    }
