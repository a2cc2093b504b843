"""A look at a folder: what is there, what it would become, what would be refused and why. Nothing is written.

Series are numbered in the order of their UIDs, which no file name changes, and are told by what their cleaned headers
say. Headers alone are read: what only pixels show (damage, text without a word of it in the header) is found by those
who decode them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from medflow.deid.glance import check_headers, glance
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.completeness import judge
from medflow.dicom.content import archives_kept_open
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.layout import IntensityFacts
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import Descriptors
from medflow.domain.series import FileState, Modality, Series
from medflow.domain.volume import Unit
from medflow.errors import ConfigurationError, SeriesError
from medflow.imaging.plane import unit_of
from medflow.imaging.units import scale_of
from medflow.steps.account import NONE_OF_OURS, Tally
from medflow.steps.rules import Described
from medflow.steps.seen import Accepted, InspectReport, Refusal, Seen
from medflow.steps.settle import Settler

UNITS = {Modality.CT: (Unit.HU,), Modality.MR: (Unit.ARBITRARY,), Modality.PT: (Unit.BQML, Unit.SUVBW)}
"""Units that a task may ask of the volumes of a modality."""
Wanted = Callable[[Described], tuple[str, ...]]
"""Names the rules of a task that a series fails."""


def inspect(
    folder: Path,
    *,
    pseudonyms: Pseudonyms,
    profile: Profile,
    wanted: Wanted | None = None,
    progress: Progress = SILENT,
) -> InspectReport:
    """Look at every file below `folder` and say what it would become; `pseudonyms` may stand on a throw-away key.

    Raises:
        ConfigurationError: the folder is not there.
        BatchError: the counts do not add up, or too much failed in ways nobody foresaw.
    """
    if not folder.is_dir():
        raise ConfigurationError("the folder to inspect is not there, or is no folder")
    scan = scan_folder(folder, progress=progress)
    look = _Look(pseudonyms=pseudonyms, profile=profile, wanted=wanted)
    for item in scan.set_aside:
        look.tally.note(item.file, item.state, item.reason)
    seen = []
    progress.start("looking at series", len(scan.series))
    with archives_kept_open():
        for number, series in enumerate(scan.series, 1):
            seen.append(look.at(number, series))
            progress.advance()
    for archive in scan.archives:
        look.tally.note(archive.file, *look.tally.fate_of(archive))
    files, members = look.tally.counted(scan)
    return InspectReport(files=files, members=members, reasons=look.tally.reasons, series=tuple(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What stays the same from one series to the next."""

    pseudonyms: Pseudonyms = field(repr=False)
    profile: Profile
    wanted: Wanted | None
    settler: Settler = field(default_factory=Settler)
    tally: Tally = field(default_factory=Tally)

    def at(self, number: int, series: Series) -> Seen:
        """Say what one series would become, and count its files."""
        laid = self.settler.settle(lambda: lay_out(series))
        shown = series if isinstance(laid, SeriesError) else laid.series
        said = self.settler.settle(lambda: glance(shown, pseudonyms=self.pseudonyms, profile=self.profile))
        outcome: Accepted | SeriesError
        if isinstance(laid, SeriesError):
            outcome = laid
        elif isinstance(said, SeriesError):
            outcome = said
        else:
            outcome = self.settler.settle(partial(self._accepted, laid, said))
        return Seen(
            number=number,
            modality=series.modality,
            files=len(series.instances),
            descriptors=None if isinstance(said, SeriesError) else said,
            outcome=self._counted(series, outcome),
            aside=Counter(() if isinstance(outcome, SeriesError) else (item.reason for item in outcome.laid.set_aside)),
        )

    def _counted(self, series: Series, outcome: Accepted | SeriesError) -> Accepted | Refusal:
        """Count the files of a series by what would become of them."""
        if isinstance(outcome, SeriesError):
            state = FileState.IGNORED if outcome.reason in NONE_OF_OURS else FileState.QUARANTINED
            for file in series.files():
                self.tally.note(file, state, outcome.reason)
            return Refusal(reason=outcome.reason, detail=outcome.detail)
        for file in outcome.laid.series.files():
            self.tally.note(file, FileState.ACCEPTED)
        for item in outcome.laid.set_aside:
            self.tally.note(item.file, item.state, item.reason)
        return outcome

    def _accepted(self, laid: LaidOut, descriptors: Descriptors) -> Accepted:
        """Follow a series as far as its headers lead.

        Raises:
            SeriesError: it would be turned away.
        """
        facts = intensity_facts(laid.series)
        check_headers(laid.series, self.profile)
        unit, missing = _units(laid, facts)
        found = Accepted(
            laid=laid,
            facts=facts,
            descriptors=descriptors,
            completeness=judge(laid.series, laid.layouts, related=None, aside=len(laid.set_aside)),
            unit=unit,
            missing=missing,
            failed=None,
        )
        return found if self.wanted is None else replace(found, failed=self.wanted(found))


def _units(laid: LaidOut, facts: IntensityFacts) -> tuple[Unit | None, dict[Unit, Refusal]]:
    """Say in which unit a series would be read, and which ones it lacks, with the keyword that stands in the way."""
    modality = laid.series.modality
    if laid.planes:
        return unit_of(laid.planes[0]), {}
    missing = {}
    for unit in UNITS[modality]:
        try:
            scale_of(modality, facts, unit)
        except SeriesError as refusal:
            missing[unit] = Refusal(reason=refusal.reason, detail=refusal.detail)
    try:
        return scale_of(modality, facts, None).unit, missing
    except SeriesError:
        return None, missing
