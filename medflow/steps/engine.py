"""The engine at work on one series, or on objects by themselves: files, and pictures of what was blanked in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from medflow.deid.burned import blanks
from medflow.deid.files import deidentify_files, withdraw_files
from medflow.deid.ledger import Ledger
from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.single import deidentify_single, places_in
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.objects import state_for
from medflow.dicom.singles import Single
from medflow.domain.series import Series, SetAside
from medflow.errors import SeriesError
from medflow.steps.sheets import draw

Objects: TypeAlias = tuple[Single, ...]
"""Objects that are looked at together."""
Job: TypeAlias = Series | Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """All that the work on a series or an object needs beside itself."""

    out: Path
    pseudonyms: Pseudonyms = field(repr=False)
    profile: Profile
    pictures: Path | None
    """Folder for pictures of what was blanked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A job that came out: files of it that did not, and what was done to the others."""

    set_aside: tuple[SetAside, ...] = ()
    ledger: Ledger


def together(singles: Sequence[Single], profile: Profile) -> Iterator[Objects]:
    """Join the objects of a series where text on one of them is blanked on all; else each stands for itself."""
    if not blanks(profile):
        yield from ((single,) for single in singles)
        return
    series: dict[str, list[Single]] = {}
    for single in singles:
        series.setdefault(single.series_instance_uid, []).append(single)
    yield from map(tuple, series.values())


def done(engine: Engine, job: Job) -> Written:
    """De-identify one series, or objects by themselves."""
    ledger = Ledger()
    if not isinstance(job, Series):
        return _objects_done(engine, job)
    try:
        laid = lay_out(job)
        folder = deidentify_files(
            laid.series,
            laid.layouts,
            intensity_facts(laid.series),
            planar=bool(laid.planes),
            pseudonyms=engine.pseudonyms,
            profile=engine.profile,
            root=engine.out,
            ledger=ledger,
        )
    except SeriesError:
        withdraw_files(job, engine.pseudonyms, engine.out)
        raise
    if engine.pictures is not None:
        draw(ledger, folder, engine.pictures, folder.parent.name)
    return Written(set_aside=laid.set_aside, ledger=ledger.counts())


def _objects_done(engine: Engine, objects: Objects) -> Written:
    """De-identify objects one after the other; one that is turned away is set aside."""
    set_aside, done = [], Ledger()
    places = places_in(objects, engine.profile)
    for single in objects:
        ledger = Ledger()
        try:
            file = deidentify_single(
                single,
                pseudonyms=engine.pseudonyms,
                profile=engine.profile,
                root=engine.out,
                ledger=ledger,
                places=places,
            )
        except SeriesError as error:
            state = state_for(error.reason)
            set_aside.append(SetAside(file=single.file, state=state, reason=error.reason, detail=error.detail))
            continue
        if engine.pictures is not None:
            draw(ledger, file.parent, engine.pictures, file.stem)
        done.add(ledger.counts())
    return Written(set_aside=tuple(set_aside), ledger=done)
