"""Back from a pseudonym to a person: for a stated purpose, on the record, and never by way of a log."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medflow.domain.safe import Identity, Pseudonym, SeriesUID
from medflow.errors import StateError
from medflow.steps.house import House
from medflow.steps.optouts import names_of
from medflow.steps.purpose import Purpose
from medflow.steps.run import opened
from medflow.store import audit, predictions
from medflow.store import series as series_rows
from medflow.store.engine import reading, writing

PATIENT = {
    "name": "00100010",
    "id": "00100020",
    "issuer": "00100021",
    "birth_date": "00100030",
    "sex": "00100040",
}
"""What is told of a person, by its key in DICOM JSON (PS3.18 F.2.2)."""
STUDY = {"date": "00080020", "accession": "00080050", "study_id": "00200010", "modality": "00080060"}
REQUESTED, DONE, REFUSED = "vault-read-requested", "vault-read-done", "vault-read-refused"
LOOKUPS = 1_000_000
PSEUDONYM = re.compile(r"P[A-Z2-7]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reidentified:
    """A person, and what was looked at of theirs. It is printed for whoever asked, and kept nowhere."""

    subject: str
    patient: Pseudonym
    persons: tuple[Mapping[str, str], ...] = field(repr=False)
    """More than one where the records disagree."""
    studies: tuple[Mapping[str, Any], ...] = field(repr=False)

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "subject": self.subject,
            "patient": self.patient,
            "persons": [dict(person) for person in self.persons],
            "studies": [dict(study) for study in self.studies],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Who asked the vault about whom, when and why, and what came of it."""

    at: str
    actor: str
    subject: str
    patient: str
    """Pseudonym; empty where it was asked about a file of nobody known, or about all."""
    purpose: str
    outcome: str
    """done, refused, or open where it was cut off."""


def reidentify(house: House, subject: str, purpose: Purpose, *, uids: bool = False) -> Reidentified:
    """Say who is behind a pseudonym, a series (`ser_`, or its UID) or a prediction (`prd_`); `uids` adds the original.

    The trail holds the asking before anything is read, and the purpose before anything is shown.

    Raises:
        StateError: nothing of that name is known, the vault holds no identity for it, or the purpose names the person.
    """
    patient, series = _meant(house, subject)
    about = series or patient
    vault = house.vault
    with opened(house, "reidentify") as run:
        with writing(house.engine) as connection:
            run.append(connection, "vault-comparison-requested", about, patient=patient)
        found = vault.identities(series=SeriesUID(series)) if series else _of_person(house, patient)
        if purpose.names(found):
            with writing(house.engine) as connection:
                run.append(connection, REFUSED, about, patient=patient, why="the purpose names the person")
            raise StateError("the purpose names the person, and it would stand in the audit trail: say it without")
        with writing(house.engine) as connection:
            run.append(connection, REQUESTED, about, patient=patient, purpose=purpose.words)
        if not found:
            with writing(house.engine) as connection:
                run.append(connection, REFUSED, about, patient=patient, why="the vault holds no identity for it")
            raise StateError("the vault holds no identity for that")
        with writing(house.engine) as connection:
            run.append(connection, DONE, about, patient=patient, identities=len(found))
    return Reidentified(
        subject=about, patient=patient, persons=_persons(found), studies=tuple(_study(one, uids=uids) for one in found)
    )


def lookups(house: House, *, patient: str | None = None) -> tuple[Lookup, ...]:
    """List who asked the vault, about everybody or one pseudonym, oldest first."""
    with reading(house.engine) as connection:
        asked, *ended = (audit.events(connection, kind=kind, limit=LOOKUPS) for kind in (REQUESTED, DONE, REFUSED))
    outcomes = {
        (event["run"], event["subject"]): outcome
        for outcome, events in zip(("done", "refused"), ended, strict=True)
        for event in events
    }
    known = {(event["run"], event["subject"]) for event in asked}
    asked += [event for event in ended[1] if (event["run"], event["subject"]) not in known]
    rows = (_lookup(event, outcomes) for event in sorted(asked, key=lambda event: int(event["seq"])))
    return tuple(row for row in rows if patient is None or patient in {row.patient, row.subject})


def _meant(house: House, subject: str) -> tuple[Pseudonym, str]:
    """Find whose a subject is, and which series' UID it names, if it names one."""
    with reading(house.engine) as connection:
        if subject.startswith("prd_"):
            said = predictions.prediction(connection, subject)
            subject = said.series_id
        if subject.startswith("ser_"):
            row = series_rows.series_row(connection, subject)
        elif "." in subject:
            rows = series_rows.revisions(connection, SeriesUID(subject))
            if not rows:
                raise StateError("there is no series of that UID")
            row = rows[-1]
        elif PSEUDONYM.fullmatch(subject):
            return Pseudonym(subject), ""
        else:  # whatever it is, it must not come into the trail
            raise StateError("say a pseudonym, a series (ser_... or its UID) or a prediction (prd_...)")
    if row.patient is None:
        raise StateError("it was refused before anybody knew whose it is")
    return row.patient, row.uid


def _of_person(house: House, patient: Pseudonym) -> tuple[Identity, ...]:
    """Open the identities under every pseudonym of a person."""
    return tuple(one for name in names_of(house, patient) for one in house.vault.identities(patient=name))


def _persons(found: Sequence[Identity]) -> tuple[Mapping[str, str], ...]:
    told = {tuple((name, _shown(one.modules, key)) for name, key in PATIENT.items()) for one in found}
    return tuple(dict(one) for one in sorted(told))


def _study(identity: Identity, *, uids: bool) -> Mapping[str, Any]:
    told: dict[str, Any] = {"series": identity.series}
    told |= {name: _shown(identity.modules, key) for name, key in STUDY.items()}
    if uids:
        told["study_uid"] = _shown(identity.modules, "0020000D")
        told["series_uid"] = _shown(identity.modules, "0020000E")
        told["sop_instance_uids"] = list(identity.sop_instance_uids)
    return told


def _shown(modules: Mapping[str, Any], key: str) -> str:
    """Spell a value for a person: a name in all of its spellings, several values apart."""
    values = modules.get(key, {}).get("Value", [])
    texts = [" = ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in values if one]
    return "; ".join(texts)


def _lookup(event: Mapping[str, Any], outcomes: Mapping[tuple[str, str], str]) -> Lookup:
    detail = event["detail"]
    return Lookup(
        at=event["at"],
        actor=event["actor"],
        subject=event["subject"],
        patient=detail.get("patient", ""),
        purpose=detail.get("purpose", ""),
        outcome=outcomes.get((event["run"], event["subject"]), "open"),
    )
