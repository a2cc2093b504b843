"""How often text drawn into frames is suspected, and how often frames without any are.

    python ops/bench/text_detector.py [--data FOLDER ...] [--draws 60] [--seed 1]

Backgrounds are the frames of the DICOM folders given (else sample_dicom), small ones enlarged to 128 pixels. Text is
drawn in FreeType's antialiased letters of each size, white or black, a third of it outlined, anywhere on a frame; its
contrast is the distance of its grey from the median behind it, as a share of the frame's range of greys.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from scipy import ndimage

from medflow.deid.text import suspected_text
from medflow.dicom.pixels import stored_values
from medflow.dicom.scan import scan_folder
from medflow.errors import SeriesError

SAMPLE = Path(__file__).parents[2] / "sample_dicom" / "export"
SIZES = (8, 9, 10, 12, 14, 16, 20, 24, 32, 40)
CONTRASTS = (0.25, 0.5, 1.0)
"""Lower ends of the columns; the last one is open."""
WORDS = ("DOE JOHN", "MEYER^ANNA", "12.03.1950", "ID 0012345", "Smith, Jane", "2021-04-05", "HOSP 77", "Zoe Li-Wu")
SMALLEST = 128


def frames(folder: Path) -> Iterator[NDArray[np.generic]]:
    """Decode every frame of the series below `folder`."""
    for series in scan_folder(folder).series:
        for file in series.files():
            try:
                yield from stored_values(dcmread(file.path, force=True)) if not file.member else ()
            except SeriesError:
                continue


def written(
    frame: NDArray[np.generic], size: int, chance: np.random.Generator
) -> tuple[NDArray[np.generic], float] | None:
    """Draw some words into a frame; give it and their contrast, or None where they do not fit or do not show."""
    grey = np.asarray(frame, np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    text, font = WORDS[chance.integers(len(WORDS))], ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    room = grey.shape[0] - (bottom - top) - 4, grey.shape[1] - (right - left) - 4
    if min(room) < 1 or high <= low:
        return None
    y, x = (2 + int(chance.integers(space)) for space in room)
    white, outlined, strength = bool(chance.integers(2)), chance.random() < 1 / 3, chance.uniform(0.3, 1.0)
    level = low + strength * (grey.max() - low) if white else high - strength * (high - grey.min())
    behind = float(np.median(grey[y : int(y + bottom - top), x : int(x + right - left)]))
    if outlined:
        behind = float(low if white else high)
        shade = _drawn(grey.shape, (x - left, y - top), text, font, width=max(1, size // 12))
        grey = grey * (1 - shade) + shade * behind
    shade = _drawn(grey.shape, (x - left, y - top), text, font, width=0)
    contrast = float((level - behind) if white else (behind - level)) / float(high - low)
    if contrast < CONTRASTS[0]:
        return None
    return np.rint(grey * (1 - shade) + shade * level).astype(frame.dtype), contrast


def _drawn(shape: tuple[int, ...], at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, width: int):  # noqa: ANN202
    image = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(image).text(at, text, fill=255, font=font, stroke_width=width)
    return np.asarray(image, np.float32) / 255


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[SAMPLE])
    parser.add_argument("--draws", type=int, default=60, help="texts drawn for each size")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    backgrounds: list[NDArray[np.generic]] = []
    for folder in chosen.data:
        found = list(frames(folder))
        start = time.process_time()
        alarms = sum(map(suspected_text, found))
        each = 1000 * (time.process_time() - start) / max(1, len(found))
        print(f"{folder.name}: {alarms} of {len(found)} frames without text suspected; {each:.1f} ms of CPU a frame")
        backgrounds += found
    chance = np.random.default_rng(chosen.seed)
    print("\nsuspected, by size (pixels) and contrast (share of the frame's range)")
    print("size   " + "".join(f"{f'from {low:g}':>16}" for low in CONTRASTS))
    for size in SIZES:
        hits = _hits(backgrounds, size, chosen.draws, chance)
        cells = (f"{np.mean(hits[low]):.2f} of {len(hits[low])}" if hits[low] else "-" for low in CONTRASTS)
        print(f"{size:<7}" + "".join(f"{cell:>16}" for cell in cells))


def _hits(
    backgrounds: list[NDArray[np.generic]], size: int, draws: int, chance: np.random.Generator
) -> dict[float, list[bool]]:
    hits: dict[float, list[bool]] = defaultdict(list)
    for _ in range(20 * draws):
        frame = backgrounds[chance.integers(len(backgrounds))]
        times = SMALLEST / min(frame.shape)
        drawn = written(ndimage.zoom(frame, times, order=1) if times > 1 else frame, size, chance)
        if drawn is not None:
            hits[max(low for low in CONTRASTS if low <= drawn[1])].append(suspected_text(drawn[0]))
        if sum(map(len, hits.values())) >= draws:
            break
    return hits


if __name__ == "__main__":
    main()
