"""Whose each file is: by its series, or by its own header where it belongs to none."""

from collections.abc import Iterator, Mapping

from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.scan import Scan
from medflow.domain.safe import Pseudonym
from medflow.domain.series import Owner, SourceFile
from medflow.steps.house import House


def note_places(house: House, scan: Scan, paths: Mapping[str, str], keys: Mapping[tuple[str, str], str]) -> None:
    """Write into the vault where files lie and whose they are, and how older epochs called these patients.

    `paths` are by file key; `keys` gives that key by a file's name.
    """
    owned = {key: owner for file, owner in _owned(scan) if (key := keys[file.name]) in paths}
    names = {owner: patient_of(house.pseudonyms, owner) for owner in set(owned.values())}
    house.vault.put_files(paths, {key: names[owner] for key, owner in owned.items()})
    links = {patient_of(former, owner): name for owner, name in names.items() for former in house.former}
    if links:
        house.vault.put_links(links)


def patient_of(pseudonyms: Pseudonyms, owner: Owner) -> Pseudonym:
    """Give the pseudonym of whom an object belongs to."""
    return pseudonyms.patient(owner.patient_id, owner.issuer, owner.study_instance_uid)[0]


def _owned(scan: Scan) -> Iterator[tuple[SourceFile, Owner]]:
    for series in scan.series:
        owner = Owner(patient_id=series.patient_id, issuer=series.issuer, study_instance_uid=series.study_instance_uid)
        yield from ((file, owner) for file in series.files())
    yield from ((item.file, item.owner) for item in scan.set_aside if item.owner is not None)
