"""The second look: at a series before its row is accepted, and at a folder whenever somebody asks."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from medflow.dicom.content import open_content
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries, Pseudonym
from medflow.domain.series import Series
from medflow.errors import Reason, SeriesError
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.store.engine import reading, writing
from medflow.store.series import known_series
from medflow.verify.folder import Entry, Owner, entries, look_at_files, owners, verify_folder
from medflow.verify.identity import Identity, identity_of_file, identity_of_model, identity_of_uids
from medflow.verify.originals import read_originals
from medflow.verify.report import Finding, VerifyReport

PSEUDONYM = re.compile(r"P[A-Z2-7]{16}")
"""What a pseudonym of this house looks like; nothing else is asked of the vault or written down."""
TOLD = 3
"""Findings that the detail of a refusal names."""


@dataclass(slots=True)
class Verified:
    """What the second looks of one run of ingest came to."""

    series: int = 0
    files: int = 0
    findings: int = 0
    expected: float = 0.0
    """False alarms that chance alone would give, summed over the series."""

    def record(self) -> dict[str, int | str]:
        """Write the counts for the audit trail, which holds no floats."""
        return {
            "series": self.series,
            "files": self.files,
            "findings": self.findings,
            "expected_false_alarms": f"{self.expected:.2e}",
        }


def check(house: House, series: Series, safe: DeidentifiedSeries, verified: Verified) -> None:
    """Look through the files of a series for the identity of its originals, before its row is accepted.

    Raises:
        SeriesError: IDENTITY_REMAINS; its files are gone from the safe store, unless a row stands on them already.
    """
    relative = safe.folder.relative_to(house.safe).as_posix()
    listed = tuple(Entry(path=entry.path, relative=f"{relative}/{entry.relative}") for entry in entries(safe.folder))
    expected, findings = look_at_files(listed, _identity(series))
    verified.series += 1
    verified.files += len(listed)
    verified.findings += len(findings)
    verified.expected += expected
    if not findings:
        return
    with reading(house.engine) as connection:
        row = known_series(connection, safe.source_digest, safe.profile_digest)
    if row is None or row.folder is None:
        shutil.rmtree(safe.folder, ignore_errors=True)
    raise SeriesError(Reason.IDENTITY_REMAINS, _detail(findings))


def _detail(findings: tuple[Finding, ...]) -> str:
    """Name kinds and places, which are codes and tags."""
    places = list(dict.fromkeys(f"{finding.kind.value} in {finding.place}" for finding in findings))
    more = f" and {len(places) - TOLD} more" if len(places) > TOLD else ""
    return ", ".join(places[:TOLD]) + more


def _identity(series: Series) -> Identity:
    """Read whose a series is: in full from its first, middle and last object, of the others their UIDs."""
    uids = [instance.sop_instance_uid for instance in series.instances]
    uids += [instance.frame_of_reference for instance in series.instances]
    found = identity_of_uids({*uids, series.study_instance_uid, series.series_instance_uid})
    count = len(series.instances)
    for place in sorted({0, count // 2, count - 1}):
        try:
            with open_content(series.instances[place].file) as content:
                read = identity_of_file(content.stream)
        except OSError:
            raise SeriesError(Reason.UNREADABLE_FILE) from None
        if read is None:
            raise SeriesError(Reason.DAMAGED_HEADER)
        found |= read
    return found


def verify_against_originals(out: Path, originals: Path, *, seed: int, progress: Progress = SILENT) -> VerifyReport:
    """Look through every file below `out` for the identity of every patient below `originals`.

    Objects of more studies than the originals have belong to somebody whose identity was not looked for.

    Raises:
        ConfigurationError: a folder is not there, or the originals say of nobody whose they are.
    """
    listed = entries(out)
    read = read_originals(originals, progress=progress)
    identity = read.identity
    studies: set[str] = set()

    def known(owner: Owner) -> bool:
        studies.add(owner.study)
        return len(studies) <= len(identity.studies)

    return verify_folder(listed, identity, known=known, seed=seed, unread=read.unread, progress=progress)


def verify_against_vault(
    house: House, out: Path, *, purpose: str, seed: int, progress: Progress = SILENT
) -> VerifyReport:
    """Look through every file below `out` for the identity that the vault keeps of the pseudonyms in it.

    The vault is asked only after the asking was written down. An object of which it knows nothing is counted as
    unmatched.

    Raises:
        ConfigurationError: the folder is not there.
    """
    listed = entries(out)
    patients = sorted({owner.patient for owner in owners(listed) if PSEUDONYM.fullmatch(owner.patient)})
    with opened(house, "deid-verify") as run:
        known = _from_vault(run, patients, purpose)
        identity = Identity()
        for each in known.values():
            identity |= each
        report = verify_folder(
            listed, identity, known=lambda owner: owner.patient in known, seed=seed, progress=progress
        )
        run.detail = {
            "files": report.files,
            "findings": len(report.findings),
            "unmatched": report.unmatched,
            "expected_false_alarms": f"{report.expected:.2e}",
        }
    return report


def _from_vault(run: Run, patients: list[str], purpose: str) -> dict[str, Identity]:
    """Ask the vault for whom pseudonyms stand; those that it does not know are left out."""
    house = run.house
    with writing(house.engine) as connection:
        for patient in patients:
            run.append(connection, "vault-read-requested", patient, purpose=purpose)
    found: dict[str, Identity] = {}
    for patient in patients:
        for one in house.vault.identities(patient=Pseudonym(patient)):
            uids = identity_of_uids((*one.sop_instance_uids,))
            found[patient] = found.get(patient, Identity()) | identity_of_model(one.modules) | uids
    with writing(house.engine) as connection:
        for patient in patients:
            run.append(connection, "vault-read-done", patient, known=patient in found)
    return found
