"""Reports as tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medflow.cli.screen import out, print_table
from medflow.domain.digests import instant
from medflow.errors import Reason
from medflow.steps.account import Counts, IngestReport

if TYPE_CHECKING:
    from medflow.steps.deidentify import DeidentifyReport
    from medflow.steps.score import ScoreReport
    from medflow.steps.train import TrainReport
    from medflow.store.models import Registered


def show_files(files: Counts, members: Counts, reasons: Mapping[Reason, int]) -> None:
    """Draw the conservation table: every file seen, and every member of an archive, is in one of three columns."""
    counted = [("files", files)] + [("in archives", members)] * bool(members.seen)
    print_table(
        "files",
        ("", "seen", "=", "accepted", "+", "quarantined", "+ ", "ignored"),
        [(name, of.seen, "=", of.accepted, "+", of.quarantined, "+", of.ignored) for name, of in counted],
    )
    if reasons:
        rows = [(str(reason), count, reason.sentence) for reason, count in sorted(reasons.items())]
        print_table("set aside", ("reason", "files", "what it means"), rows)


MOST_SHOWN = 20
"""Withheld files that are listed one by one on a terminal; the report in the output folder has them all."""


def show_deidentified(report: "DeidentifyReport") -> None:
    """Draw what became of the files of a folder, what was done to them, and by which profile."""
    show_files(report.files, report.members, report.reasons)
    if report.withheld:
        rows = [
            (one.file if one.member is None else f"{one.file}, member {one.member}", one.state.value, one.reason.value)
            for one in report.withheld[:MOST_SHOWN]
        ]
        print_table("not let through, by number of the path", ("file", "state", "reason"), rows)
        if len(report.withheld) > MOST_SHOWN:
            out.print(f"{len(report.withheld) - MOST_SHOWN} more are listed in OUT/report.json")
    counted = report.ledger.record()
    for what in ("elements", "pixels"):
        print_table(what, tuple(counted[what]), [tuple(counted[what].values())])
    profile = report.profile
    print_table(f"profile {profile.name}, digest {profile.digest[:12]}", ("code", "what it means"), profile.methods)
    engine = report.record()["engine"]
    tables = "; ".join(f"{table}: edition {edition}" for table, edition in report.record()["editions"].items())
    out.print(f"medflow {engine['version']}, rules {engine['rules']}; {tables}", markup=False)
    out.print(f"{report.series} series and {report.objects} single objects written")


def show_ingest(report: IngestReport) -> None:
    """Draw what one run of ingest saw and did."""
    show_files(report.files, report.members, report.reasons)
    series = report.series
    print_table(
        "series",
        ("accepted", "of these new", "refused", "withheld"),
        [(series.accepted, series.new, series.refused, series.withheld)],
    )
    if report.waiting:
        out.print(f"{report.waiting} files belong to series that are still arriving; the next run takes them")


def show_training(report: "TrainReport") -> None:
    """Draw the cohort, the training curve's ends and the test metrics with their n."""
    model = report.model
    if not report.new:
        out.print("trained before from the same task, cohort, seed and code: this is that version")
    out.print(f"{model.name}:{model.version}  {model.id}  digest {model.model_digest[:12]}")
    labels = sorted({label for classes in report.parts.values() for label in classes})
    rows = [(part, *(classes.get(label, 0) for label in labels)) for part, classes in report.parts.items()]
    print_table("cohort (series)", ("part", *labels), rows)
    if report.left_out:
        print_table("left out", ("reason", "series"), sorted(report.left_out.items()))
    show_metrics(model.metrics)


def show_scoring(report: "ScoreReport") -> None:
    """Draw what one run of score did."""
    print_table(
        "predictions",
        ("models", "written", "of these withheld", "judged before", "turned away", "held by another worker"),
        [
            (
                ", ".join(report.models),
                report.scored,
                report.withheld,
                report.already,
                sum(report.refused.values()),
                report.elsewhere,
            )
        ],
    )
    if report.outdated:
        out.print(f"not run, train again: {', '.join(report.outdated)}", markup=False)
    if report.refused:
        rows = [(code, count, Reason(code).sentence) for code, count in sorted(report.refused.items())]
        print_table("turned away", ("reason", "series", "what it means"), rows)
    if report.unmatched:
        rows = [(code, count, Reason(code).sentence) for code, count in sorted(report.unmatched.items())]
        print_table("studies without a series", ("reason", "studies", "what it means"), rows)
        failed = ", ".join(f"{rule} {count}" for rule, count in sorted(report.failed.items()))
        out.print(f"rules that their series fail: {failed}; `medflow select TASK.yaml` shows each")


def registered(row: "Registered") -> dict[str, Any]:
    """Write a model version as plain values, for `--json`."""
    model = row.model
    return {
        "name": model.name,
        "version": model.version,
        "stage": row.stage.value,
        "id": model.id,
        "model_digest": model.model_digest,
        "task_digest": model.task_digest,
        "cohort_digest": model.cohort_digest,
        "grid_digest": model.grid_digest,
        "seed": model.seed,
        "code": model.code,
        "metrics": model.metrics,
        "at": instant(model.at),
    }


FIGURES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc", "brier")


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Draw the training curve's ends, and each test figure with its n and 95 % interval."""
    curve = metrics["training"]
    history, best = curve["history"], curve["best_epoch"]
    chosen = [epoch for epoch in history if epoch[0] in {1, best, len(history)}]
    title = f"training on {curve['device']} in {curve['precision']}: epoch {best} of {len(history)} was best"
    print_table(title, ("epoch", "training loss", "validation loss"), chosen)
    test = metrics["test"]
    rows = [(name.replace("_", " "), *(test[name][key] for key in ("value", "low", "high", "n"))) for name in FIGURES]
    title = f"test part: {test['n']} series of {test['patients']} patients"
    print_table(title, ("figure", "value", "95 % from", "to", "n"), rows)


def headline(metrics: Mapping[str, Any]) -> str:
    """Say in a line how good a model was on its test part."""
    test = metrics["test"]
    return f"AUC {test['roc_auc']['value']:.3f}, n = {test['n']}" if test["roc_auc"]["value"] is not None else "no test"
