"""Reading: where in a frame letters stand that can be read. What they say is dropped at once, and told to nobody.

The network and its weights come with the wheel of the extra `ocr` and need no connection. It reads level and turned
text, in one thread: the same frame gives the same boxes.
"""

import logging
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medflow.deid.text import Box
from medflow.errors import Reason, SeriesError

Greys = NDArray[np.uint8]
Floats = NDArray[np.float32]

ENGINE = "rapidocr_onnxruntime"
LOUD = ("RapidOCR", "OrtInferSession")
"""Loggers of the engine that write to the terminal."""
FEWEST = 3
"""Letters and digits in a line from which it could name somebody; the marks of a side or a view ("L", "PA") pass."""
LEAST_SCORE, LEAST_SCORE_OF_FEW = 0.5, 0.9
"""Certainty from which a line counts as read, and one of no more than `FEWEST` characters: anatomy may look like these.

Two characters of a script that is not ASCII are counted as four: names in them are short.
"""
COMFORTABLE, LARGEST_ZOOM = 736, 3.0
"""Pixels along the shorter side to which a picture is enlarged before it is read, and by how much at most."""
TILE, OVERLAP = 1024, 192
"""Pixels: what is larger than a tile is read tile by tile, and once more shrunk to the size of one."""
WIDER = 1.3
"""A second window of greys is looked at where the whole range is so much wider than what most pixels have."""


@lru_cache(maxsize=1)
def can_read() -> bool:
    """Say whether the extra `ocr` is installed."""
    return find_spec(ENGINE) is not None


def readable(frame: NDArray[np.generic]) -> tuple[Box, ...]:
    """Give boxes around the readable lines of `frame`, (row, column) of any range or (row, column, sample) in colour.

    Raises:
        SeriesError: the engine failed.
    """
    found = set()
    for picture in _pictures(frame):
        for tile, (top, left), zoom in _tiles(picture):
            found |= {_moved(box, top, left, zoom, picture.shape) for box in _read(tile)}
    return tuple(sorted(found))


def _pictures(frame: NDArray[np.generic]) -> Iterator[Greys]:
    """Turn a frame into pictures of 8 bits (row, column, 3), one for each window of greys through which text may show.

    All greys; most greys, for a few extreme ones hide all others; and what is bright, for text may stand out from soft
    tissue by little.
    """
    values = np.nan_to_num(np.asarray(frame, np.float32), posinf=0.0, neginf=0.0)
    if not values.size or min(values.shape[:2]) < 2:  # noqa: PLR2004
        return
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    least, most = float(values.min()), float(values.max())
    windows = [(least, most)]
    if most - least > WIDER * (high - low) > 0:
        windows.append((low, high))
    bright = values[(values > low + (high - low) / 3) & (values <= high)]
    if bright.size:
        inner, outer = (float(value) for value in np.percentile(bright, (5, 95)))
        if high - low > 2 * WIDER * (outer - inner) > 0:
            windows.append((inner - (outer - inner) / 2, outer + (outer - inner) / 2))
    for black, white in windows:
        if white > black:
            picture = np.rint(np.clip((values - black) / (white - black), 0.0, 1.0) * 255.0).astype(np.uint8)
            yield picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)  # noqa: PLR2004


def _tiles(picture: Greys) -> Iterator[tuple[Greys, tuple[int, int], float]]:
    """Cut a picture into tiles of a size that the engine reads best: each with its corner, and how far it is zoomed."""
    rows, columns = picture.shape[:2]
    if max(rows, columns) <= TILE:
        zoom = min(LARGEST_ZOOM, max(1.0, COMFORTABLE / min(rows, columns)), max(1.0, 1.5 * TILE / max(rows, columns)))
        yield _zoomed(picture, zoom), (0, 0), zoom
        return
    for top in range(0, max(1, rows - OVERLAP), TILE - OVERLAP):
        for left in range(0, max(1, columns - OVERLAP), TILE - OVERLAP):
            yield picture[top : top + TILE, left : left + TILE], (top, left), 1.0
    zoom = TILE / max(rows, columns)
    yield _zoomed(picture, zoom), (0, 0), zoom


def _zoomed(picture: Greys, zoom: float) -> Greys:
    if zoom == 1.0:
        return picture
    source = scipy.ndimage.uniform_filter(picture, (round(1 / zoom), round(1 / zoom), 1)) if zoom < 1 else picture
    return np.asarray(scipy.ndimage.zoom(source, (zoom, zoom, 1), order=1, grid_mode=True, mode="nearest"), np.uint8)


def _moved(box: Box, top: int, left: int, zoom: float, shape: tuple[int, ...]) -> Box:
    """Bring a box of a zoomed tile back to the pixels of the frame."""
    first, start, last, stop = box
    return (
        max(0, top + int(np.floor(first / zoom))),
        max(0, left + int(np.floor(start / zoom))),
        min(shape[0], top + int(np.ceil(last / zoom))),
        min(shape[1], left + int(np.ceil(stop / zoom))),
    )


def _read(picture: Greys) -> Iterator[Box]:
    """Give boxes around what can be read in a picture and could name somebody."""
    try:
        found, _ = _engine()(np.ascontiguousarray(picture))
    except Exception:  # noqa: BLE001  (the engine's errors are its own, and may quote what it read)
        raise SeriesError(Reason.TEXT_CANNOT_BE_READ) from None
    for corners, text, score in found or ():
        if _could_name(str(text), float(score)):
            across, down = np.asarray(corners, np.float64).T
            yield (
                int(np.floor(down.min())),
                int(np.floor(across.min())),
                int(np.ceil(down.max())) + 1,
                int(np.ceil(across.max())) + 1,
            )


def _could_name(text: str, score: float) -> bool:
    """Say whether a line, read with this certainty, has letters and digits enough to name somebody.

    >>> [_could_name(text, 0.8) for text in ("L", "PA", "DOE", "DOE J", "7/5/50")]
    [False, False, False, True, True]
    >>> _could_name("DOE", 0.95)
    True
    """
    count = sum(1 if sign.isascii() else 2 for sign in text if sign.isalnum())
    return count >= FEWEST and score >= (LEAST_SCORE if count > FEWEST else LEAST_SCORE_OF_FEW)


@lru_cache(maxsize=1)
def _engine() -> Any:  # noqa: ANN401  (the library is untyped)
    """Start the engine, silent and in one thread."""
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415  (an extra; half a second)

    for name in LOUD:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.disabled = True
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, det_limit_type="min", det_limit_side_len=32)
