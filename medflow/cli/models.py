"""The verbs for model versions: score, predictions, models."""

from typing import Annotated

import typer

from medflow.cli.data import DataDir, Json, finish, opened
from medflow.cli.screen import out, print_json, print_table, progress, say

models = typer.Typer(no_args_is_help=True, help="The registry of model versions.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("score")(score)
    app.command("predictions")(predictions)
    app.add_typer(models, name="models")


def score(
    model: Annotated[
        str | None, typer.Option(metavar="NAME[:VERSION]", help="Model [each name's active version, else its newest].")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Score every accepted series that the model's task selects and that it has not judged; a second run scores none.

    Example: medflow score --model chest-ct-nodule:1
    """
    from medflow.cli.show import show_scoring
    from medflow.steps.score import score as step

    _, house = opened(data_dir)
    with progress() as bars:
        report = step(house, model, progress=bars)
    if as_json:
        print_json("score", report.record())
    else:
        show_scoring(report)
    turned_away = report.refused or report.withheld or report.outdated
    finish(clean=not turned_away and "several-series" not in report.unmatched)


def predictions(
    model: Annotated[str | None, typer.Option(metavar="NAME[:VERSION]", help="Only this model's.")] = None,
    patient: Annotated[str | None, typer.Option(help="Only this pseudonym's.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List predictions: pseudonyms, digests and probabilities; no identity.

    Example: medflow predictions --json
    """
    from medflow.steps.predictions import listed

    _, house = opened(data_dir, writing=False)
    rows = listed(house, model=model, patient=patient)
    if as_json:
        print_json("predictions", {"predictions": [row.record() for row in rows]})
        return
    print_table(
        f"{len(rows)} predictions",
        ("id", "patient", "series", "model", "label", "probability", "withheld", "completeness", "input"),
        [
            (
                row.prediction.id[:16],
                row.prediction.patient,
                row.prediction.series_id[:16],
                f"{row.model.name}:{row.model.version}",
                row.prediction.label,
                row.probability,
                row.prediction.withheld,
                row.prediction.completeness,
                "input erased" if row.input_erased else None,
            )
            for row in rows
        ],
    )


@models.command("list")
def models_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the model versions with their stage and test metrics, and what became of the patients they learned from.

    Example: medflow models list
    """
    from medflow.cli.show import headline, registered
    from medflow.steps.models import flagged, listed

    _, house = opened(data_dir, writing=False)
    rows, flags = listed(house), flagged(house)
    if as_json:
        print_json("models", {"models": [registered(row) | {"flags": flags.get(row.model.id, {})} for row in rows]})
        return
    print_table(
        f"{len(rows)} model versions",
        ("model", "stage", "id", "digest", "test", "flags"),
        [
            (f"{r.model.name}:{r.model.version}", r.stage, r.model.id[:16], r.model.model_digest[:12],
             headline(r.model.metrics), ", ".join(f"{k} {n}" for k, n in sorted(flags.get(r.model.id, {}).items())))
            for r in rows
        ],
    )  # fmt: skip


@models.command("promote")
def models_promote(
    model: Annotated[str, typer.Argument(metavar="NAME:VERSION")],
    reason: Annotated[str, typer.Option(help="Why; an auditor will read it.")],
    data_dir: DataDir = None,
) -> None:
    """Make one version the active one of its name; the one that was active retires.

    Example: medflow models promote chest-ct-nodule:2 --reason "better on the May cohort"
    """
    from medflow.steps.models import promote

    name, _, version = model.partition(":")
    if not version.isdecimal():
        raise typer.BadParameter("name the version as NAME:VERSION")
    _, house = opened(data_dir)
    promoted = promote(house, name, int(version), reason=reason)
    out.print(f"{promoted.name}:{promoted.version} is active")
    say("the change of stage is in the audit trail")
