"""The house: databases, vault, keys and folders, opened together."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from medflow.deid.keys import new_key, read_key, write_new_key
from medflow.deid.profile import Profile, default_profile
from medflow.deid.profile_file import read_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.pacs import Pacs
from medflow.domain.audit import AuditEvent
from medflow.domain.prediction import CodeVersion
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError, StateError
from medflow.steps.code import code_version
from medflow.steps.strongroom import Closed, Keys, Strongroom, entered, missing, open_strongroom
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
    profile: Path | None = None
    """The profile file; without one, the shipped profile."""
    copies_kept: timedelta | None = None
    """How long an encrypted copy of a quarantined file is kept; None where none is made."""


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
    strongroom: Strongroom | Closed = field(repr=False)
    keys: KeyFiles = field(repr=False)
    profile: Profile = field(repr=False)
    signer: Signer = field(repr=False)
    code: CodeVersion = field(repr=False)
    outside: Outside
    pacs: tuple[Pacs, ...] = ()
    copies_kept: timedelta | None = None
    made: tuple[str, ...] = ()
    """What was made on first use, in words for the operator."""

    @property
    def vault(self) -> Vault:
        """The vault.

        Raises:
            StateError: there is none to open.
        """
        return entered(self.strongroom).vault

    @property
    def pseudonyms(self) -> Pseudonyms:
        """The names in place of names; who was merged with whom stands in the vault.

        Raises:
            StateError: there is no vault to open.
        """
        return entered(self.strongroom).pseudonyms

    @property
    def former(self) -> tuple[Pseudonyms, ...]:
        """The names that older epochs of the pseudonym key gave, as far as their key files are still there."""
        return entered(self.strongroom).former

    @property
    def naming(self) -> dict[str, str]:
        """Which pseudonym key names patients now, for the trail: what is told if the vault is ever lost."""
        epoch = entered(self.strongroom).epoch
        return {"epoch": str(epoch.number), "pseudonym_key": epoch.fingerprint}

    @property
    def same_patient(self) -> Mapping[Pseudonym, Pseudonym]:
        """For each pseudonym that another one stands for, by a merge or a new epoch: that one."""
        return self.vault.same_patient()

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

    @property
    def evaluations(self) -> Path:
        """What models were found to be worth, beside their immutable versions."""
        return self.data / "evaluations"

    @property
    def cross_validations(self) -> Path:
        """What tasks were found to be worth over folds or sites."""
        return self.data / "cross-validations"

    @property
    def training(self) -> Path:
        """Checkpoints and live figures of trainings that have not ended."""
        return self.data / "training"

    @property
    def quarantine(self) -> Path:
        """The encrypted copies of quarantined files."""
        return self.data / "quarantine"

    def renewed(self) -> "House":
        """Give the house as it stands now: a process that was open meanwhile learns of merges that others made.

        Raises:
            StateError: there is no vault to open, or a new pseudonym key came into use.
        """
        room = entered(self.strongroom)
        if room.vault.epoch() != room.epoch:
            raise StateError("a new pseudonym key came into use; start this process again")
        names = replace(room.pseudonyms, aliases=room.vault.aliases())
        return replace(self, strongroom=replace(room, pseudonyms=names))

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
        if isinstance(self.strongroom, Strongroom):
            self.strongroom.engine.dispose()


def open_house(places: Places, outside: Outside, *, writing: bool = True) -> House:
    """Open what `places` names; on first use a writing caller makes it (SQLite only) and `House.made` says so.

    Raises:
        ConfigurationError: a key is missing or readable by others, a database is not there or not current, or the
            profile is none for a house.
        StateError: nothing was taken in yet, and the caller only reads.
    """
    made: tuple[str, ...] = ()
    profile = _profile(places.profile)
    if not schema.exists(places.main_url):
        if not places.main_url.startswith("sqlite"):
            raise ConfigurationError("the database holds no medflow schema; run `medflow db upgrade`")
        if not writing:
            raise StateError("nothing was taken in yet: the data folder holds no database; run `medflow ingest FOLDER`")
        made = make(places)
    signer = Signer(_key("audit", places.keys.audit))
    _key("pseudonym", places.keys.pseudonym)
    engine = open_engine(places.main_url)
    schema.check_current(engine)
    keys = Keys(pseudonym=places.keys.pseudonym, vault=places.keys.vault, default_issuer=places.default_issuer)
    return House(
        data=places.data,
        engine=engine,
        strongroom=open_strongroom(places.vault_url, keys, engine),
        keys=places.keys,
        profile=profile,
        signer=signer,
        code=code_version(),
        outside=outside,
        pacs=places.pacs,
        copies_kept=places.copies_kept,
        made=made,
    )


def make(places: Places) -> tuple[str, ...]:
    """Bring both databases to the newest schema; where none stood yet, make the keys that are missing as well.

    Raises:
        ConfigurationError: a database stands and a key is missing (a new key would name every patient anew), or the
            folders cannot be made.
    """
    vault_stands = schema.exists(places.vault_url, setting=schema.VAULT_SETTING)
    stands = {"vault": vault_stands}  # a vault that is gone needs its key no more
    anything = vault_stands or schema.exists(places.main_url)
    lost = [name for name, path in places.keys.named() if not path.is_file() and stands.get(name, anything)]
    if lost:
        raise ConfigurationError(missing(*lost))
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
    refilled = anything and not vault_stands
    return (*made, "the database", "an empty vault, which the next ingest fills" if refilled else "the vault")


def _profile(file: Path | None) -> Profile:
    """Read the profile of the house, which names studies, series and files by mapped UIDs everywhere."""
    profile = default_profile() if file is None else read_profile(file)
    if profile.keeps_uids:
        raise ConfigurationError(
            "a house joins all by mapped UIDs; a profile with the option uids is for `medflow deidentify` alone"
        )
    return profile


def _key(name: str, path: Path) -> bytes:
    if not path.is_file():
        raise ConfigurationError(missing(name))
    return read_key(path)
