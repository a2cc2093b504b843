"""Secrets of 32 bytes, each in a file that only its owner can read, and how one takes the place of another.

A key that is replaced is kept beside the new one as `<file>.<number>`. The new key waits as `<file>.<number + 1>`
until whatever it is for has accepted it; only then does it take the name of the old. So at any instant, a kill
included, the key that counts lies in one of these files.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medflow.domain.durable import flush
from medflow.errors import ConfigurationError

KEY_BYTES = 32


def new_key() -> bytes:
    """Draw 32 secret bytes from the system."""
    return secrets.token_bytes(KEY_BYTES)


def read_key(path: Path) -> bytes:
    """Read the key in `path`, refusing a file that anyone but its owner may read or change.

    Raises:
        ConfigurationError: no such file, a file open to others, or a file that is not a key.
    """
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except OSError:
        raise ConfigurationError("the key file cannot be read; check that it exists and belongs to this user") from None
    if mode & 0o077:
        raise ConfigurationError("the key file is open to others; run chmod 600 on it")
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"the key file does not hold {KEY_BYTES} bytes; restore it from where it was kept")
    return key


def write_new_key(path: Path, key: bytes) -> None:
    """Write `key` to a new file of mode 0600, whole or not at all; a file that stands there is never overwritten.

    Raises:
        ConfigurationError: something stands there already, or the folder cannot be written.
    """
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"a key is {KEY_BYTES} bytes")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, it replaces nothing
        finally:
            draft.unlink()
        flush(path.parent)
    except OSError:
        raise ConfigurationError("a new key cannot be written there; a key that exists is never replaced") from None


def kept_as(path: Path, number: int) -> Path:
    """Name the file that keeps the key of a version or an epoch."""
    return path.with_name(f"{path.name}.{number}")


def lay_out_successor(path: Path, number: int, present: bytes) -> bytes:
    """Keep the present key, which has `number`, and lay its successor beside it; give the successor.

    Raises:
        ConfigurationError: other keys stand under these names, or the folder cannot be written.
    """
    if read_key(path) != present:
        raise ConfigurationError("the key file is not the key that is in use; put the one that is in its place first")
    kept, waiting = kept_as(path, number), kept_as(path, number + 1)
    if not kept.exists():
        write_new_key(kept, present)
    elif read_key(kept) != present:
        raise ConfigurationError(f"another key is kept as {kept.name}; move it to where the old backups are")
    if not waiting.exists():  # else it is what an attempt left that was cut off before anything accepted it
        write_new_key(waiting, new_key())
    return read_key(waiting)


def put_in_place(path: Path, number: int) -> None:
    """Let the successor, which has `number` and was accepted, take the name of the key before it.

    Raises:
        ConfigurationError: the folder cannot be written; the successor is safe, and in use, under its number.
    """
    try:
        kept_as(path, number).replace(path)
        flush(path.parent)
    except FileNotFoundError:
        return  # another process found it accepted, and did so
    except OSError:
        waiting = kept_as(path, number).name
        raise ConfigurationError(f"the key file cannot be replaced; rename {waiting} to {path.name}") from None


def settled_key(path: Path, number: int, fits: Callable[[bytes], bool]) -> bytes:
    """Read the key in `path`; where it was replaced by the one of `number` and a kill came in between, finish that.

    Raises:
        ConfigurationError: a key file cannot be read, or is open to others.
    """
    key = read_key(path)
    kept, waiting = kept_as(path, number - 1), kept_as(path, number)
    if fits(key) or not (kept.exists() and waiting.exists()):
        return key
    successor = read_key(waiting)
    if read_key(kept) != key or not fits(successor):
        return key
    with suppress(ConfigurationError):  # a folder that only holds secrets may let nothing be renamed
        put_in_place(path, number)
    return successor
