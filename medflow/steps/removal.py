"""Removing what was made of series: stored copies, and the volumes in the cache that were made of them."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from medflow.domain.safe import DeidentifiedSeries, input_digest
from medflow.errors import StateError
from medflow.imaging.cache import VolumeCache
from medflow.steps.house import House
from medflow.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was removed."""

    copies: int
    """Folders of the safe store."""
    volumes: int


def remove(house: House, folders: Collection[Path], *, inputs: Iterable[str], but: Collection[str] = ()) -> Removal:
    """Remove the stored copies in `folders`, all but those of `but`, and the volumes that were made of them.

    Volumes go first, as long as a copy can name them; `inputs` are those that rows of predictions and cohorts name.

    Raises:
        StateError: the system does not let something be removed.
    """
    records = (one for folder in folders for one in files.records(folder))
    own = (one for one in records if one.folder.relative_to(house.safe).as_posix() not in but)
    try:
        volumes = VolumeCache(root=house.volumes).forget({*inputs, *_inputs(own)})
        copies = sum(files.remove(folder, but=but, root=house.safe) for folder in folders)
    except OSError as fault:
        reason = os.strerror(fault.errno or 0)
        raise StateError(f"a stored copy cannot be removed ({reason}); mend that, and do it again") from None
    return Removal(copies=copies, volumes=volumes)


def _inputs(records: Iterable[DeidentifiedSeries]) -> set[str]:
    """Name every input that a task may have made of these series: one volume or one planar image each."""
    named = (
        (series.series_digest, digest)
        for series in records
        for digest in (*(layout.digest for layout in series.layouts), *(plane.digest for plane in series.planes))
    )
    return {input_digest((one,)) for one in named}
