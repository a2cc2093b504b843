"""What the engine did to the files of a run, counted: elements by what became of them, bits, bytes and frames."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from medflow.deid.encode import Clean, padded
from medflow.deid.original import TEXT_VRS, Original, is_empty
from medflow.deid.text import Box


class Outcome(StrEnum):
    """What became of one element of a data set; a sequence counts once, with all that it holds."""

    KEPT = "kept"
    CLEANED = "cleaned"
    """Something of the value stayed."""
    SHIFTED = "shifted"
    MAPPED = "mapped"
    REPLACED = "replaced"
    EMPTIED = "emptied"
    REMOVED = "removed"


BY_VR = {"DA": Outcome.SHIFTED, "DT": Outcome.SHIFTED, "TM": Outcome.SHIFTED, "UI": Outcome.MAPPED}
"""What another value means, where its kind says so."""


@dataclass(slots=True)
class Ledger:
    """Counts of one run, or of one process's part of it; a series that is turned away is in none of them."""

    elements: Counter[str] = field(default_factory=Counter)
    """By the values of `Outcome`."""
    pixels: Counter[str] = field(default_factory=Counter)
    """By the names of `PIXELS`."""
    boxes: dict[str, Mapping[int, tuple[Box, ...]]] = field(default_factory=dict)
    """Name of a file that was written -> frame (0-based) -> what was blanked there; of one series or object alone."""

    def look(self, name: str, *, frames: int, boxes: Mapping[int, tuple[Box, ...]], faceless: int = 0) -> None:
        """Count the frames of one file that were looked at, and note what was blanked in them."""
        found = sum(map(len, boxes.values()))
        self.pixels.update(frames=frames, blanked=len(boxes), boxes=found, faceless=faceless)
        if boxes:
            self.boxes[name] = boxes

    def add(self, other: "Ledger") -> None:
        """Count what another process counted."""
        self.elements.update(other.elements)
        self.pixels.update(other.pixels)
        self.boxes.update(other.boxes)

    def counts(self) -> "Ledger":
        """Give what is counted alone, for the run."""
        return Ledger(elements=self.elements, pixels=self.pixels)

    def record(self) -> dict[str, Mapping[str, int]]:
        """Write the counts as plain values, those of nothing too."""
        return {
            "elements": {outcome.value: self.elements[outcome.value] for outcome in Outcome},
            "pixels": {name: self.pixels[name] for name in PIXELS},
        }


PIXELS = ("frames", "blanked", "boxes", "faceless", "stray", "trailing")
"""Frames that were looked at, frames with something blanked, the boxes of these, frames that a face was cut out of,
stored values whose stray high bits were cleared, bytes behind the pixels that were cut off."""


def outcome_of(original: Original, cleaned: Clean | None) -> Outcome:
    """Say what became of an element."""
    if cleaned is None:
        return Outcome.REMOVED
    if not isinstance(cleaned.value, bytes):
        return Outcome.CLEANED
    if not cleaned.value:
        return Outcome.KEPT if is_empty(original, cleaned.vr) else Outcome.EMPTIED
    if isinstance(original.value, bytes) and _same(cleaned.vr, original.value, cleaned.value):
        return Outcome.KEPT
    return BY_VR.get(cleaned.vr, Outcome.CLEANED)


def _same(vr: str, before: bytes, after: bytes) -> bool:
    return before.strip(b" \0") == after.strip(b" \0") if vr in TEXT_VRS else before == padded(vr, after)
