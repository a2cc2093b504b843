"""Watching an export folder: what has been quiet for long enough is taken in and scored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from medflow.deid.series import Source
from medflow.dicom.quiet import Quiet
from medflow.dicom.scan import Outcome, Scan, Sharing, gather, is_archive, list_files, read_file
from medflow.domain.series import SourceFile
from medflow.errors import ConfigurationError
from medflow.steps.account import IngestReport
from medflow.steps.house import House
from medflow.steps.ingest import take_in
from medflow.steps.score import ScoreReport, score
from medflow.store import models
from medflow.store.engine import reading

_Version = tuple[int, int]
"""(size, mtime in ns)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How a folder is watched; times in seconds."""

    quiet: float
    """A series is taken in when none of its files has changed for this long."""
    wait: Callable[[], bool]
    """Wait until the next look; False when it is time to stop."""
    clock: Callable[[], float]
    """A clock that never goes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one look at the folder led to."""

    ingested: IngestReport
    scored: ScoreReport | None
    """None where nothing new was accepted, or no model was trained yet."""


@dataclass(slots=True)
class _Watcher:
    """What was seen, what was read of it, and what was dealt with."""

    folder: Path
    quiet: Quiet = field(default_factory=Quiet)
    done: dict[tuple[str, str], _Version] = field(default_factory=dict)
    """The version of each file and member that was handed on, by its name."""
    read: dict[str, tuple[_Version, tuple[Outcome, ...]]] = field(default_factory=dict)
    """What was read of each file, by relative path: a file is read once for each version."""

    def ready(self, rhythm: Rhythm) -> Scan | None:
        """Find all that is there but for series that are still arriving; None where nothing of it is new.

        What was handed on before goes along: a late slice and a re-sent file are judged beside the rest. An archive
        that still grows is not looked into.
        """
        files = list(list_files(self.folder))
        now = rhythm.clock()
        self.quiet.observe(files, now)
        quiet = {file.relative for file in files if self.quiet.quiet(file, rhythm.quiet, now)}
        if not any(self._is_new(file) for file in files if file.relative in quiet):
            return None
        settled = [file for file in files if file.relative in quiet or not is_archive(file)]
        still = gather(chain.from_iterable(map(self._outcomes, settled))).part(lambda file: file.relative in quiet)
        return still if any(map(self._is_new, still.files())) else None

    def hand_on(self, scan: Scan) -> None:
        """Remember what was dealt with."""
        self.done.update({file.name: (file.size, file.mtime_ns) for file in scan.files()})

    def _is_new(self, file: SourceFile) -> bool:
        return self.done.get(file.name) != (file.size, file.mtime_ns)

    def _outcomes(self, file: SourceFile) -> tuple[Outcome, ...]:
        version = (file.size, file.mtime_ns)
        known = self.read.get(file.relative)
        if known is None or known[0] != version:
            known = version, tuple(read_file(file, Sharing()))
            self.read[file.relative] = known
        return known[1]


def watch(house: House, folder: Path, *, source: Source, rhythm: Rhythm) -> Iterator[Pass]:
    """Look at `folder` by polling (so it works on network shares) and yield each pass that took something in.

    Nothing is ever written to the folder. A late file of a series that was taken in makes a new revision of it.

    Raises:
        ConfigurationError: the folder is not there.
    """
    if not folder.is_dir():
        raise ConfigurationError("the folder to watch is not there, or is no folder")
    watcher = _Watcher(folder=folder)
    going = True
    while going:
        scan = watcher.ready(rhythm)
        if scan is not None:
            report = take_in(house, scan, source=source)
            watcher.hand_on(scan)
            yield Pass(ingested=report, scored=_scored(house) if report.series.new else None)
        going = rhythm.wait()


def _scored(house: House) -> ScoreReport | None:
    with reading(house.engine) as connection:
        if not models.models(connection):
            return None
    return score(house)
