"""NIfTI: native geometry, with a qform only where one can tell the truth."""

import json
from pathlib import Path

import nibabel
import numpy as np

from medflow.imaging.nifti import write_nifti
from tests.imaging.made import STRAIGHT, volume

VOXELS = np.random.default_rng(1).uniform(-900, 900, (4, 5, 6))


def test_voxels_and_affine_come_back(tmp_path: Path) -> None:
    write_nifti(volume(VOXELS), tmp_path / "a.nii.gz", {"layout": 1})

    image = nibabel.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), VOXELS.astype(np.float32))
    assert np.allclose(image.affine, STRAIGHT, atol=1e-6)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert np.allclose(image.get_qform(), STRAIGHT, atol=1e-5)
    sidecar = json.loads((tmp_path / "a.json").read_text())
    assert (sidecar["unit"], sidecar["modality"], sidecar["layout"]) == ("HU", "CT", 1)


def test_a_sheared_stack_has_an_sform_only(tmp_path: Path) -> None:
    affine = STRAIGHT.copy()
    affine[1, 2] = 0.7

    write_nifti(volume(VOXELS, affine), tmp_path / "a.nii.gz", {})

    image = nibabel.load(tmp_path / "a.nii.gz")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 1)
    assert np.allclose(image.affine, affine, atol=1e-6)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(volume(VOXELS), tmp_path / name, {})

    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
