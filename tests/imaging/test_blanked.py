"""Facts about the sheet that shows what was blanked."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medflow.imaging.blanked import LARGEST, MOST, OUTLINE, blanked_sheet


def drawn(sheet: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(sheet)))


def test_each_frame_with_boxes_is_on_the_sheet_with_a_line_around_them() -> None:
    frames = np.random.default_rng(1).integers(-1000, 900, (5, 60, 80)).astype(np.int16)

    picture = drawn(
        blanked_sheet(dict(enumerate(frames)), {1: [(10, 5, 20, 40)], 2: [], 4: [(0, 0, 10, 10), (40, 60, 60, 80)]})
    )

    lines = (picture == OUTLINE).all(axis=-1)
    assert picture.shape == (68, 172, 3)
    assert lines[:, :86].sum() == 2 * (35 + 10) - 4
    assert lines[:, 86:].sum() == 2 * (10 + 10) - 4 + 2 * (20 + 20) - 4


def test_a_sheet_of_large_colour_frames_stays_small_and_two_drawings_are_the_same_bytes() -> None:
    frames = np.zeros((2 * MOST, 100, 1000, 3), np.uint8)
    boxes = {number: [(10, 10, 50, 900)] for number in range(len(frames))}

    first, second = (blanked_sheet(dict(enumerate(frames)), boxes) for _ in range(2))

    picture = drawn(first)
    assert first == second
    assert max(picture.shape) < 7 * LARGEST
    assert (picture == OUTLINE).all(axis=-1).any()
    assert not Image.open(BytesIO(first)).info


def test_nothing_blanked_is_an_empty_sheet() -> None:
    assert not drawn(blanked_sheet({0: np.ones((9, 9, 1))}, {})).any()
