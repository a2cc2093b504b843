"""A series -> de-identified files and nothing else: for those who need the engine alone, and no record or digest."""

from pathlib import Path

from medflow.deid.bodies import Bodies
from medflow.deid.cleaning import Cleaning
from medflow.deid.folder import being_written, place_files, withdraw, write_soon
from medflow.deid.ledger import Ledger
from medflow.deid.marks import Person
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.hush import hushed
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.series import Series

IMAGES = "images"
"""Folder of a series' images, beside the one of its pictures and reports (`single.OBJECTS`)."""


def deidentify_files(  # noqa: PLR0913  (the boundary: everything that decides what comes out is handed in)
    series: Series,
    layouts: tuple[Layout, ...],
    facts: IntensityFacts,
    *,
    planar: bool,
    pseudonyms: Pseudonyms,
    profile: Profile,
    root: Path,
    ledger: Ledger,
) -> Path:
    """Write the de-identified files of a series below `root` and name their folder; the same again leaves it as it is.

    Whatever another profile once let stand there makes way. `ledger` counts what is done, if all goes well.

    Raises:
        SeriesError: as `deidentify_series`; nothing is left of the series.
    """
    patient, _ = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
    person = Person(pseudonym=patient, days=pseudonyms.day_shift(patient))
    counted = Ledger()
    bodies = Bodies(pseudonyms=pseudonyms, profile=profile, person=person, ledger=counted)
    final = place_of(series, pseudonyms, root)
    with being_written(final.parent) as folder, hushed():
        cleaning = Cleaning(series, layouts, facts, planar=planar, bodies=bodies)
        for clean in cleaning.objects():
            write_soon(folder / clean.name, *clean.parts)
        place_files(folder, final, root)
    ledger.add(counted)
    return final


def withdraw_files(series: Series, pseudonyms: Pseudonyms, root: Path) -> None:
    """Take away what an earlier run let stand of a series that is withheld now."""
    withdraw(place_of(series, pseudonyms, root))


def place_of(series: Series, pseudonyms: Pseudonyms, root: Path) -> Path:
    """Name the folder of a series' files below `root`."""
    study, uid = map(pseudonyms.uid, (series.study_instance_uid, series.series_instance_uid))
    return root / study / uid / IMAGES
