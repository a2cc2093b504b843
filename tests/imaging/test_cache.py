"""The cache: what was put comes back, and nothing else does."""

from pathlib import Path

import numpy as np

from medflow.imaging.cache import VolumeCache

VOXELS = np.random.default_rng(1).random((4, 5, 6)).astype(np.float32)


def test_what_was_put_comes_back_memory_mapped(tmp_path: Path) -> None:
    cache = VolumeCache(root=tmp_path / "volumes")
    cache.put("a" * 64, "b" * 64, VOXELS.transpose(2, 1, 0).copy(order="F"))

    found = cache.get("a" * 64, "b" * 64)

    assert isinstance(found, np.memmap)
    assert np.array_equal(found, VOXELS.transpose(2, 1, 0))
    assert not found.flags.writeable


def test_what_was_never_put_is_absent(tmp_path: Path) -> None:
    assert VolumeCache(root=tmp_path).get("a", "b") is None


def test_a_changed_byte_is_as_good_as_absent(tmp_path: Path) -> None:
    cache = VolumeCache(root=tmp_path)
    cache.put("a", "b", VOXELS)
    changed = bytearray((tmp_path / "a-b.npy").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "a-b.npy").write_bytes(changed)

    assert cache.get("a", "b") is None


def test_only_the_volume_and_its_note_are_left_behind(tmp_path: Path) -> None:
    VolumeCache(root=tmp_path).put("a", "b", VOXELS)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-b.json", "a-b.npy"]
