"""What must outlive a power cut: written through to the disk before anything is said to be done."""

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file through to the disk. Its name is not yet there for good: `flush` its folder for that."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def flush(path: Path) -> None:
    """Write a file, or the names of a folder's files, through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
