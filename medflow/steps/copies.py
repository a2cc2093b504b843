"""Encrypted copies of quarantined files: by option, for a limited time, each under a key of its own in the vault.

A copy is a run of chunks of a mebibyte, each sealed with AES-256-GCM. A chunk's nonce is its number and whether it is
the last, so that none can be left out, moved or added; a key seals one copy only.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from medflow.dicom.content import open_content, opened_file
from medflow.domain.digests import instant
from medflow.domain.safe import Pseudonym
from medflow.domain.series import SourceFile
from medflow.errors import IntegrityError, SeriesError, StateError
from medflow.steps.house import House
from medflow.steps.run import Run, opened
from medflow.store.engine import writing
from medflow.store.vault_copies import (
    CopyKey,
    copy_key,
    expired_copies,
    forget_copies,
    kept_copies,
    new_copy_key,
)

MAGIC = b"medflow copy 1\n"
CHUNK = 2**20
TAG = 16
"""Bytes that GCM adds to a chunk."""
DRAFT = ".part"
ABANDONED = 3600.0
"""Seconds after which a copy that was begun, and that nobody wrote to since, is what a killed process left."""


def keep_copies(
    run: Run, files: Iterable[tuple[SourceFile, Pseudonym | None]], keys: Mapping[tuple[str, str], str]
) -> int:
    """Keep an encrypted copy of each file (with its patient), where the house keeps any; `keys` are file keys by name.

    One that cannot be read any more has no copy: the export may still have it.
    """
    house, kept = run.house, 0
    if house.copies_kept is None:
        return kept
    expires = house.now() + house.copies_kept
    house.quarantine.mkdir(mode=0o700, exist_ok=True)
    for file, patient in files:
        key = _key_for(house, keys[file.name], patient, expires)
        if key is not None and _copied(file, house.quarantine, key):
            kept += 1
        elif key is not None:
            forget_copies(house.vault, [key.file_key])
    if kept:
        with writing(house.engine) as connection:
            run.append(connection, "quarantine-copied", "", files=kept, until=instant(expires))
    return kept


def write_out(house: House, file_key: str, target: Path) -> None:
    """Decrypt a copy into a new file that only its owner may read.

    Raises:
        StateError: no copy is kept, or something stands at `target`.
        IntegrityError: the copy is not what was written.
    """
    key = copy_key(house.vault, file_key)
    try:
        with (house.quarantine / file_key).open("rb") as copy, _new_private(target) as plain:
            try:
                _decrypt(copy, plain, key)
            except BaseException:
                target.unlink()
                raise
    except OSError:
        raise StateError("the copy cannot be read, or a new file cannot be written there") from None


def clear_expired(house: House, now: datetime) -> int:
    """Remove the copies whose time has come, and files whose key was destroyed; say how many. Audited."""
    kept = kept_copies(house.vault)
    old = set(expired_copies(house.vault, now))
    lying = sorted(house.quarantine.iterdir()) if house.quarantine.is_dir() else []
    shut = [path for path in lying if path.name.removesuffix(DRAFT) not in kept - old or _is_abandoned(path, now)]
    if not old and not shut:
        return 0
    with opened(house, "quarantine-clear") as run:
        forget_copies(house.vault, sorted(old))  # from here on nothing opens them
        for path in shut:
            path.unlink(missing_ok=True)
        gone = len(old | {path.name.removesuffix(DRAFT) for path in shut})
        with writing(house.engine) as connection:
            run.append(connection, "quarantine-copies-removed", "", files=gone)
    return gone


def _is_abandoned(path: Path, now: datetime) -> bool:
    return path.name.endswith(DRAFT) and path.stat().st_mtime < now.timestamp() - ABANDONED


def _key_for(house: House, file_key: str, patient: Pseudonym | None, expires: datetime) -> CopyKey | None:
    """Draw a key; none for a file that has its copy, or whose copy another process is writing."""
    key = new_copy_key(house.vault, file_key, patient=patient, expires=expires)
    if key is None and not any((house.quarantine / f"{file_key}{end}").exists() for end in ("", DRAFT)):
        forget_copies(house.vault, [file_key])  # of a copy that was never finished
        key = new_copy_key(house.vault, file_key, patient=patient, expires=expires)
    return key


def _copied(file: SourceFile, folder: Path, key: CopyKey) -> bool:
    """Write the copy whole or not at all."""
    draft = folder / f"{key.file_key}{DRAFT}"
    try:
        with _original(file) as stream, _new_private(draft) as copy:
            _encrypt(stream, copy, key)
            copy.flush()
            os.fsync(copy.fileno())
        draft.rename(folder / key.file_key)
    except (OSError, SeriesError):
        draft.unlink(missing_ok=True)
        return False
    return True


@contextmanager
def _original(file: SourceFile) -> Iterator[BinaryIO]:
    """Open the bytes as the export has them, of a member those of the member."""
    if not file.member:
        with opened_file(file) as stream:
            yield stream
        return
    with open_content(file) as content:
        content.stream.seek(0)
        yield content.stream


def _new_private(path: Path) -> BinaryIO:
    """Open a new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _encrypt(plain: BinaryIO, copy: BinaryIO, key: CopyKey) -> None:
    cipher, number = AESGCM(key.key), 0
    copy.write(MAGIC)
    chunk = _chunk(plain)
    while True:
        following = _chunk(plain) if len(chunk) == CHUNK else b""
        copy.write(cipher.encrypt(_nonce(number, last=not following), chunk, key.file_key.encode("ascii")))
        if not following:
            return
        chunk, number = following, number + 1


def _chunk(stream: BinaryIO) -> bytes:
    """Read a whole chunk, or all that is left: an unbuffered file may give less than it is asked for."""
    parts, missing = [], CHUNK
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _decrypt(copy: BinaryIO, plain: BinaryIO, key: CopyKey) -> None:
    cipher, number = AESGCM(key.key), 0
    whole = copy.read(len(MAGIC)) == MAGIC
    sealed = copy.read(CHUNK + TAG)
    try:
        while whole:
            following = copy.read(CHUNK + TAG)
            plain.write(cipher.decrypt(_nonce(number, last=not following), sealed, key.file_key.encode("ascii")))
            if not following:
                return
            sealed, number = following, number + 1
    except InvalidTag:
        pass
    raise IntegrityError("the copy is damaged: it does not open with its key")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
