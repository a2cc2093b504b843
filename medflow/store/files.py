"""The safe store's side: read a series that deid wrote, and prove that it is still what was written."""

import shutil
from collections.abc import Collection, Iterator
from hashlib import file_digest, sha256
from pathlib import Path

from medflow.domain.safe import DeidentifiedSeries, read_record
from medflow.errors import Reason, SeriesError, StateError
from medflow.store.series import SeriesRow

RECORD = "series.json"


def load(root: Path, row: SeriesRow) -> DeidentifiedSeries:
    """Read the series of an accepted (or superseded) row from below `root`; every byte is checked.

    Raises:
        SeriesError: STORED_COPY_DIFFERS; `detail` says which of its files, by number.
        StateError: the row is of a series that was turned away.
    """
    series = described(root, row)
    check(series)
    return series


def described(root: Path, row: SeriesRow) -> DeidentifiedSeries:
    """Read what `series.json` says of the series of a row, and check that file alone: enough to choose by.

    Raises:
        SeriesError: STORED_COPY_DIFFERS.
        StateError: the row is of a series that was turned away.
    """
    if row.folder is None or row.record_digest is None:
        raise StateError(f"{row.id} was {row.state}: the safe store holds nothing of it")
    folder = root / row.folder
    try:
        written = (folder / RECORD).read_bytes()
    except OSError:
        raise SeriesError(Reason.STORED_COPY_DIFFERS, "series.json is missing") from None
    if sha256(written).hexdigest() != row.record_digest:
        raise SeriesError(Reason.STORED_COPY_DIFFERS, "series.json")
    series = read_record(written.decode("ascii"), folder)
    if series.id != row.id:
        raise SeriesError(Reason.STORED_COPY_DIFFERS, "series.json is another series'")
    return series


def check(series: DeidentifiedSeries) -> None:
    """Prove that the files of a series are what was written.

    Raises:
        SeriesError: STORED_COPY_DIFFERS; `detail` says which of its files, by number.
    """
    for number, file in enumerate(series.files, 1):
        if _sha256(series.folder / file.name) != file.sha256:
            raise SeriesError(Reason.STORED_COPY_DIFFERS, f"file {number} of {len(series.files)}")


def remove(folder: Path, *, but: Collection[str] = (), root: Path) -> int:
    """Remove the stored copies in `folder` (of a series, or one copy) and say how many; those of `but` stay.

    `but` names copies by their paths below `root`, the safe store. Folders above that are left empty go as well.
    """
    copies = [folder] if (folder / RECORD).is_file() else _folders(folder)
    removed = 0
    for copy in copies:
        if copy.relative_to(root).as_posix() not in but:
            shutil.rmtree(copy)
            removed += 1
    for above in (folder, folder.parent, folder.parent.parent):
        if above != root and above.is_relative_to(root) and above.is_dir() and not any(above.iterdir()):
            above.rmdir()
    return removed


def records(folder: Path) -> Iterator[DeidentifiedSeries]:
    """Read what the records of the copies in `folder` (of a series, or one copy) say, as far as they can be read."""
    for copy in (folder, *_folders(folder)):
        try:
            yield read_record((copy / RECORD).read_text("ascii"), copy)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a copy that was being written or removed


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as stored:
            return file_digest(stored, "sha256").hexdigest()
    except OSError:
        return None
