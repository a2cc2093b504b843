"""A Siemens mosaic is cut into slices that stand where its CSA header puts them."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from medflow.dicom.csa import MAGIC, read_csa
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.errors import Reason, SeriesError
from tests.dicom.drawn import one_slice, save, spelled

TILES, SIDE, ROWS, COLUMNS = 5, 3, 4, 2
OBLIQUE = np.asarray([[0.0, 0.8, 0.6], [1.0, 0.0, 0.0]])
NORMAL = np.cross(*OBLIQUE)


def csa(**values: tuple[str, ...]) -> bytes:
    """Write a CSA header as syngo does."""
    parts = [MAGIC, struct.pack("<II", len(values), 77)]
    for name, texts in values.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(texts), b"FD\0\0", 4, len(texts) + 1, 77))
        for text in (*texts, ""):
            data = text.encode() + b"\0" if text else b""
            parts.append(struct.pack("<4i", len(data), len(data), 77, len(data)) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def mosaic(first: np.ndarray, sign: float = 1.0, **others: object) -> Dataset:
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
    block.add_new(0x10, "OB", csa(NumberOfImagesInMosaic=(str(TILES),), SliceNormalVector=normal, Filler=("x" * 2000,)))
    for keyword, value in others.items():
        if value is None:
            delattr(dataset, keyword)
    return dataset


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
