"""Images that stand under several patients: the same ones, and nearly the same.

Nearly the same is told by detail: small pictures are band-passed, so that brightness, contrast and the shape that all
heads have in common count little, and compared by normalised correlation at the best shift, mirroring, quarter turn
(of pictures) and zoom. First each image's nearest are sieved by a coarser picture; these are then compared in full.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from medflow.imaging.fingerprint import Fingerprint

Array = NDArray[np.float32]

ALIKE = 0.96
"""Correlation from which two images are near duplicates.

Measured on MedNIST (150 pictures of each kind, 30 planted copies of each change) before `CLOSER` was asked as well: of
abdomens, breasts, chests in CT and X-ray, all copies were found that were compressed again (JPEG of quality 50 or 80),
changed in brightness or contrast, resized by 3 or 5 %, noisy (5 grey values), cropped by 2 or 5 %, mirrored or turned
by 90 degrees; of those moved by 3 pixels with their edges wrapped about, 53 to 77 %.
"""
CLOSER = 0.5
"""How much nearer to 1 it must be than an image's usual likeness to other patients (a ratio test: Lowe, IJCV 2004).

Phantoms, masks and balls are all alike without being copies of each other: a copy stands out among them."""
FIRST_USUAL, LAST_USUAL = 3, 10
"""Usual is the likeness to the patient in this place by nearness: half of them, and within these bounds. So many copies
of one image under other patients would hide each other, unless they are identical."""
NEAREST = 30
"""How many of an image's nearest are compared in full."""
SIEVED = 0.6
"""Correlation of the coarse pictures below which nothing is compared in full."""
COARSE = {2: 16, 3: 8}
"""Side of the coarse picture, by the number of axes."""
ZOOMS = {2: (0.9, 0.95, 1.0, 1.05, 1.1), 3: (1.0,)}
REACH = {2: 8, 3: 3}
"""Largest shift along an axis, in pixels of the small picture."""
AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pair:
    """Two inputs that look alike, by their places."""

    one: int
    other: int
    likeness: float
    """1 where the values are identical."""


def identical(prints: Sequence[Fingerprint], owners: Sequence[str]) -> tuple[Pair, ...]:
    """Pair inputs of different owners whose values are the same, each with the first of its kind."""
    first: dict[str, list[int]] = {}
    for place, one in enumerate(prints):
        first.setdefault(one.pixels, []).append(place)
    return tuple(
        Pair(one=places[0], other=place, likeness=1.0)
        for places in first.values()
        for place in places[1:]
        if owners[place] != owners[places[0]]
    )


def alike(prints: Sequence[Fingerprint], owners: Sequence[str]) -> tuple[Pair, ...]:
    """Pair inputs of different owners that are near duplicates; pictures and volumes each among themselves."""
    found: list[Pair] = []
    for axes in (2, 3):
        places = [place for place, one in enumerate(prints) if one.small.ndim == axes]
        if len(places) > 1:
            smalls = np.stack([prints[place].small for place in places])
            pairs = _alike(smalls, [owners[place] for place in places])
            found += [Pair(one=places[a], other=places[b], likeness=likeness) for a, b, likeness in pairs]
    return tuple(sorted(found))


def joined(pairs: Sequence[Pair], owners: Sequence[str]) -> Mapping[str, str]:
    """Give, for each owner that pairs link to others, the one that stands for all of them: the first by name."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.get(name, name) != name:
            name = leader[name]
        return name

    for pair in pairs:
        first, second = sorted((find(owners[pair.one]), find(owners[pair.other])))
        leader[second] = leader[first] = first
    return {name: find(name) for name in leader}


def _alike(smalls: Array, owners: Sequence[str]) -> list[tuple[int, int, float]]:
    """Give the pairs that are alike beyond what is usual among these images."""
    compared = list(_compared(smalls, owners))
    nearest: dict[int, dict[str, float]] = {}
    for a, b, likeness in compared:
        for mine, theirs in ((a, owners[b]), (b, owners[a])):
            known = nearest.setdefault(mine, {})
            known[theirs] = max(known.get(theirs, -1.0), likeness)
    place = max(FIRST_USUAL, min(LAST_USUAL, len(set(owners)) // 2))
    usual = {
        mine: sorted(known.values(), reverse=True)[place - 1] if len(known) >= place else -1.0
        for mine, known in nearest.items()
    }
    return [
        (a, b, likeness)
        for a, b, likeness in compared
        if likeness >= ALIKE and 1.0 - likeness <= CLOSER * (1.0 - max(usual[a], usual[b]))
    ]


def _compared(smalls: Array, owners: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    axes = smalls.ndim - 1
    candidates = _sieved(smalls, owners)
    turned = [_spectra(_turned(_banded(smalls), turn)) for turn in _turns(axes)]
    zoomed = {factor: _spectra(_banded(_zoomed(smalls, factor))) for factor in ZOOMS[axes]}
    for start in range(0, len(candidates), AT_ONCE):
        some = candidates[start : start + AT_ONCE]
        one, other, turn = (torch.from_numpy(some[:, column]) for column in range(3))
        right = torch.stack([turned[t][place] for t, place in zip(turn.tolist(), other.tolist(), strict=True)])
        best = torch.full((len(some),), -1.0)
        for spectra in zoomed.values():
            best = torch.maximum(best, _likeness(spectra[one], right, smalls.shape[1:], REACH[axes]))
        for (a, b, _), likeness in zip(some.tolist(), best.tolist(), strict=True):
            yield a, b, likeness


def _sieved(smalls: Array, owners: Sequence[str]) -> NDArray[np.int64]:
    """Give (pair, 3): two places and the turn of the second under which their coarse pictures are most alike."""
    axes, count = smalls.ndim - 1, len(smalls)
    factor = COARSE[axes] / smalls.shape[1]
    coarse = zoom(smalls, (1, *(factor,) * axes), order=1, grid_mode=True, mode="nearest")
    flat = _unit(_banded(coarse, 0.8, 4.0))
    names = np.array(owners)
    best, which = np.full((count, count), -1.0, np.float32), np.zeros((count, count), np.int8)
    for turn, how in enumerate(_turns(axes)):
        likeness = flat.reshape(count, -1) @ _turned(flat, how).reshape(count, -1).T
        better = likeness > best
        best[better], which[better] = likeness[better], turn
    best[names[:, None] == names] = -1.0
    reach = min(NEAREST, count - 1)
    near = np.argpartition(-best, reach, axis=1)[:, :reach]
    pairs = {(min(a, b), max(a, b)) for a in range(count) for b in near[a].tolist() if best[a, b] >= SIEVED}
    return np.array([(a, b, which[a, b]) for a, b in sorted(pairs)], np.int64).reshape(-1, 3)


def _turns(axes: int) -> list[tuple[int, tuple[int, ...]]]:
    """Name the ways in which a copy may lie: quarter turns (of pictures) and mirrored axes."""
    if axes == 2:  # noqa: PLR2004
        return [(quarter, mirrored) for quarter in range(4) for mirrored in ((), (-1,))]
    return [(0, tuple(-1 - axis for axis, there in enumerate(picks) if there)) for picks in product((0, 1), repeat=3)]


def _turned(pictures: Array, how: tuple[int, tuple[int, ...]]) -> Array:
    quarter, mirrored = how
    turned = np.rot90(pictures, quarter, (-2, -1)) if quarter else pictures
    return np.ascontiguousarray(np.flip(turned, mirrored) if mirrored else turned)


def _zoomed(pictures: Array, factor: float) -> Array:
    """Scale about the middle and keep the size."""
    if factor == 1.0:
        return pictures
    side, axes = pictures.shape[1], pictures.ndim - 1
    scaled = zoom(pictures, (1, *(round(side * factor) / side,) * axes), order=1, grid_mode=True, mode="nearest")
    more = side - scaled.shape[1]
    if more > 0:
        return np.asarray(np.pad(scaled, [(0, 0)] + [(more // 2, more - more // 2)] * axes, mode="edge"), np.float32)
    start = -more // 2
    return np.asarray(scaled[(slice(None), *(slice(start, start + side),) * axes)], np.float32)


def _banded(pictures: Array, fine: float = 1.5, broad: float = 6.0) -> Array:
    """Keep what is broader than `fine` and narrower than `broad` pixels."""
    scale = 1.0 if pictures.ndim == 3 else 0.5  # noqa: PLR2004  (volumes are small ones)
    sigmas = [(0, *(sigma * scale,) * (pictures.ndim - 1)) for sigma in (fine, broad)]
    first, second = (gaussian_filter(pictures, sigma, mode="nearest") for sigma in sigmas)
    return np.asarray(first - second, np.float32)


def _unit(pictures: Array) -> Array:
    axes = tuple(range(1, pictures.ndim))
    centred = pictures - pictures.mean(axis=axes, keepdims=True)
    return np.asarray(centred / (np.sqrt((centred**2).sum(axis=axes, keepdims=True)) + 1e-9), np.float32)


def _spectra(pictures: Array) -> torch.Tensor:
    """Window, centre, scale to one, and transform."""
    side, axes = pictures.shape[1], pictures.ndim - 1
    edge = np.sqrt(np.hanning(side + 2)[1:-1])
    window = np.ones(pictures.shape[1:])
    for axis in range(axes):
        window = window * edge.reshape([-1 if place == axis else 1 for place in range(axes)])
    shown = torch.from_numpy(_unit(np.asarray(pictures * window, np.float32)))
    spectra: torch.Tensor = torch.fft.rfftn(shown, dim=tuple(range(1, axes + 1)))
    return spectra


def _likeness(one: torch.Tensor, other: torch.Tensor, shape: tuple[int, ...], reach: int) -> torch.Tensor:
    """Give the greatest correlation over shifts of up to `reach` along each axis."""
    axes = tuple(range(1, len(shape) + 1))
    found: torch.Tensor = torch.fft.irfftn(one * other.conj(), s=shape, dim=axes)
    for axis in axes:
        size = shape[axis - 1]
        found = torch.cat([found.narrow(axis, 0, reach + 1), found.narrow(axis, size - reach, reach)], dim=axis)
    return found.flatten(1).amax(dim=1)
