"""Several frames at one place: what tells them apart makes them volumes of their own (4D)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medflow.dicom.grouping import SAME_PLACE, Slice, clusters, normal_of, positions_of
from medflow.dicom.stacks import uniform_runs

Labels = tuple[tuple[str, float], ...]

KEYWORDS: tuple[tuple[str, ...], ...] = (
    ("TemporalPositionIndex",),
    ("ComplexImageComponent",),
    ("ASLContext",),
    ("EchoNumbers",),
    ("DiffusionBValue",),
    ("DiffusionDirectionality",),
    ("DiffusionGradientX", "DiffusionGradientY", "DiffusionGradientZ"),
    ("DiffusionBValueNumber",),
    ("GradientOrientationNumber",),
    ("InversionTime",),
    ("FlipAngle",),
    ("RepetitionTime",),
    ("KVP",),
    ("PhaseNumber",),
    ("NominalPercentageOfCardiacPhase",),
    ("NominalCardiacTriggerDelayTime",),
    ("TriggerTime",),
    ("TemporalPositionTimeOffset",),
    ("FrameReferenceTime",),
    ("Derived",),
    ("AcquisitionNumber",),
    *((f"DimensionIndex{number}",) for number in range(1, 9)),
    ("AcquisitionTime",),
    ("ContentTime",),
)
"""In the order in which they are asked. Instance numbers are not: they say in which order files were written."""

CLOCKS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "RealTimeClock",
    "ImageIndex",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContentTime",
)
"""What may differ from place to place within one repeat, so that only its order at each place counts."""
OF_VOLUMES = KEYWORDS[:9]
"""What by its nature is the same for all slices of a repeat: it may have more values than there are frames at a place,
where every place lacks some."""
TIMES_OF_DAY = frozenset({"AcquisitionTime", "ContentTime"})
REPEAT = "Repeat"
"""The label of volumes that only their order tells apart, counted from 1."""


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

    def pieces(
        self, kinds: Sequence[Hashable], order: Sequence[Hashable], labels: Callable[[int], Labels]
    ) -> "list[Part]":
        """Cut by `kinds`, one for each slice; `order` ranks them, and `labels` names a piece by its rank."""
        members: dict[Hashable, list[int]] = defaultdict(list)
        for number, kind in enumerate(kinds):
            members[kind].append(number)
        return [
            Part(
                labels=self.labels + labels(rank),
                slices=[self.slices[number] for number in members[kind]],
                places=self.places[members[kind]],
            )
            for rank, kind in enumerate(order)
        ]


def parted(group: list[Slice], *, by_number: bool = False) -> list[Part]:
    """Part a group so that each part has one frame at each place, as far as labels tell frames apart.

    With `by_number` the order of instances in the series is asked as well, as the last resort.
    """
    places = clusters(positions_of(group) @ normal_of(group), SAME_PLACE)
    parts = [Part(labels=(), slices=group, places=places)]
    steps: list[Callable[[Part], list[Part]]] = [partial(_by_value, keywords=keywords) for keywords in KEYWORDS]
    steps += [partial(rule, keyword=keyword) for rule in (_by_order, _by_turns) for keyword in CLOCKS]
    steps += [partial(_by_value, keywords=keywords, always=True) for keywords in OF_VOLUMES]
    steps += [*(partial(_by_thread, keyword=keyword) for keyword in CLOCKS), _by_mosaic]
    steps += [_by_object, _by_number] if by_number else []
    for step in steps:
        parts = [piece for part in parts for piece in step(part)]
    return sorted(parts, key=lambda part: part.labels)


def by_distinct(part: Part, keyword: str) -> list[Part]:
    """Cut by every value that `keyword` has."""
    values = [s.labels.get(keyword) for s in part.slices]
    distinct = sorted(set(values), key=lambda value: (value is not None, value or 0.0))
    return part.pieces(values, distinct, lambda rank: _said(keyword, distinct[rank], rank))


def by_file(part: Part) -> list[Part]:
    """Cut by the object that a frame stands in."""
    files = [s.file for s in part.slices]
    return part.pieces(files, sorted(set(files)), _repeat)


def _by_value(part: Part, keywords: tuple[str, ...], *, always: bool = False) -> list[Part]:
    """Part by the values of `keywords` if that parts frames of one place, and not each slice from its neighbours.

    There are no more values than frames at a place then; with `always` there may be, because slices are missing.
    """
    if part.most == 1:
        return [part]
    labels = [s.labels for s in part.slices]
    values = [tuple(own.get(keyword) for keyword in keywords) for own in labels]
    distinct = sorted(set(values), key=lambda value: tuple((v is not None, v or 0.0) for v in value))
    if len(distinct) > part.most and not always:
        return [part]

    def said(rank: int) -> Labels:
        return tuple(label for pair in zip(keywords, distinct[rank], strict=True) for label in _said(*pair, rank))

    pieces = part.pieces(values, distinct, said)
    return pieces if max(piece.most for piece in pieces) < part.most else [part]


def _by_order(part: Part, keyword: str) -> list[Part]:
    """Part by the order of a clock at each place, where every place has as many frames, at different times."""
    if part.most == 1 or set(Counter(part.places.tolist()).values()) != {part.most}:
        return [part]
    at_place: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, (one, place) in enumerate(zip(part.slices, part.places.tolist(), strict=True)):
        value = one.labels.get(keyword)
        if value is None:
            return [part]
        at_place[place].append((value, number))
    if any(len({value for value, _ in times}) < part.most for times in at_place.values()):
        return [part]
    ranks = {number: rank for times in at_place.values() for rank, (_, number) in enumerate(sorted(times))}
    return _by_rank(part, [ranks[number] for number in range(len(part.slices))])


def _by_turns(part: Part, keyword: str) -> list[Part]:
    """Part a recording that broke off: by the clock, every repeat but the last has a frame at each place."""
    times = [s.labels.get(keyword) for s in part.slices]
    known = [time for time in times if time is not None]
    if part.most == 1 or len(known) != len(times):
        return [part]
    order = sorted(range(len(known)), key=known.__getitem__)
    size = len(set(part.places.tolist()))
    turns = [order[start : start + size] for start in range(0, len(order), size)]
    whole = all(len(set(part.places[turn].tolist())) == len(turn) for turn in turns)
    if not whole or any(known[one[-1]] == known[other[0]] for one, other in pairwise(turns)):
        return [part]
    ranks = {number: rank for rank, turn in enumerate(turns) for number in turn}
    return _by_rank(part, [ranks[number] for number in range(len(part.slices))])


def _by_thread(part: Part, keyword: str) -> list[Part]:
    """Part stacks that meet at some places only, as bed positions do: each value of `keyword` makes one uniform run."""
    if part.most == 1:
        return [part]
    pieces = by_distinct(part, keyword)
    alone = any(piece.most > 1 or len(piece.slices) == 1 or len(uniform_runs(piece.slices)) > 1 for piece in pieces)
    return [part] if alone else pieces


def _by_mosaic(part: Part) -> list[Part]:
    """Part mosaics by object: each of them is one volume, also where the head moved from one to the next."""
    tiled = any(s.frame.corner != (0, 0) for s in part.slices)
    return by_file(part) if tiled and len({s.file for s in part.slices}) > 1 else [part]


def _by_object(part: Part) -> list[Part]:
    """Part multi-frame objects that hold a volume each."""
    if part.most == 1:
        return [part]
    pieces = by_file(part)
    return pieces if all(piece.most == 1 < len(piece.slices) for piece in pieces) else [part]


def _by_number(part: Part) -> list[Part]:
    """Part by the order in which images are numbered, where it can be one of two: by repeat, or by place.

    There are several places, each with as many images, and either each stretch of consecutive ones covers all places
    once, or each place has its images in one stretch.
    """
    if part.most in {1, len(part.slices)} or set(Counter(part.places.tolist()).values()) != {part.most}:
        return [part]
    numbers = [(-1 if s.number is None else s.number, s.frame.number) for s in part.slices]
    if len(set(numbers)) < len(numbers) or any(number < 0 for number, _ in numbers):
        return [part]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    count = len(order) // part.most
    places = part.places[order]
    if all(len(set(turn.tolist())) == count for turn in places.reshape(part.most, count)):
        ranks = np.repeat(np.arange(part.most), count)
    elif all(len(set(turn.tolist())) == 1 for turn in places.reshape(count, part.most)):
        ranks = np.tile(np.arange(part.most), count)
    else:
        return [part]
    return _by_rank(part, ranks[np.argsort(order)].tolist())


def _by_rank(part: Part, ranks: list[int]) -> list[Part]:
    return part.pieces(ranks, sorted(set(ranks)), _repeat)


def _repeat(rank: int) -> Labels:
    return ((REPEAT, float(rank + 1)),)


def _said(keyword: str, value: object, rank: int) -> Labels:
    """Name a piece by its value; a time of day would tell when a patient was here, so its rank stands for it."""
    if keyword in TIMES_OF_DAY:
        return _repeat(rank)
    return ((keyword, float(value)),) if isinstance(value, int | float) else ()
