"""The one reader of environment and configuration files, and the one opener of the house.

An option wins over `MEDFLOW_*`, which wins over the file named by MEDFLOW_CONFIG (else ./medflow.toml), which wins
over the defaults. `ops/env.example` describes each of them.
"""

import getpass
import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

import medflow.steps.house as steps_house
from medflow.deid.series import Source
from medflow.dicom.pacs import Pacs, pacs_of
from medflow.domain.keep import Keep
from medflow.errors import ConfigurationError
from medflow.steps.house import House, KeyFiles, Outside, Places


class Settings(BaseSettings):
    """Where things lie and who may open them."""

    model_config = SettingsConfigDict(env_prefix="MEDFLOW_", extra="forbid", hide_input_in_errors=True)

    data_dir: Path = Path("medflow-data")
    database_url: SecretStr | None = None
    vault_url: SecretStr | None = None
    pseudonym_key_file: Path | None = None
    vault_key_file: Path | None = None
    audit_key_file: Path | None = None
    sources: Annotated[dict[str, Path], NoDecode] = Field(default_factory=dict)
    """Export folders by name: `name=folder,name=folder`."""
    sites: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Site codes of the sources: `name=code,...`; a source without one is its own site."""
    profile: Path | None = None
    """Profile file of de-identification; without it, the shipped profile."""
    default_issuer: str = ""
    """Issuer of the patient IDs that state none."""
    pacs: SecretStr | None = None
    """Where to ask how many objects a series has: `dicom://TITLE@host:port` or `https://host/dicom-web`."""
    pacs_own_title: str = "MEDFLOW"
    pacs_timeout: float = Field(default=10.0, gt=0)
    """Seconds for each answer."""
    threads: int | None = Field(default=None, ge=1)
    """Threads for training and scoring on a CPU; without it, one for each core."""
    quarantine_copies: bool = False
    """Keep encrypted copies of quarantined files."""
    quarantine_days: int = Field(default=14, ge=1)
    """How long a copy is kept."""
    keep_superseded: int = Field(default=0, ge=0)
    """Days for which stored copies of replaced or withheld series are kept; 0, here and below, is without end."""
    keep_series: int = Field(default=0, ge=0)
    """Days for which the stored copy of any series is kept."""
    keep_volumes: int = Field(default=90, ge=0)
    """Days for which a volume stays in the cache."""
    keep_exports: int = Field(default=0, ge=0)
    """Days after which exports made here are removed."""
    keep_identities: int = Field(default=0, ge=0)
    """Days for which the vault knows a patient of whom nothing new comes."""
    tasks_dir: Path | None = None
    """Folder of the task files that flows know by name; without it, the shipped ones."""

    @field_validator("sources", "sites", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:  # noqa: ANN401  (whatever a settings source hands in)
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not separator or not name.strip() or not item.strip() for name, separator, item in pairs):
            raise ValueError("write it as name=value,name=value")
        return {name.strip(): item.strip() for name, _, item in pairs}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (the signature is pydantic's)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read options, then the environment, then the configuration file."""
        file = Path(os.environ.get("MEDFLOW_CONFIG", "medflow.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    def main_url(self) -> str:
        """Name the main database; without one, SQLite in the data folder."""
        return self._url(self.database_url, "medflow.db")

    def vault_database_url(self) -> str:
        """Name the vault; without one, SQLite in the data folder."""
        return self._url(self.vault_url, "vault.db")

    def _url(self, given: SecretStr | None, file: str) -> str:
        return given.get_secret_value() if given else f"sqlite:///{self.data_dir.resolve() / file}"

    def places(self) -> Places:
        """Name where everything lies; keys without a setting lie in the data folder's `keys`."""
        keys = self.data_dir.resolve() / "keys"
        return Places(
            data=self.data_dir.resolve(),
            main_url=self.main_url(),
            vault_url=self.vault_database_url(),
            keys=KeyFiles(
                pseudonym=self.pseudonym_key_file or keys / "pseudonym.key",
                vault=self.vault_key_file or keys / "vault.key",
                audit=self.audit_key_file or keys / "audit.key",
            ),
            default_issuer=self.default_issuer,
            profile=self.profile,
            pacs=self.pacs_to_ask(),
            copies_kept=timedelta(days=self.quarantine_days) if self.quarantine_copies else None,
        )

    def pacs_to_ask(self) -> tuple[Pacs, ...]:
        """Name the PACS that may be asked about a series; none where none is set.

        Raises:
            ConfigurationError: an address is none.
        """
        given = self.pacs.get_secret_value() if self.pacs else ""
        return pacs_of(given, own_title=self.pacs_own_title, timeout=self.pacs_timeout)

    def keep(self) -> Keep:
        """Say for how long each store keeps what it holds."""
        names = ("superseded", "series", "volumes", "exports", "identities")
        days = {name: getattr(self, f"keep_{name}") for name in names}
        return Keep(**{name: timedelta(days=number) if number else None for name, number in days.items()})

    def source_folder(self, name: str) -> Path:
        """Find the export folder that `name` stands for.

        Raises:
            ConfigurationError: no source has that name, or it and the data folder lie inside one another.
        """
        if name not in self.sources:
            known = ", ".join(sorted(self.sources)) or "none"
            raise ConfigurationError(f"no source is named {name!r} (known: {known}); set MEDFLOW_SOURCES=name=folder")
        self.check_apart(self.sources[name])
        return self.sources[name]

    def check_apart(self, folder: Path) -> None:
        """Refuse an export folder that holds the data folder, or lies in it: exports are never written to.

        Raises:
            ConfigurationError: one of them lies inside the other.
        """
        export, data = folder.resolve(), self.data_dir.resolve()
        if data.is_relative_to(export) or export.is_relative_to(data):
            raise ConfigurationError(
                "the data folder and the folder to take in lie inside one another; "
                "set MEDFLOW_DATA_DIR to another place"
            )

    def source(self, folder: Path, name: str | None, house: House) -> Source:
        """Name the source that `folder` is: as the caller says, as it is set, or by a keyed code of the folder.

        Raises:
            ConfigurationError: the name holds more than letters, digits, "-" and "_".
        """
        resolved = folder.resolve()
        known = next((key for key, path in self.sources.items() if path.resolve() == resolved), None)
        chosen = name or known or f"folder-{house.pseudonyms.code('folder', str(resolved)).lower()}"
        if not SOURCE_NAME.fullmatch(chosen):
            raise ConfigurationError("a source's name holds letters, digits, '-' and '_' only: it stands in every row")
        return Source(name=chosen, site=self.sites.get(chosen, chosen))


SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_settings(**options: object) -> Settings:
    """Read the settings; an option that is None was not given.

    Raises:
        ConfigurationError: a setting or the configuration file is wrong, with the setting's name.
    """
    named = os.environ.get("MEDFLOW_CONFIG")
    if named is not None and not Path(named).is_file():
        raise ConfigurationError("MEDFLOW_CONFIG names no file; correct it or unset it")
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]  # pydantic validates them
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"settings: {wrong}. ops/env.example describes each of them") from None
    except ValueError as error:
        raise ConfigurationError(f"the configuration file is not valid TOML: {error}") from None


def open_house(settings: Settings, *, writing: bool = True) -> House:
    """Open databases, vault and keys, and hand in the clock and the operator's name.

    Raises:
        ConfigurationError: a key is missing or readable by others, or a database is not there or not current.
        StateError: nothing was taken in yet, and the caller only reads.
    """
    return steps_house.open_house(settings.places(), outside(settings), writing=writing)


def outside(settings: Settings) -> Outside:
    """Read what the library never reads for itself: the clock, chance, the machine, and who is at the keyboard."""
    return Outside(
        actor=getpass.getuser(),
        threads=settings.threads or os.cpu_count() or 1,
        now=lambda: datetime.now(UTC),  # noqa: TID251  (here the clock is handed in)
        token=lambda: uuid.uuid4().hex,
    )
