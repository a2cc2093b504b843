"""The engine alone: a folder of DICOM becomes a folder of de-identified DICOM, without a database."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.content import archives_kept_open
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.progress import SILENT, Progress
from medflow.domain.series import FileState, Series
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.steps.account import NONE_OF_OURS, Counts, Tally, fields
from medflow.steps.settle import Settler, check_scan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifyReport:
    """What became of the files of the folder."""

    files: Counts
    members: Counts
    """Members of archives, each of which counts as one of `files`."""
    series: int
    reasons: Mapping[Reason, int]

    @property
    def clean(self) -> bool:
        """True where nothing was quarantined."""
        return not (self.files.quarantined or self.members.quarantined)

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "files": fields(self.files),
            "members": fields(self.members),
            "series": self.series,
            "reasons": {reason.value: count for reason, count in sorted(self.reasons.items())},
        }


def deidentify(
    folder: Path, out: Path, *, pseudonyms: Pseudonyms, profile: Profile, progress: Progress = SILENT
) -> DeidentifyReport:
    """Write a de-identified copy of every series below `folder`, volumes and planar images, into `out`.

    Files of one key always get the same names and bytes; nothing but `out` is written.

    Raises:
        ConfigurationError: the folder is not there, or `out` lies inside it.
        BatchError: too much failed in ways nobody foresaw.
    """
    if not folder.is_dir():
        raise ConfigurationError("the folder to de-identify is not there, or is no folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("the output folder lies inside the input folder; name another place")
    scan = scan_folder(folder, progress=progress)
    check_scan(scan)
    settler, tally = Settler(), Tally()
    for item in scan.set_aside:
        tally.note(item.file, item.state, item.reason)
    progress.start("de-identifying series", len(scan.series))
    with archives_kept_open():
        for series in scan.series:
            outcome = settler.settle(partial(_one, series, out, pseudonyms, profile))
            _note(tally, series, outcome)
            progress.advance()
    for archive in scan.archives:
        tally.note(archive.file, *tally.fate_of(archive))
    files, members = tally.counted(scan)
    return DeidentifyReport(files=files, members=members, series=tally.series["accepted"], reasons=tally.reasons)


def _note(tally: Tally, series: Series, outcome: LaidOut | SeriesError) -> None:
    """Count what became of the files of one series."""
    if isinstance(outcome, SeriesError):
        state = FileState.IGNORED if outcome.reason in NONE_OF_OURS else FileState.QUARANTINED
        for file in series.files():
            tally.note(file, state, outcome.reason)
        return
    tally.series["accepted"] += 1
    for file in outcome.series.files():
        tally.note(file, FileState.ACCEPTED)
    for item in outcome.set_aside:
        tally.note(item.file, item.state, item.reason)


def _one(series: Series, out: Path, pseudonyms: Pseudonyms, profile: Profile) -> LaidOut:
    """De-identify one series."""
    laid = lay_out(series)
    deidentify_series(
        laid.series,
        laid.layouts,
        intensity_facts(laid.series),
        planes=laid.planes,
        pseudonyms=pseudonyms,
        profile=profile,
        source=Source(name="", site=""),
        sha256s=source_sha256s(laid.series),
        root=out,
    )
    return laid
