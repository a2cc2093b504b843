"""Planar images as they are shown, and on a network's grid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import DigitalXRayImageStorageForProcessing

from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.plane import PlanarGrid, Plane
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.series import Modality
from medflow.domain.volume import Intensity, Unit
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.imaging.plane import read_plane
from medflow.imaging.planegrid import ToPlanarGrid, on_planar_grid
from tests.dicom.drawn import save
from tests.dicom.planes import COLUMNS, ROWS, ball, photograph, radiograph, table

Safe = Callable[[Dataset], DeidentifiedSeries]

WHOLE = PlanarGrid(
    shape=(64, 64),
    channels=1,
    spacing=None,
    crop="center",
    intensity=Intensity.DISPLAY,
    window=None,
    padding=0.0,
    interpolation="linear",
    antialias=True,
)
MILLIMETRES = replace(WHOLE, shape=(16, 16), spacing=(0.2, 0.2), antialias=False)


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    def run(dataset: Dataset) -> DeidentifiedSeries:
        (series,) = scan_folder(save(tmp_path / "export", dataset)).series
        laid = lay_out(series)
        return deidentify_series(
            laid.series,
            laid.layouts,
            intensity_facts(laid.series),
            planes=laid.planes,
            pseudonyms=Pseudonyms(key=bytes(range(32))),
            profile=default_profile(),
            source=Source(name="export", site="A"),
            sha256s=source_sha256s(laid.series),
            root=tmp_path / "safe",
        )

    return run


def plane_of(series: DeidentifiedSeries) -> Plane:
    return read_plane(series, series.planes[0])


def made(pixels: NDArray[np.float32], **others: Any) -> Plane:  # noqa: ANN401
    values: dict[str, Any] = {
        "spacing": (0.1, 0.2),
        "unit": Unit.DISPLAY,
        "modality": Modality.DX,
        "laterality": None,
        "series_digest": "s",
        "plane_digest": "p",
    }
    return Plane(pixels=pixels, **values | others)


def picture() -> NDArray[np.float32]:
    return np.ascontiguousarray((ball(1) / 4095.0).astype(np.float32).T[None])


WAYS: list[dict[str, Any]] = [
    {},
    {"WindowCenter": "1500", "WindowWidth": "700"},
    {"WindowCenter": "1500", "WindowWidth": "700", "VOILUTFunction": "LINEAR_EXACT"},
    {"WindowCenter": "1500", "WindowWidth": "700", "VOILUTFunction": "SIGMOID"},
    {"WindowCenter": ["900", "10"], "WindowWidth": ["800", "20"], "RescaleSlope": "2", "RescaleIntercept": "-1100"},
    {"WindowCenter": "1500", "WindowWidth": "1"},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_shows_what_pydicom_shows(safe: Safe, way: dict[str, Any], photometric: str) -> None:
    dataset = radiograph(PhotometricInterpretation=photometric, **way)

    plane = plane_of(safe(dataset))

    rescaled = apply_modality_lut(ball(1), dataset)
    seen = apply_voi_lut(rescaled, dataset)
    # pydicom scales to the range of what can be stored, rescaled
    ends = apply_modality_lut(np.array([0.0, 4095.0]), dataset)
    expected = (seen - ends[0]) / (ends[1] - ends[0])
    if photometric == "MONOCHROME1":
        expected = 1.0 - expected
    np.testing.assert_allclose(plane.pixels[0].T, expected, atol=1e-6)
    assert plane.unit is Unit.DISPLAY


@pytest.mark.parametrize("first", [0, 1100])
def test_a_table_comes_before_a_window_and_shows_what_pydicom_shows(safe: Safe, first: int) -> None:
    entries = np.linspace(0, 65535, 3000).astype(int).tolist()
    dataset = radiograph(VOILUTSequence=[table(entries, first=first, bits=16), table([0, 1])])

    plane = plane_of(safe(dataset))

    expected = apply_voi_lut(ball(1), dataset, prefer_lut=True) / 65535.0
    np.testing.assert_allclose(plane.pixels[0].T, expected, atol=1e-6)


def test_a_modality_table_stands_in_for_the_rescale(safe: Safe) -> None:
    item = table(np.arange(4096).tolist()[::-1], bits=12)
    item.ModalityLUTType = "OD"
    dataset = radiograph(modality="CR", ModalityLUTSequence=[item], WindowCenter=None, WindowWidth=None)

    plane = plane_of(safe(dataset))

    np.testing.assert_allclose(plane.pixels[0].T, 1.0 - ball(1) / 4095.0, atol=1e-6)


def test_without_window_or_table_all_that_can_be_stored_is_shown(safe: Safe) -> None:
    plane = plane_of(safe(radiograph(WindowCenter=None, WindowWidth=None)))

    np.testing.assert_allclose(plane.pixels[0].T, ball(1) / 4095.0, atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
    ],
)
def test_higher_is_brighter_whichever_way_round_it_was_stored(
    safe: Safe, photometric: str, shape: str | None, *, inverted: bool
) -> None:
    plane = plane_of(safe(radiograph(PhotometricInterpretation=photometric, PresentationLUTShape=shape)))

    middle, corner = plane.pixels[0, 14, 20], plane.pixels[0, 0, 0]
    assert (middle < corner) == inverted


def test_an_image_for_processing_keeps_its_values(safe: Safe) -> None:
    dataset = radiograph(
        SOPClassUID=DigitalXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
        PhotometricInterpretation="MONOCHROME1",
        RescaleIntercept="-5",
    )

    plane = plane_of(safe(dataset))

    assert plane.unit is Unit.ARBITRARY
    np.testing.assert_array_equal(plane.pixels[0].T, ball(1).astype(np.float32) - 5)


def test_an_image_is_read_in_its_own_unit_only(safe: Safe) -> None:
    series = safe(radiograph())

    with pytest.raises(ConfigurationError):
        read_plane(series, series.planes[0], unit=Unit.ARBITRARY)


def test_padding_is_black_in_a_mammogram_that_is_stored_the_other_way_round(safe: Safe) -> None:
    pixels = ball(1)
    pixels[:, 20:] = 0
    dataset = radiograph(
        modality="MG", PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, PixelData=pixels.tobytes()
    )

    plane = plane_of(safe(dataset))

    assert plane.pixels[0, 20:].max() == 0.0
    assert plane.pixels[0, :20].min() > 0.0


def test_a_photograph_has_three_channels_between_0_and_1(safe: Safe) -> None:
    dataset = photograph()

    plane = plane_of(safe(dataset))

    expected = np.frombuffer(dataset.PixelData, np.uint8).reshape(ROWS, COLUMNS, 3) / 255.0
    assert plane.spacing is None
    np.testing.assert_allclose(plane.pixels, expected.transpose(2, 1, 0), atol=1e-7)


def test_the_spacing_of_a_plane_follows_its_axes(safe: Safe) -> None:
    assert plane_of(safe(radiograph())).spacing == (0.1, 0.2)  # 0.2 mm lie between rows


def test_a_stored_file_that_is_gone_is_named_so(safe: Safe) -> None:
    series = safe(radiograph())
    (series.folder / series.files[0].name).unlink()

    with pytest.raises(SeriesError) as caught:
        plane_of(series)

    assert caught.value.reason is Reason.STORED_COPY_DIFFERS


def test_a_plane_and_a_volume_share_no_type() -> None:
    with pytest.raises(ValueError, match="channel"):
        made(np.zeros((2, 4, 4), np.float32))
    assert Plane.__mro__[1:] == (object,)


def test_the_whole_image_is_fitted_in_its_proportions() -> None:
    placed = on_planar_grid(made(np.full((1, 32, 40), 0.5, np.float32)), WHOLE)

    covered = np.argwhere(placed.pixels[0] > 0)
    assert placed.pixels.shape == (1, 64, 64)
    assert placed.spacing == (0.125, 0.125)  # 40 rows of 0.2 mm fill 64 pixels
    assert (covered.min(axis=0).tolist(), covered.max(axis=0).tolist()) == ([19, 0], [44, 63])


def test_a_grid_in_millimetres_keeps_a_points_place() -> None:
    i, j = np.mgrid[:32, :40].astype(np.float32)

    placed = on_planar_grid(made(np.stack([i])), MILLIMETRES).pixels[0]
    rows = on_planar_grid(made(np.stack([j])), MILLIMETRES).pixels[0]

    # centres of the box and of the image agree; 0.2 mm are two columns and one row
    np.testing.assert_allclose(placed[:, 0], 15.5 + (np.arange(16) - 7.5) * 2, atol=1e-4)
    np.testing.assert_allclose(rows[0], 19.5 + (np.arange(16) - 7.5) * 1, atol=1e-4)


def test_a_task_in_millimetres_refuses_an_image_without_a_spacing() -> None:
    with pytest.raises(SeriesError) as caught:
        on_planar_grid(made(picture(), spacing=None), MILLIMETRES)

    assert caught.value.reason is Reason.NO_PIXEL_SPACING
    assert on_planar_grid(made(picture(), spacing=None), WHOLE).spacing is None


def test_a_right_side_is_mirrored_and_an_unknown_side_refused() -> None:
    grid = replace(WHOLE, mirror="left")

    left = on_planar_grid(made(picture(), laterality="L"), grid).pixels
    right = on_planar_grid(made(picture()[:, ::-1].copy(), laterality="R"), grid).pixels

    np.testing.assert_allclose(right, left, atol=1e-6)
    with pytest.raises(SeriesError) as caught:
        on_planar_grid(made(picture(), laterality="B"), grid)
    assert caught.value.reason is Reason.NO_LATERALITY


def test_grey_fills_three_channels_and_colour_makes_one_of_its_luminance() -> None:
    three = on_planar_grid(made(picture()), replace(WHOLE, channels=3)).pixels
    colour = np.zeros((3, 32, 40), np.float32)
    colour[1] = 1.0

    one = on_planar_grid(made(colour), WHOLE).pixels

    assert three.shape == (3, 64, 64)
    np.testing.assert_array_equal(three[0], three[2])
    assert one.max() == pytest.approx(0.587)


def test_the_foreground_lies_in_the_middle_of_its_box() -> None:
    pixels = np.zeros((1, 32, 40), np.float32)
    pixels[0, 4:8, 30:34] = 1.0

    placed = on_planar_grid(
        made(pixels, spacing=(1.0, 1.0)), replace(MILLIMETRES, spacing=(1.0, 1.0), crop="foreground")
    )

    np.testing.assert_allclose(np.argwhere(placed.pixels[0] > 0.5).mean(axis=0), [7.5, 7.5])


@pytest.mark.parametrize("intensity", [Intensity.WINDOW, Intensity.ZSCORE])
def test_values_for_processing_are_scaled_by_the_grid(intensity: Intensity) -> None:
    window = (0.0, 4095.0) if intensity is Intensity.WINDOW else None
    grid = replace(WHOLE, intensity=intensity, window=window)

    placed = on_planar_grid(made(picture() * 4095.0, unit=Unit.ARBITRARY), grid)

    assert placed.unit is Unit.SCALED
    assert np.isfinite(placed.pixels).all()
    assert placed.pixels.max() <= (1.0 if window else 10.0)


def test_the_transform_stands_in_any_compose_and_goes_back() -> None:
    grid = replace(WHOLE, mirror="left")
    image = MetaTensor(torch.from_numpy(picture()), affine=torch.diag(torch.tensor([0.1, 0.2, 1.0, 1.0])))
    image.meta["laterality"] = "R"
    steps = Compose([ToPlanarGrid(grid)])

    placed = steps(image)
    back = steps.inverse(placed)

    np.testing.assert_allclose(placed.numpy(), on_planar_grid(made(picture(), laterality="R"), grid).pixels, atol=1e-6)
    assert back.shape == image.shape
    np.testing.assert_allclose(np.asarray(back.affine), np.asarray(image.affine))
    inner = np.s_[0, 4:-4, 4:-4]
    assert np.abs(back.numpy()[inner] - picture()[inner]).max() < 0.03


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(10, 40), st.integers(10, 40)),
    shape=st.tuples(st.integers(10, 40), st.integers(10, 40)),
    steps=st.none() | st.tuples(st.floats(0.5, 1.0), st.floats(0.5, 1.0)),
)
def test_an_image_that_is_fitted_touches_two_borders_of_its_grid(
    size: tuple[int, int], shape: tuple[int, int], steps: tuple[float, float] | None
) -> None:
    grid = replace(WHOLE, shape=shape, padding=-1.0, antialias=False)

    placed = on_planar_grid(made(np.ones((1, *size), np.float32), spacing=steps), grid).pixels[0]

    covered = placed > -1.0
    assert covered.any(axis=1).all() or covered.any(axis=0).all()
    assert covered.any()


def test_a_grids_record_names_it() -> None:
    for grid in (WHOLE, MILLIMETRES, replace(WHOLE, mirror="left", channels=3)):
        assert PlanarGrid.from_record(grid.record()) == grid
    assert WHOLE.digest != MILLIMETRES.digest
    with pytest.raises(ValueError, match="rules"):
        PlanarGrid.from_record(WHOLE.record() | {"rules": 99})
