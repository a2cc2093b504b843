"""The strongroom: the vault, and the pseudonym key that must be the one that its patients were named with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from medflow.deid.keys import kept_as, read_key, settled_key
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError, StateError
from medflow.store import audit, runs, schema
from medflow.store.engine import open_engine, reading
from medflow.store.vault import Vault
from medflow.store.vault_names import Epoch
from medflow.store.vault_room import key_check

TELLING = {"ingest": "run-opened", "new-epoch": "epoch-begun"}
"""Kinds of runs that name patients, and the event of each that tells with which pseudonym key."""
MERGES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The key files that the strongroom needs, and the issuer of IDs that state none."""

    pseudonym: Path
    vault: Path
    default_issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strongroom:
    """What nobody may reach but who names patients or looks them up."""

    vault: Vault
    engine: Engine
    pseudonyms: Pseudonyms
    epoch: Epoch
    former: tuple[Pseudonyms, ...]
    """Those of older epochs whose key files are still there, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """There is no vault to open, and why."""

    why: str


def open_strongroom(vault_url: str, keys: Keys, main: Engine) -> Strongroom | Closed:
    """Open the vault, if there is one, and see that both keys fit it.

    Raises:
        ConfigurationError: a key is missing, readable by others or not the right one, or the schema is not current.
    """
    try:
        there = schema.exists(vault_url, setting=schema.VAULT_SETTING)
    except ConfigurationError as fault:
        return Closed(why=str(fault))
    if not there:
        return Closed(why=GONE)
    engine = open_engine(vault_url, setting=schema.VAULT_SETTING)
    try:
        schema.check_current(engine, vault=True)
        vault = Vault(engine, _vault_key(engine, keys.vault))
        epoch, pseudonyms = _pseudonyms(vault, keys, main)
    except BaseException:
        engine.dispose()
        raise
    former = tuple(
        Pseudonyms(key=read_key(file), default_issuer=keys.default_issuer)
        for number in range(1, epoch.number)
        if (file := kept_as(keys.pseudonym, number)).exists()
    )
    return Strongroom(vault=vault, engine=engine, pseudonyms=pseudonyms, epoch=epoch, former=former)


def entered(room: Strongroom | Closed) -> Strongroom:
    """Give the strongroom, if it is open.

    Raises:
        StateError: it could not be opened.
    """
    if isinstance(room, Closed):
        raise StateError(room.why)
    return room


GONE = (
    "there is no vault, which this needs: restore its database from the backup (and see MEDFLOW_VAULT_URL); if it is"
    " lost for good, `medflow db upgrade` makes an empty one, which the next ingest fills from the export"
)


def _vault_key(engine: Engine, path: Path) -> bytes:
    if not path.is_file():
        raise ConfigurationError(missing("vault"))
    version, fits = key_check(engine)
    key = settled_key(path, version, fits)
    if not fits(key):
        hint = _hint(path, version, fits)
        raise ConfigurationError(f"the vault was sealed with another key: MEDFLOW_VAULT_KEY_FILE is wrong{hint}")
    return key


def _hint(path: Path, number: int, fits: Callable[[bytes], bool]) -> str:
    """Name the file beside a wrong key that holds the right one: databases may come from an older backup."""
    kept = kept_as(path, number)
    return f"; {kept.name} beside it is the right one" if kept.is_file() and fits(read_key(kept)) else ""


def _pseudonyms(vault: Vault, keys: Keys, main: Engine) -> tuple[Epoch, Pseudonyms]:
    """Read the pseudonym key, and refuse one that would name every patient anew."""

    def of(key: bytes) -> Pseudonyms:
        return Pseudonyms(key=key, default_issuer=keys.default_issuer)

    known = vault.epoch() or _recorded(main)
    number = known.number if known else 1

    def fits(key: bytes) -> bool:
        return known is None or of(key).fingerprint == known.fingerprint

    key = settled_key(keys.pseudonym, number, fits)
    if not fits(key):
        raise ConfigurationError(
            "the pseudonym key is not the one that the patients here were named with: put the right key file back, "
            "or see MEDFLOW_PSEUDONYM_KEY_FILE; `medflow keys new-epoch` is the way to a new key"
            + _hint(keys.pseudonym, number, fits)
        )
    counts = known or Epoch(number=1, fingerprint=of(key).fingerprint)
    if vault.epoch() is None:
        for old, new in _merged(main):
            vault.put_alias(old, new)
        vault.claim_epoch(counts)
    return counts, Pseudonyms(key=key, default_issuer=keys.default_issuer, aliases=vault.aliases())


def _recorded(main: Engine) -> Epoch | None:
    """Read from the trail which key was in use, where the vault was lost and cannot tell."""
    with reading(main) as connection:
        newest = [run for kind in TELLING for run in runs.runs(connection, limit=1, kind=kind)]
        for run in sorted(newest, key=lambda run: run.opened, reverse=True):
            for event in audit.events(connection, run=run.id, kind=TELLING[run.kind]):
                detail = event["detail"]
                if "pseudonym_key" in detail:
                    return Epoch(number=int(detail["epoch"]), fingerprint=detail["pseudonym_key"])
    return None


def _merged(main: Engine) -> list[tuple[Pseudonym, Pseudonym]]:
    """Read from the trail who was merged, where the vault was lost and cannot tell."""
    with reading(main) as connection:
        events = audit.events(connection, kind="patients-merged", limit=MERGES)
    return [(Pseudonym(event["subject"]), Pseudonym(event["detail"]["into"])) for event in events]


def missing(*names: str) -> str:
    """Say what to do about keys that are not there."""
    setting = names[0].upper() if len(names) == 1 else "*"
    return (
        f"a database stands here, but its {', '.join(names)} key is missing; "
        f"restore the key file from its backup, or set MEDFLOW_{setting}_KEY_FILE to where it lies"
    )
