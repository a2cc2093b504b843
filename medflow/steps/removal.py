"""Removing what was made of series: stored copies, volumes in the cache, and the pictures in reports."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from medflow.domain.safe import DeidentifiedSeries, input_digest
from medflow.errors import StateError
from medflow.imaging.cache import VolumeCache
from medflow.learning import dossier
from medflow.steps.house import House
from medflow.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was removed."""

    copies: int
    """Folders of the safe store."""
    volumes: int
    pictures: int
    """In reports of evaluations, which are drawn again without them."""


def remove(
    house: House,
    folders: Collection[Path],
    *,
    inputs: Iterable[str],
    series: Iterable[str] = (),
    but: Collection[str] = (),
) -> Removal:
    """Remove the stored copies in `folders`, all but those of `but`, and the volumes and pictures made of them.

    These go first, as long as a copy can name them; `inputs` are those that rows of predictions and cohorts name, and
    `series` the ids of rows.

    Raises:
        StateError: the system does not let something be removed.
    """
    records = (one for folder in folders for one in files.records(folder))
    own = [one for one in records if one.folder.relative_to(house.safe).as_posix() not in but]
    try:
        pictures = dossier.forget([house.evaluations], {*series, *(one.id for one in own)})
        volumes = VolumeCache(root=house.volumes).forget({*inputs, *_inputs(own)})
        copies = sum(files.remove(folder, but=but, root=house.safe) for folder in folders)
    except OSError as fault:
        reason = os.strerror(fault.errno or 0)
        raise StateError(f"a stored copy cannot be removed ({reason}); mend that, and do it again") from None
    return Removal(copies=copies, volumes=volumes, pictures=pictures)


def _inputs(records: Iterable[DeidentifiedSeries]) -> set[str]:
    """Name every input that a task may have made of these series: one volume or one planar image each."""
    named = (
        (series.series_digest, digest)
        for series in records
        for digest in (*(layout.digest for layout in series.layouts), *(plane.digest for plane in series.planes))
    )
    return {input_digest((one,)) for one in named}
