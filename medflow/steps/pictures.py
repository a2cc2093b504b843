"""Pictures of what a folder holds: a series is de-identified under a throw-away key, drawn, and its copy removed."""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.deid.text import suspected_text
from medflow.dicom.content import archives_kept_open
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.imaging.montage import PLANES, Picture, montage, plane_picture, png, sections, window_of
from medflow.imaging.plane import read_plane
from medflow.imaging.read import read_volume
from medflow.steps.seen import Accepted, InspectReport, Refusal, Seen
from medflow.steps.settle import Settler

NAME = re.compile(r"\d+_\d+\.png")
OF_HEADS = ("axial",)
"""A middle coronal or sagittal plane of a head shows a profile."""
NOBODY = Source(name="", site="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One picture: `<series>_<volume>.png`, and the planes in it that are withheld for suspected text."""

    series: int
    volume: int
    withheld: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name the file."""
        return f"{self.series}_{self.volume}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDrawn:
    """A series or a volume of it (None: all of them) without a picture, and why."""

    series: int
    volume: int | None
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What was drawn, and what was not."""

    drawn: tuple[Drawn, ...]
    missing: tuple[NotDrawn, ...]

    @property
    def clean(self) -> bool:
        """True where everything was drawn, and nothing withheld."""
        return not self.missing and not any(one.withheld for one in self.drawn)

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "drawn": [{"file": one.name, "withheld": list(one.withheld)} for one in self.drawn],
            "not_drawn": [{"series": m.series, "volume": m.volume, **m.refusal.record()} for m in self.missing],
        }


def check_places(folder: Path, out: Path) -> None:
    """Refuse a place for pictures, or for the copies that they are drawn from, inside the folder that is looked at.

    Raises:
        ConfigurationError: one of them lies there, or the place for pictures is no folder.
    """
    if out.exists() and not out.is_dir():
        raise ConfigurationError("the place for pictures is no folder; name another one")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("the folder for pictures lies inside the folder to inspect; name another place")
    if Path(tempfile.gettempdir()).resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("temporary files would lie inside the folder to inspect; set TMPDIR to another place")


def draw(
    report: InspectReport,
    out: Path,
    *,
    pseudonyms: Pseudonyms,
    profile: Profile,
    faces: bool = False,
    progress: Progress = SILENT,
) -> Pictures:
    """Write `<series>_<volume>.png` into `out` for every volume and planar image of `report` that can be shown.

    Pictures of an earlier look are removed. Of heads only the axial plane is drawn, unless `faces` accepts them by
    name. The de-identified copy of a series stands in a private temporary folder, and is removed whatever happens.

    Raises:
        ConfigurationError: `out` cannot be written.
        BatchError: too much failed in ways nobody foresaw.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            if NAME.fullmatch(old.name):
                old.unlink()
    except OSError:
        raise ConfigurationError("the folder for pictures cannot be written; name another place") from None
    outcomes: list[Drawn | NotDrawn] = []
    progress.start("drawing series", len(report.series))
    artist = _Artist(out=out, pseudonyms=pseudonyms, profile=profile, faces=faces)
    with archives_kept_open():
        for seen in report.series:
            outcomes += artist.series(seen)
            progress.advance()
    return Pictures(
        drawn=tuple(one for one in outcomes if isinstance(one, Drawn)),
        missing=tuple(one for one in outcomes if isinstance(one, NotDrawn)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Artist:
    """Draws one series after the other."""

    out: Path
    pseudonyms: Pseudonyms = field(repr=False)
    profile: Profile
    faces: bool
    settler: Settler = field(default_factory=Settler)

    def series(self, seen: Seen) -> list[Drawn | NotDrawn]:
        """Draw every volume of a series from a de-identified copy, which is gone in the end."""
        if isinstance(seen.outcome, Refusal):
            return [NotDrawn(series=seen.number, volume=None, refusal=seen.outcome)]
        accepted = seen.outcome
        with tempfile.TemporaryDirectory(prefix="medflow-inspect-") as private:
            safe = self.settler.settle(lambda: self._copied(accepted, Path(private)))
            if isinstance(safe, SeriesError):
                return [_not_drawn(seen.number, None, safe)]
            return [self._one(safe, seen.number, volume) for volume in range(1, _pictures_of(safe) + 1)]

    def _copied(self, accepted: Accepted, root: Path) -> DeidentifiedSeries:
        laid = accepted.laid
        return deidentify_series(
            laid.series,
            laid.layouts,
            accepted.facts,
            planes=laid.planes,
            pseudonyms=self.pseudonyms,
            profile=self.profile,
            source=NOBODY,
            sha256s=source_sha256s(laid.series),
            root=root,
        )

    def _one(self, safe: DeidentifiedSeries, number: int, volume: int) -> Drawn | NotDrawn:
        outcome = self.settler.settle(lambda: self._picture(safe, volume - 1))
        if isinstance(outcome, SeriesError):
            return _not_drawn(number, volume, outcome)
        picture, withheld = outcome
        drawn = Drawn(series=number, volume=volume, withheld=withheld)
        (self.out / drawn.name).write_bytes(png(picture))
        return drawn

    def _picture(self, safe: DeidentifiedSeries, index: int) -> tuple[Picture, tuple[str, ...]]:
        """Draw one volume or planar image, and name the planes in which text is suspected.

        Raises:
            SeriesError: it cannot be read, or would show a face.
        """
        hidden = safe.descriptors.head and not self.faces
        if safe.planes:
            if hidden:
                raise SeriesError(Reason.RECOGNIZABLE_FACE)
            return plane_picture(read_plane(safe, safe.planes[index])), ()
        volume = read_volume(safe, safe.layouts[index])
        cut = sections(volume, OF_HEADS if hidden else PLANES)
        if not cut:
            raise SeriesError(Reason.RECOGNIZABLE_FACE)
        withheld = tuple(section.plane for section in cut if suspected_text(section.values))
        return montage(cut, window_of(volume), withheld=withheld), withheld


def _pictures_of(safe: DeidentifiedSeries) -> int:
    return len(safe.planes) or len(safe.layouts)


def _not_drawn(series: int, volume: int | None, error: SeriesError) -> NotDrawn:
    return NotDrawn(series=series, volume=volume, refusal=Refusal(reason=error.reason, detail=error.detail))
