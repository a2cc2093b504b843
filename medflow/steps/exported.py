"""Where exports went, so that what was written of a patient can be found and removed again.

The folder's path stands in the vault, since a path can name things; rows know it by a key.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medflow.domain.safe import Pseudonym
from medflow.errors import StateError
from medflow.steps.house import House
from medflow.steps.run import Run
from medflow.store import exports
from medflow.store.engine import writing
from medflow.store.exports import Export


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Exports that are gone now, and those that could not be reached."""

    gone: tuple[Export, ...]
    unreached: tuple[Export, ...]
    """Their place is not mounted, or does not let itself be removed: they stay remembered."""


def remember(run: Run, patient: Pseudonym, kind: str, folder: Path) -> None:
    """Remember, before anything is written there, that `folder` will hold an export of `patient` and nothing else."""
    house, path = run.house, str(folder.resolve())
    place = house.pseudonyms.file_key("export:", path)  # no source is called so
    house.vault.put_files({place: path})
    with writing(house.engine) as connection:
        exports.save_export(connection, patient=patient, kind=kind, place=place, run_id=run.id, at=house.now())


def remove(house: House, wanted: Iterable[Export]) -> Removed:
    """Remove the folders of exports. The caller's transaction forgets those that are gone."""
    outcomes = [(export, _removed(house, export)) for export in wanted]
    return Removed(
        gone=tuple(export for export, gone in outcomes if gone),
        unreached=tuple(export for export, gone in outcomes if not gone),
    )


def forget_places(house: House, gone: Iterable[Export]) -> None:
    """Remove the paths of exports that are gone from the vault, once no row names them."""
    house.vault.forget_files([export.place for export in gone])


def _removed(house: House, export: Export) -> bool:
    try:
        folder = Path(house.vault.path_of(export.place))
    except StateError:  # a vault that was lost does not know
        return False
    try:
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        return not folder.exists() and folder.parent.is_dir()
    except OSError:
        return False
