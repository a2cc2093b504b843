"""What was blanked, to look at: the frames of a series as they left, with a line around each box; no word is drawn."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from medflow.imaging.montage import png

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the frame, the last two exclusive."""
LARGEST = 320
"""Pixels: no frame on the sheet is longer than this; a smaller one stays as it is."""
MOST = 36
"""Frames on one sheet, evenly taken from all of them."""
GAP = 4
OUTLINE = (255, 140, 0)


def blanked_sheet(frames: Mapping[int, NDArray[Any]], boxes: Mapping[int, Sequence[Box]]) -> bytes:
    """Draw the frames that have boxes, in the order of their numbers, as one PNG; without any it is a black square.

    `frames` are those after blanking, (row, column) or (row, column, sample); both go by the same numbers.
    """
    numbers = sorted(number for number in frames if boxes.get(number))
    some = [numbers[at * len(numbers) // min(MOST, len(numbers))] for at in range(min(MOST, len(numbers)))]
    tiles = [_outlined(frames[number], boxes[number]) for number in some]
    across = max(1, ceil(sqrt(len(tiles))))
    wide = max((tile.width for tile in tiles), default=0) + GAP
    tall = max((tile.height for tile in tiles), default=0) + GAP
    sheet = Image.new("RGB", (across * wide + GAP, max(1, ceil(len(tiles) / across)) * tall + GAP))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % across * wide + GAP, place // across * tall + GAP))
    return png(np.asarray(sheet))


def _outlined(frame: NDArray[Any], boxes: Sequence[Box]) -> Image.Image:
    """Draw one frame in 8 bits, no larger than `LARGEST`, with lines around its boxes."""
    values = np.asarray(frame, np.float32)
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    greys = np.rint(np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0) * 255.0).astype(np.uint8)
    image = Image.fromarray(greys if greys.ndim == 3 and greys.shape[-1] == 3 else greys.reshape(greys.shape[:2]))  # noqa: PLR2004
    share = min(1.0, LARGEST / max(image.size))
    small = image.convert("RGB").resize((max(1, round(image.width * share)), max(1, round(image.height * share))))
    drawing = ImageDraw.Draw(small)
    for top, left, bottom, right in boxes:
        corners = [value * share for value in (left, top, right - 1, bottom - 1)]
        drawing.rectangle(corners, outline=OUTLINE)
    return small
