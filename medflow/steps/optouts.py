"""Patients who opted out: what of a scan is theirs goes no further, and is remembered nowhere."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.scan import Scan
from medflow.domain.safe import Pseudonym
from medflow.domain.series import FileState, Owner, Series, SetAside, SourceFile
from medflow.errors import Reason
from medflow.steps.house import House
from medflow.store import exclusions
from medflow.store.engine import reading


def names_of(house: House, patient: Pseudonym) -> tuple[Pseudonym, ...]:
    """Give every pseudonym of a person: of merged records, and of older epochs of the pseudonym key."""
    persons = house.same_patient
    person = persons.get(patient, patient)
    return tuple(sorted({patient, person, *(old for old, new in persons.items() if new == person)}))


def without_opted_out(house: House, scan: Scan) -> Scan:
    """Set aside, as `patient-excluded`, what belongs to a patient who opted out by its header, which alone was read."""
    with reading(house.engine) as connection:
        listed = exclusions.excluded(connection)
    if not listed:
        return scan
    persons = house.same_patient
    listed |= {persons.get(one, one) for one in listed}
    opted_out = _OptedOut(named_by=(house.pseudonyms, *house.former), listed=listed, persons=persons)
    out = {series.series_instance_uid for series in scan.series if opted_out(series)}
    asides = [_as_theirs(aside) if opted_out(aside.owner) else aside for aside in scan.set_aside]
    for series in scan.series:
        if series.series_instance_uid in out:
            asides += (SetAside(file=file, state=FileState.IGNORED, reason=REASON) for file in series.files())
    return replace(
        scan,
        series=tuple(series for series in scan.series if series.series_instance_uid not in out),
        set_aside=tuple(sorted(asides, key=lambda aside: aside.file.name)),
    )


def remembered(scan: Scan) -> Iterator[SourceFile]:
    """Name what the vault may know the place of: all but the files of those who opted out."""
    theirs = {aside.file.name for aside in scan.set_aside if aside.reason is REASON}
    yield from (file for file in scan.files() if file.name not in theirs)


REASON = Reason.PATIENT_EXCLUDED


@dataclass(frozen=True, slots=True, kw_only=True)
class _OptedOut:
    """The list, asked for one object after the other."""

    named_by: tuple[Pseudonyms, ...]
    """Of every epoch whose key is there: no link tells what an older one called somebody who was never taken in."""
    listed: Set[Pseudonym]
    persons: Mapping[Pseudonym, Pseudonym]

    def __call__(self, owner: Owner | Series | None) -> bool:
        if owner is None:
            return False
        whose = (owner.patient_id, owner.issuer, owner.study_instance_uid)
        names = {pseudonyms.patient(*whose)[0] for pseudonyms in self.named_by}
        return bool(self.listed & (names | {self.persons.get(name, name) for name in names}))


def _as_theirs(aside: SetAside) -> SetAside:
    return replace(aside, state=FileState.IGNORED, reason=REASON, detail="")
