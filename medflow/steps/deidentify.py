"""The engine alone: a folder of DICOM becomes a folder of de-identified DICOM, without a database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.progress import SILENT, Progress
from medflow.domain.series import FileState, Series
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.steps.account import NONE_OF_OURS, Counts
from medflow.steps.settle import Settler


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifyReport:
    """What became of the files of the folder."""

    files: Counts
    series: int
    reasons: Mapping[Reason, int]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {
            "files": {name: getattr(self.files, name) for name in self.files.__slots__},
            "series": self.series,
            "reasons": {reason.value: count for reason, count in sorted(self.reasons.items())},
        }


def deidentify(
    folder: Path, out: Path, *, pseudonyms: Pseudonyms, profile: Profile, progress: Progress = SILENT
) -> DeidentifyReport:
    """Write a de-identified copy of every CT, MR and PET series below `folder` into `out`.

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
    states = Counter(item.state for item in scan.set_aside)
    reasons = Counter(item.reason for item in scan.set_aside)
    settler, done = Settler(), 0
    progress.start("de-identifying series", len(scan.series))
    for series in scan.series:
        outcome = settler.settle(lambda series=series: _one(series, out, pseudonyms, profile))  # type: ignore[misc]  # mypy on defaults
        if isinstance(outcome, SeriesError):
            state = FileState.IGNORED if outcome.reason in NONE_OF_OURS else FileState.QUARANTINED
            outcome = Counter({(state, outcome.reason): len(series.instances)})
        else:
            done += 1
        for (state, reason), count in outcome.items():
            states[state] += count
            if reason is not None:
                reasons[reason] += count
        progress.advance()
    counts = Counts(seen=scan.seen, **{state.value: states[state] for state in FileState})
    return DeidentifyReport(files=counts, series=done, reasons=reasons)


def _one(
    series: Series, out: Path, pseudonyms: Pseudonyms, profile: Profile
) -> Counter[tuple[FileState, Reason | None]]:
    """De-identify one series; count its files by what became of them."""
    laid = lay_out(series)
    deidentify_series(
        laid.series,
        laid.layouts,
        intensity_facts(laid.series),
        pseudonyms=pseudonyms,
        profile=profile,
        source=Source(name="", site=""),
        sha256s=source_sha256s(laid.series),
        root=out,
    )
    fates: Counter[tuple[FileState, Reason | None]] = Counter((item.state, item.reason) for item in laid.set_aside)
    fates[FileState.ACCEPTED, None] += len(laid.series.instances)
    return fates
