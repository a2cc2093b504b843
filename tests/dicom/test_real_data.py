"""Every file of the real data is accounted for, and every frame stands where an independent reading puts it."""

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import Scan, list_files, scan_folder
from medflow.domain.series import FileState
from tests.dicom.placing import assert_placed

DATA = Path(os.environ.get("MEDFLOW_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "dicom"

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="no real data: set MEDFLOW_REAL_DATA to a folder that holds dicom/"),
    pytest.mark.slow,
]

ACCEPTED = {
    "compressed/anatomical": 12,
    "compressed/compressed": 4,
    "compressed/compressed_j2k": 4,
    "compressed/compressed_jpeg": 4,
    "compressed/compressed_jpegls": 4,
    "compressed/compressed_rle": 4,
    "compressed/rgb": 0,
    "ct_digital_phantom": 64,
    "ct_head_tilted_ge": 28,
    "mr_agfa_rewritten": 4,
    "mr_dual_echo_philips": 120,
    "mr_enhanced": 5,
    "mr_localizers_ge": 92,
    "mr_t1_siemens": 40,
    "odd_files": 8,
    "pet_ge_raw": 267,
    "petctmr_cohort": 1135,
    "refusals": 22,
}
"""Files of each folder that stand in a layout; the others were set aside, each with its reason."""

ODD = {
    "DICOMDIR": "dicomdir",
    "GH1146.dcm": "damaged-pixels",
    "GH179B.dcm": "damaged-header",
    "GH220.dcm": "not-an-image",
    "GH1339.dcm": "damaged-pixels",
    "GH340.dcm": "missing-identifier",
    "GH364.dcm": "damaged-header",
    "GH487.dcm": "damaged-pixels",
    "GH626.dcm": "damaged-header",
    "HTJ2KLossless_08_RGB.dcm": "not-patient-geometry",
    "JPEGwithIcon.dcm": "not-patient-geometry",
    "minimumdict.xml": "not-dicom",
    "minimumdict.xml.gz": "not-dicom",
    "test_SR.dcm": "not-an-image",
}


def laid_out(scan: Scan) -> Iterator[LaidOut]:
    return (lay_out(series) for series in scan.series if not series.modality.planar)


@pytest.mark.parametrize("folder", ACCEPTED)
def test_every_file_is_accounted_for(folder: str) -> None:
    scan = scan_folder(DATA / folder)
    volumes = list(laid_out(scan))

    planar = sum(len(series.instances) for series in scan.series if series.modality.planar)
    placed = sum(len(volume.series.instances) for volume in volumes)
    aside = len(scan.set_aside) + sum(len(volume.set_aside) for volume in volumes)
    assert scan.seen == len(list(list_files(DATA / folder))) == placed + planar + aside
    assert placed == ACCEPTED[folder]
    for volume in volumes:
        standing = {place.file for layout in volume.layouts for place in layout.places}
        assert standing == set(range(len(volume.series.instances)))


@pytest.mark.parametrize("folder", ACCEPTED)
def test_every_frame_stands_where_its_own_header_says(folder: str) -> None:
    for volume in laid_out(scan_folder(DATA / folder)):
        intensity_facts(volume.series)
        assert_placed(volume)


@pytest.mark.parametrize(
    "case",
    [
        "anatomical/001",
        "anatomical/001_implicit",
        "anatomical/002_non_isotropic",
        "compressed/001",
        "compressed_j2k/001",
        "compressed_jpeg/001",
        "compressed_jpegls/001",
        "compressed_rle/001",
    ],
)
def test_volumes_agree_with_the_nifti_beside_them(case: str) -> None:
    folder = DATA / "compressed" / case
    (volume,) = laid_out(scan_folder(folder))
    (layout,) = volume.layouts
    truth, affine = read_nifti(folder.with_name(f"{folder.name}_ground_truth.nii.gz"))

    slices = [
        read_stored_values(volume.series.instances[p.file].file.path)[p.frame] * p.slope + p.intercept
        for p in layout.places
    ]
    voxels = np.stack(slices, axis=-1).swapaxes(0, 1)
    to_truth = np.linalg.inv(affine) @ np.asarray(layout.affine)
    index = np.stack(np.meshgrid(*map(np.arange, voxels.shape), indexing="ij"), axis=-1)
    there = index @ to_truth[:3, :3].T + to_truth[:3, 3]
    np.testing.assert_allclose(there, np.rint(there), atol=0.01)
    np.testing.assert_allclose(
        voxels, truth[tuple(np.moveaxis(np.rint(there).astype(int), -1, 0))], rtol=1e-5, atol=0.01
    )


def read_nifti(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a NIfTI-1 with an sform, in two dozen lines, so that nothing but numpy stands behind the comparison."""
    data = gzip.decompress(path.read_bytes())
    order = "<" if int.from_bytes(data[:4], "little") == 348 else ">"
    shape = np.frombuffer(data, f"{order}i2", 8, 40)
    code = int(np.frombuffer(data, f"{order}i2", 1, 70)[0])
    kinds: dict[int, Any] = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
    offset, slope, inter = np.frombuffer(data, f"{order}f4", 3, 108)
    affine = np.vstack([np.frombuffer(data, f"{order}f4", 12, 280).reshape(3, 4), [0, 0, 0, 1]]).astype(float)
    size = shape[1 : shape[0] + 1]
    values = np.frombuffer(data, order + kinds[code], int(np.prod(size)), int(offset)).reshape(size, order="F")
    return values * (float(slope) if slope and np.isfinite(slope) else 1.0) + float(np.nan_to_num(inter)), affine


def test_odd_files_are_set_aside_for_the_right_reasons() -> None:
    scan = scan_folder(DATA / "odd_files")

    reasons = {aside.file.relative: aside.reason.value for aside in scan.set_aside}
    assert {name: reasons.get(name) for name in ODD} == ODD


def test_a_tilted_head_keeps_its_shear_and_its_two_steps() -> None:
    (volume,) = laid_out(scan_folder(DATA / "ct_head_tilted_ge"))

    steps = [round(float(np.linalg.norm(np.asarray(layout.affine)[:3, 2])), 2) for layout in volume.layouts]
    assert sorted(steps) == [4.22, 7.38]
    assert all(layout.sheared for layout in volume.layouts)


def test_three_plane_localizers_become_three_volumes() -> None:
    folder = DATA / "mr_localizers_ge" / "Exam1486_Laser794mm"
    for name in ("01_3_Plane_Localizer_FF", "05_3_Plane_Localizer_HF"):
        (volume,) = laid_out(scan_folder(folder / name))

        assert [len(layout.places) for layout in volume.layouts] == [7, 7, 7]


def test_time_points_become_volumes_told_apart_by_their_labels() -> None:
    (volume,) = laid_out(scan_folder(DATA / "mr_localizers_ge" / "Exam1486_Laser794mm" / "02_Ax_fMRI_FF_I11.1_S15.9"))

    assert [dict(layout.labels) for layout in volume.layouts] == [{"TemporalPositionIndex": n} for n in range(1, 6)]


def test_uneven_increments_become_uniform_runs() -> None:
    scan = scan_folder(DATA / "refusals" / "sliceincrement")

    for volume in laid_out(scan):
        assert [(len(layout.places), layout.run) for layout in volume.layouts] == [(3, (1, 2)), (1, (2, 2))]


def test_each_slice_of_a_raw_pet_has_a_slope_of_its_own() -> None:
    (volume,) = laid_out(scan_folder(DATA / "pet_ge_raw"))
    (layout,) = volume.layouts
    facts = intensity_facts(volume.series)

    assert len({place.slope for place in layout.places}) > 250
    assert facts.pet is not None
    assert (facts.pet.units, facts.pet.decay_correction, facts.pet.decay_seconds) == ("BQML", "START", 2711.0)


def test_the_same_images_in_several_transfer_syntaxes_contradict_each_other() -> None:
    scan = scan_folder(DATA / "compressed")

    reasons = Counter(aside.reason.value for aside in scan.set_aside if aside.state is FileState.QUARANTINED)
    assert reasons == {"conflicting-object": 20}
