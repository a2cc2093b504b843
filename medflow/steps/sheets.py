"""What was blanked, to look at: one picture for each series or object, drawn from the files that were written."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

from medflow.deid.folder import replace_file
from medflow.deid.ledger import Ledger
from medflow.deid.palette import read_as_seen
from medflow.imaging.blanked import MOST, blanked_sheet


def draw(ledger: Ledger, folder: Path, out: Path, name: str) -> None:
    """Draw frames of the files in `folder` with lines around what was blanked in them into `out`/`name`.png.

    No more of them are decoded than one picture holds, evenly taken from all. Where nothing was blanked, nothing is
    drawn.

    Raises:
        SeriesError: what was written is there no more.
    """
    blanked = [(file, frame) for file, boxes in sorted(ledger.boxes.items()) for frame in sorted(boxes)]
    if not blanked:
        return
    some = [blanked[at * len(blanked) // min(MOST, len(blanked))] for at in range(min(MOST, len(blanked)))]
    tiles = []
    for file, chosen in groupby(some, itemgetter(0)):
        decoded = read_as_seen(folder / file)
        tiles += [(decoded[frame].copy(), ledger.boxes[file][frame]) for _, frame in chosen]
    frames, boxes = (dict(enumerate(each)) for each in zip(*tiles, strict=True))
    replace_file(out / f"{name}.png", blanked_sheet(frames, boxes))
