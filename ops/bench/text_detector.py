"""How often text drawn into frames is found, and how often frames without any are suspected, and what a look costs.

    python ops/bench/text_detector.py [--data FOLDER ...] [--draws 60] [--seed 1] [--reading]

Backgrounds are the frames of the DICOM folders given (else sample_dicom), small ones enlarged to 128 pixels. Text is
drawn in FreeType's antialiased letters of each size, white or black, a third of it outlined, anywhere on a frame; its
contrast is the distance of its grey from the median behind it, as a share of the frame's range of greys. A third of the
texts is turned by a quarter. Four looks are compared: the glimpse that every frame passes, the closer look at all of a
frame, and what becomes of a frame of a volume without and, with --reading, with the extra `ocr`.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread
from scipy import ndimage

from medflow.deid.burned import without_text
from medflow.deid.profile import DEFAULT, Choices, profile_of
from medflow.deid.strokes import may_hold_text
from medflow.deid.text import suspected_text
from medflow.dicom.pixels import stored_values
from medflow.dicom.scan import scan_folder
from medflow.errors import Reason, SeriesError

SAMPLE = Path(__file__).parents[2] / "sample_dicom" / "export"
SIZES = (8, 9, 10, 12, 14, 16, 20, 24, 32, 40)
CONTRASTS = (0.25, 0.5, 1.0)
"""Lower ends of the columns; the last one is open."""
WORDS = ("DOE JOHN", "MEYER^ANNA", "12.03.1950", "ID 0012345", "Smith, Jane", "2021-04-05", "HOSP 77", "Zoe Li-Wu")
SMALLEST, FULL = 128, 512
Look = Callable[[NDArray[np.generic]], bool]


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


def withheld(*, reading: bool) -> Look:
    """Give the look that a frame of a volume gets, as the shipped profile says."""
    profile = profile_of(Choices(name="bench", options=DEFAULT.options))

    def look(frame: NDArray[np.generic]) -> bool:
        try:
            without_text(Dataset(), frame[None], profile, planar=False, reading=reading)  # type: ignore[type-var]
        except SeriesError as error:
            return error.reason is Reason.BURNED_IN_TEXT
        return False

    return look


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[SAMPLE])
    parser.add_argument("--draws", type=int, default=60, help="texts drawn for each size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reading", action="store_true", help="also with the extra ocr")
    chosen = parser.parse_args()
    looks: dict[str, Look] = {
        "glimpse": may_hold_text,
        "closer look": suspected_text,
        "volume": withheld(reading=False),
    }
    if chosen.reading:
        looks["volume, reading"] = withheld(reading=True)
        looks["volume, reading"](next(frames(SAMPLE)))  # the engine starts
    backgrounds: list[NDArray[np.generic]] = []
    for folder in chosen.data:
        found = list(frames(folder))
        for name, look in looks.items():
            start = time.process_time()
            alarms = sum(map(look, found))
            each = 1000 * (time.process_time() - start) / max(1, len(found))
            print(f"{folder.name}: {name}: {alarms} of {len(found)} frames without text; {each:.2f} ms of CPU a frame")
        backgrounds += found
    _print_costs(backgrounds, looks)
    for name, look in looks.items():
        chance = np.random.default_rng(chosen.seed)
        print(f"\n{name}: suspected, by size (pixels) and contrast (share of the frame's range)")
        print("size   " + "".join(f"{f'from {low:g}':>16}" for low in CONTRASTS))
        for size in SIZES:
            hits = _hits(backgrounds, size, chosen.draws, chance, look)
            cells = (f"{np.mean(hits[low]):.2f} of {len(hits[low])}" if hits[low] else "-" for low in CONTRASTS)
            print(f"{size:<7}" + "".join(f"{cell:>16}" for cell in cells))


def _print_costs(backgrounds: list[NDArray[np.generic]], looks: dict[str, Look]) -> None:
    """Time each look at frames of 512 x 512, as they are or enlarged, the fastest of five turns."""
    large = [frame for frame in backgrounds if frame.shape == (FULL, FULL)][:10] or [
        ndimage.zoom(frame, (FULL / frame.shape[0], FULL / frame.shape[1]), order=1) for frame in backgrounds[:10]
    ]
    for name, look in looks.items():
        turns = []
        for _ in range(5):
            start = time.process_time()
            for frame in large:
                look(frame)
            turns.append(time.process_time() - start)
        print(f"{name}: {1000 * min(turns) / len(large):.2f} ms of CPU for {FULL} x {FULL}")


def _hits(
    backgrounds: list[NDArray[np.generic]], size: int, draws: int, chance: np.random.Generator, look: Look
) -> dict[float, list[bool]]:
    hits: dict[float, list[bool]] = defaultdict(list)
    for _ in range(20 * draws):
        frame = backgrounds[chance.integers(len(backgrounds))]
        times = SMALLEST / min(frame.shape)
        drawn = written(ndimage.zoom(frame, times, order=1) if times > 1 else frame, size, chance)
        if drawn is not None:
            turned = np.rot90(drawn[0], int(chance.integers(3) == 0))
            hits[max(low for low in CONTRASTS if low <= drawn[1])].append(look(turned))
        if sum(map(len, hits.values())) >= draws:
            break
    return hits


if __name__ == "__main__":
    main()
