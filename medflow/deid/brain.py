"""Where the brain is in a CT or MR of the head: a convex hull around what hangs together inside the skull."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy
import SimpleITK as sitk
from numpy.typing import NDArray

from medflow.deid.coarse import STEP, Mask, Measures, Sight, outer
from medflow.domain.series import Modality
from medflow.errors import Reason, SeriesError

BONE = 200.0
"""HU from which thick voxels hold bone."""
SOFT = (-10.0, 95.0)
"""HU of brain, fluid and fresh blood, smoothed."""
DIMMEST, BRIGHTEST = (0.5, 0.65, 0.8), 1.8
"""MR signal of brain as shares of what is usual around it, tried in turn: less is bone or fluid, more is fat."""
TALLEST = 175.0
"""mm below the top of the head in which the brain lies."""
BRIDGES = (5.0, 7.5, 10.0)
"""mm: half the thickness of what is cut between brain and other tissue (nerves, vessels, marrow), tried in turn."""
UNDER_SKIN = 6.0
"""mm of scalp and skull over any brain."""
SMALLEST_BRAIN, LARGEST_BRAIN = 200.0, 2300.0
"""ml of the hull: the part of an infant's that one thick slab shows, and more than any adult has."""
SLENDER, STOUT = 0.6, 1.12
"""Width of a brain as a share of its length."""
SOLID = 0.74
"""Share of its hull that a brain fills; with a face attached it fills less."""
ENCLOSED = 0.75
"""Share of a brain that has bone on four sides in a CT; after surgery it is less than all."""
THIN = 25.0
"""mm of height that must be seen of a brain."""
CUT = 0.6
"""Share of the widest section of a head that its topmost may have; bone tells brain from neck in a CT alone."""
WHOLE = 0.5
"""Share of the head, between the brain's middle and its top, that the hull fills at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brain:
    """A convex hull around the brain: the half-spaces that it is made of."""

    normals: Measures
    limits: Measures
    low: Measures
    high: Measures
    """Corners (RAS+ mm) of the box around it."""
    front: Measures
    """Unit vectors (RAS+): where the brain's front pole points, and straight up from it."""
    up: Measures
    pole: float
    """mm along `front` of the front pole, along `up` of the top; and from the front pole to the back."""
    top: float
    length: float
    solid: float = 0.0
    """Share of the hull that is brain: most where nothing else hangs on it."""

    def within(self, sight: Sight, margin: float = 0.0) -> Mask:
        """Say which points of the grid lie in the hull, made larger by `margin` (mm)."""
        axes = sight.axes
        box = tuple(
            slice(*np.searchsorted(axis, (low - margin, high + margin)))
            for axis, low, high in zip(axes, self.low, self.high, strict=True)
        )
        x, y, z = (axis[part] for axis, part in zip(axes, box, strict=True))
        inside = np.ones((len(x), len(y), len(z)), bool)
        for normal, limit in zip(self.normals, self.limits, strict=True):
            inside &= outer(x * normal[0], y * normal[1], z * normal[2]) <= limit + margin
        found = np.zeros(sight.values.shape, bool)
        found[box] = inside
        return found


def find_brain(sight: Sight, modality: Modality, head: Mask, depth: Measures) -> Brain:
    """Find the brain: soft tissue in the upper head, cut off in several ways, of which the best is taken."""
    areas = head.sum(axis=(0, 1))
    top = int(np.flatnonzero(areas)[-1])
    if modality is Modality.MR and areas[top] > CUT * areas.max():  # without its dome a neck may look like a brain
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "top of the head")
    room = head & (depth > UNDER_SKIN)
    room[:, :, : max(0, top - round(TALLEST / STEP))] = False
    found: list[Brain] = []
    problem = SeriesError(Reason.FACE_NOT_REMOVABLE, "no brain")
    for tissue, enclosed in _tissues(sight, modality, head):
        inside = distance_to(~(tissue & room))
        for bridge in BRIDGES:
            try:
                seed = _largest(inside > bridge, enclosed)
                seed = (distance_to(seed) <= bridge) & tissue & room
                if (seed & enclosed).sum() > ENCLOSED * seed.sum():
                    found.append(_hull(sight, seed, head))
            except SeriesError as error:
                problem = error
    if not found:
        raise problem
    return max(found, key=lambda brain: brain.solid)


def _tissues(sight: Sight, modality: Modality, head: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Give what may be brain, and where bone is all around it, ever more strictly."""
    if modality is Modality.CT:
        smooth = scipy.ndimage.gaussian_filter(sight.values, 0.8)
        yield (smooth > SOFT[0]) & (smooth < SOFT[1]) & (sight.values < BONE), _enclosed(sight.values > BONE)
        return
    usual = scipy.ndimage.gaussian_filter(sight.values * head, 8.0)
    usual /= np.maximum(scipy.ndimage.gaussian_filter(head.astype(np.float64), 8.0), 1e-3)
    share = scipy.ndimage.gaussian_filter(sight.values, 0.6) / np.maximum(usual, 1e-9)
    for dimmest in DIMMEST:
        yield (share > dimmest) & (share < BRIGHTEST), head


def _largest(inner: Mask, enclosed: Mask) -> Mask:
    """Give the piece of `inner` that has most in `enclosed`."""
    labels, count = scipy.ndimage.label(inner)
    sizes = np.bincount(labels.ravel(), weights=enclosed.ravel())
    if not count or not sizes[1:].max():
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "no brain")
    return np.asarray(labels == 1 + int(np.argmax(sizes[1:])))


def _enclosed(bone: Mask) -> Mask:
    """Say which points have bone to the right, to the left, before and behind."""
    found = np.ones_like(bone)
    for axis in (0, 1):
        found &= np.logical_or.accumulate(bone, axis=axis)
        found &= np.flip(np.logical_or.accumulate(np.flip(bone, axis), axis=axis), axis)
    return found


def _hull(sight: Sight, seed: Mask, head: Mask) -> Brain:
    """Wrap the brain in planes of many directions, and say where its front is.

    Raises:
        SeriesError: it cannot be a brain by size, form, or the room it takes in the head.
    """
    places = np.argwhere(seed & ~scipy.ndimage.binary_erosion(seed)) * STEP + sight.origin
    normals = _directions()
    limits = np.max(places @ normals.T, axis=0) + STEP / 2
    spread = np.cov((np.argwhere(seed) * STEP).T)
    sizes, axes = np.linalg.eigh(spread)
    front = axes[:, 2] * np.sign(axes[1, 2] or 1.0)
    if front[1] < 0.8 or sizes[2] < 1.1 * sizes[1]:  # noqa: PLR2004
        front = np.array([0.0, 1.0, 0.0])
    up = np.array([0.0, 0.0, 1.0]) - front[2] * front
    up /= np.linalg.norm(up)
    along, high = places @ front, places @ up
    pole = float(along.max())
    brain = Brain(
        normals=normals,
        limits=limits,
        low=places.min(axis=0) - STEP / 2,
        high=places.max(axis=0) + STEP / 2,
        front=front,
        up=up,
        pole=pole,
        top=float(high.max()),
        length=pole - float(along.min()),
    )
    return replace(brain, solid=_solid(sight, seed, brain, head))


def _directions() -> Measures:
    """Give unit vectors all around, and with each its mirror images."""
    steps = np.arange(-2, 3)
    found = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    furthest = found[np.abs(found).max(axis=1) == 2].astype(np.float64)  # noqa: PLR2004
    return np.asarray(furthest / np.linalg.norm(furthest, axis=1, keepdims=True))


def _solid(sight: Sight, seed: Mask, brain: Brain, head: Mask) -> float:
    """Give the share of its hull that a brain fills; refuse what cannot be one."""
    hull = brain.within(sight)
    volume = hull.sum() * STEP**3 / 1000.0
    across, heights = (sight.along(axis)[seed] for axis in (np.cross(brain.front, brain.up), brain.up))
    width = float(np.ptp(across)) / brain.length
    upper = head & (sight.along(brain.up) > (heights.max() + heights.min()) / 2)
    upper &= sight.along(brain.up) < brain.top
    solid = float(seed.sum() / max(int(hull.sum()), 1))
    if not SMALLEST_BRAIN <= volume <= LARGEST_BRAIN:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "size")
    if not SLENDER <= width <= STOUT or solid < SOLID or np.ptp(heights) < THIN:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "form")
    if (hull & upper).sum() < WHOLE * upper.sum():
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "room")
    return solid


def distance_to(mask: NDArray[np.bool_]) -> Measures:
    """Give the distance (mm) of every point to the nearest one of `mask`."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance = sitk.SignedMaurerDistanceMapImageFilter()
    distance.SetNumberOfThreads(1)
    distance.SetSquaredDistance(False)  # noqa: FBT003
    distance.SetUseImageSpacing(False)  # noqa: FBT003
    found = sitk.GetArrayFromImage(distance.Execute(sitk.GetImageFromArray(mask.astype(np.uint8))))
    return np.asarray(np.maximum(found, 0.0) * STEP)
