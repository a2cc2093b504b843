"""Which rules of a task a series fails, whether it is stored already or only looked at."""

import math
from typing import Protocol

import numpy as np

from medflow.domain.layout import Layout
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.planerule import PlaneRule
from medflow.domain.safe import Descriptors
from medflow.domain.series import Modality
from medflow.domain.task import SeriesRule

PLANES = ("sagittal", "coronal", "axial")
"""Plane of the slices whose normal points along R, A or S."""
NEAR = math.cos(math.radians(30.0))
"""Slices of a head are tilted by up to 30 degrees (gantry, orbitomeatal line), and everybody calls them axial."""


class Described(Protocol):
    """A series as far as the rules of a task ask about it."""

    @property
    def modality(self) -> Modality:
        """Say what took it."""

    @property
    def descriptors(self) -> Descriptors:
        """Say what is known of it, cleaned."""

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Give its volumes; none in a series of planar images."""

    @property
    def planes(self) -> tuple[PlaneFacts, ...]:
        """Give its planar images; none in a series of volumes."""


def failures(rule: SeriesRule | PlaneRule, series: Described) -> tuple[str, ...]:
    """Name the rules of a task that a series fails; empty where the task wants it."""
    if isinstance(rule, PlaneRule):
        return rule.failures(series.modality, series.descriptors, series.planes)
    failed = rule.failures(series.modality, series.descriptors)
    if rule.orientations and not {orientation_of(layout) for layout in series.layouts} <= set(rule.orientations):
        failed = (*failed, "orientations")
    if series.layouts and most_slices(series) < rule.minimum_slices:
        failed = (*failed, "minimum_slices")
    return failed


def orientation_of(layout: Layout) -> str:
    """Name the plane that the slices lie in: the one whose normal is within 30 degrees of theirs, else "oblique"."""
    axes = np.asarray(layout.affine)[:3, :2]
    normal = np.cross(axes[:, 0], axes[:, 1])
    shares = np.abs(normal) / np.linalg.norm(normal)
    place = int(np.argmax(shares))
    return PLANES[place] if shares[place] >= NEAR else "oblique"


def most_slices(series: Described) -> int:
    """Count the slices of the largest stack; one that fell into runs for want of a slice counts as a whole."""
    stacks: list[int] = []
    for layout in series.layouts:
        if layout.run[0] == 1:
            stacks.append(0)
        stacks[-1] += len(layout.places)
    return max(stacks, default=0)
