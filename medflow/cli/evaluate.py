"""The verbs that measure: evaluate, cross-validate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import out, print_json, print_table, progress, say
from medflow.domain.cohort import Duplicates

Out = Annotated[Path | None, typer.Option("--out", help="Copy the files into this folder as well.")]


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("evaluate")(evaluate)
    app.command("cross-validate")(cross_validate)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="Model; without a version the active one.")],
    part: Annotated[str, typer.Option(help="train, select, calibrate or test.")] = "test",
    cohort: Annotated[str | None, typer.Option(help="Another frozen cohort, by the beginning of its id.")] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of patients with the finding, for PPV and NPV.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="NAME:VERSION", help="Compare with this model.")] = None,
    out_folder: Out = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a part of its cohort; the test part is opened once, and that stands in the audit trail.

    Example: medflow evaluate chest_ct_nodule:3 --prevalence 0.02 --out report
    """
    from medflow.domain.task import Part
    from medflow.errors import ConfigurationError
    from medflow.steps.beside import Asked
    from medflow.steps.evaluate import evaluate as step

    if part not in set(Part):
        raise ConfigurationError(f"--part is one of {', '.join(Part)}")
    if prevalence is not None and not 0 < prevalence < 1:
        raise ConfigurationError("--prevalence is a share between 0 and 1, for example 0.02")
    _, house = opened(data_dir)
    asked = Asked(prevalence=prevalence, against=against, out=out_folder)
    with progress() as bars:
        report = step(house, model, part=Part(part), cohort=cohort, asked=asked, progress=bars)
    if as_json:
        print_json("evaluate", report.record())
        return
    if not report.new:
        say("measured before: nothing was scored, and no part was opened again")
    out.print(f"{report.model} on the {part} part: {report.evaluation.examples} examples")
    _show_figures(report.evaluation.metrics)
    for sentence in report.openings:
        out.print(sentence, markup=False)
    out.print(f"report: {report.folder / 'report.html'}", markup=False)


def cross_validate(
    task: Annotated[Path, typer.Argument(metavar="TASK.yaml", help="Task file; see pipelines/tasks for examples.")],
    folds: Annotated[int | None, typer.Option(min=2, help="How many folds patients are dealt to.")] = None,
    leave_one_site_out: Annotated[bool, typer.Option("--leave-one-site-out", help="One fold for each site.")] = False,
    duplicates: Annotated[Duplicates, typer.Option(help="What becomes of images of several patients.")] = (
        Duplicates.REFUSE
    ),
    reason: Annotated[str, typer.Option(help="Why duplicates may stay; it is audited.")] = "",
    out_folder: Out = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train once for each fold or site, measured on those who were left out; no model is registered.

    Example: medflow cross-validate pipelines/tasks/chest_ct_nodule.yaml --folds 5
    """
    from medflow.learning.task_file import read_task
    from medflow.steps.cross_validate import cross_validate as step

    wanted = read_task(task)
    _, house = opened(data_dir)
    with progress() as bars:
        report = step(
            house,
            wanted,
            folds=folds,
            sites=leave_one_site_out,
            duplicates=duplicates,
            reason=reason,
            out=out_folder,
            progress=bars,
        )
    if as_json:
        print_json("cross-validate", report.record())
        return
    if not report.new:
        say("cross-validated before: nothing was trained")
    out.print(f"{report.task}, every patient judged by a network that never saw them")
    _show_figures(report.metrics)
    rows = [
        (name, of["n"], of["patients"], _value(of.get("roc_auc")), _value(of.get("balanced_accuracy")))
        for name, of in report.metrics["folds"].items()
    ]
    print_table("each fold", ("left out", "n", "patients", "ROC AUC", "balanced accuracy"), rows)
    out.print(f"report: {report.folder / 'report.html'}", markup=False)


def _show_figures(metrics: Mapping[str, Any]) -> None:
    """Draw every figure with its n, its interval, and how that was found."""
    rows = [
        (name.replace("_", " "), one["value"], one["low"], one["high"], one["n"], one.get("method", ""))
        for name, one in metrics.items()
        if isinstance(one, Mapping) and {"value", "low", "high", "n"} <= set(one)
    ]
    print_table("figures", ("figure", "value", "from", "to", "n", "interval by"), rows)
    rate = metrics.get("majority_rate")
    if isinstance(rate, float):
        out.print(f"always giving the commonest answer would be right in {rate:.3f} of them")


def _value(entry: Mapping[str, Any] | None) -> float | None:
    return None if entry is None else entry["value"]
