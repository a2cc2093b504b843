"""Mosaics of Siemens and grids of United Imaging are cut into slices that stand where private data puts them."""

import gzip
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import Dataset

from medflow.dicom.csa import MAGIC, read_csa
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import changed, enhanced, one_slice, save, spelled, uid
from tests.dicom.placing import assert_placed

TILES, SIDE, ROWS, COLUMNS = 5, 3, 4, 2
OBLIQUE = np.asarray([[0.0, 0.8, 0.6], [1.0, 0.0, 0.0]])
NORMAL = np.cross(*OBLIQUE)
VRS = {"NumberOfImagesInMosaic": b"US", "SliceNormalVector": b"FD"}
TOLD = {"AcquisitionMatrixText": (f"{COLUMNS}*{ROWS}",), "NumberOfImagesInMosaic": (str(TILES),)}
TOWARDS = {"SliceNormalVector": tuple(f"{value:.8f}" for value in NORMAL)}


def csa(**values: tuple[str, ...]) -> bytes:
    """Write a CSA header as syngo does."""
    parts = [MAGIC, struct.pack("<II", len(values), 77)]
    for name, texts in values.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(texts), VRS.get(name, b"LO"), 4, len(texts) + 1, 77))
        for text in (*texts, ""):
            data = text.encode() + b"\0" if text else b""
            parts.append(struct.pack("<4i", len(data), len(data), 77, len(data)) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def mosaic(first: np.ndarray, sign: float = 1.0, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a mosaic of 3 x 3 tiles, 5 of them used, whose first slice stands at `first`."""
    spacing = np.asarray([0.5, 0.7])
    inwards = spacing[0] * OBLIQUE[0] * (SIDE - 1) * COLUMNS / 2 + spacing[1] * OBLIQUE[1] * (SIDE - 1) * ROWS / 2
    dataset = one_slice(
        modality="MR",
        position=first - inwards,
        ImageOrientationPatient=[spelled(value) for value in OBLIQUE.ravel()],
        ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        SpacingBetweenSlices="3",
        Rows=ROWS * SIDE,
        Columns=COLUMNS * SIDE,
        PixelData=np.arange(ROWS * COLUMNS * SIDE**2, dtype="<i2").tobytes(),
    )
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    normal = tuple(f"{value:.8f}" for value in sign * NORMAL)
    block.add_new(0x10, "OB", csa(**TOLD, SliceNormalVector=normal, Filler=("x" * 2000,)))
    return changed(dataset, others)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tiles_stand_along_the_normal_of_the_csa_header(tmp_path: Path, sign: float) -> None:
    first = np.asarray([10.0, -20.0, 30.0])

    (series,) = scan_folder(save(tmp_path, mosaic(first, sign))).series
    (layout,) = lay_out(series).layouts

    assert layout.shape == (COLUMNS, ROWS, TILES)
    order = range(TILES) if sign > 0 else reversed(range(TILES))
    assert [place.corner for place in layout.places] == [(n // SIDE * ROWS, n % SIDE * COLUMNS) for n in order]
    start = 0 if sign > 0 else TILES - 1
    affine = np.asarray(layout.affine)
    placed = affine @ [0, 0, start, 1]
    np.testing.assert_allclose(placed[:3] * [-1, -1, 1], first, atol=1e-4)
    np.testing.assert_allclose(affine[:3, 2] * [-1, -1, 1], 3 * NORMAL, atol=1e-4)


def test_the_protocol_gives_the_distance_where_the_header_lacks_it(tmp_path: Path) -> None:
    dataset = mosaic(np.zeros(3), SpacingBetweenSlices=None)
    protocol = "\n".join(
        f"sSliceArray.asSlice[{n}].sPosition.d{axis}\t = \t{value}"
        for n in range(2)
        for axis, value in zip(("Sag", "Cor", "Tra"), n * 4.5 * NORMAL, strict=True)
    )
    dataset.private_block(0x0029, "SIEMENS CSA HEADER").add_new(0x20, "OB", csa(MrPhoenixProtocol=(protocol,)))

    (series,) = scan_folder(save(tmp_path, dataset)).series
    (layout,) = lay_out(series).layouts

    assert np.linalg.norm(np.asarray(layout.affine)[:3, 2]) == pytest.approx(4.5)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"NumberOfImagesInMosaic": ("0",), "SliceNormalVector": ("0", "0", "1")},
        {"NumberOfImagesInMosaic": ("5",)},
        {"NumberOfImagesInMosaic": ("5",), "SliceNormalVector": ("1", "0", "0")},
        {"NumberOfImagesInMosaic": ("5",), "SliceNormalVector": ("nan", "0", "0")},
        {"NumberOfImagesInMosaic": ("50",), "SliceNormalVector": ("0", "0", "1")},
    ],
)
def test_a_mosaic_whose_csa_header_cannot_be_right_is_quarantined(
    tmp_path: Path, values: dict[str, tuple[str, ...]]
) -> None:
    dataset = mosaic(np.zeros(3))
    dataset[0x0029, 0x1010].value = csa(**values)

    (aside,) = scan_folder(save(tmp_path, dataset)).set_aside

    assert aside.reason is Reason.IMPOSSIBLE_GEOMETRY


def test_every_cut_of_a_csa_header_is_refused() -> None:
    whole = csa(NumberOfImagesInMosaic=("5",), SliceNormalVector=("0", "0", "1"))

    assert read_csa(whole)["NumberOfImagesInMosaic"] == ("5",)
    for length in range(len(whole) - 16):
        with pytest.raises(SeriesError):
            read_csa(whole[:length])


def first_csa(**values: tuple[str, ...]) -> bytes:
    """Write a CSA header as scanners before syngo VB do: no mark, and lengths too large by the first tag's items."""
    parts = [struct.pack("<II", len(values), 77)]
    items = len(next(iter(values.values())))
    for name, texts in values.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(texts), VRS.get(name, b"LO"), 4, len(texts), 77))
        for text in texts:
            data = text.encode() + b"\0"
            parts.append(struct.pack("<4i", len(data) + items, 0, 77, 0) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def test_both_layouts_of_the_csa_header_are_read() -> None:
    values = {"EchoLinePosition": ("64",), **TOLD, **TOWARDS}

    assert read_csa(first_csa(**values)) == read_csa(csa(**values)) == values


def in_another_block(dataset: Dataset, header: bytes) -> None:
    del dataset[0x0029, 0x0010], dataset[0x0029, 0x1010]
    dataset.add_new((0x0029, 0x0010), "LO", "SOMEBODY ELSE")
    dataset.add_new((0x0029, 0x0011), "LO", "SIEMENS CSA HEADER")
    dataset.add_new((0x0029, 0x1110), "OB", header)


def without_creator(dataset: Dataset, header: bytes) -> None:
    del dataset[0x0029, 0x0010]
    dataset[0x0029, 0x1010].value = header


def in_the_first_layout(dataset: Dataset, _: bytes) -> None:
    dataset[0x0029, 0x1010].value = first_csa(**TOLD, **TOWARDS)


def with_the_count_elsewhere(dataset: Dataset, _: bytes) -> None:
    dataset[0x0029, 0x1010].value = csa(**TOWARDS)
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", TILES)


@pytest.mark.parametrize("written", [in_another_block, without_creator, in_the_first_layout, with_the_count_elsewhere])
def test_csa_data_is_found_wherever_siemens_has_put_it(
    tmp_path: Path, written: Callable[[Dataset, bytes], None]
) -> None:
    dataset = mosaic(np.zeros(3))
    written(dataset, csa(**TOLD, **TOWARDS))

    (series,) = scan_folder(save(tmp_path, dataset)).series
    (layout,) = lay_out(series).layouts

    assert layout.shape == (COLUMNS, ROWS, TILES)
    np.testing.assert_allclose(np.asarray(layout.affine)[:3, 3] * [-1, -1, 1], 0, atol=1e-6)


@pytest.mark.parametrize("moves", [0.0, 0.004, 0.7])
def test_each_mosaic_of_a_time_series_is_a_volume_also_where_the_head_moved(tmp_path: Path, moves: float) -> None:
    mosaics = [
        mosaic(t * moves * np.ones(3), SOPInstanceUID=uid("mosaic", t), InstanceNumber=str(t + 1)) for t in range(6)
    ]
    for t, dataset in enumerate(mosaics):
        dataset.AcquisitionTime = f"1000{2 * t:02}"
        dataset.PixelData = (np.arange(ROWS * COLUMNS * SIDE**2, dtype="<i2") + t).tobytes()

    (series,) = scan_folder(save(tmp_path, *mosaics)).series
    result = lay_out(series)

    assert [[place.file for place in layout.places] for layout in result.layouts] == [[t] * TILES for t in range(6)]
    assert [dict(layout.labels) for layout in result.layouts] == [{"Repeat": t + 1.0} for t in range(6)]


REAL = Path(str(nibabel.__file__)).parent / "nicom" / "tests" / "data"


@pytest.mark.parametrize("name", ["siemens_dwi_0", "siemens_dwi_1000", "philips_mprage"])
def test_real_mosaics_stand_where_nibabel_puts_them(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.dcm").write_bytes(gzip.decompress((REAL / f"{name}.dcm.gz").read_bytes()))

    (series,) = scan_folder(tmp_path).series
    result = lay_out(series)

    assert len(result.layouts[0].places) == {"philips_mprage": 176}.get(name, 48)
    assert_placed(result)


def test_a_mosaic_that_does_not_divide_into_its_tiles_is_quarantined(tmp_path: Path) -> None:
    shutil.copy(REAL / "0.dcm", tmp_path)

    (aside,) = scan_folder(tmp_path).set_aside

    assert (aside.reason, aside.detail) == (Reason.IMPOSSIBLE_GEOMETRY, "NumberOfImagesInMosaic")


def test_tiles_whose_image_type_was_changed_are_not_taken_for_one_slice(tmp_path: Path) -> None:
    dataset = mosaic(np.zeros(3), ImageType=["DERIVED", "SECONDARY", "OTHER"])
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", TILES)

    (aside,) = scan_folder(save(tmp_path, dataset)).set_aside

    assert (aside.reason, aside.detail) == (Reason.IMPOSSIBLE_GEOMETRY, "SliceNormalVector")


def grid(tiles: int, rows: int, columns: int, **others: Any) -> Dataset:  # noqa: ANN401
    """Draw a United Imaging grid of `tiles` slices, 3 mm apart in an order that their numbers do not follow."""
    across = math.ceil(math.sqrt(tiles))
    down = math.ceil(tiles / across)
    dataset = one_slice(
        modality="MR",
        ImageType=["ORIGINAL", "PRIMARY", "DIFFUSION", "VFRAME"],
        Rows=down * rows,
        Columns=across * columns,
        PixelData=np.arange(down * rows * across * columns, dtype="<i2").tobytes(),
    )
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(tiles))
    items = [
        changed(Dataset(), {"ImagePositionPatient": ["-1.5", "2.25", spelled(3.0 * (n * 3 % tiles))], **others})
        for n in range(tiles)
    ]
    block.add_new(0x51, "SQ", items)
    return dataset


@pytest.mark.parametrize("tiles", [5, 7, 80])
@pytest.mark.parametrize("undefined", [False, True])
def test_tiles_of_a_grid_stand_where_their_items_say(tmp_path: Path, tiles: int, undefined: bool) -> None:  # noqa: FBT001
    dataset = grid(tiles, 4, 2)
    dataset[0x0065, 0x1051].is_undefined_length = undefined

    (series,) = scan_folder(save(tmp_path, dataset)).series
    result = lay_out(series)

    (layout,) = result.layouts
    assert layout.shape == (2, 4, tiles)
    assert_placed(result)


@pytest.mark.parametrize("items", [0, 4])
def test_a_grid_whose_private_data_is_not_whole_is_quarantined(tmp_path: Path, items: int) -> None:
    dataset = grid(5, 4, 2)
    dataset[0x0065, 0x1051].value = list(dataset[0x0065, 0x1051].value)[:items]

    (aside,) = scan_folder(save(tmp_path, dataset)).set_aside

    assert (aside.reason, aside.detail) == (Reason.IMPOSSIBLE_GEOMETRY, "MRNumberOfSliceInVolume")


def test_an_enhanced_object_is_no_mosaic_whatever_its_image_type_says(tmp_path: Path) -> None:
    dataset = enhanced([(0, 0, 2.0 * z) for z in range(3)], ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])

    (series,) = scan_folder(save(tmp_path, dataset)).series
    (layout,) = lay_out(series).layouts

    assert layout.shape == (3, 4, 3)
