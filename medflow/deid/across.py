"""Text across the slices of a series: what stands at a place on one of them is taken to stand there on all."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from medflow.deid.boxes import merged
from medflow.deid.burned import blanks, text_in
from medflow.deid.object import Opened
from medflow.deid.profile import Profile
from medflow.deid.text import Box

Matrix = tuple[int, int]
"""(rows, columns)"""


class Places:
    """Where text was found on any frame of a series, for each matrix; boxes alone are kept of what was looked at."""

    def __init__(self, places: Mapping[Matrix, Collection[Box]]) -> None:
        self._places = places

    @classmethod
    def seen(cls, files: Iterable[Opened], *, planar: bool) -> "Places":
        """Look at the frames of all files of a series, one file at a time.

        Raises:
            SeriesError: text may well be there, and nothing can read it.
        """
        places: dict[Matrix, Collection[Box]] = defaultdict(tuple)
        for file in files:
            found = tuple(text_in(file.dataset, file.frames, planar=planar))
            if found:
                matrix = _matrix(file)
                places[matrix] = merged((*places[matrix], *found))
        return cls(places)

    def on(self, file: Opened) -> Collection[Box]:
        """Give the places to blank on each frame of a file."""
        return self._places.get(_matrix(file), ())


def places_by(profile: Profile, files: Iterable[Opened], *, planar: bool) -> Places | None:
    """Look for text on all slices of a series before any is blanked, if the profile blanks text; else None.

    A slice on which letters are hard to see has them where its neighbours do. Where text withholds the series, one
    slice that shows it is enough, and each is looked at once.

    Raises:
        SeriesError: a file is damaged, or text may well be there, and nothing can read it.
    """
    return Places.seen(files, planar=planar) if blanks(profile) else None


def _matrix(file: Opened) -> Matrix:
    return file.frames.shape[1], file.frames.shape[2]
