"""Series -> DeidentifiedSeries: each object cleaned, each frame decoded once, the folder written whole or not."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset  # noqa: TC002  (one of the few names here that are only types)

from medflow.deid.bodies import Bodies
from medflow.deid.cleaning import Cleaning
from medflow.deid.describe import contrast_given, descriptors
from medflow.deid.folder import being_written, placed, write_file
from medflow.deid.ledger import Ledger
from medflow.deid.marks import Person
from medflow.deid.object import Opened
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
    bodies = Bodies(pseudonyms=pseudonyms, profile=profile, person=person, ledger=counted)
    cleaning = Cleaning(series, layouts, facts, planar=bool(planes), bodies=bodies, sha256s=hashed)
    with being_written(root / study / uid) as folder, hushed():
        seen = _Seen(layouts, planes)
        files = []
        for number, clean in enumerate(cleaning.objects()):
            seen.add(number, clean.original, bodies)
            files.append(StoredFile(name=clean.name, sha256=write_file(folder / clean.name, *clean.parts)))
        safe = DeidentifiedSeries(
            patient=patient,
            barred=barred,
            study=study,
            uid=uid,
            modality=series.modality,
            layouts=layouts,
            facts=facts,
            descriptors=seen.described(bodies, site=source.site, head=cleaning.shows_face),
            files=tuple(files),
            series_digest=seen.series_digest(facts),
            source_digest=source_digest_of(series, pseudonyms, tuple(hashed)),
            profile_digest=profile.digest,
            folder=folder,
            planes=planes,
        )
        done = placed(safe, root)
    if ledger is not None:
        ledger.add(counted)
    return done


class _Seen:
    """What the record of a series says of its objects: what their frames decoded to, and what the first one is."""

    def __init__(self, layouts: tuple[Layout, ...], planes: tuple[PlaneFacts, ...]) -> None:
        self._layouts = layouts
        self._planes = planes
        self._frames: dict[tuple[int, int], str] = {}
        self._plane_frames: dict[int, str] = {}
        self._first: tuple[Dataset, str, bool] | None = None

    def add(self, number: int, original: Opened, bodies: Bodies) -> None:
        """Look at the next object, whose frames are those that leave."""
        self._frames |= frame_digests(self._layouts, number, original.frames)
        self._plane_frames |= plane_digests(self._planes, number, original.frames)
        if self._first is None:
            dataset = original.dataset
            serial_number = text_of(dataset.get_item(SERIAL_NUMBER), encodings_of(dataset))
            self._first = bodies.cleaned(dataset), serial_number, contrast_given(dataset)

    def series_digest(self, facts: IntensityFacts) -> str:
        """Name what was written by all that a network could see of it."""
        if self._planes:
            return planar_series_digest(self._planes, tuple(self._plane_frames[n] for n in range(len(self._planes))))
        slices = (range(len(layout.places)) for layout in self._layouts)
        frames = tuple(tuple(self._frames[which, place] for place in places) for which, places in enumerate(slices))
        return series_digest(self._layouts, frames, facts)

    def described(self, bodies: Bodies, *, site: str, head: bool) -> Descriptors:
        """Describe the series by its first object; `head`: a face may show."""
        if self._first is None:
            raise SeriesError(Reason.NOT_AN_IMAGE)
        cleaned, serial_number, contrast = self._first
        return descriptors(
            cleaned,
            code=bodies.pseudonyms.code("device", serial_number) if serial_number else "",
            site=site,
            head=head,
            contrast=contrast,
        )
