"""What images are recognised by: their values, whatever the headers say, and a small picture of them."""

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PICTURE, BODY = 64, 24
"""Pixels along each side of the small picture of an image, and voxels of that of a volume."""
SUFFIX = ".print"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fingerprint:
    """Of one image or volume, before it is brought onto any grid."""

    pixels: str
    """SHA-256 of the decoded, rescaled values in their order: no spacing, place or UID is in it."""
    small: NDArray[np.float32]
    """(64, 64) of an image, (24, 24, 24) of a volume: averaged in index space, so that no spacing is in it either."""


def fingerprint(values: NDArray[np.float32]) -> Fingerprint:
    """Take the fingerprint of a volume (i, j, k), or of a planar image (channel, i, j)."""
    shape = ",".join(map(str, values.shape))
    content = hashlib.sha256(shape.encode("ascii") + np.ascontiguousarray(values, np.float32).tobytes())
    return Fingerprint(pixels=content.hexdigest(), small=_small(values))


def fingerprint_of_plane(pixels: NDArray[np.float32]) -> Fingerprint:
    """Take the fingerprint of a planar image (channel, i, j); its small picture is the mean of its channels."""
    whole = fingerprint(pixels)
    return Fingerprint(pixels=whole.pixels, small=_small(pixels.mean(axis=0)[..., None]))


def _small(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shrink (i, j, k); of a single slice or a planar image a picture stays, whatever its proportions were."""
    flat = values.shape[2] == 1
    small: NDArray[np.float32] = values[..., 0] if flat else values
    for axis in range(small.ndim):
        weights = _weights(small.shape[axis], PICTURE if flat else BODY)
        small = np.moveaxis(np.tensordot(weights, small, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(small, np.float32)


def _weights(size: int, wanted: int) -> NDArray[np.float32]:
    """Weigh `size` samples for each of `wanted`: linear where they grow more, the mean of all between where fewer."""
    step = size / wanted
    middles = (np.arange(wanted) + 0.5) * step - 0.5
    weights = np.clip(1.0 - np.abs(np.arange(size) - middles[:, None]) / max(step, 1.0), 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Those that were taken, beside the volumes of the cache and under the same digests: delete any of it at will."""

    root: Path

    def get(self, input_digest: str) -> Fingerprint | None:
        """Give the fingerprint of an input; None where it was not taken, or cannot be read."""
        try:
            with np.load(self._path(input_digest), allow_pickle=False) as kept:
                return Fingerprint(pixels=str(kept["pixels"]), small=np.asarray(kept["small"], np.float32))
        except (OSError, ValueError, KeyError, EOFError):
            return None

    def put(self, input_digest: str, taken: Fingerprint) -> None:
        """Keep a fingerprint: it is there whole or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.savez(stream, pixels=np.array(taken.pixels), small=taken.small)
        handle, name = tempfile.mkstemp(dir=self.root, prefix=".", suffix=SUFFIX)
        with os.fdopen(handle, "wb") as file:
            file.write(stream.getbuffer())
        Path(name).replace(self._path(input_digest))

    def _path(self, input_digest: str) -> Path:
        return self.root / f"{input_digest}-{SUFFIX[1:]}{SUFFIX}"
