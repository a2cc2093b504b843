"""Volumes on a grid, kept by the digests of what they were made from: training reads them again and again."""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCache:
    """A folder of `<input digest>-<grid digest>.npy` and `.json`. Deleting any of it costs time and nothing else."""

    root: Path

    def get(self, input_digest: str, grid_digest: str) -> NDArray[np.float32] | None:
        """Give the voxels (i, j, k), memory-mapped and read-only; None where they are absent or not what was put."""
        array, note = self._paths(input_digest, grid_digest)
        try:
            expected = json.loads(note.read_text("ascii"))["sha256"]
            with array.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                    return None
            voxels = np.load(array, mmap_mode="r", allow_pickle=False)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return voxels if voxels.dtype == np.float32 else None

    def put(self, input_digest: str, grid_digest: str, voxels: NDArray[np.float32]) -> None:
        """Keep the voxels (i, j, k). Two writers write the same bytes, so whichever comes last changes nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        array, note = self._paths(input_digest, grid_digest)
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(voxels, np.float32), allow_pickle=False)
        written = stream.getvalue()
        sha256 = hashlib.sha256(written).hexdigest()
        _replace(array, written)
        _replace(note, (json.dumps({"sha256": sha256, "shape": list(voxels.shape)}, sort_keys=True) + "\n").encode())

    def forget(self, input_digests: Collection[str]) -> int:
        """Remove what was made of some inputs, on every grid, and say how many volumes that were."""
        wanted = set(input_digests)
        return self._remove(path for path in self._files() if path.name.partition("-")[0] in wanted)

    def older(self, before: float) -> tuple[Path, ...]:
        """Name the files that were written before a moment (s), and what a killed process left half-written."""
        return tuple(path for path in self._files() if path.stat().st_mtime < before)

    def drop(self, before: float) -> int:
        """Remove what `older` names, and say how many volumes that were."""
        return self._remove(self.older(before))

    def _files(self) -> list[Path]:
        return sorted(path for path in self.root.glob("*") if path.is_file()) if self.root.is_dir() else []

    def _remove(self, paths: Iterable[Path]) -> int:
        removed = 0
        for path in paths:
            path.unlink(missing_ok=True)
            removed += path.suffix == ".npy"
        return removed

    def _paths(self, input_digest: str, grid_digest: str) -> tuple[Path, Path]:
        name = f"{input_digest}-{grid_digest}"
        return self.root / f"{name}.npy", self.root / f"{name}.json"


def _replace(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that nobody ever reads half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
