"""A series' folder in the safe store: written beside its place, flushed, renamed; there whole or not at all."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from medflow.domain.durable import flush
from medflow.domain.safe import DeidentifiedSeries

RECORD = "series.json"
WRITING = ".writing-"
ONE_INSTANT = 946_684_800
"""2000-01-01: the time that every stored file bears, so that it says nothing."""
OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE = 0o640
FOLDER_MODE = 0o750


@contextmanager
def being_written(parent: Path) -> Iterator[Path]:
    """Give a folder beside the final ones below `parent`; what is left of it in the end is removed.

    It is locked as long as this process lives, so that `clear_abandoned` knows it from what a killed one left.
    """
    folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        for above in (parent, parent.parent):
            _remove_if_empty(above)
            with suppress(OSError):  # it is gone, or another's; the night of writing is nearly the day of the study
                os.utime(above, (ONE_INSTANT, ONE_INSTANT))


def clear_abandoned(root: Path) -> None:
    """Remove what killed processes were writing below `root`: half-written folders that nobody holds."""
    for folder in root.glob(f"*/*/{WRITING}*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            _remove_if_empty(folder.parent)
            _remove_if_empty(folder.parent.parent)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder that is ours; one that is cleared away before it is locked is made again."""
    while True:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent, prefix=WRITING))
            lock = os.open(folder, OPENED)
        except FileNotFoundError:  # its parent was empty a moment ago, and was removed by who thought so
            continue
        if _is_locked(lock) is False or not _is_there(folder, lock):
            os.close(lock)
            continue
        return folder, lock


def _lock(folder: Path) -> int | None:
    """Lock a folder that somebody left; None where another process holds it, it has gone, or nobody can tell."""
    try:
        lock = os.open(folder, OPENED)
    except OSError:
        return None
    if _is_locked(lock) and _is_there(folder, lock):
        return lock
    os.close(lock)
    return None


def _is_locked(descriptor: int) -> bool | None:
    """Take the lock of an open folder; False where another holds it, None where its file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_there(folder: Path, descriptor: int) -> bool:
    """Say whether an open folder still stands under its name."""
    try:
        return folder.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def write_file(path: Path, *parts: bytes | memoryview) -> str:
    """Write a new file through to the disk, and give the SHA-256 of what it holds."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    write_soon(path, *parts, flushed=True)
    return digest.hexdigest()


def write_soon(path: Path, *parts: bytes | memoryview, flushed: bool = False) -> None:
    """Write a new file, which may still be on its way to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for part in parts:
            written = file.write(part)
            while written < len(part):
                written += file.write(memoryview(part)[written:])
        os.utime(descriptor, (ONE_INSTANT, ONE_INSTANT))
        if flushed:
            os.fsync(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file at `path` whole: written beside it, flushed, renamed over what stood there."""
    beside = path.with_name(f"{WRITING}{path.name}")
    beside.unlink(missing_ok=True)
    write_file(beside, content)
    beside.replace(path)
    flush(path.parent)


def placed(series: DeidentifiedSeries, root: Path) -> DeidentifiedSeries:
    """Add the record and rename the folder to its place below `root`; one that holds the same stays as it is.

    One that holds something else (another revision of the headers over the same pixels, or a damaged copy) makes way.
    """
    final = root / series.relative_folder
    write_file(series.folder / RECORD, series.written().encode("ascii"))
    with _alone(final.parent):
        if not holds(final, series):
            _move(series.folder, final, root)
    return replace(series, folder=final)


def place_files(folder: Path, final: Path, root: Path) -> None:
    """Rename a folder to `final`, its place below `root`; one that holds the same files stays as it is."""
    names = sorted(path.name for path in folder.iterdir())
    with _alone(final.parent):
        there = final.is_dir() and sorted(path.name for path in final.iterdir()) == names
        if there and all((final / name).read_bytes() == (folder / name).read_bytes() for name in names):
            return
        for name in names:
            flush(folder / name)
        _move(folder, final, root)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Let processes that bring the same series queue up: none may take away what another one has just placed."""
    lock = os.open(parent, OPENED)
    try:
        with suppress(OSError):  # its file system knows no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def withdraw(final: Path) -> None:
    """Take a folder away at once; it need not be there."""
    if final.exists():
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=WRITING))
        final.rename(old / final.name)
        shutil.rmtree(old, ignore_errors=True)
        _remove_if_empty(final.parent)
        _remove_if_empty(final.parent.parent)


def _move(folder: Path, final: Path, root: Path) -> None:
    """Rename a folder whose files are on the disk to its place below `root`; what stands there makes way."""
    folder.chmod(FOLDER_MODE)
    os.utime(folder, (ONE_INSTANT, ONE_INSTANT))
    flush(folder)
    withdraw(final)
    folder.rename(final)
    for above in (final.parent, final.parent.parent, root):
        flush(above)


def holds(folder: Path, series: DeidentifiedSeries) -> bool:
    """Say whether `folder` holds this very series: its record and every file byte for byte."""
    names = {RECORD, *(file.name for file in series.files)}
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != names:
        return False
    if (folder / RECORD).read_bytes() != series.written().encode("ascii"):
        return False
    return all(hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == file.sha256 for file in series.files)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others stand in it
