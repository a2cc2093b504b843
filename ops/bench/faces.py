"""What face removal takes and what it leaves: on drawn heads whose brain and skin are known, and on series of heads.

    PYTHONPATH=. python ops/bench/faces.py [--heads 10] [--seed 1] [--data FOLDER ...]

Drawn heads differ in size, in how they are turned and nodded, in voxels, in noise, and (MR) in how even the coil is.
Of a series below FOLDER nothing is known; an estimate of the brain that shares nothing with the engine's judges it: CT
values of brain in the largest piece that stays behind 12 mm of erosion, grown back, or of an MR the same of its
brighter half.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medflow.deid.coarse import Shrunk, overlaid
from medflow.deid.faceless import HEADS
from medflow.deid.faces import face_mask, located
from medflow.dicom.layout import LaidOut, lay_out
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder
from medflow.domain.layout import Layout
from medflow.domain.series import Modality, Series
from medflow.errors import SeriesError
from tests.deid.heads import Head, head

VOXELS = ((1.0, 1.0, 1.0), (1.0, 1.0, 5.0), (2.0, 2.0, 2.0), (4.0, 1.5, 1.5), (1.5, 4.0, 1.5))
MOST = 80.0
"""HU"""
REACH = 12.0
"""mm of erosion of the estimate of the brain."""


def drawn(modality: Modality, count: int, seed: int) -> Iterator[Head]:
    """Draw heads that differ."""
    chance = np.random.default_rng(seed)
    for number in range(count):
        size = chance.uniform(0.75, 1.08)
        turned = chance.uniform(-25, 25), chance.uniform(-15, 20)
        voxels = VOXELS[number % len(VOXELS)]
        yield head(
            modality,
            spacing=voxels,
            size=size,
            turned=turned,
            bias=chance.uniform(-0.8, 0.8),
            seed=int(chance.integers(9999)),
        )


def skin(scan: Head) -> NDArray[np.bool_]:
    """Give the voxels of the skin before the front of the brain, from the chin to the brow."""
    brain = scan.points[scan.brain]
    front, top, length = brain[:, 1].max(), brain[:, 2].max(), np.ptp(brain[:, 1])
    air, _ = ndimage.label(~scan.body)
    around = ndimage.binary_dilation(air == air[0, -1, -1]) & scan.body
    y, z = scan.points[..., 1], scan.points[..., 2]
    return np.asarray(around & (y > front - 0.15 * length) & (z < top - 0.3 * length) & (z > top - 1.1 * length))


def scans(folder: Path) -> Iterator[tuple[Series, LaidOut, list[NDArray[np.float32]]]]:
    """Read the volumes of each CT and MR below a folder, rescaled."""
    for found in scan_folder(folder).series:
        try:
            laid = lay_out(found)
        except SeriesError:
            continue
        if found.modality in HEADS:
            frames = [read_stored_values(each.file.path) for each in laid.series.instances]
            yield found, laid, [rescaled(layout, frames) for layout in laid.layouts]


def rescaled(layout: Layout, frames: list[NDArray[np.integer[Any]]]) -> NDArray[np.float32]:
    """Put the slices of a volume in order."""
    planes = []
    for place in layout.places:
        row, column = place.corner
        tile = frames[place.file][place.frame, row : row + layout.rows, column : column + layout.columns]
        planes.append(tile.T * place.slope + place.intercept)
    return np.stack(planes, axis=2).astype(np.float32)


def estimated_brain(voxels: NDArray[np.float32], layout: Layout, modality: Modality) -> NDArray[np.bool_]:
    """Estimate the brain: the largest piece of its values that outlasts an erosion."""
    smooth = ndimage.median_filter(voxels, (3, 3, 1))
    if modality is Modality.CT:
        likely = (smooth > 0) & (smooth < MOST)
    else:
        likely = smooth > np.median(smooth[smooth > 0.1 * np.percentile(smooth, 99)])
    spacing = np.linalg.norm(np.array(layout.affine)[:3, :3], axis=0)
    inner, _ = ndimage.label(ndimage.distance_transform_edt(likely, sampling=spacing) > REACH)
    largest = inner == 1 + int(np.argmax(np.bincount(inner.ravel())[1:])) if inner.any() else inner > 0
    return np.asarray((ndimage.distance_transform_edt(~largest, sampling=spacing) <= REACH) & likely)


def main() -> None:
    """Print what stays of brains and what goes of skins."""
    asked = argparse.ArgumentParser(description="what face removal takes and what it leaves")
    asked.add_argument("--heads", type=int, default=10)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--data", type=Path, nargs="*", default=[])
    options = asked.parse_args()
    for modality in (Modality.CT, Modality.MR):
        kept, gone, seconds = [], [], []
        for scan in drawn(modality, options.heads, options.seed):
            began = time.process_time()
            try:
                mask = face_mask(scan.voxels, scan.affine, modality)
            except SeriesError:
                continue
            seconds.append(time.process_time() - began)
            kept.append(1.0 - mask[scan.brain].mean())
            gone.append(mask[skin(scan)].mean())
        print(
            f"drawn {modality.value}: {len(kept)} of {options.heads} not refused, {np.mean(seconds):.2f} CPU s each;"
            f" brain that stays: least {min(kept):.5f}, mean {np.mean(kept):.5f};"
            f" skin that goes: least {min(gone):.3f}, mean {np.mean(gone):.3f}"
        )
    for folder in options.data:
        for found, laid, volumes in scans(folder):
            judge(folder.name, found.modality, laid, volumes)


def judge(name: str, modality: Modality, laid: LaidOut, volumes: list[NDArray[np.float32]]) -> None:
    """Print what goes of the volumes of a series, and of their brains as another estimate sees them."""
    where = f"{name} {modality.value} {' '.join('x'.join(map(str, each.shape)) for each in volumes)}"
    shrunk = [Shrunk(layout.shape, layout.affine) for layout in laid.layouts]
    for each, voxels in zip(shrunk, volumes, strict=True):
        for k in range(voxels.shape[2]):
            each.add(k, voxels[:, :, k].T)
    try:
        face = located(overlaid([(each.voxels, each.affine) for each in shrunk]), modality)
    except SeriesError as error:
        print(f"{where}: refused, {error.detail}")
        return
    touched = counted = gone = 0
    for layout, voxels in zip(laid.layouts, volumes, strict=True):
        size = layout.rows, layout.columns
        mask = np.stack([face.plane(layout.affine, size, k).T for k in range(voxels.shape[2])], axis=2)
        brain = estimated_brain(voxels, layout, modality)
        touched, counted, gone = touched + int(mask[brain].sum()), counted + int(brain.sum()), gone + int(mask.sum())
    share = gone / sum(each.size for each in volumes)
    print(f"{where}: brain (estimated) that stays {1.0 - touched / max(counted, 1):.5f}; voxels that go {share:.3f}")


if __name__ == "__main__":
    main()
