"""Series -> DeidentifiedSeries: each object cleaned, each frame decoded once, the folder written whole or not."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset  # noqa: TC002  (one of the few names here that are only types)

from medflow.deid.dataset import Bodies, Person
from medflow.deid.describe import descriptors
from medflow.deid.folder import being_written, placed, write_file
from medflow.deid.object import Opened, deidentified_file, opened, read_bytes
from medflow.deid.original import encodings_of, text_of
from medflow.deid.pixels import frame_digests
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.safe import DeidentifiedSeries, Descriptors, SeriesUID, StoredFile, StudyUID, series_digest
from medflow.domain.series import Series
from medflow.errors import Reason, SeriesError

SERIAL_NUMBER = 0x00181000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured source: its name, and the code of the site that exports there."""

    name: str
    site: str


def source_sha256s(series: Series) -> tuple[str, ...]:
    """Hash the bytes of each original file, in the order of the series' instances.

    Raises:
        SeriesError: a file cannot be read.
    """
    found = []
    for file in series.files():
        try:
            with file.path.open("rb") as content:
                found.append(hashlib.file_digest(content, "sha256").hexdigest())
        except OSError:
            raise SeriesError(Reason.UNREADABLE_FILE) from None
    return tuple(found)


def deidentify_series(  # noqa: PLR0913  (the boundary: everything that decides what comes out is handed in)
    series: Series,
    layouts: tuple[Layout, ...],
    facts: IntensityFacts,
    *,
    pseudonyms: Pseudonyms,
    profile: Profile,
    source: Source,
    sha256s: tuple[str, ...],
    root: Path,
) -> DeidentifiedSeries:
    """Write the de-identified copy of a series below `root` and say what it is; the same again leaves it as it is.

    `layouts` and `sha256s` follow the order of `series.instances`, and so do the files that are written.

    Raises:
        SeriesError: the series is damaged, changed while it was read, or may show text; nothing is left of it.
    """
    patient, barred = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    study = StudyUID(pseudonyms.uid(series.study_instance_uid))
    uid = SeriesUID(pseudonyms.uid(series.series_instance_uid))
    with being_written(root / study / uid) as folder:
        writing = Writing(
            bodies=Bodies(pseudonyms=pseudonyms, profile=profile, person=person), layouts=layouts, folder=folder
        )
        for file, sha256 in zip(series.files(), sha256s, strict=True):
            writing.add(opened(read_bytes(file, sha256)))
        safe = DeidentifiedSeries(
            patient=patient,
            barred=barred,
            study=study,
            uid=uid,
            modality=series.modality,
            layouts=layouts,
            facts=facts,
            descriptors=writing.described(source.site),
            files=tuple(writing.files),
            series_digest=series_digest(layouts, writing.frame_digests(), facts),
            source_digest=pseudonyms.source_digest(sha256s),
            profile_digest=profile.digest,
            folder=folder,
        )
        return placed(safe, root)


class Writing:
    """A series on its way to disk: files written so far, and what their frames decoded to."""

    def __init__(self, *, bodies: Bodies, layouts: tuple[Layout, ...], folder: Path) -> None:
        self.files: list[StoredFile] = []
        self._bodies = bodies
        self._layouts = layouts
        self._folder = folder
        self._frames: dict[tuple[int, int], str] = {}
        self._first: tuple[Dataset, str] | None = None

    def add(self, original: Opened) -> None:
        """Clean and write the next object."""
        if self._first is None:
            serial_number = text_of(original.dataset.get_item(SERIAL_NUMBER), encodings_of(original.dataset))
            self._bodies.start(original.dataset)
            self._first = self._bodies.cleaned(original.dataset), serial_number
        self._frames |= frame_digests(self._layouts, len(self.files), original.frames)
        content = deidentified_file(original, self._bodies)
        name = f"IM{len(self.files) + 1:06d}.dcm"
        write_file(self._folder / name, content)
        self.files.append(StoredFile(name=name, sha256=hashlib.sha256(content).hexdigest()))

    def frame_digests(self) -> tuple[tuple[str, ...], ...]:
        """Give the digests of all slices, by layout and place."""
        return tuple(
            tuple(self._frames[which, place] for place in range(len(layout.places)))
            for which, layout in enumerate(self._layouts)
        )

    def described(self, site: str) -> Descriptors:
        """Describe the series by its first object."""
        if self._first is None:
            raise SeriesError(Reason.NOT_AN_IMAGE)
        cleaned, serial_number = self._first
        return descriptors(
            cleaned,
            code=self._bodies.pseudonyms.code("device", serial_number) if serial_number else "",
            site=site,
            head=self._bodies.head,
        )
