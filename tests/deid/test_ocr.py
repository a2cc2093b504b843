"""Facts about reading: words are found wherever and however they stand, and what they say is told to nobody."""

import logging
import os
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medflow.deid.ocr import can_read, readable
from medflow.deid.text import Box
from tests.conftest import REQUIRED

pytestmark = pytest.mark.skipif(
    not can_read() and os.environ.get(REQUIRED) != "1", reason="the extra ocr is not installed"
)
WORDS = "KOWALSKI"


def page(
    text: str, *, shape: tuple[int, int] = (120, 200), at: tuple[int, int] = (60, 30), size: int = 16
) -> NDArray[np.uint8]:
    """Draw words, white on black, their corner `at` (row, column)."""
    image = Image.new("L", shape[::-1])
    ImageDraw.Draw(image).text(at[::-1], text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(image)


def covers(boxes: tuple[Box, ...], marked: NDArray[np.bool_]) -> bool:
    """Say whether boxes hold nearly all of what is marked."""
    inside = np.zeros_like(marked)
    for top, left, bottom, right in boxes:
        inside[top:bottom, left:right] = True
    return bool((inside & marked).sum() >= 0.95 * marked.sum())


def test_the_box_lies_around_the_words_level_turned_and_upside_down() -> None:
    for turns in range(4):
        frame = np.rot90(page(WORDS), turns)

        boxes = readable(frame)

        assert covers(boxes, frame > 0)
        assert all((bottom - top) * (right - left) < frame.size / 6 for top, left, bottom, right in boxes)


def test_words_above_soft_tissue_are_read_beside_metal_and_air() -> None:
    chance = np.random.default_rng(1)
    frame = np.full((128, 200), -1000.0)
    frame[20:110] = 40 + chance.normal(0, 12, (90, 200))
    frame[100:104, 180:184] = 3071
    words = page(WORDS, shape=(128, 200))
    frame = np.where(words > 0, frame + words / 255 * 250, frame).astype(np.int16)

    assert covers(readable(frame), words > 128)


def test_words_of_another_colour_and_the_same_brightness_are_read() -> None:
    words = page(WORDS)[..., None] / 255
    frame = np.rint((1 - words) * [200, 60, 60] + words * [20, 137, 20]).astype(np.uint8)

    assert readable(frame)


def test_small_words_on_a_large_film_are_read_and_found_where_they_stand() -> None:
    frame = page(WORDS, shape=(1500, 1300), at=(1450, 1100), size=20)

    assert covers(readable(frame), frame > 0)


@pytest.mark.parametrize("marker", ["L", "R", "PA"])
def test_the_mark_of_a_side_passes(marker: str) -> None:
    assert not readable(page(marker, size=24))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 700), (64, 64)])
def test_a_frame_that_shows_nothing_holds_no_words(shape: tuple[int, int]) -> None:
    assert readable(np.full(shape, 7, np.int16)) == ()


def test_what_is_read_is_neither_logged_nor_printed_and_the_same_frame_gives_the_same_boxes(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        first, second = readable(page(WORDS)), readable(page(WORDS))

    assert first == second != ()
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_reading_uses_one_thread() -> None:
    frame = page(WORDS)
    readable(frame)
    elapsed, used = time.perf_counter(), time.process_time()

    readable(frame)

    elapsed, used = time.perf_counter() - elapsed, time.process_time() - used
    assert used < 1.5 * elapsed + 0.05
