"""Where the face is in a CT or MR of the head: what lies before the brain and near the skin.

Everything happens on one grid of 2.5 mm in patient space, so that neither the order of axes nor a gantry's tilt
matters. The brain is what hangs together inside the skull when thin bridges are cut; what a convex hull around it and
a margin hold is never touched. Before and below it, all goes that lies within `DEPTH` of the air, and whatever air is
there: the edge of what stays is rounded, so that no feature of the face could be guessed from it.
"""

from dataclasses import dataclass

import numpy as np
import scipy
import SimpleITK as sitk

from medflow.deid.brain import distance_to, find_brain
from medflow.deid.coarse import Floats, Mask, Measures, Shrunk, Sight, overlaid, sampled_plane
from medflow.domain.layout import Affine
from medflow.domain.series import Modality
from medflow.errors import Reason, SeriesError

DEPTH = 18.0
"""mm of the face that go, measured from the air."""
ROUND = 25.0
"""mm: radius of the smallest bump that stays under the removed shell."""
MARGIN = 6.0
"""mm around the hull of the brain that stay."""
AIR_BELOW = -350.0
"""HU between air and skin; below it is air."""
BEHIND, ABOVE, BELOW = 0.45, 0.15, 1.35
"""Of the brain's length: how far the face reaches behind its front pole, and from where below its top down to where."""
FEWEST = 1000
"""Points of the grid that must be seen: 16 ml."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """What is to be removed, as a field on the grid in patient space."""

    field: Floats
    """1 where a point goes, 0 where it stays."""
    origin: Measures

    def plane(self, affine: Affine, shape: tuple[int, int], k: int) -> Mask:
        """Say which voxels (row, column) of slice `k` go; `shape` is its rows and columns."""
        return sampled_plane(self.field, self.origin, np.array(affine, np.float64), (*shape, k)) > 0.5  # noqa: PLR2004


def face_mask(voxels: Floats, affine: Affine, modality: Modality) -> Mask:
    """Say which voxels (i, j, k) of a head show its face. `voxels` are HU of a CT or the signal of an MR.

    Raises:
        SeriesError: no face can be located with confidence.
    """
    shrunk = Shrunk((voxels.shape[0], voxels.shape[1], voxels.shape[2]), affine)
    for k in range(voxels.shape[2]):
        shrunk.add(k, voxels[:, :, k].T)
    face = located(overlaid([(shrunk.voxels, shrunk.affine)]), modality)
    planes = [face.plane(affine, (voxels.shape[1], voxels.shape[0]), k).T for k in range(voxels.shape[2])]
    return np.stack(planes, axis=2)


def located(sight: Sight, modality: Modality) -> Face:
    """Find the face in what the volumes of a series show together: HU of a CT, or signal of any scale of an MR.

    Raises:
        SeriesError: no brain is found that could be one, and so nothing says where the face is.
    """
    if sight.known.sum() < FEWEST:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "too little")
    head = _head(sight, modality)
    outside = (sight.known & ~head) | ~(sight.known | sight.known.any(axis=2, keepdims=True))
    depth = distance_to(outside)
    brain = find_brain(sight, modality, head, depth)
    core = depth > DEPTH + ROUND
    stays = (distance_to(core) < ROUND) if core.any() else core
    stays |= brain.within(sight, MARGIN)
    ahead, height = sight.along(brain.front) - brain.pole, sight.along(brain.up) - brain.top
    before = ahead > -BEHIND * brain.length
    level = (height < -ABOVE * brain.length) & (height > -BELOW * brain.length)
    return Face(field=(before & level & ~stays).astype(np.float32), origin=sight.origin)


def _head(sight: Sight, modality: Modality) -> Mask:
    """Find the largest body in the air, without holes."""
    smooth = scipy.ndimage.gaussian_filter(sight.values, 0.6)
    body = (smooth > (AIR_BELOW if modality is Modality.CT else _least_signal(smooth, sight.known))) & sight.known
    opened = scipy.ndimage.binary_opening(body, iterations=1)
    labels, count = scipy.ndimage.label(opened)
    if not count:
        raise SeriesError(Reason.FACE_NOT_REMOVABLE, "no head")
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    largest = scipy.ndimage.binary_dilation(largest, iterations=1) & body
    for axis in (2, 0):
        for place in range(largest.shape[axis]):
            plane = np.moveaxis(largest, axis, 0)[place]
            plane[...] = scipy.ndimage.binary_fill_holes(plane)
    return np.asarray(largest)


def _least_signal(values: Measures, known: Mask) -> float:
    """Give the MR signal between air and tissue: a tenth of the range, or less where the air is quieter than that."""
    low, high = np.percentile(values[known], (2, 98))
    shares = np.sqrt(np.clip((values[known] - low) / max(high - low, 1e-9), 0.0, 1.0))
    image = sitk.GetImageFromArray(shares[None, None].astype(np.float32))
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.SetNumberOfThreads(1)
    otsu.Execute(image)
    return float(low + min(0.12, max(float(otsu.GetThreshold()) ** 2, 0.04)) * (high - low))
