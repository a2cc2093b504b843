"""Several frames at one place: what tells them apart makes them volumes of their own (4D)."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.grouping import SAME_PLACE, Slice, clusters, normal_of, positions_of

Labels = tuple[tuple[str, float], ...]

KEYWORDS: tuple[tuple[str, ...], ...] = (
    ("TemporalPositionIndex",),
    ("ComplexImageComponent",),
    ("EchoNumbers",),
    ("DiffusionBValue",),
    ("DiffusionGradientX", "DiffusionGradientY", "DiffusionGradientZ"),
    ("InversionTime",),
    ("FlipAngle",),
    ("RepetitionTime",),
    ("KVP",),
    ("NominalPercentageOfCardiacPhase",),
    ("NominalCardiacTriggerDelayTime",),
    ("TriggerTime",),
    ("FrameReferenceTime",),
    ("AcquisitionNumber",),
    *((f"DimensionIndex{number}",) for number in range(1, 9)),
    ("AcquisitionTime",),
    ("ContentTime",),
)
"""In the order in which they are asked. Instance numbers are not: they say in which order files were written."""

CLOCKS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "FrameReferenceTime",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContentTime",
)
"""What may differ from place to place within one repeat, so that only its order at each place counts."""
TIMES_OF_DAY = frozenset({"AcquisitionTime", "ContentTime"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Frames of one volume, and what tells it from the others of its group."""

    labels: Labels
    slices: list[Slice]
    places: NDArray[np.int64]
    """Number of each slice's place along the normal."""

    @property
    def most(self) -> int:
        """Count the frames at the place that has most."""
        return int(np.bincount(self.places).max())


def parted(group: list[Slice]) -> list[Part]:
    """Part a group so that each part has one frame at each place, as far as labels tell frames apart."""
    places = clusters(positions_of(group) @ normal_of(group), SAME_PLACE)
    parts = [Part(labels=(), slices=group, places=places)]
    for keywords in KEYWORDS:
        parts = [piece for part in parts for piece in _by_value(part, keywords)]
    for keyword in CLOCKS:
        parts = [piece for part in parts for piece in _by_order(part, keyword)]
    return sorted(parts, key=lambda part: part.labels)


def _by_value(part: Part, keywords: tuple[str, ...]) -> list[Part]:
    """Part by the values of `keywords` if that parts frames of one place, and not each slice from its neighbours."""
    if part.most == 1:
        return [part]
    values = [tuple(s.labels.get(keyword) for keyword in keywords) for s in part.slices]
    distinct = sorted(set(values), key=lambda value: tuple((v is not None, v or 0.0) for v in value))
    if not 1 < len(distinct) <= part.most:
        return [part]
    pieces = []
    for rank, value in enumerate(distinct, 1):
        chosen = [number for number, own in enumerate(values) if own == value]
        said = [(keyword, v) for keyword, v in zip(keywords, value, strict=True) if v is not None]
        if TIMES_OF_DAY & set(keywords):
            said = [("Repeat", float(rank))]
        pieces.append(_piece(part, chosen, tuple(said)))
    return pieces if max(piece.most for piece in pieces) < part.most else [part]


def _by_order(part: Part, keyword: str) -> list[Part]:
    """Part by the order of a clock at each place, where every place has as many frames, at different times."""
    counts = Counter(part.places.tolist())
    if part.most == 1 or set(counts.values()) != {part.most}:
        return [part]
    at_place: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, (one, place) in enumerate(zip(part.slices, part.places.tolist(), strict=True)):
        value = one.labels.get(keyword)
        if value is None:
            return [part]
        at_place[place].append((value, number))
    if any(len({value for value, _ in times}) < part.most for times in at_place.values()):
        return [part]
    ordered = [[number for _, number in sorted(times)] for _, times in sorted(at_place.items())]
    return [
        _piece(part, [numbers[rank] for numbers in ordered], (("Repeat", float(rank + 1)),))
        for rank in range(part.most)
    ]


def _piece(part: Part, chosen: list[int], labels: Labels) -> Part:
    return Part(
        labels=part.labels + labels,
        slices=[part.slices[number] for number in chosen],
        places=part.places[chosen],
    )
