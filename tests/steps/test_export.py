"""Facts about exported volumes: the voxels, where they stand, and whom they do not name."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medflow.domain.task import Task
from medflow.errors import ConfigurationError
from medflow.steps.export import Wish, export_dicom, export_volumes
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from tests.steps.conftest import EXPORT
from tests.steps.exports import MILLIMETRES, SIDE, SLICES, write_series


def test_a_native_volume_holds_the_original_hounsfield_units_where_they_were(house: House, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "export", patient="PAT-1", bright=True)
    ingest(house, tmp_path / "export", source=EXPORT)

    report = export_volumes(house, tmp_path / "out", Wish(task=None))

    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)
    originals = [pydicom.dcmread(one) for one in paths]
    expected = np.stack([original.pixel_array.T for original in originals], axis=2)
    assert report.written == 1
    assert np.array_equal(voxels, expected)
    # LPS to RAS+: the first voxel of the first slice lies at (-62, -62, 0) in DICOM's axes
    assert np.allclose(image.affine @ [0, 0, 0, 1], [62, 62, 0, 1])
    assert np.allclose(image.affine @ [SIDE - 1, 0, SLICES - 1, 1], [62 - MILLIMETRES * 31, 62, MILLIMETRES * 7, 1])


def test_the_sidecar_names_digests_and_a_unit_and_no_date(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)

    export_volumes(house, tmp_path / "out", Wish(task=None))

    (path,) = (tmp_path / "out").rglob("*.json")
    text = path.read_text()
    sidecar = json.loads(text)
    assert (sidecar["unit"], sidecar["modality"], len(sidecar["input_digest"])) == ("HU", "CT", 64)
    assert "PAT-1" not in text
    assert not any(date in text for date in ("20240103", "2024-01-03", "2026-"))  # digests may hold any four digits


def test_a_volume_on_a_tasks_grid_has_its_shape_and_spacing(house: House, ball_task: Task, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)

    export_volumes(house, tmp_path / "out", Wish(task=ball_task))

    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    image = nibabel.load(path)
    assert image.shape == ball_task.grid.shape
    assert tuple(map(float, image.header.get_zooms())) == ball_task.grid.spacing


def test_a_head_is_refused_unless_its_face_is_accepted_by_name(house: House, tmp_path: Path) -> None:
    for path in write_series(tmp_path / "export", patient="PAT-1"):
        original = pydicom.dcmread(path)
        original.BodyPartExamined = "HEAD"
        original.save_as(path, enforce_file_format=True)
    ingest(house, tmp_path / "export", source=EXPORT)

    assert export_volumes(house, tmp_path / "no", Wish(task=None)).refused == {"recognizable-face": 1}
    assert export_volumes(house, tmp_path / "yes", Wish(task=None, faces=True)).written == 1
    assert not list((tmp_path / "no").rglob("*.nii.gz"))


def test_the_data_folder_is_no_place_for_an_export(house: House) -> None:
    with pytest.raises(ConfigurationError):
        export_volumes(house, house.data / "out", Wish(task=None))


def test_two_recipients_get_series_and_volumes_that_share_no_name(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    known: dict[str, set[str]] = {}
    for label in ("trial", "registry"):
        export_dicom(house, tmp_path / label, Wish(task=None, recipient=label))
        export_volumes(house, tmp_path / label / "nifti", Wish(task=None, recipient=label))
        first = pydicom.dcmread(next((tmp_path / label).rglob("*.dcm")))
        sidecar = json.loads(next((tmp_path / label / "nifti").rglob("*.json")).read_text())
        assert (sidecar["patient"], sidecar["series"]) == (first.PatientID, first.SeriesInstanceUID)
        known[label] = {first.PatientID, first.StudyInstanceUID, first.SOPInstanceUID, first.StudyDate}
        known[label] |= {sidecar["series_id"], sidecar["study"]}
    house_names = {path.name for path in house.safe.rglob("*")}

    assert not known["trial"] & known["registry"]
    assert not (known["trial"] | known["registry"]) & house_names


def test_a_series_is_exported_for_somebody(house: House, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="whom"):
        export_dicom(house, tmp_path / "out", Wish(task=None))
