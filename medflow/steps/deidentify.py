"""The engine alone: a folder of DICOM becomes a folder of de-identified DICOM, without a database."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medflow.deid.folder import clear_abandoned, replace_file
from medflow.deid.ledger import Ledger
from medflow.deid.profile import EDITIONS, ENGINE, Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.single import CLASSES
from medflow.dicom.content import archives_kept_open
from medflow.dicom.objects import state_for
from medflow.dicom.scan import Scan, scan_folder
from medflow.dicom.singles import singles_of
from medflow.domain.progress import SILENT, Progress
from medflow.domain.series import FileState, Series, SourceFile
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.steps import crew
from medflow.steps.account import NONE_OF_OURS, Counts, Tally, fields
from medflow.steps.engine import Engine, Job, Written, done, together
from medflow.steps.settle import Settler, check_scan

REPORT = "report.json"
"""The report in the output folder: it bears no time and no path, so that the same input gives the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A file that did not come out, by its number among the input's paths in their order, and why."""

    file: int
    member: int | None
    """Its number among the members of the archive that `file` is."""
    state: FileState
    reason: Reason

    def record(self) -> dict[str, Any]:
        """Write it as plain values."""
        member = {} if self.member is None else {"member": self.member}
        return {"file": self.file, **member, "state": self.state.value, "reason": self.reason.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifyReport:
    """What became of the files of the folder, and what was done to them."""

    files: Counts
    members: Counts
    """Members of archives, each of which counts as one of `files`."""
    series: int
    objects: int
    """Objects that are no images of a series: pictures and reports."""
    reasons: Mapping[Reason, int]
    withheld: Sequence[Withheld]
    """Every file and member that is not accepted."""
    ledger: Ledger
    profile: Profile

    @property
    def clean(self) -> bool:
        """True where nothing was quarantined."""
        return not (self.files.quarantined or self.members.quarantined)

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json` and for the output folder."""
        return {
            "files": fields(self.files),
            "members": fields(self.members),
            "series": self.series,
            "objects": self.objects,
            "reasons": {reason.value: count for reason, count in sorted(self.reasons.items())},
            "withheld": [one.record() for one in self.withheld],
            **self.ledger.record(),
            "profile": {
                "name": self.profile.name,
                "digest": self.profile.digest,
                "options": sorted(option.value for option in self.profile.options),
                "text": self.profile.text.value,
                "codes": [{"code": code, "meaning": meaning} for code, meaning in self.profile.methods],
            },
            "engine": {"version": version("medflow"), "rules": ENGINE},
            "editions": dict(EDITIONS),
        }


def deidentify(  # noqa: PLR0913  (the verb's options)
    folder: Path,
    out: Path,
    *,
    pseudonyms: Pseudonyms,
    profile: Profile,
    pictures: Path | None = None,
    processes: int = 1,
    progress: Progress = SILENT,
) -> DeidentifyReport:
    """Write a de-identified copy of every series and every picture or report below `folder` into `out`.

    Files of one key always get the same names and bytes, by however many processes; nothing but `out` is written, and
    `pictures` of what was blanked. What a killed run was writing there is cleared away.

    Raises:
        ConfigurationError: the folder is not there, `out` cannot be written, or one of them lies inside the other.
        BatchError: too much failed in ways nobody foresaw.
    """
    _check_places(folder, out, pictures, processes)
    clear_abandoned(out)
    scan = scan_folder(folder, progress=progress)
    check_scan(scan)
    singles, rest = singles_of(scan.set_aside, CLASSES)
    account = _Account()
    for item in rest:
        account.tally.note(item.file, item.state, item.reason)
    jobs: list[Job] = [*together(singles, profile), *scan.series]
    engine = Engine(out=out, pseudonyms=pseudonyms, profile=profile, pictures=pictures)
    settler = Settler()
    progress.start("de-identifying series", len(jobs))
    with closing(_outcomes(partial(done, engine), jobs, processes)) as outcomes:
        for job, outcome in zip(jobs, outcomes, strict=True):
            account.note(job, settler.settle(outcome))
            progress.advance()
    clear_abandoned(out)
    report = account.closed(scan, profile)
    replace_file(out / REPORT, _spelled(report))
    return report


def _spelled(report: DeidentifyReport) -> bytes:
    record = {"schema": "medflow/deidentify/1", **report.record()}
    return (json.dumps(record, indent=2) + "\n").encode("ascii")


def _check_places(folder: Path, out: Path, pictures: Path | None, processes: int) -> None:
    if not folder.is_dir():
        raise ConfigurationError("the folder to de-identify is not there, or is no folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("the output folder lies inside the input folder; name another place")
    if folder.resolve().is_relative_to(out.resolve()):
        raise ConfigurationError("the input folder lies inside the output folder; name another place")
    if pictures is not None and pictures.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("the folder for pictures lies inside the input folder; name another place")
    if processes < 1:
        raise ConfigurationError("at least one process must do the work")
    try:
        for made in filter(None, (out, pictures)):
            made.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise ConfigurationError("the output folder cannot be made; name another place") from None


def _outcomes(work: Callable[[Job], Written], jobs: Sequence[Job], processes: int) -> Generator[crew.Outcome[Written]]:
    """Do the work on each job here, or in processes of ours, and give the outcomes in the jobs' order."""
    if min(processes, len(jobs)) > 1:
        yield from crew.outcomes(work, jobs, processes=min(processes, len(jobs)))
        return
    with archives_kept_open():
        for job in jobs:
            yield partial(work, job)


@dataclass(slots=True)
class _Account:
    """What became of every file so far, and what was done."""

    tally: Tally = field(default_factory=Tally)
    ledger: Ledger = field(default_factory=Ledger)

    def note(self, job: Job, outcome: Written | SeriesError) -> None:
        """Count the files of one job, each once."""
        files = tuple(job.files()) if isinstance(job, Series) else tuple(single.file for single in job)
        if isinstance(outcome, SeriesError):
            state = _state(job, outcome.reason)
            for file in files:
                self.tally.note(file, state, outcome.reason)
            return
        if isinstance(job, Series):
            self.tally.series["accepted"] += 1
        else:
            self.tally.series["objects"] += len(files) - len(outcome.set_aside)
        self.ledger.add(outcome.ledger)
        aside = {item.file.name: item for item in outcome.set_aside}
        for file in files:
            item = aside.get(file.name)
            if item is None:
                self.tally.note(file, FileState.ACCEPTED)
            else:
                self.tally.note(file, item.state, item.reason)

    def closed(self, scan: Scan, profile: Profile) -> DeidentifyReport:
        """Close the account of all that `scan` saw.

        Raises:
            BatchError: a file is lost, or counted twice.
        """
        for archive in scan.archives:
            self.tally.note(archive.file, *self.tally.fate_of(archive))
        files, members = self.tally.counted(scan)
        return DeidentifyReport(
            files=files,
            members=members,
            series=self.tally.series["accepted"],
            objects=self.tally.series["objects"],
            reasons=self.tally.reasons,
            withheld=_withheld(scan, self.tally),
            ledger=self.ledger,
            profile=profile,
        )


def _state(job: Job, reason: Reason) -> FileState:
    """Say what becomes of files that were turned away: nothing is wrong with those that are none of ours."""
    if not isinstance(job, Series):
        return state_for(reason)
    return FileState.IGNORED if reason in NONE_OF_OURS else FileState.QUARANTINED


def _withheld(scan: Scan, tally: Tally) -> tuple[Withheld, ...]:
    """List what did not come out by numbers, in their order."""
    files = sorted({file.relative for file in scan.files()})
    numbers = {relative: number for number, relative in enumerate(files, 1)}
    members: dict[SourceFile, int] = {}
    inside: dict[str, int] = {}
    for file in sorted((file for file in scan.files() if file.member), key=lambda one: one.name):
        members[file] = inside[file.relative] = inside.get(file.relative, 0) + 1
    found = [
        Withheld(file=numbers[file.relative], member=members.get(file), state=state, reason=reason)
        for file, state, reason in tally.set_aside
    ]
    return tuple(sorted(found, key=lambda one: (one.file, one.member or 0)))
