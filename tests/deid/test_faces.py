"""Faces go from CT and MR of the head, the brain stays, and what cannot be told is refused."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy import ndimage

from medflow.deid.faces import face_mask
from medflow.deid.profile import DEFAULT, Option, Profile, profile_of
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder
from medflow.domain.layout import Affine
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.series import Modality
from medflow.errors import Reason, SeriesError
from tests.deid.heads import CHIN, EYES, NOSE, Head, head
from tests.deid.phantom import ct_slice, file_bytes, write_files

Mask = NDArray[np.bool_]
MODALITIES = pytest.mark.parametrize("modality", [Modality.CT, Modality.MR])


def mask_of(scan: Head) -> Mask:
    return face_mask(scan.voxels, scan.affine, scan.modality)


def skin_before_the_brain(scan: Head) -> Mask:
    """Give the voxels of the face's skin: next to the outer air, before the front of the brain, down to the chin."""
    air, _ = ndimage.label(~scan.body)
    around = ndimage.binary_dilation(air == air[0, -1, -1]) & scan.body
    points = scan.points
    return np.asarray(around & (points[..., 1] > 60) & (points[..., 2] > -140) & (points[..., 2] < 30))


SCANS = {modality: head(modality, spacing=(3.0, 3.0, 3.0)) for modality in (Modality.CT, Modality.MR)}


@cache
def masked(modality: Modality) -> Mask:
    return mask_of(SCANS[modality])


@MODALITIES
def test_the_brain_stays_untouched_and_the_face_goes(modality: Modality) -> None:
    scan = SCANS[modality]

    mask = masked(modality)

    assert not (mask & scan.brain).any()
    assert all(mask[scan.at(place)] for place in (NOSE, CHIN, *EYES))
    assert mask[skin_before_the_brain(scan)].mean() > 0.95
    assert not mask[scan.points[..., 1] < -20].any()  # the back of the head is as it was


@MODALITIES
@pytest.mark.parametrize(("spacing", "tilt"), [((3.0, 3.0, 5.0), 0.3), ((6.0, 3.0, 3.0), 0.0)])
def test_thick_slices_and_a_gantrys_tilt_change_nothing_of_it(
    modality: Modality, spacing: tuple[float, float, float], tilt: float
) -> None:
    scan = head(modality, spacing=spacing, tilt=tilt)

    mask = mask_of(scan)

    assert not (mask & scan.brain).any()
    assert mask[scan.at(NOSE)]
    assert mask[skin_before_the_brain(scan)].mean() > 0.95


@MODALITIES
def test_what_is_before_the_face_goes_too_so_that_no_edge_in_the_air_shows_it(modality: Modality) -> None:
    scan = SCANS[modality]

    mask = masked(modality)

    before = scan.points[..., 1] > 100
    level = (scan.points[..., 2] > -100) & (scan.points[..., 2] < 20)
    assert mask[before & level].all()


@MODALITIES
def test_the_top_of_a_head_alone_loses_no_brain(modality: Modality) -> None:
    scan = head(modality, spacing=(3.0, 3.0, 3.0), low=(-105.0, -125.0, -10.0))

    mask = mask_of(scan)

    assert not (mask & scan.brain).any()


@MODALITIES
def test_a_neck_alone_is_refused(modality: Modality) -> None:
    scan = head(modality, spacing=(3.0, 3.0, 3.0), high=(105.0, 140.0, -75.0))

    with pytest.raises(SeriesError) as error:
        mask_of(scan)

    assert error.value.reason is Reason.FACE_NOT_REMOVABLE


@MODALITIES
def test_air_alone_is_refused(modality: Modality) -> None:
    scan = head(modality, spacing=(3.0, 3.0, 3.0), low=(-105.0, 120.0, 0.0))

    with pytest.raises(SeriesError) as error:
        mask_of(scan)

    assert error.value.reason is Reason.FACE_NOT_REMOVABLE


@settings(max_examples=3, deadline=None)
@given(
    modality=st.sampled_from([Modality.CT, Modality.MR]),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_the_same_head_stored_in_any_order_of_axes_gives_the_same_mask(
    modality: Modality, order: list[int], flips: tuple[bool, bool, bool]
) -> None:
    scan = SCANS[modality]
    turned = np.flip(scan.voxels.transpose(order), tuple(axis for axis in range(3) if flips[axis]))

    mask = face_mask(turned, turned_affine(scan, order, flips), modality)

    back = np.flip(mask, tuple(axis for axis in range(3) if flips[axis])).transpose(np.argsort(order))
    assert np.array_equal(back, masked(modality))


def turned_affine(scan: Head, order: list[int], flips: tuple[bool, bool, bool]) -> Affine:
    """Write where the voxels stand after their axes were put in another order and some were flipped."""
    old = np.array(scan.affine)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = old[:3, order], old[:3, 3]
    for axis, flipped in enumerate(flips):
        if flipped:
            affine[:3, 3] += affine[:3, axis] * (scan.voxels.shape[order[axis]] - 1)
            affine[:3, axis] *= -1
    return tuple(tuple(float(each) for each in row) for row in affine)


FACELESS_CODE = "113102"


def written(scan: Head, folder: Path, *, body_part: str = "HEAD") -> Path:
    """Write a scan of cubes of 3 mm as an axial CT."""
    stored = np.maximum(scan.voxels + 1024, 0).astype(np.uint16)
    left, back, low = np.array(scan.affine)[:3, 3]
    datasets = []
    for k in range(stored.shape[2]):
        ds = ct_slice(k % 40)
        ds.SOPInstanceUID, ds.InstanceNumber = f"{ds.StudyInstanceUID}.{k}", str(k + 1)
        ds.BodyPartExamined, ds.SeriesDescription = body_part, "CT"
        ds.Rows, ds.Columns = stored.shape[1], stored.shape[0]
        # RAS+ to DICOM's LPS+: the first column is the leftmost, the first row the frontmost
        right, front = left + 3.0 * (stored.shape[0] - 1), back + 3.0 * (stored.shape[1] - 1)
        ds.ImagePositionPatient = [f"{-right:.1f}", f"{-front:.1f}", f"{low + 3.0 * k:.1f}"]
        ds.PixelSpacing, ds.SliceThickness = ["3", "3"], "3"
        ds.BitsStored, ds.HighBit = 16, 15
        ds.PixelData = np.ascontiguousarray(stored[::-1, ::-1, k].T).tobytes()
        datasets.append(ds)
    return write_files(folder, *map(file_bytes, datasets))


def cleaned(folder: Path, root: Path, pseudonyms: Pseudonyms, profile: Profile) -> DeidentifiedSeries:
    (series,) = scan_folder(folder).series
    laid_out = lay_out(series)
    return deidentify_series(
        laid_out.series,
        laid_out.layouts,
        intensity_facts(laid_out.series),
        pseudonyms=pseudonyms,
        profile=profile,
        source=Source(name="export", site="A"),
        sha256s=source_sha256s(laid_out.series),
        root=root,
    )


WITH_FACES_REMOVED = profile_of(replace(DEFAULT, options=DEFAULT.options | {Option.CLEAN_FACES}))


def codes(ds: Dataset) -> set[str]:
    return {item.CodeValue for item in ds.DeidentificationMethodCodeSequence}


@pytest.mark.slow
def test_a_series_is_written_without_its_face_where_the_profile_says_so_and_says_it(
    tmp_path: Path, pseudonyms: Pseudonyms
) -> None:
    export = written(SCANS[Modality.CT], tmp_path / "export")

    safe = cleaned(export, tmp_path / "safe", pseudonyms, WITH_FACES_REMOVED)

    before = np.stack([read_stored_values(path)[0] for path in sorted(export.iterdir())])
    after = np.stack([read_stored_values(safe.folder / file.name)[0] for file in safe.files])
    gone = masked(Modality.CT)[::-1, ::-1].T
    assert np.array_equal(after[~gone], before[~gone])
    assert np.all(after[gone] == 0)  # -1024 HU
    first = dcmread(safe.folder / safe.files[0].name)
    assert first.RecognizableVisualFeatures == "NO"
    assert FACELESS_CODE in codes(first)
    assert not safe.descriptors.head


def test_faces_stay_by_default_and_the_header_says_that_one_may_show(
    tmp_path: Path, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    scan = head(Modality.CT, spacing=(3.0, 3.0, 3.0), low=(-105.0, -125.0, -60.0), high=(105.0, 140.0, -40.0))
    export = written(scan, tmp_path / "export")

    safe = cleaned(export, tmp_path / "safe", pseudonyms, profile)

    assert Option.CLEAN_FACES not in profile.options
    for path, file in zip(sorted(export.iterdir()), safe.files, strict=True):
        assert np.array_equal(read_stored_values(path), read_stored_values(safe.folder / file.name))
    first = dcmread(safe.folder / safe.files[0].name)
    assert first.RecognizableVisualFeatures == "YES"
    assert FACELESS_CODE not in codes(first)
    assert safe.descriptors.head


def test_a_head_whose_face_cannot_be_told_is_refused_and_nothing_of_it_is_written(
    tmp_path: Path, pseudonyms: Pseudonyms
) -> None:
    scan = head(Modality.CT, spacing=(3.0, 3.0, 3.0), low=(-105.0, -125.0, -100.0), high=(105.0, 140.0, -85.0))
    export = written(scan, tmp_path / "export")

    with pytest.raises(SeriesError) as error:
        cleaned(export, tmp_path / "safe", pseudonyms, WITH_FACES_REMOVED)

    assert error.value.reason is Reason.FACE_NOT_REMOVABLE
    assert not [path for path in (tmp_path / "safe").rglob("*") if path.is_file()]


def test_what_is_no_head_is_left_as_it_is(tmp_path: Path, pseudonyms: Pseudonyms) -> None:
    scan = head(Modality.CT, spacing=(3.0, 3.0, 3.0), low=(-105.0, -125.0, -100.0), high=(105.0, 140.0, -85.0))
    export = written(scan, tmp_path / "export", body_part="CHEST")

    safe = cleaned(export, tmp_path / "safe", pseudonyms, WITH_FACES_REMOVED)

    first = dcmread(safe.folder / safe.files[0].name)
    assert "RecognizableVisualFeatures" not in first
    for path, file in zip(sorted(export.iterdir()), safe.files, strict=True):
        assert np.array_equal(read_stored_values(path), read_stored_values(safe.folder / file.name))
