"""New keys in place of old ones: of the vault, which changes no pseudonym, and of the pseudonyms, on purpose only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medflow.deid.keys import lay_out_successor, put_in_place, read_key
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.safe import Identity, Pseudonym
from medflow.steps.house import House
from medflow.steps.purpose import Purpose
from medflow.steps.run import opened
from medflow.steps.strongroom import entered
from medflow.store.engine import writing
from medflow.store.vault_names import Begun, Renaming
from medflow.store.vault_room import Rotated

PATIENT_ID, ISSUER, STUDY = "00100020", "00100021", "0020000D"
"""Keys of DICOM JSON (PS3.18 F.2.2): PatientID, IssuerOfPatientID, StudyInstanceUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEpoch:
    """What a new pseudonym key renamed."""

    run: str
    epoch: int
    patients: int
    """Patients whose old and new pseudonyms the vault now links."""
    aliases: int
    """Merges that were carried over."""
    unlinked: tuple[Pseudonym, ...]
    """Those that the vault's identities could not name again; the next ingest links them, if the export has them."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return asdict(self) | {"unlinked": list(self.unlinked)}


def rotate(house: House) -> Rotated:
    """Give the vault a new key, and keep the old one beside it; pseudonyms, rows and exports stay as they are.

    Raises:
        ConfigurationError: the key file is not the one in use, or its folder cannot be written.
        StateError: another process changed the vault's keys meanwhile.
    """
    path, vault = house.keys.vault, house.vault
    with opened(house, "vault-rotate") as run:
        done = vault.rotate(lambda version, present: lay_out_successor(path, version - 1, present))
        put_in_place(path, done.version)
        with writing(house.engine) as connection:
            run.append(connection, "vault-key-rotated", "", **asdict(done))
    return done


def new_epoch(house: House, purpose: Purpose) -> NewEpoch:
    """Name every patient anew with a new pseudonym key; the vault links each old pseudonym with the new one.

    What was taken in keeps its names. The next ingest takes the export in again under the new ones.

    Raises:
        ConfigurationError: the key file is not the one in use, or its folder cannot be written.
        StateError: another process changed the vault's keys meanwhile.
    """
    path, present = house.keys.pseudonym, entered(house.strongroom)

    def renaming(number: int) -> Renaming:
        key = lay_out_successor(path, number - 1, present.pseudonyms.key)
        new = Pseudonyms(key=key, default_issuer=present.pseudonyms.default_issuer)
        old = Pseudonyms(key=present.pseudonyms.key, default_issuer=present.pseudonyms.default_issuer)
        return Renaming(fingerprint=new.fingerprint, names=lambda identity: _names(identity, old, new))

    with opened(house, "new-epoch") as run:
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-requested", "", purpose=purpose.words)
        begun = present.vault.begin_epoch(renaming)
        put_in_place(path, begun.number)
        key = Pseudonyms(key=read_key(path)).fingerprint
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-done", "")
            run.append(connection, "epoch-begun", "", pseudonym_key=key, **_told(begun))
    return NewEpoch(
        run=run.id, epoch=begun.number, patients=begun.patients, aliases=begun.aliases, unlinked=begun.unknown
    )


def _told(begun: Begun) -> dict[str, Any]:
    counts = {"patients": begun.patients, "aliases": begun.aliases, "unlinked": len(begun.unknown)}
    return {"epoch": str(begun.number), **counts}


def _names(identity: Identity, old: Pseudonyms, new: Pseudonyms) -> tuple[tuple[Pseudonym, Pseudonym], ...]:
    """Name a patient with both keys, by what the header says; an object may lack the issuer that its series has."""
    patient_id, issuer, study = (_text(identity.modules, key) for key in (PATIENT_ID, ISSUER, STUDY))
    issuers = dict.fromkeys((issuer, ""))
    return tuple((old.patient(patient_id, one, study)[0], new.patient(patient_id, one, study)[0]) for one in issuers)


def _text(modules: Mapping[str, Any], key: str) -> str:
    values = modules.get(key, {}).get("Value", [])
    return str(values[0]) if values and values[0] is not None else ""
