"""The house: databases, vault, keys and folders, opened together."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from medflow.deid.keys import new_key, read_key, write_new_key
from medflow.deid.profile import Profile, default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.pacs import Pacs
from medflow.domain.audit import AuditEvent
from medflow.domain.prediction import CodeVersion
from medflow.errors import ConfigurationError, StateError
from medflow.steps.code import code_version
from medflow.store import schema
from medflow.store.audit import Signer
from medflow.store.engine import open_engine
from medflow.store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """Where the three secrets lie."""

    pseudonym: Path
    vault: Path
    audit: Path

    def named(self) -> Iterator[tuple[str, Path]]:
        """Give each key's name and file."""
        yield from (("pseudonym", self.pseudonym), ("vault", self.vault), ("audit", self.audit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where everything lies."""

    data: Path
    main_url: str = field(repr=False)
    vault_url: str = field(repr=False)
    keys: KeyFiles
    default_issuer: str = ""
    pacs: tuple[Pacs, ...] = ()
    """Whom to ask how many objects a series has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What is handed in: who asks, the clock, and chance."""

    actor: str
    threads: int
    """Threads that training and scoring on a CPU use."""
    now: Callable[[], datetime]
    token: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """All that a step may need. Steps take it as their first argument."""

    data: Path
    engine: Engine = field(repr=False)
    vault: Vault = field(repr=False)
    vault_engine: Engine = field(repr=False)
    pseudonyms: Pseudonyms = field(repr=False)
    profile: Profile = field(repr=False)
    signer: Signer = field(repr=False)
    code: CodeVersion = field(repr=False)
    outside: Outside
    pacs: tuple[Pacs, ...] = ()
    made: tuple[str, ...] = ()
    """What was made on first use, in words for the operator."""

    @property
    def safe(self) -> Path:
        """The safe store: de-identified files."""
        return self.data / "dicom"

    @property
    def volumes(self) -> Path:
        """The volume cache."""
        return self.data / "volumes"

    @property
    def models(self) -> Path:
        """The model versions."""
        return self.data / "models"

    def now(self) -> datetime:
        """Read the clock that was handed in."""
        return self.outside.now()

    def event(self, kind: str, *, run: str, subject: str = "", **detail: Any) -> AuditEvent:  # noqa: ANN401
        """Draft an audit event of this house's operator and code, now."""
        return AuditEvent(
            at=self.now(),
            actor=self.outside.actor,
            kind=kind,
            run=run,
            subject=subject,
            code=self.code.digest,
            detail=detail,
        )

    def close(self) -> None:
        """Give the databases' connections back."""
        self.engine.dispose()
        self.vault_engine.dispose()


def open_house(places: Places, outside: Outside, *, writing: bool = True) -> House:
    """Open what `places` names; on first use a writing caller makes it (SQLite only) and `House.made` says so.

    Raises:
        ConfigurationError: a key is missing or readable by others, or a database is not there or not current.
        StateError: nothing was taken in yet, and the caller only reads.
    """
    made: tuple[str, ...] = ()
    if not schema.exists(places.main_url):
        if not places.main_url.startswith("sqlite"):
            raise ConfigurationError("the database holds no medflow schema; run `medflow db upgrade`")
        if not writing:
            raise StateError("nothing was taken in yet: the data folder holds no database; run `medflow ingest FOLDER`")
        made = make(places)
    secrets = {name: _key(name, path) for name, path in places.keys.named()}
    engine = open_engine(places.main_url)
    schema.check_current(engine)
    vault_engine = open_engine(places.vault_url, setting=schema.VAULT_SETTING)
    schema.check_current(vault_engine, vault=True)
    return House(
        data=places.data,
        engine=engine,
        vault=Vault(vault_engine, secrets["vault"]),
        vault_engine=vault_engine,
        pseudonyms=Pseudonyms(key=secrets["pseudonym"], default_issuer=places.default_issuer),
        profile=default_profile(),
        signer=Signer(secrets["audit"]),
        code=code_version(),
        outside=outside,
        pacs=places.pacs,
        made=made,
    )


def make(places: Places) -> tuple[str, ...]:
    """Bring both databases to the newest schema; where none stood yet, make the keys that are missing as well.

    Raises:
        ConfigurationError: a database stands and a key is missing (a new key would name every patient anew), or the
            folders cannot be made.
    """
    missing = [name for name, path in places.keys.named() if not path.is_file()]
    if missing and (schema.exists(places.main_url) or schema.exists(places.vault_url)):
        raise ConfigurationError(
            f"a database stands here, but its {', '.join(missing)} key is missing; "
            "restore the key file from its backup, or set MEDFLOW_*_KEY_FILE to where it lies"
        )
    made = []
    try:
        places.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, path in places.keys.named():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_new_key(path, new_key())
                made.append(f"the {name} key")
    except OSError as fault:
        reason = os.strerror(fault.errno or 0)
        raise ConfigurationError(f"the data folder or the keys cannot be made there: {reason}") from None
    schema.upgrade(places.main_url)
    schema.upgrade_vault(places.vault_url)
    return (*made, "the database", "the vault")


def _key(name: str, path: Path) -> bytes:
    if not path.is_file():
        raise ConfigurationError(
            f"a database stands here, but its {name} key is missing; "
            f"restore the key file from its backup, or set MEDFLOW_{name.upper()}_KEY_FILE to where it lies"
        )
    return read_key(path)
