"""The secret that all pseudonyms are made with: 32 bytes in a file that only its owner can read."""

import os
import secrets
from pathlib import Path

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
    """Write `key` to a new file of mode 0600; a file that stands there is never overwritten.

    Raises:
        ConfigurationError: something stands there already, or the folder cannot be written.
    """
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"a key is {KEY_BYTES} bytes")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        raise ConfigurationError("a new key cannot be written there; a key that exists is never replaced") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
