"""Stacks that interlace without a frame at a common place: told apart where that makes fewer and longer runs."""

from medflow.dicom.repeats import Part, by_distinct, by_file
from medflow.dicom.stacks import Run, uniform_runs

THREADS = ("TemporalPositionIndex", "AcquisitionNumber", "TriggerTime", "FrameReferenceTime", "AcquisitionTime")
"""What two scans over one region differ in."""

CLOSEST = 0.1
"""mm. Slices nearer to each other were taken at one place, between which somebody moved."""

Runs = list[tuple[Part, list[Run]]]


def disentangled(part: Part) -> Runs:
    """Give the uniform runs of `part`, one frame at each place: as one stack, or as several that lie in one another.

    Two scans over one region, or volumes between which the head moved, need not share a single position. They are
    taken apart by a label (or by object, where each object holds a volume) only if that needs fewer runs than taking
    all of them for one stack with uneven gaps.
    """
    best: Runs = [(part, uniform_runs(part.slices))]
    if _worth(best) == 1:
        return best
    for threads in _threads(part):
        runs = [(thread, uniform_runs(thread.slices)) for thread in threads]
        best = min(best, runs, key=_worth)
    return best


def _worth(runs: Runs) -> int:
    """Count the runs; one of slices that all but coincide is no stack, and counts as often as it has slices."""
    every = [run for _, own in runs for run in own]
    return sum(1 if len(run.slices) == 1 or run.step >= CLOSEST else len(run.slices) for run in every)


def _threads(part: Part) -> list[list[Part]]:
    ways = [by_distinct(part, keyword) for keyword in THREADS] + [by_file(part)]
    return [way for way in ways if 1 < len(way) <= len(part.slices) // 2]
