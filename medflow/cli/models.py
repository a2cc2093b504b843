"""The verbs for model versions: score, predictions, models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.data import DataDir, Json, finish, opened
from medflow.cli.screen import out, print_json, print_table, progress, say

if TYPE_CHECKING:
    from medflow.steps.promotion import Moved

models = typer.Typer(no_args_is_help=True, help="The registry of model versions.")

Version = Annotated[str, typer.Argument(metavar="NAME:VERSION")]
Reason = Annotated[str, typer.Option(help="Why; an auditor will read it.")]


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("score")(score)
    app.command("predictions")(predictions)
    app.add_typer(models, name="models")


def score(
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[:VERSION]", help="Model [each name's active version, else its newest; shadows]."),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Score every accepted series that the model's task selects and that it has not judged; a second run scores none.

    Shadows score beside the active version; what they say is kept apart.

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
    shadow: Annotated[bool, typer.Option("--shadow", help="Also what models said while they were shadows.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List predictions: pseudonyms, digests and probabilities; no identity.

    Example: medflow predictions --json
    """
    from medflow.steps.predictions import listed

    _, house = opened(data_dir, writing=False)
    rows = listed(house, model=model, patient=patient, shadow=shadow)
    if as_json:
        print_json("predictions", {"predictions": [row.record() for row in rows]})
        return
    print_table(
        f"{len(rows)} predictions",
        ("id", "patient", "series", "model", "stage", "label", "probability", "withheld", "completeness", "input"),
        [
            (
                row.prediction.id[:16],
                row.prediction.patient,
                row.prediction.series_id[:16],
                f"{row.model.name}:{row.model.version}",
                row.prediction.stage,
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
    """List the versions: stage, what each was worth on its test part, and what became of whom they learned from.

    Example: medflow models list
    """
    from medflow.cli.show import registered, show_registered
    from medflow.steps.models import flagged, listed, tested

    _, house = opened(data_dir, writing=False)
    rows, flags, test = listed(house), flagged(house), tested(house)
    if as_json:
        records = [registered(row, test) | {"flags": flags.get(row.model.id, {})} for row in rows]
        print_json("models", {"models": records})
    else:
        show_registered(rows, flags, test)


@models.command("show")
def models_show(
    model: Annotated[str, typer.Argument(metavar="NAME[:VERSION]")], data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Show one version: card, calibration, evaluations, who opened its test part, history of its stages, flags.

    Example: medflow models show chest-ct-nodule:2
    """
    from medflow.cli.show import registered, show_model
    from medflow.steps.models import shown

    name, version = _parsed(model)
    _, house = opened(data_dir, writing=False)
    found = shown(house, name, version)
    if as_json:
        print_json("models-show", registered(found.registered) | found.record())
    else:
        show_model(found)


@models.command("promote")
def models_promote(
    model: Version,
    reason: Reason,
    to: Annotated[str, typer.Option(metavar="shadow|active", help="The stage that it is to have.")] = "active",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make one version the active one of its name, the one before it retiring; or let it score as a shadow.

    Needs an evaluation on a test part and a reason; what the task claims must have been shown.

    Example: medflow models promote chest-ct-nodule:2 --reason "better on the May cohort"
    """
    from medflow.domain.model import Stage
    from medflow.steps.promotion import promote

    if to not in {Stage.SHADOW, Stage.ACTIVE}:
        raise typer.BadParameter("a version is promoted to shadow or to active")
    name, version = _exact(model)
    _, house = opened(data_dir)
    _show_moved("models-promote", promote(house, name, version, reason=reason, to=Stage(to)), as_json=as_json)


@models.command("retire")
def models_retire(model: Version, reason: Reason, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Take a candidate or a shadow out of use.

    Example: medflow models retire chest-ct-nodule:1 --reason "no better in a month of nights"
    """
    from medflow.steps.promotion import retire

    name, version = _exact(model)
    _, house = opened(data_dir)
    _show_moved("models-retire", retire(house, name, version, reason=reason), as_json=as_json)


@models.command("rollback")
def models_rollback(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    reason: Reason,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take back the newest promotion of a name: who was active before is active again.

    Example: medflow models rollback chest-ct-nodule --reason "misses small nodules since Tuesday"
    """
    from medflow.steps.promotion import rollback

    _, house = opened(data_dir)
    _show_moved("models-rollback", rollback(house, name, reason=reason), as_json=as_json)


@models.command("at")
def models_at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO 8601 with its zone: 2026-05-01T12:00:00Z.")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Tell which version of each name was the active one at an instant, since when and why.

    Example: medflow models at 2026-05-01T12:00:00Z chest-ct-nodule
    """
    from medflow.domain.digests import instant
    from medflow.steps.models import active_at, called

    _, house = opened(data_dir, writing=False)
    rows = [(called(model), instant(change.at), change.reason) for model, change in active_at(house, time, name)]
    if as_json:
        keys = ("model", "since", "reason")
        print_json("models-at", {"at": time, "active": [dict(zip(keys, row, strict=True)) for row in rows]})
    elif rows:
        print_table(f"active at {time}", ("model", "since", "reason"), rows)
    else:
        out.print("no version was active then")


@models.command("verify")
def models_verify(
    model: Annotated[str | None, typer.Argument(metavar="[NAME[:VERSION]]")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Compare every file of every version, and of its evaluations, with its digest and the registry.

    Example: medflow models verify
    """
    from medflow.steps.models import verify

    name, version = (None, None) if model is None else _parsed(model)
    _, house = opened(data_dir, writing=False)
    checked = verify(house, name, version)
    wrong = [(one.model, fault) for one in checked for fault in one.faults]
    if as_json:
        print_json("models-verify", {"models": [{"model": one.model, "faults": list(one.faults)} for one in checked]})
    else:
        out.print(f"{len(checked)} versions checked, {len({name for name, _ in wrong})} of them differ")
        if wrong:
            print_table("differences", ("model", "what"), wrong)
    finish(clean=not wrong)


@models.command("compare")
def models_compare(
    one: Annotated[str, typer.Argument(metavar="A:VERSION")],
    other: Annotated[str, typer.Argument(metavar="B:VERSION")],
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only what both said from then on.")] = None,
    trained_on: Annotated[
        bool, typer.Option("--trained-on", help="Also patients of the cohorts that they were trained on.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show how far apart two versions are on the series that both scored; the first minus the second.

    Example: medflow models compare chest-ct-nodule:1 chest-ct-nodule:2
    """
    from medflow.cli.show import show_comparison
    from medflow.steps.compare import compare
    from medflow.steps.models import read_instant

    moment = None if since is None else read_instant(since)
    _, house = opened(data_dir, writing=False)
    found = compare(house, one, other, since=moment, trained_on=trained_on)
    if as_json:
        print_json("models-compare", found.record())
    else:
        show_comparison(found)


@models.command("export")
def models_export(
    model: Version,
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    monai: Annotated[bool, typer.Option("--monai", help="As a bundle that MONAI's own tools open.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a version for people elsewhere: weights, network and how to run it; nothing of any patient.

    Example: medflow models export chest-ct-nodule:2 ./bundle --monai
    """
    from medflow.steps.models import export_monai

    if not monai:
        raise typer.BadParameter("say --monai, which is the one format there is")
    name, version = _exact(model)
    _, house = opened(data_dir)
    files = export_monai(house, name, version, folder)
    out.print(f"{len(files)} files written: {', '.join(files)}")


def _show_moved(verb: str, moved: "Moved", *, as_json: bool) -> None:
    if as_json:
        print_json(verb, moved.record())
        return
    for change in moved.changes:
        out.print(f"{moved.called[change.model_id]} is {change.stage}, was {change.former}", markup=False)
    for kind, count in sorted(moved.flags.items()):
        say(f"{count} of the patients that it was trained on were {kind} since")
    say("the change of stage is in the audit trail; `medflow models rollback` takes it back")


def _parsed(model: str) -> tuple[str, int | None]:
    name, _, version = model.partition(":")
    if version and not version.isdecimal():
        raise typer.BadParameter("a model is named NAME or NAME:VERSION, and a version is a number")
    return name, int(version) if version else None


def _exact(model: str) -> tuple[str, int]:
    name, version = _parsed(model)
    if version is None:
        raise typer.BadParameter("name the version as NAME:VERSION")
    return name, version
