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

ALIKE = {2: 0.96, 3: 0.99}
"""Correlation from which two pictures, or two volumes, may be near duplicates.

With `SHARED`, measured on MedNIST (36 pictures, 6 of each kind): all planted copies were found that were brightened,
stretched, resized, mirrored, turned by 90 degrees, moved by a pixel or cropped by 3 %; with noise of 5 grey values or
cropped by 5 %, 97 %; moved by 2 and 3 pixels about the edge, 81 and 67 %; compressed again (JPEG of quality 50 or 75),
78 %; turned by 5 degrees, 8 %. Among 150 chest X-rays and 150 hands of different people no pair was flagged; among 150
breasts, which are slices of few people, 200. Volumes are averaged over more voxels, so less of their own is left: the
drawn chests of different people reach 0.985, a copy with noise 1.000.
"""
SHARED = 0.3
"""Correlation of the finest detail from which two such images are of one origin. What merely has a shape in common, as
phantoms, masks and the drawn patients of a test, shares none of its noise: about 0."""
FLAT = 1e-4
"""Share of a picture's range below which a detail is none."""
STANDS_OUT = 3.0
"""Detail larger than so many times the usual (the median) is an edge."""
LEFT = 0.1
"""Share of the pixels that a comparison of detail takes."""
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
    """Give the pairs that are alike and share their detail."""
    return [
        (a, b, likeness)
        for a, b, turn, likeness in _compared(smalls, owners)
        if likeness >= ALIKE[smalls.ndim - 1]
        and _shared_detail(smalls[a], smalls[b], _turns(smalls.ndim - 1)[turn]) >= SHARED
    ]


def _shared_detail(one: Array, other: Array, how: tuple[int, tuple[int, ...]]) -> float:
    """Give the correlation of the finest detail of two small pictures where they lie best on each other."""
    axes, best = one.ndim, -1.0
    turned = _turned(other[None], how)
    fixed = _spectra(_banded(turned))
    for factor in ZOOMS[axes]:
        zoomed = _zoomed(one[None], factor)
        shifts = _correlations(_spectra(_banded(zoomed)), fixed, one.shape, REACH[axes])[0]
        place = np.unravel_index(int(shifts.argmax()), shifts.shape)
        moves = [
            int(step) if step <= REACH[axes] else int(step) - shifts.shape[axis] for axis, step in enumerate(place)
        ]
        moved = np.roll(turned[0], moves, tuple(range(axes)))
        inside = tuple(slice(REACH[axes], -REACH[axes]) for _ in range(axes))
        best = max(best, _correlation(_detail(zoomed[0])[inside], _detail(moved)[inside]))
    return best


def _detail(picture: Array) -> Array:
    """Keep what is finer than a pixel or two; NaN where it stands out, for edges belong to the shape."""
    fine = picture - gaussian_filter(picture, 1.0, mode="nearest")
    there = abs(fine)[abs(fine) > FLAT * max(1e-12, float(np.ptp(picture)))]
    usual = float(np.median(there)) if there.size else 1.0
    return np.asarray(np.where(abs(fine) <= STANDS_OUT * usual, fine, np.nan), np.float32)


def _correlation(one: Array, other: Array) -> float:
    """Correlate where both are numbers; 0 where hardly anything is left, or nothing varies."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < LEFT * both.size:
        return 0.0
    first, second = one[both] - one[both].mean(), other[both] - other[both].mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


def _compared(smalls: Array, owners: Sequence[str]) -> Iterator[tuple[int, int, int, float]]:
    """Give places, turn and likeness of the pairs that the sieve lets through."""
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
        for (a, b, t), likeness in zip(some.tolist(), best.tolist(), strict=True):
            yield a, b, t, likeness


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
    return _correlations(one, other, shape, reach).flatten(1).amax(dim=1)


def _correlations(one: torch.Tensor, other: torch.Tensor, shape: tuple[int, ...], reach: int) -> torch.Tensor:
    """Give the correlation at shifts of 0 to `reach` and -`reach` to -1 along each axis."""
    axes = tuple(range(1, len(shape) + 1))
    found: torch.Tensor = torch.fft.irfftn(one * other.conj(), s=shape, dim=axes)
    for axis in axes:
        size = shape[axis - 1]
        found = torch.cat([found.narrow(axis, 0, reach + 1), found.narrow(axis, size - reach, reach)], dim=axis)
    return found
