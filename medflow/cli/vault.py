"""The verbs of the vault and its keys: who is behind a pseudonym, who asked, and new keys for old."""

from dataclasses import asdict
from typing import Annotated

import typer

from medflow.cli.data import DataDir, Json, opened
from medflow.cli.screen import out, print_json, print_table, say

vault = typer.Typer(no_args_is_help=True, help="The vault: its key, and who asked it.")
keys = typer.Typer(no_args_is_help=True, help="The key that pseudonyms are made with.")

Purpose = Annotated[str, typer.Option(help="What it is for, in words that name nobody; the audit trail keeps it.")]


def register(app: typer.Typer) -> None:
    """Add these verbs to `medflow`."""
    app.command("reidentify")(reidentify)
    app.add_typer(vault, name="vault")
    app.add_typer(keys, name="keys")


def reidentify(
    subject: Annotated[
        str, typer.Argument(metavar="PSEUDONYM|SERIES|PREDICTION", help="Whose identity: P..., ser_... or prd_...")
    ],
    purpose: Purpose,
    uids: Annotated[bool, typer.Option("--uids", help="Show the original UIDs too.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say who is behind a pseudonym, a series or a prediction. The asking and its purpose are audited.

    Example: medflow reidentify prd_3f2a91 --purpose "call back for a second reading"
    """
    from medflow.steps.purpose import stated
    from medflow.steps.reidentify import reidentify as step

    said = stated(purpose)
    _, house = opened(data_dir)
    found = step(house, subject, said, uids=uids)
    if as_json:
        print_json("reidentify", found.record())
        return
    for person in found.persons:
        print_table(found.patient, ("what", "of the person"), list(person.items()))
    titles = tuple(found.studies[0])
    shown = [
        tuple("\n".join(cell) if isinstance(cell, list) else cell for cell in one.values()) for one in found.studies
    ]
    print_table(f"{len(found.studies)} series", titles, shown)


@vault.command("lookups")
def vault_lookups(
    patient: Annotated[str | None, typer.Option(help="Only those about this pseudonym.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List who looked up whom in the vault, when and why.

    Example: medflow vault lookups --patient P2KRZV5IKDW6GJQYH
    """
    from medflow.steps.reidentify import lookups

    _, house = opened(data_dir, writing=False)
    rows = lookups(house, patient=patient)
    if as_json:
        print_json("vault-lookups", {"lookups": [asdict(row) for row in rows]})
        return
    print_table(
        f"{len(rows)} lookups",
        ("at", "who", "about", "patient", "why", "outcome"),
        [(row.at, row.actor, row.subject[:20], row.patient, row.purpose, row.outcome) for row in rows],
    )


@vault.command("rotate")
def vault_rotate(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Give the vault a new key; the old one is kept beside it. No pseudonym and no row changes.

    Example: medflow vault rotate
    """
    from medflow.steps.keys import rotate

    settings, house = opened(data_dir)
    done = rotate(house)
    if as_json:
        print_json("vault-rotate", asdict(done))
    else:
        out.print(
            f"the vault has key {done.version}; {done.data_keys} data keys and {done.copies} copies' keys follow it"
        )
    file = settings.places().keys.vault.name
    say(f"back up {file}; the old key is {file}.{done.version - 1}: without it, older backups of the vault stay shut")


@keys.command("new-epoch")
def keys_new_epoch(purpose: Purpose, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Draw a new pseudonym key: everybody is named anew, and the vault alone knows who was who.

    Example: medflow keys new-epoch --purpose "the old key left the house with a backup"
    """
    from medflow.steps.keys import new_epoch
    from medflow.steps.purpose import stated

    said = stated(purpose)
    settings, house = opened(data_dir)
    done = new_epoch(house, said)
    if as_json:
        print_json("keys-new-epoch", done.record())
    else:
        out.print(f"epoch {done.epoch}: {done.patients} patients and {done.aliases} merges carried over")
        if done.unlinked:
            print_table(
                "not linked until their files are taken in again", ("pseudonym",), [(p,) for p in done.unlinked]
            )
    file = settings.places().keys.pseudonym.name
    say(f"back up {file}; {file}.{done.epoch - 1} is the key of the epoch before: keep it")
