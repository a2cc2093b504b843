"""The verbs for patients' rights and merged records."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from medflow.cli.data import DataDir, Json, finish, opened
from medflow.cli.screen import out, print_json, print_table, progress
from medflow.domain.safe import Pseudonym

if TYPE_CHECKING:
    from medflow.store.flags import Touched

patients = typer.Typer(no_args_is_help=True, help="Opt-outs, erasure and merged records.")


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.add_typer(patients, name="patients")


@patients.command("merge")
def merge(
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="Pseudonym of the record that goes.")],
    into: Annotated[str, typer.Argument(metavar="INTO", help="Pseudonym of the record that stays.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let one pseudonym stand for a person who had two; series get new revisions, models that used them are flagged.

    Example: medflow patients merge P2KRZV5IKDW6GJQYH PXO4M2HU5QOWD3ESA
    """
    from medflow.steps.merge import merge as step

    _, house = opened(data_dir)
    with progress() as bars:
        report = step(house, Pseudonym(patient), Pseudonym(into), progress=bars)
    if as_json:
        print_json("patients-merge", report.record())
    else:
        out.print(f"{report.series} series now stand under {report.into}")
        if report.refused:
            print_table("not renamed", ("reason", "series"), sorted(report.refused.items()))
        rows = [(touched.model, touched.patient, _parts(touched.parts)) for touched in report.models]
        if rows:
            print_table("models that used them, flagged", ("model", "patient", "examples"), rows)
        for name in report.across:
            out.print(f"{name} had the two in different parts of its split: train it again", markup=False)
    finish(clean=not report.refused)


PATIENT = Annotated[
    str,
    typer.Argument(
        metavar="PATIENT",
        help="Pseudonym, or original PatientID; '-' reads it from standard input, and leaves it in no shell's history.",
    ),
]
ISSUER = Annotated[str, typer.Option(help="Who issued the PatientID [MEDFLOW_DEFAULT_ISSUER].")]


@patients.command("exclude")
def exclude(
    patient: PATIENT,
    issuer: ISSUER = "",
    lift: Annotated[bool, typer.Option("--lift", help="Let the patient in again.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Put a patient on the opt-out list: nothing of theirs is taken in, scored, learned from or exported any more.

    What was taken in before stays until it is erased. An ID on the command line stays in the shell's history, and
    others on this machine can see it: better give it on standard input. It is shown nowhere.

    Example: medflow patients exclude - < patient-id.txt
    """
    from medflow.steps.rights import exclude as step
    from medflow.steps.rights import lift as lifting
    from medflow.steps.rights import person_of

    _, house = opened(data_dir)
    person = person_of(house, _given(patient), issuer)
    report = lifting(house, person) if lift else step(house, person)
    if as_json:
        print_json("patients-exclude", report.record())
    else:
        again = "" if report.changed else ", as before"
        said = "stands on the opt-out list" if report.excluded else "does not stand on the opt-out list"
        out.print(f"{report.patient} {said}{again}; {report.series} series are here")
        _show_models(report.models)


@patients.command("erase")
def erase(
    patient: PATIENT,
    issuer: ISSUER = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase: without it nothing is done.")] = False,
    purpose: Annotated[str | None, typer.Option(help="Why, for the audit trail; it may name nobody.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Erase a patient: stored series, volumes, exports made here, quarantine copies, and the vault's data keys.

    Predictions and labels stay under the pseudonym, marked; models that used the patient are listed and flagged. The
    patient stands on the opt-out list from then on. An ID is better given on standard input, as with exclude.

    Example: medflow patients erase P2KRZV5IKDW6GJQYH --yes
    """
    from medflow.errors import ConfigurationError
    from medflow.steps.erase import erase as step
    from medflow.steps.purpose import stated
    from medflow.steps.rights import person_of

    if not yes:
        raise ConfigurationError("nothing was erased: it cannot be undone; say --yes if it is meant")
    said = None if purpose is None else stated(purpose)
    _, house = opened(data_dir, writing=False)
    report = step(house, person_of(house, _given(patient), issuer), purpose=said)
    if as_json:
        print_json("patients-erase", report.record())
    else:
        print_table(f"erased: {report.patient}", ("what", "how many"), list(report.counts().items()))
        _show_models(report.models)
        if not any(report.counts().values()):
            out.print("nothing of this patient is or was here: is it the right one, and the right issuer?")
        if report.exports_left:
            out.print(f"{report.exports_left} exports could not be reached: mount their place, and erase again")
    finish(clean=not report.exports_left)


def _given(patient: str) -> str:
    """Take an ID from the command line, or from standard input."""
    return sys.stdin.readline().rstrip("\r\n") if patient == "-" else patient


def _show_models(models: "tuple[Touched, ...]") -> None:
    rows = [(touched.model, touched.cohort_digest[:12], touched.patient, _parts(touched.parts)) for touched in models]
    if rows:
        print_table("models that used the patient, flagged", ("model", "cohort", "patient", "examples"), rows)


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {part}" for part, count in sorted(parts.items()))
