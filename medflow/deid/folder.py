"""A series' folder in the safe store: written beside its place, flushed, renamed; there whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from medflow.domain.safe import DeidentifiedSeries

RECORD = "series.json"
WRITING = ".writing-"
ONE_INSTANT = 946_684_800
"""2000-01-01: the time that every stored file bears, so that it says nothing."""
FILE_MODE = 0o640
FOLDER_MODE = 0o750


@contextmanager
def being_written(parent: Path) -> Iterator[Path]:
    """Give a folder beside the final ones below `parent`; what is left of it in the end is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=WRITING))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_if_empty(parent)
        _remove_if_empty(parent.parent)


def clear_abandoned(root: Path, *, before: float) -> None:
    """Remove what a killed process was writing below `root`, where nothing was written to it since `before` (s)."""
    for folder in root.glob(f"*/*/{WRITING}*"):
        try:
            abandoned = folder.stat().st_mtime < before
        except FileNotFoundError:  # its writer is done
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a new file through to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.utime(file.fileno(), (ONE_INSTANT, ONE_INSTANT))
        os.fsync(file.fileno())


def placed(series: DeidentifiedSeries, root: Path) -> DeidentifiedSeries:
    """Add the record and rename the folder to its place below `root`; one that holds the same stays as it is.

    One that holds something else (another revision of the headers over the same pixels, or a damaged copy) makes way.
    """
    final = root / series.relative_folder
    write_file(series.folder / RECORD, series.written().encode("ascii"))
    series.folder.chmod(FOLDER_MODE)
    os.utime(series.folder, (ONE_INSTANT, ONE_INSTANT))
    _flush(series.folder)
    if not holds(final, series):
        if final.exists():
            old = Path(tempfile.mkdtemp(dir=final.parent, prefix=WRITING))
            final.rename(old / final.name)
            shutil.rmtree(old, ignore_errors=True)
        series.folder.rename(final)
        for folder in (final.parent, final.parent.parent, root):
            _flush(folder)
    return replace(series, folder=final)


def holds(folder: Path, series: DeidentifiedSeries) -> bool:
    """Say whether `folder` holds this very series: its record and every file byte for byte."""
    names = {RECORD, *(file.name for file in series.files)}
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != names:
        return False
    if (folder / RECORD).read_bytes() != series.written().encode("ascii"):
        return False
    return all(hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == file.sha256 for file in series.files)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others stand in it
