"""Reports as tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medflow.cli.screen import out, print_table
from medflow.domain.digests import instant
from medflow.errors import Reason
from medflow.steps.account import Counts, IngestReport

if TYPE_CHECKING:
    from medflow.domain.evaluation import Evaluation
    from medflow.steps.compare import Comparison
    from medflow.steps.deidentify import DeidentifyReport
    from medflow.steps.models import Shown
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
    if report.shadow:
        counts = report.shadow
        print_table(
            "beside them, as shadows: not delivered",
            ("models", "written", "of these withheld", "judged before", "turned away", "held by another worker"),
            [
                (
                    ", ".join(counts["models"]),
                    counts["scored"],
                    counts["withheld"],
                    counts["already"],
                    sum(counts["refused"].values()),
                    counts["elsewhere"],
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


def registered(row: "Registered", tested: Mapping[str, "Evaluation"] | None = None) -> dict[str, Any]:
    """Write a model version as plain values, for `--json`; `tested` gives the evaluation on a test part by model id."""
    test = (tested or {}).get(row.model.id)
    measured = None if test is None else {"patients": test.patients, "metrics": test.metrics, "at": instant(test.at)}
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
        **({} if tested is None else {"test": measured}),
    }


def show_registered(
    rows: Sequence["Registered"], flags: Mapping[str, Mapping[str, int]], tested: Mapping[str, "Evaluation"]
) -> None:
    """Draw the registry: each version, what it was worth on its test part, and its flags."""
    from medflow.steps.models import called, headline

    print_table(
        f"{len(rows)} model versions",
        ("model", "stage", "id", "digest", "test part", "flags"),
        [
            (
                called(row.model),
                row.stage,
                row.model.id[:16],
                row.model.model_digest[:12],
                headline(tested[row.model.id]) if row.model.id in tested else "not measured",
                ", ".join(f"{kind} {count}" for kind, count in sorted(flags.get(row.model.id, {}).items())),
            )
            for row in rows
        ],
    )


def show_model(found: "Shown") -> None:
    """Draw all that is known of one version."""
    from medflow.steps.models import called, headline

    model, card, calibration = found.registered.model, found.bundle.card, found.bundle.calibration
    out.print(f"{called(model)}  {found.registered.stage}  {model.id}  digest {model.model_digest[:12]}", markup=False)
    for what in ("use", "limits", "methods"):
        if what in card:
            out.print(f"{what}: {card[what]}", markup=False)
    threshold = "the likelier answer" if calibration.threshold is None else f"from {calibration.threshold:.4g} on"
    out.print(f"temperature {calibration.temperature:.4g}; the finding is called: {threshold}")
    if "data" in card:
        rows = [(part, of["patients"], _counted(of["examples"])) for part, of in card["data"].items()]
        print_table("made from", ("part", "patients", "examples"), rows)
    print_table(
        "evaluations",
        ("part", "cohort", "at", "patients", "worth"),
        [(e.part, e.cohort_digest[:12], instant(e.at), e.patients, headline(e)) for e in found.evaluations],
    )
    print_table(
        "test parts that it looked at",
        ("part", "at", "patients"),
        [(one.test_digest[:12], instant(one.at), one.patients) for one in found.openings],
    )
    print_table(
        "stages",
        ("at", "from", "to", "why"),
        [(instant(one.at), one.former, one.stage, one.reason) for one in found.history],
    )
    if found.flags:
        out.print(f"flags: {_counted(found.flags)}", markup=False)


def show_comparison(found: "Comparison") -> None:
    """Draw how far two versions are apart, and who was right where that is known."""
    out.print(f"{found.one} minus {found.other}: {found.pairs} series of {found.patients} patients", markup=False)
    if found.trained_on:
        what = "left out; --trained-on takes them in" if found.left_out else "among these: the figures flatter"
        out.print(f"{found.trained_on} series are of patients in a cohort that one was trained on: {what}")
    if found.agreement is not None:
        out.print(f"the same answer in {found.agreement:.1%}")
    rows = [(name, of["mean"], of.get("low"), of.get("high")) for name, of in found.differences.items()]
    print_table("probability", ("output", "mean difference", "limits of agreement from", "to"), rows)
    if found.against_truth is None:
        out.print("no label is known of them: who was right cannot be told")
    else:
        told = [(name, _spelled(value)) for name, value in found.against_truth.items()]
        print_table(f"against the truth of {found.labelled} series", ("figure", "found"), told)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _spelled(value: Any) -> str:  # noqa: ANN401  (plain JSON)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_spelled(inner)}" for name, inner in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


FIGURES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc", "average_precision", "brier")
PARTS = {"select": "the best epoch was chosen by it", "calibrate": "calibrated on it", "test": "opened while training"}
"""Parts that a model's own figures may speak of; the last one of models that version 0.3 trained."""


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Draw the training curve's ends, and of each part that training looked at the figures with n and 95 % interval."""
    curve = metrics["training"]
    history, best = curve["history"], curve["best_epoch"]
    chosen = [epoch for epoch in history if epoch[0] in {1, best, len(history)}]
    title = f"training on {curve['device']} in {curve['precision']}: epoch {best} of {len(history)} was best"
    print_table(title, ("epoch", "training loss", "select loss"), chosen)
    for part, said in PARTS.items():
        if not (of := metrics.get(part)):
            continue
        entries = [(name.replace("_", " "), of[name]) for name in FIGURES if name in of]
        rows = [(name, *(entry[key] for key in ("value", "low", "high", "n"))) for name, entry in entries]
        title = f"{part} part ({said}): {of['n']} series of {of['patients']} patients"
        print_table(title, ("figure", "value", "95 % from", "to", "n"), rows)
    if "select" in metrics:
        out.print("These flatter. `medflow evaluate` opens the test part, and says what holds for new patients.")
