"""Series -> DeidentifiedSeries: each object cleaned, each frame decoded once, the folder written whole or not."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import Dataset  # noqa: TC002  (one of the few names here that are only types)

from medflow.deid.bodies import Bodies
from medflow.deid.burned import without_text
from medflow.deid.describe import contrast_given, descriptors
from medflow.deid.faceless import Faceless, faceless_by
from medflow.deid.folder import being_written, placed, write_file
from medflow.deid.ledger import Ledger
from medflow.deid.marks import Done, Person
from medflow.deid.object import Opened, Originals, deidentified_parts, read_bytes
from medflow.deid.original import encodings_of, text_of
from medflow.deid.pixels import frame_digests, plane_digests
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.content import sha256_of
from medflow.dicom.hush import hushed
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.safe import (
    DeidentifiedSeries,
    Descriptors,
    SeriesUID,
    StoredFile,
    StudyUID,
    planar_series_digest,
    series_digest,
)
from medflow.domain.series import Series
from medflow.errors import Reason, SeriesError

SERIAL_NUMBER = 0x00181000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured source: its name, and the code of the site that exports there."""

    name: str
    site: str


def source_sha256s(series: Series) -> tuple[str, ...]:
    """Hash what each original file holds, however it is packed, in the order of the series' instances.

    Raises:
        SeriesError: a file cannot be read, or changed since it was listed.
    """
    found = []
    for file in series.files():
        try:
            found.append(sha256_of(file))
        except OSError:
            raise SeriesError(Reason.UNREADABLE_FILE) from None
    return tuple(found)


def source_digest_of(series: Series, pseudonyms: Pseudonyms, sha256s: tuple[str, ...]) -> str:
    """Name the original files of a series: the same files have another name once their patient was merged."""
    merged_into = pseudonyms.merged_into(series.patient_id, series.issuer)
    return pseudonyms.source_digest(sha256s, merged_into=merged_into)


def deidentify_series(  # noqa: PLR0913  (the boundary: everything that decides what comes out is handed in)
    series: Series,
    layouts: tuple[Layout, ...],
    facts: IntensityFacts,
    *,
    planes: tuple[PlaneFacts, ...] = (),
    pseudonyms: Pseudonyms,
    profile: Profile,
    source: Source,
    root: Path,
    sha256s: tuple[str, ...] = (),
    ledger: Ledger | None = None,
) -> DeidentifiedSeries:
    """Write the de-identified copy of a series below `root` and say what it is; the same again leaves it as it is.

    `layouts` or `planes` (the other is empty) and `sha256s` follow the order of `series.instances`, and so do the files
    that are written. Who had no need of `sha256s` before leaves them out: then each file is hashed as it is read, and
    read once. `ledger` counts what is done, if all goes well.

    Raises:
        SeriesError: the series is damaged, changed while it was read, or may show text; nothing is left of it.
    """
    patient, barred = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    study = StudyUID(pseudonyms.uid(series.study_instance_uid))
    uid = SeriesUID(pseudonyms.uid(series.series_instance_uid))
    hashed, counted = list(sha256s), Ledger()
    faceless = faceless_by(
        profile,
        _originals(series, hashed, planar=bool(planes)),
        layouts=layouts,
        facts=facts,
        modality=series.modality,
    )
    with being_written(root / study / uid) as folder, hushed():
        writing = Writing(
            bodies=Bodies(pseudonyms=pseudonyms, profile=profile, person=person, ledger=counted),
            layouts=layouts,
            planes=planes,
            folder=folder,
            faceless=faceless,
        )
        for original in _originals(series, hashed, planar=bool(planes)):
            writing.add(original)
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
            series_digest=writing.series_digest(facts),
            source_digest=source_digest_of(series, pseudonyms, tuple(hashed)),
            profile_digest=profile.digest,
            folder=folder,
            planes=planes,
        )
        done = placed(safe, root)
    if ledger is not None:
        ledger.add(counted)
    return done


def _originals(series: Series, sha256s: list[str], *, planar: bool) -> Iterator[Opened]:
    """Open the originals of a series one after the other; what was not hashed yet is hashed as it is read."""
    originals = Originals(planar=planar)
    hashed = len(sha256s)
    for number, file in enumerate(series.files()):
        content = read_bytes(file, sha256s[number] if number < hashed else None)
        if number >= hashed:
            sha256s.append(hashlib.sha256(content).hexdigest())
        yield originals.opened(content)


class Writing:
    """A series on its way to disk: files written so far, and what their frames decoded to."""

    def __init__(
        self,
        *,
        bodies: Bodies,
        layouts: tuple[Layout, ...],
        planes: tuple[PlaneFacts, ...],
        folder: Path,
        faceless: Faceless | None = None,
    ) -> None:
        self.files: list[StoredFile] = []
        self._faceless = faceless
        self._bodies = bodies
        self._layouts = layouts
        self._planes = planes
        self._folder = folder
        self._frames: dict[tuple[int, int], str] = {}
        self._plane_frames: dict[int, str] = {}
        self._first: tuple[Dataset, str] | None = None
        self._contrast = False

    def add(self, original: Opened) -> None:
        """Clean and write the next object."""
        cut: frozenset[int] = frozenset()
        if self._faceless is not None:
            bits = int(original.dataset.BitsStored)
            frames, cut = self._faceless.cut(len(self.files), original.frames, bits)
            original = replace(original, frames=frames)
        blanked = without_text(original.dataset, original.frames, self._bodies.profile, planar=bool(self._planes))
        original = replace(original, frames=blanked.frames, changed=cut | frozenset(blanked.boxes))
        if self._planes:
            self._plane_frames |= plane_digests(self._planes, len(self.files), original.frames)
        if self._first is None:
            serial_number = text_of(original.dataset.get_item(SERIAL_NUMBER), encodings_of(original.dataset))
            self._bodies.start(original.dataset)
            self._contrast = contrast_given(original.dataset)
            self._first = self._bodies.cleaned(original.dataset), serial_number
        self._frames |= frame_digests(self._layouts, len(self.files), original.frames)
        done = Done(blanked=bool(blanked.boxes), faceless=self._faceless is not None)
        parts = deidentified_parts(original, self._bodies, done=done)
        name = f"IM{len(self.files) + 1:06d}.dcm"
        self.files.append(StoredFile(name=name, sha256=write_file(self._folder / name, *parts)))
        boxes = sum(map(len, blanked.boxes.values()))
        self._bodies.ledger.pixels.update(
            frames=len(original.frames), blanked=len(blanked.boxes), boxes=boxes, faceless=len(cut)
        )

    def series_digest(self, facts: IntensityFacts) -> str:
        """Name what was written by all that a network could see of it."""
        if self._planes:
            return planar_series_digest(self._planes, tuple(self._plane_frames[n] for n in range(len(self._planes))))
        slices = (range(len(layout.places)) for layout in self._layouts)
        frames = tuple(tuple(self._frames[which, place] for place in places) for which, places in enumerate(slices))
        return series_digest(self._layouts, frames, facts)

    def described(self, site: str) -> Descriptors:
        """Describe the series by its first object."""
        if self._first is None:
            raise SeriesError(Reason.NOT_AN_IMAGE)
        cleaned, serial_number = self._first
        return descriptors(
            cleaned,
            code=self._bodies.pseudonyms.code("device", serial_number) if serial_number else "",
            site=site,
            head=self._bodies.head and self._faceless is None,
            contrast=self._contrast,
        )
