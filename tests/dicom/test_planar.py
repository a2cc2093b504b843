"""What the headers of planar images say, and what they must not say."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
)

from medflow.deid.profile import default_profile
from medflow.dicom.layout import lay_out
from medflow.dicom.pixels import read_stored_samples
from medflow.dicom.planar import CODED_VIEWS, VIEWS
from medflow.dicom.scan import scan_folder
from medflow.domain.planefacts import Intent, Lookup, PlaneFacts, SpacingSource, Window, WindowShape
from medflow.domain.series import Modality
from medflow.errors import Reason
from tests.dicom.drawn import one_slice, save, written
from tests.dicom.planes import COLUMNS, ROWS, photograph, radiograph, table


def plane_of(folder: Path, dataset: Dataset) -> PlaneFacts:
    (series,) = scan_folder(save(folder, dataset)).series
    return lay_out(series).planes[0]


def refusal(folder: Path, dataset: Dataset) -> tuple[Reason, str]:
    scan = scan_folder(save(folder, dataset))
    assert scan.series == ()
    (aside,) = scan.set_aside
    return aside.reason, aside.detail


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "OP"])
def test_a_planar_image_becomes_a_plane_and_never_a_volume(tmp_path: Path, modality: str) -> None:
    dataset = photograph() if modality == "OP" else radiograph(modality=modality)

    (series,) = scan_folder(save(tmp_path, dataset)).series
    laid = lay_out(series)

    assert series.modality is Modality(modality)
    assert laid.layouts == ()
    assert series.instances[0].frames == ()
    (plane,) = laid.planes
    assert (plane.rows, plane.columns, plane.samples) == (ROWS, COLUMNS, 3 if modality == "OP" else 1)


@pytest.mark.parametrize(
    ("sop_class", "modality", "reason"),
    [
        (DigitalIntraOralXRayImageStorageForPresentation, "IO", Reason.PLANAR_IMAGE),
        (XRayAngiographicImageStorage, "XA", Reason.PLANAR_IMAGE),
        (radiograph().SOPClassUID, "PX", Reason.PLANAR_IMAGE),
        (BreastTomosynthesisImageStorage, "MG", Reason.OTHER_MODALITY),
        (radiograph().SOPClassUID, "CT", Reason.DAMAGED_HEADER),
        (radiograph().SOPClassUID, "OP", Reason.DAMAGED_HEADER),
    ],
)
def test_images_of_other_kinds_do_not_become_planes(
    tmp_path: Path, sop_class: str, modality: str, reason: Reason
) -> None:
    dataset = radiograph(SOPClassUID=sop_class, Modality=modality)

    found, _ = refusal(tmp_path, dataset)

    assert found is reason


@pytest.mark.parametrize("modality", ["CR", "DX", "MG"])
def test_a_secondary_capture_that_calls_itself_an_xray_is_not_taken_in(tmp_path: Path, modality: str) -> None:
    found, _ = refusal(tmp_path, radiograph(SOPClassUID=SecondaryCaptureImageStorage, Modality=modality))

    assert found in {Reason.NOT_PATIENT_GEOMETRY, Reason.OTHER_MODALITY}


def test_a_ct_and_its_scout_never_become_planes(tmp_path: Path) -> None:
    scout = one_slice(2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SOPClassUID=CTImageStorage)

    scan = scan_folder(save(tmp_path, one_slice(1), scout))

    (series,) = scan.series
    assert lay_out(series).planes == ()
    assert [aside.reason for aside in scan.set_aside] == [Reason.PLANAR_IMAGE]


@pytest.mark.parametrize(
    ("attributes", "spacing", "source"),
    [
        ({"PixelSpacing": ["0.15", "0.14"]}, (0.15, 0.14), SpacingSource.PIXEL),
        ({}, (0.2, 0.1), SpacingSource.IMAGER),
        ({"PixelSpacing": ""}, (0.2, 0.1), SpacingSource.IMAGER),
        ({"ImagerPixelSpacing": None}, None, None),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["1", "1"]}, None, None),
    ],
)
def test_the_spacing_in_the_patient_comes_before_the_one_at_the_detector(
    tmp_path: Path, attributes: dict[str, Any], spacing: tuple[float, float] | None, source: SpacingSource | None
) -> None:
    plane = plane_of(tmp_path, radiograph(**attributes))

    assert (plane.spacing, plane.spacing_source) == (spacing, source)


def test_a_calibration_is_kept_as_a_fact(tmp_path: Path) -> None:
    dataset = radiograph(PixelSpacing=["0.15", "0.15"], PixelSpacingCalibrationType="FIDUCIAL")

    assert plane_of(tmp_path, dataset).calibration == "FIDUCIAL"


@pytest.mark.parametrize(
    ("attributes", "reason", "detail"),
    [
        ({"PixelSpacing": ["0", "0.1"]}, Reason.IMPOSSIBLE_GEOMETRY, "PixelSpacing"),
        ({"ImagerPixelSpacing": ["0.1"]}, Reason.IMPOSSIBLE_GEOMETRY, "ImagerPixelSpacing"),
        (
            {"ImagerPixelSpacing": None, "PixelAspectRatio": ["1", "2"]},
            Reason.IMPOSSIBLE_GEOMETRY,
            "PixelAspectRatio",
        ),
        ({"PresentationIntentType": "FOR PROCESSING"}, Reason.DAMAGED_HEADER, "PresentationIntentType"),
        ({"WindowWidth": "0"}, Reason.DAMAGED_HEADER, "WindowWidth"),
        ({"WindowWidth": None}, Reason.DAMAGED_HEADER, "WindowWidth"),
        ({"VOILUTFunction": "ODD"}, Reason.DAMAGED_HEADER, "VOILUTFunction"),
        ({"NumberOfFrames": "2", "PixelData": bytes(ROWS * COLUMNS * 4)}, Reason.DAMAGED_HEADER, "NumberOfFrames"),
        ({"VOILUTSequence": [table([0, 9, 4])]}, Reason.DAMAGED_HEADER, "LUTData"),
        ({"VOILUTSequence": [table([0, 256])]}, Reason.DAMAGED_HEADER, "LUTData"),
        ({"VOILUTSequence": [table([0, 1], bits=17)]}, Reason.DAMAGED_HEADER, "LUTDescriptor"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.COLOUR_IMAGE, "PhotometricInterpretation"),
        ({"PhotometricInterpretation": "RGB"}, Reason.DAMAGED_HEADER, "SamplesPerPixel"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused_with_its_keyword(
    tmp_path: Path, attributes: dict[str, Any], reason: Reason, detail: str
) -> None:
    assert refusal(tmp_path, radiograph(**attributes)) == (reason, detail)


def test_the_class_says_what_an_image_is_for(tmp_path: Path) -> None:
    processing = radiograph(SOPClassUID=DigitalXRayImageStorageForProcessing, PresentationIntentType="FOR PROCESSING")

    assert plane_of(tmp_path / "raw", processing).intent is Intent.PROCESSING
    assert plane_of(tmp_path / "plate", radiograph(modality="CR")).intent is Intent.PRESENTATION


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_table_is_read_in_any_spelling(tmp_path: Path, syntax: str) -> None:
    dataset = radiograph()
    tables = table([0, 100, 255], first=7)
    if syntax == ExplicitVRBigEndian:
        tables[0x00283006].value = np.array([0, 100, 255], ">u2").tobytes()
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.VOILUTSequence = [tables]
    (tmp_path / "image").write_bytes(written(dataset, syntax))

    (series,) = scan_folder(tmp_path).series

    assert series.instances[0].planes[0].voi_lut == Lookup(first=7, bits=8, entries=b"\0\0\x64\0\xff\0")


def test_a_table_may_start_below_zero_only_where_values_do(tmp_path: Path) -> None:
    below = radiograph(RescaleIntercept="-1000", VOILUTSequence=[table([0, 255], first=-500 + 65536)])
    above = radiograph(VOILUTSequence=[table([0, 255], first=65036)])

    lowest = [plane_of(tmp_path / name, one).voi_lut for name, one in (("below", below), ("above", above))]

    assert [found.first for found in lowest if found] == [-500, 65036]


def test_side_and_view_are_facts_and_only_known_words(tmp_path: Path) -> None:
    mammogram = plane_of(tmp_path / "mg", radiograph(modality="MG"))
    plate = plane_of(tmp_path / "cr", radiograph(modality="CR", Laterality="R", ViewPosition="LL"))
    odd = plane_of(tmp_path / "odd", radiograph(ViewPosition="JANE DOE", ViewCodeSequence=None))

    assert (mammogram.laterality, mammogram.view) == ("L", "MLO")
    assert (plate.laterality, plate.view) == ("R", "LL")
    assert (odd.laterality, odd.view) == (None, None)


def test_every_view_that_is_read_is_one_that_de_identification_keeps() -> None:
    kept = set(default_profile().treatments[0x00185101].rule.removeprefix("enum:").split("|"))

    assert kept == VIEWS
    assert set(CODED_VIEWS.values()) <= VIEWS


def test_each_frame_of_a_photograph_is_a_plane(tmp_path: Path) -> None:
    dataset = photograph()
    dataset.NumberOfFrames, dataset.PixelData = "2", dataset.PixelData + bytes(len(dataset.PixelData))

    (series,) = scan_folder(save(tmp_path, dataset)).series

    assert [(plane.file, plane.frame) for plane in lay_out(series).planes] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_colours_are_the_same_however_they_are_packed(tmp_path: Path, syntax: str) -> None:
    plain, packed = photograph(), photograph()
    plain.PlanarConfiguration = 1
    pixels = np.frombuffer(plain.PixelData, np.uint8).reshape(ROWS, COLUMNS, 3)
    plain.PixelData = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    written(packed)
    packed.compress(syntax)
    for name, dataset in (("plain", plain), ("packed", packed)):
        (tmp_path / name).write_bytes(written(dataset, syntax if name == "packed" else "1.2.840.10008.1.2.1"))

    found = [read_stored_samples(tmp_path / name) for name in ("plain", "packed")]

    assert found[0].shape == (1, ROWS, COLUMNS, 3)
    for values in found:
        np.testing.assert_array_equal(values[0], pixels)


def test_the_digest_forgets_the_order_of_files_and_nothing_else(tmp_path: Path) -> None:
    first, second = radiograph(1), radiograph(2)
    (series,) = scan_folder(save(tmp_path, first, second)).series
    planes = lay_out(series).planes

    assert [plane.file for plane in planes] == [0, 1]
    assert planes[0].digest == planes[1].digest
    assert plane_of(tmp_path / "other", radiograph(PresentationLUTShape="INVERSE")).digest != planes[0].digest


finite = st.floats(-1e6, 1e6)
lookups = st.none() | st.builds(
    Lookup,
    first=st.integers(-(2**15), 2**16),
    bits=st.integers(8, 16),
    entries=st.binary(min_size=2, max_size=64).map(lambda raw: raw[: len(raw) // 2 * 2]),
)
planes = st.builds(
    PlaneFacts,
    file=st.integers(0, 9),
    frame=st.integers(0, 9),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    samples=st.sampled_from([1, 3]),
    bits=st.integers(1, 32),
    signed=st.booleans(),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB"]),
    intent=st.sampled_from(Intent),
    spacing=st.none() | st.tuples(st.floats(1e-3, 9), st.floats(1e-3, 9)),
    spacing_source=st.none() | st.sampled_from(SpacingSource),
    calibration=st.none() | st.sampled_from(["GEOMETRY", "FIDUCIAL"]),
    slope=finite,
    intercept=finite,
    modality_lut=lookups,
    voi_lut=lookups,
    window=st.none() | st.builds(Window, center=finite, width=st.floats(1, 1e6), shape=st.sampled_from(WindowShape)),
    lut_shape=st.none() | st.sampled_from(["IDENTITY", "INVERSE"]),
    padding=st.none() | st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    laterality=st.none() | st.sampled_from(["L", "R", "B"]),
    view=st.none() | st.sampled_from(sorted(VIEWS)),
)


@settings(max_examples=40)
@given(plane=planes)
def test_facts_come_back_as_they_were_written(plane: PlaneFacts) -> None:
    assert PlaneFacts.from_record(plane.record()) == plane


WHOLE = written(
    radiograph(VOILUTSequence=[table([0, 100, 255])], PixelPaddingValue=0, PixelSpacing=["0.1", "0.1"]),
    ImplicitVRLittleEndian,
)


@settings(max_examples=150, deadline=None)
@given(
    blows=st.lists(st.tuples(st.integers(132, len(WHOLE) - ROWS * COLUMNS * 2), st.integers(0, 255)), max_size=6),
    end=st.integers(140, len(WHOLE)),
)
def test_damage_to_a_header_ends_in_a_plane_or_a_reason(blows: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(WHOLE)
    for place, value in blows:
        damaged[place] = value
    with TemporaryDirectory() as folder:
        (Path(folder) / "image").write_bytes(damaged if blows else damaged[:end])

        scan = scan_folder(Path(folder))
        laid = [lay_out(series) for series in scan.series]

    assert len(laid) + len(scan.set_aside) == 1
    for one in laid:
        if one.series.modality.planar:
            assert (one.layouts, len(one.planes)) == ((), 1)
            assert PlaneFacts.from_record(one.planes[0].record()) == one.planes[0]
