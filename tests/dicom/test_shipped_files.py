"""The DICOM files that pydicom ships are all accounted for, as pydicom itself reads them."""

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from medflow.dicom.files import open_object
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import list_files, scan_folder
from medflow.dicom.tags import Tag
from medflow.errors import Reason, SeriesError
from tests.dicom.placing import assert_placed

SMALL = get_testdata_file("CT_small.dcm", download=False)
FOLDER = Path(str(SMALL)).parent

REASONS = {
    "MR_truncated.dcm": Reason.DAMAGED_PIXELS,
    "badVR.dcm": None,
    "reportsi.dcm": Reason.NOT_AN_IMAGE,
    "rtdose.dcm": Reason.OTHER_MODALITY,
    "rtplan.dcm": Reason.NOT_AN_IMAGE,
    "rtstruct.dcm": Reason.NOT_AN_IMAGE,
    "waveform_ecg.dcm": Reason.NOT_AN_IMAGE,
    "zipMR.gz": Reason.CONFLICTING_OBJECT,
    "test1.json": Reason.NOT_DICOM,
    "examples_rgb_color.dcm": Reason.NOT_PATIENT_GEOMETRY,
    "examples_palette.dcm": Reason.NOT_PATIENT_GEOMETRY,
    "dicomdirtests/DICOMDIR": Reason.DICOMDIR,
}


def test_every_shipped_file_is_accounted_for() -> None:
    scan = scan_folder(FOLDER)

    assert scan.seen == len(list(list_files(FOLDER)))
    found = {aside.file.relative: aside.reason for aside in scan.set_aside}
    named = {name: reason for name, reason in REASONS.items() if reason and (FOLDER / name).exists()}
    assert {name: found.get(name) for name in named} == named
    for series in scan.series:
        if series.modality.planar:
            continue
        try:
            result = lay_out(series)
        except SeriesError as error:
            assert error.reason is Reason.SINGLE_POSITION  # noqa: PT017
        else:
            assert len(result.series.instances) + len(result.set_aside) == len(series.instances)
            assert_placed(result)


NUMBERS = (Tag.Rows, Tag.Columns, Tag.BitsAllocated, Tag.BitsStored, Tag.PixelRepresentation, Tag.SamplesPerPixel)
DECIMALS = (Tag.ImagePositionPatient, Tag.ImageOrientationPatient, Tag.PixelSpacing, Tag.RescaleSlope)
TEXTS = (Tag.SOPClassUID, Tag.SOPInstanceUID, Tag.SeriesInstanceUID, Tag.Modality, Tag.PhotometricInterpretation)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.dcm")))
def test_headers_read_as_pydicom_reads_them(name: str) -> None:
    path = FOLDER / name
    with path.open("rb", buffering=0) as stream:
        try:
            _, header, _, _ = open_object(stream, path.stat().st_size)
        except SeriesError:
            pytest.skip("set aside as damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)

        assert {tag: header.integer(tag) for tag in NUMBERS if tag in dataset} == {
            tag: dataset[tag].value for tag in NUMBERS if tag in dataset
        }
        assert {tag: header.text(tag) for tag in TEXTS} == {
            tag: str(dataset[tag].value) if tag in dataset else "" for tag in TEXTS
        }
        for tag in DECIMALS:
            if tag in dataset and dataset[tag].value not in (None, ""):
                value = dataset[tag].value
                values = tuple(value) if dataset[tag].VM > 1 else (value,)
                assert header.decimals(tag) == pytest.approx(tuple(map(float, values)))
