"""Whether all of a series is here: what its headers and the PACS announce, held against what was found.

A count contradicts where more is announced than is here, and proves where it speaks of the whole series and is met
exactly. Where fewer are announced than are here, or the images are derived (they copy counts of what they were made
of), the count is kept as evidence and binds nobody.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medflow.domain.completeness import Completeness, Evidence, Verdict
from medflow.domain.layout import Layout
from medflow.domain.series import Instance, Series

PLACE, PART_OF_GAP, PART_OF_STEP = 0.1, 0.01, 0.2
"""mm and part of a gap by which a gap may miss a whole number of steps, but never by more than this part of a step."""
SEVERAL, NEARLY_ALL = 5, 0.8
"""Repeats of one stack, and the part of them that agree, from which on a shorter one lacks slices."""


def judge(series: Series, layouts: tuple[Layout, ...], *, related: int | None, aside: int = 0) -> Completeness:
    """Say whether all of `series` is here, and what that rests on.

    `related` is NumberOfSeriesRelatedInstances as a PACS answered it; `aside` counts objects that arrived and stand in
    no layout.
    """
    found = _Found(series=series, layouts=layouts, objects=len(series.instances) + aside)
    said = [*_of_the_pacs(found, related), *_of_headers(found)]
    said = [*(_believed(one, found) for one in said), *_of_the_geometry(layouts)]
    if any(one.evidence.binding and not one.evidence.agrees for one in said):
        verdict = Verdict.CONTRADICTED
    elif any(one.evidence.binding and one.whole for one in said):
        verdict = Verdict.PROVEN
    else:
        verdict = Verdict.QUIET_ONLY
    return Completeness(verdict=verdict, evidence=tuple(one.evidence for one in said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is here of a series."""

    series: Series
    layouts: tuple[Layout, ...]
    objects: int

    @property
    def derived(self) -> bool:
        """True where an image was made of others."""
        return any(frame.image_type[:1] == ("DERIVED",) for one in self.series.instances for frame in one.frames)

    @property
    def slices(self) -> int:
        """Count the slices of all volumes."""
        return sum(len(layout.places) for layout in self.layouts)

    @property
    def stacks(self) -> int:
        """Count the stacks that lie apart; volumes of one place (4D) are one stack."""
        return max(Counter(layout.labels for layout in self.layouts if layout.run[0] == 1).values(), default=0)

    @property
    def volumes(self) -> list[int]:
        """Count the slices of each repeat, over all its stacks."""
        counts: Counter[tuple[tuple[str, float], ...]] = Counter()
        for layout in self.layouts:
            counts[layout.labels] += len(layout.places)
        return list(counts.values())

    def count(self, keyword: str) -> int | None:
        """Give what the headers announce; None where they do not, or contradict one another."""
        return _agreed(self.series.instances, keyword)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """One count against what is here; `whole` where it speaks of all of the series."""

    evidence: Evidence
    whole: bool
    copied: bool = True
    """True where derived images may have copied it from what they were made of."""


def _believed(one: _Said, found: _Found) -> _Said:
    """Let go of a count that cannot be meant of these images."""
    said = one.evidence
    binding = said.binding and said.announced >= said.found and not (one.copied and found.derived)
    evidence = Evidence(source=said.source, announced=said.announced, found=said.found, binding=binding)
    return _Said(evidence=evidence, whole=one.whole, copied=one.copied)


def _said(source: str, announced: int, found: int, *, whole: bool = True, binding: bool = True) -> _Said:
    evidence = Evidence(source=source, announced=announced, found=found, binding=binding)
    return _Said(evidence=evidence, whole=whole)


def _of_the_pacs(found: _Found, related: int | None) -> Iterator[_Said]:
    if related is not None:
        evidence = Evidence(source="PACS", announced=related, found=found.objects)
        yield _Said(evidence=evidence, whole=True, copied=False)


def _of_headers(found: _Found) -> Iterator[_Said]:
    for keyword in ("NumberOfSeriesRelatedInstances", "ImagesInSeries"):
        if (announced := found.count(keyword)) is not None:
            yield _said(keyword, announced, found.objects)
    yield from _of_acquisitions(found)
    yield from _of_concatenations(found)
    yield from _of_time_points(found)
    yield from _of_slices(found)


def _of_acquisitions(found: _Found) -> Iterator[_Said]:
    """Hold ImagesInAcquisition (PS3.3 C.7.6.1) against the single-frame images of each AcquisitionNumber."""
    keyword = "ImagesInAcquisition"
    acquisitions: dict[float | None, list[Instance]] = defaultdict(list)
    for instance in found.series.instances:
        if len(instance.frames) != 1:
            return
        acquisitions[dict(instance.frames[0].labels).get("AcquisitionNumber")].append(instance)
    announced = {number: _agreed(images, keyword) for number, images in acquisitions.items()}
    every = [count for count in announced.values() if count is not None]
    if len(every) < len(acquisitions):
        return
    beyond = any(len(acquisitions[number]) > (count or 0) for number, count in announced.items())
    yield _said(keyword, sum(every), len(found.series.instances), binding=not beyond)


def _of_concatenations(found: _Found) -> Iterator[_Said]:
    """Hold the parts of concatenations (PS3.3 C.7.6.16.2.2.4) against those that are here."""
    parts: dict[int, Counter[int]] = defaultdict(Counter)
    for instance in found.series.instances:
        counts = dict(instance.counts)
        if "InConcatenationTotalNumber" in counts:
            parts[counts["InConcatenationTotalNumber"]][counts.get("InConcatenationNumber", 0)] += 1
    announced = sum(total * max(numbers.values()) for total, numbers in parts.items())
    if announced:
        here = sum(sum(numbers.values()) for numbers in parts.values())
        yield _said("InConcatenationTotalNumber", announced, here, whole=here == len(found.series.instances))


def _of_time_points(found: _Found) -> Iterator[_Said]:
    """Hold NumberOfTemporalPositions (PS3.3 C.8.3.1) against the time points, and their slices against each other.

    A single time point says nothing: the others may be series of their own.
    """
    announced = found.count("NumberOfTemporalPositions")
    frames = [frame for one in found.series.instances for frame in one.frames]
    at = Counter(dict(frame.labels).get("TemporalPositionIndex") for frame in frames)
    slices = found.volumes if None in at else list(at.values())
    points = len(slices)
    if announced is None:
        parted = all("TemporalPositionIndex" in dict(layout.labels) for layout in found.layouts)
        if parted and points > 1 and None not in at:
            yield _said("TemporalPositionIdentifier", points * max(slices), sum(slices), whole=False)
    elif points == announced > 1:
        yield _said("NumberOfTemporalPositions", points * max(slices), sum(slices))
    elif announced > 1:
        yield _said("NumberOfTemporalPositions", announced, points, binding=points > 1)


def _of_slices(found: _Found) -> Iterator[_Said]:
    """Hold the slices of a volume against those of each that is here."""
    if (announced := found.count("LocationsInAcquisition")) is not None:
        yield _of_each_volume("LocationsInAcquisition", announced, found, repeats=None)
    if found.stacks != 1:
        return  # what follows counts one stack
    for keyword, factors in (
        ("NumberOfSlicesMR", ("NumberOfDynamicScans",)),
        ("NumberOfSlices", ("NumberOfTimeSlices", "NumberOfRRIntervals", "NumberOfTimeSlots")),
    ):
        if (announced := found.count(keyword)) is not None:
            repeats = [count for factor in factors if (count := found.count(factor)) is not None]
            yield _of_each_volume(keyword, announced, found, repeats=int(np.prod(repeats)) if repeats else None)


def _of_each_volume(keyword: str, slices: int, found: _Found, *, repeats: int | None) -> _Said:
    """Hold `slices` against each volume; with `repeats`, which says how many volumes there are, against them all."""
    here = found.volumes
    if repeats is not None and (len(here) == repeats or 1 < len(here) < repeats):
        return _said(keyword, slices * repeats, sum(here), binding=max(here, default=0) <= slices)
    return _said(keyword, slices * len(here), sum(here), whole=len(here) == 1, binding=max(here, default=0) <= slices)


def _of_the_geometry(layouts: tuple[Layout, ...]) -> Iterator[_Said]:
    """Hold the slices that are here against those that the geometry has a place for."""
    here = sum(len(layout.places) for layout in layouts)
    if here:
        lacking = _lacking_in_gaps(layouts) + _lacking_at_ends(layouts)
        evidence = Evidence(source="geometry", announced=here + lacking, found=here)
        yield _Said(evidence=evidence, whole=False, copied=False)


def _lacking_in_gaps(layouts: tuple[Layout, ...]) -> int:
    """Count the slices that lack between runs of one stack.

    A gap lacks slices where it is a whole number of steps, at least two, along the step of the run before it or behind
    it, and the other run has the same step or a single slice. Stacks whose step changes (a skull base in thinner
    slices than the vault) are uneven by design, and lack nothing that anybody could know of.
    """
    return sum(_between(one, other) for one, other in pairwise(layouts) if other.run[0] > 1)


def _lacking_at_ends(layouts: tuple[Layout, ...]) -> int:
    """Count the slices that a few repeats of one stack (4D) lack of what nearly all of the others have."""
    repeats: dict[tuple[object, ...], Counter[tuple[tuple[str, float], ...]]] = defaultdict(Counter)
    for layout in (one for one in layouts if one.run == (1, 1)):
        axes = tuple(round(value, 3) for row in layout.affine[:3] for value in row[:2])
        repeats[layout.rows, layout.columns, axes][layout.labels] += len(layout.places)
    lacking = 0
    for volumes in repeats.values():
        (usual, times), *_ = Counter(volumes.values()).most_common()
        if len(volumes) >= SEVERAL and times >= NEARLY_ALL * len(volumes):
            lacking += sum(usual - slices for slices in volumes.values() if slices < usual)
    return lacking


def _between(one: Layout, other: Layout) -> int:
    """Count the slices that lack between a run and the next one of its stack."""
    before, behind = _step(one), _step(other)
    step = before if before is not None else behind
    if step is None:
        return 0
    if before is not None and behind is not None and np.linalg.norm(before - behind) > PLACE:
        return 0
    affines = np.asarray(one.affine), np.asarray(other.affine)
    last = affines[0][:3, 3] + affines[0][:3, 2] * (len(one.places) - 1)
    gap = affines[1][:3, 3] - last
    steps = round(float(gap @ step / (step @ step)))
    off = float(np.linalg.norm(gap - steps * step))
    tolerance = min(PLACE + PART_OF_GAP * float(np.linalg.norm(gap)), PART_OF_STEP * float(np.linalg.norm(step)))
    return steps - 1 if steps > 1 and off <= tolerance else 0


def _step(layout: Layout) -> NDArray[np.float64] | None:
    """Give the step (mm, RAS+) from slice to slice; None for a slice that stands alone."""
    return np.asarray(layout.affine)[:3, 2] if len(layout.places) > 1 else None


def _agreed(instances: tuple[Instance, ...] | list[Instance], keyword: str) -> int | None:
    counts = {count for one in instances for name, count in one.counts if name == keyword}
    return counts.pop() if len(counts) == 1 else None
