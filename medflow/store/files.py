"""The safe store's side: read a series that deid wrote, and prove that it is still what was written."""

from hashlib import file_digest, sha256
from pathlib import Path

from medflow.domain.safe import DeidentifiedSeries, read_record
from medflow.errors import Reason, SeriesError, StateError
from medflow.store.series import SeriesRow


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
        written = (folder / "series.json").read_bytes()
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


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as stored:
            return file_digest(stored, "sha256").hexdigest()
    except OSError:
        return None
