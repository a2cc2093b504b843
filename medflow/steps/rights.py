"""Opt-outs: who is left out from now on, and which models had used them."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError
from medflow.steps.house import House
from medflow.steps.optouts import names_of
from medflow.steps.run import Run, opened
from medflow.store import exclusions, flags, jobs
from medflow.store import series as series_rows
from medflow.store.engine import writing
from medflow.store.flags import Touched

PSEUDONYM = re.compile(r"P[A-Z2-7]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who asks for a right, by every pseudonym that is theirs."""

    patient: Pseudonym
    names: tuple[Pseudonym, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionReport:
    """Who opted out, or is let in again."""

    run: str
    patient: Pseudonym
    pseudonyms: int
    """Of the person, merged records and older epochs included."""
    excluded: bool
    """False where an opt-out was lifted."""
    changed: bool
    """False where it was so before."""
    series: int
    """That were taken in before; they stay until they are erased."""
    models: tuple[Touched, ...]
    """Models that used examples of the patient."""

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "run": self.run,
            "patient": self.patient,
            "pseudonyms": self.pseudonyms,
            "excluded": self.excluded,
            "changed": self.changed,
            "series": self.series,
            "models": sorted({touched.model for touched in self.models}),
        }


def person_of(house: House, name: str, issuer: str = "") -> Person:
    """Find out whom `name` means: a pseudonym; or an original PatientID, as which anything counts that has an issuer.

    Raises:
        ConfigurationError: it is an ID that names nobody, absent or a placeholder.
    """
    given = name.strip()
    if PSEUDONYM.fullmatch(given) and not issuer.strip():
        patient, former = Pseudonym(given), set()
    else:
        known = house.pseudonyms.patient_of_id(given, issuer)
        if known is None:
            raise ConfigurationError(
                "a placeholder for an ID names nobody; give the pseudonym of the study that it has"
            )
        patient = known
        former = {old for epoch in house.former if (old := epoch.patient_of_id(given, issuer)) is not None}
    patient = house.same_patient.get(patient, patient)
    return Person(patient=patient, names=tuple(sorted({*names_of(house, patient), *former})))


def exclude(house: House, person: Person) -> ExclusionReport:
    """Put a person on the opt-out list: from now on nothing of theirs is taken in, scored, learned from or exported.

    What was taken in before stays until it is erased. Models that used it are flagged.
    """
    with opened(house, "exclude") as run, writing(house.engine) as connection:
        new = exclusions.exclude(connection, person.names, run_id=run.id, at=house.now())
        rows = series_rows.series_of(connection, person.names)
        cancelled = jobs.cancel(connection, [row.id for row in rows])
        models = flagged(run, connection, "excluded", person)
        counts = {"pseudonyms": len(person.names), "series": len(rows), "jobs": len(cancelled)}
        if new:
            run.append(connection, "patient-excluded", person.patient, **counts)
    return ExclusionReport(
        run=run.id,
        patient=person.patient,
        pseudonyms=len(person.names),
        excluded=True,
        changed=bool(new),
        series=sum(row.state != "erased" for row in rows),
        models=models,
    )


def lift(house: House, person: Person) -> ExclusionReport:
    """Take a person off the opt-out list; the next ingest takes in what the export holds of them."""
    with opened(house, "exclude") as run, writing(house.engine) as connection:
        lifted = exclusions.lift(connection, person.names, at=house.now())
        rows = series_rows.series_of(connection, person.names)
        if lifted:
            run.append(connection, "patient-exclusion-lifted", person.patient, pseudonyms=len(lifted))
    return ExclusionReport(
        run=run.id,
        patient=person.patient,
        pseudonyms=len(person.names),
        excluded=False,
        changed=bool(lifted),
        series=sum(row.state != "erased" for row in rows),
        models=(),
    )


def flagged(run: Run, connection: Connection, kind: str, person: Person) -> tuple[Touched, ...]:
    """Flag every model that used examples of a person, and give what it used."""
    models = flags.touched(connection, person.names)
    for touched in models:
        detail = {touched.model_id: touched.detail()}
        for flag in flags.save(connection, kind, touched.patient, detail, run_id=run.id, at=run.house.now()):
            run.append(connection, "model-flagged", flag.model_id, flag=kind, patient=flag.patient, **flag.detail)
    return models
