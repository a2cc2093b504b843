"""What medflow's training loop costs beside a bare one, and its samples per second beside MONAI's tutorial.

    python ops/bench/training.py [--rounds 5] [--threads 2] [--only flat,solid,series]

First, an epoch of `medflow.learning.train.train` with everything on (feed, finite checks, live figures, checkpoints,
settling of batch norms, the select part judged) against a bare torch loop: the same network, loss, optimizer and
augmentation on tensors that lie in memory, and the select part judged once too. The two take turns epoch by epoch (the
bare one runs where medflow tells that an epoch has ended); each first epoch is left out.

Second, the drawn chest CTs of `sample_dicom`, from DICOM files to a trained epoch: a plain MONAI script (LoadImaged,
EnsureChannelFirstd, Spacingd, ScaleIntensityRanged, Resized, CacheDataset, DataLoader, DenseNet121) beside medflow; the
first epoch, which reads everything, and later ones.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.networks.nets import DenseNet121
from timing import processor_seconds
from torch import nn

from medflow.deid.keys import new_key
from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.task import Part, Schedule, Task
from medflow.domain.volume import Grid
from medflow.imaging.cache import VolumeCache
from medflow.imaging.grid import on_grid
from medflow.imaging.read import read_volume
from medflow.learning.augment import Augmentation
from medflow.learning.feed import Feed, labels_of
from medflow.learning.live import SilentLive, opened
from medflow.learning.networks import build
from medflow.learning.task_file import read_task
from medflow.learning.train import train
from medflow.learning.trained import Sample
from sample_dicom.generate import draw

TASKS = Path(__file__).parents[2] / "pipelines" / "tasks"
AUGMENTED: dict[str, Any] = {"flips": ("i",), "shift": 2, "rotate": 10.0, "zoom": 0.1, "gamma": 0.2, "noise": 0.01}
CPU = torch.device("cpu")


@dataclass
class Turns(SilentLive):
    """Writes figures as a training does, and lets a bare epoch run after each of medflow's; notes what both took."""

    folder: Path
    other: Callable[[], None]
    ours: list[tuple[float, float]] = field(default_factory=list)
    bare: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inner = opened(self.folder)
        self.began = now()

    def step(self, **values: object) -> None:
        """Write a step."""
        self.inner.step(**values)

    def epoch(self, **values: object) -> None:
        """Write an epoch, and let the other loop have one."""
        self.inner.epoch(**values)
        middle = now()
        self.other()
        end = now()
        self.ours += spent([self.began, middle])
        self.bare += spent([middle, end])
        self.began = now()


def now() -> tuple[float, float]:
    """Give the time by the wall and by the processor (s)."""
    return time.perf_counter(), processor_seconds()


def spent(ends: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Give what lies between moments, by the wall and by the processor (s)."""
    return [(end[0] - start[0], end[1] - start[1]) for start, end in itertools.pairwise(ends)]


def flat(steps: int) -> tuple[Task, list[Sample]]:
    """Make a task on single slices of 64 x 64 in batches of 16, and its noise."""
    task = read_task(TASKS / "single_slice_2d.yaml")
    return _drawn(task, batch_size=16, steps=steps)


def solid(steps: int) -> tuple[Task, list[Sample]]:
    """Make a task on volumes of 48 x 48 x 48 in batches of 4, and their noise."""
    task = read_task(TASKS / "chest_ct_nodule.yaml")
    if not isinstance(task.grid, Grid):
        raise TypeError("the task of chest CTs looks at volumes")
    return _drawn(replace(task, grid=replace(task.grid, shape=(48, 48, 48))), batch_size=4, steps=steps)


def _drawn(task: Task, *, batch_size: int, steps: int) -> tuple[Task, list[Sample]]:
    schedule = Schedule(seed=1, epochs=3, batch_size=batch_size, learning_rate=1e-3, **AUGMENTED)
    task = replace(task, schedule=schedule)
    chance, sizes = np.random.default_rng(1), {Part.TRAIN: batch_size * steps, Part.SELECT: batch_size * steps // 4}
    names = [(part, number) for part, size in sizes.items() for number in range(size)]
    return task, [
        Sample(
            patient=f"{part.value}{number}",
            label=task.labels.classes[number % len(task.labels.classes)],
            part=part,
            voxels=chance.random(task.grid.example_shape, np.float32),
        )
        for part, number in names
    ]


def bare(task: Task, samples: Sequence[Sample]) -> Callable[[], None]:
    """Give a function that trains for one epoch as a script does that keeps nothing."""
    plan, augment, epochs = task.schedule, Augmentation(task), itertools.count(1)
    parts = {part: [sample for sample in samples if sample.part is part] for part in (Part.TRAIN, Part.SELECT)}
    inputs, labels = _tensors(parts[Part.TRAIN], task)
    seen, truth = _tensors(parts[Part.SELECT], task)
    network = build(task.network, len(task.labels.classes), task.grid.shape, channels=task.channels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> None:
        network.train()
        number, total = next(epochs), 0.0
        for places in torch.randperm(len(inputs)).split(plan.batch_size):
            batch = augment(inputs[places], [(number, int(place)) for place in places])
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16) if plan.precision == "bfloat16" else nullcontext():
                loss = criterion(network(batch).float(), labels[places])
            loss.backward()
            optimizer.step()
            total += loss.item()
        network.eval()
        with torch.inference_mode():
            pairs = zip(seen.split(plan.batch_size), truth.split(plan.batch_size), strict=True)
            total += sum(float(criterion(network(batch), those)) for batch, those in pairs)

    return epoch


def _tensors(samples: Sequence[Sample], task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    feed = Feed(samples, task, device=CPU)
    if feed.held is None:
        raise MemoryError("the bare loop holds its tensors in memory")
    return feed.held, labels_of(samples, task.labels)


def loops(title: str, task: Task, samples: Sequence[Sample], options: argparse.Namespace) -> None:
    """Let the two loops take turns, and print what an epoch took: medians, and the median of the ratios."""
    rounds, threads = options.rounds, options.threads
    for precision in options.precision.split(","):
        chosen = replace(task, schedule=replace(task.schedule, precision=precision, epochs=rounds + 1))
        with tempfile.TemporaryDirectory(prefix="medflow-bench-") as name:
            turns = Turns(Path(name), bare(chosen, samples))
            trained = train(chosen, samples, threads=threads, device="cpu", folder=Path(name), live=turns)
            turns.inner.close()
        print(f"\nan epoch of {title}, {trained.precision.name} ({trained.precision.reason}): median of {rounds}")
        for place, clock in enumerate(("by the wall", "by the processor")):
            mine, plain = ([one[place] for one in taken[1:]] for taken in (turns.ours, turns.bare))
            ratio = statistics.median(one / other for one, other in zip(mine, plain, strict=True))
            seconds = f"medflow {statistics.median(mine):7.2f} s, bare torch {statistics.median(plain):7.2f} s"
            print(f"  {clock:18} {seconds}   {ratio:6.3f} x")


def safe_copies(export: Path, root: Path) -> list[DeidentifiedSeries]:
    """De-identify every series of `export` below `root`."""
    key, copies = new_key(), []
    for series in scan_folder(export).series:
        laid = lay_out(series)
        copies.append(
            deidentify_series(
                laid.series,
                laid.layouts,
                intensity_facts(laid.series),
                pseudonyms=Pseudonyms(key=key, default_issuer=""),
                profile=default_profile(),
                source=Source(name="bench", site="bench"),
                sha256s=source_sha256s(laid.series),
                root=root,
            )
        )
    return copies


def images_alone(safe: Sequence[DeidentifiedSeries], root: Path) -> list[Path]:
    """Link the images of each series into a folder of their own, where MONAI's reader finds nothing else."""
    folders = []
    for number, one in enumerate(safe):
        folder = root / str(number)
        folder.mkdir(parents=True)
        for path in one.folder.iterdir():
            if path.suffix == ".dcm":
                (folder / path.name).hardlink_to(path)
        folders.append(folder)
    return folders


def plain_training(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], network: nn.Module) -> Callable[[], None]:
    """Give a function that trains for one epoch: what both sides of the comparison do with their batches."""
    optimizer, criterion = torch.optim.AdamW(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()

    def epoch() -> None:
        network.train()
        for inputs, labels in batches:
            optimizer.zero_grad(set_to_none=True)
            criterion(network(inputs), labels).backward()
            optimizer.step()

    return epoch


def tutorial(folders: Sequence[Path], grid: Grid, batch_size: int) -> list[tuple[float, float]]:
    """Train as MONAI's tutorials do; give what the first epoch took, reading included, and two later ones (s)."""
    low, high = grid.window or (0.0, 1.0)
    chain = mt.Compose(
        [
            mt.LoadImaged("image", reader="PydicomReader"),
            mt.EnsureChannelFirstd("image"),
            mt.Spacingd("image", pixdim=grid.spacing, mode="bilinear"),
            mt.ScaleIntensityRanged("image", low, high, 0.0, 1.0, clip=True),
            mt.Resized("image", grid.shape),
        ]
    )
    began = now()
    items = [{"image": str(folder), "label": number % 2} for number, folder in enumerate(folders)]
    loader = DataLoader(CacheDataset(items, chain, progress=False), batch_size=batch_size, shuffle=True)
    network, ends = DenseNet121(spatial_dims=3, in_channels=1, out_channels=2), [began]
    for _ in range(3):
        plain_training(((batch["image"], batch["label"]) for batch in loader), network)()
        ends.append(now())
    return spent(ends)


def from_series(safe: Sequence[DeidentifiedSeries], task: Task, root: Path) -> list[tuple[float, float]]:
    """Train from the same files through medflow's cache and feed; give what the epochs took (s) as `tutorial` does.

    Each later epoch is the first of another run: it begins by checking and reading the whole cache.
    """
    grid, cache, ends = task.grid, VolumeCache(root=root), [now()]
    if not isinstance(grid, Grid):
        raise TypeError("the task of chest CTs looks at volumes")
    network = build(task.network, 2, grid.shape, channels=1)
    for epoch in range(1, 4):
        samples = [_sample(one, number, grid, cache) for number, one in enumerate(safe)]
        feed = Feed(samples, task, device=CPU)
        plain_training(((batch.inputs, batch.labels) for batch in feed.epoch(epoch)), network)()
        ends.append(now())
    return spent(ends)


def _sample(one: DeidentifiedSeries, number: int, grid: Grid, cache: VolumeCache) -> Sample:
    voxels = cache.get(str(number), grid.digest)
    if voxels is None:
        voxels = on_grid(read_volume(one, one.layouts[0]), grid).voxels
        cache.put(str(number), grid.digest, voxels)
    return Sample(patient=f"P{number}", label=("absent", "present")[number % 2], part=Part.TRAIN, voxels=voxels)


def series(scratch: Path, subjects: int) -> None:
    """Print samples per second from DICOM files: first epoch and later ones."""
    draw(scratch / "sample", chest_ct=subjects, brain_mr=0, pet_ct=0, awkward=False)
    safe = safe_copies(scratch / "sample" / "export", scratch / "safe")
    task = read_task(TASKS / "chest_ct_nodule.yaml")
    plain = Schedule(seed=1, epochs=3, batch_size=task.schedule.batch_size, learning_rate=1e-3)
    task = replace(task, schedule=plain)
    if not isinstance(task.grid, Grid):
        raise TypeError("the task of chest CTs looks at volumes")
    taken = {
        "MONAI tutorial": tutorial(images_alone(safe, scratch / "images"), task.grid, plain.batch_size),
        "medflow": from_series(safe, task, scratch / "cache"),
    }
    _rates(taken, len(safe))


def _rates(taken: Mapping[str, Sequence[tuple[float, float]]], count: int) -> None:
    print(f"\n{count} drawn chest CTs, DICOM files to an epoch of DenseNet121: samples per second, per CPU second")
    for name, epochs in taken.items():
        later = [statistics.median(times) for times in zip(*epochs[1:], strict=True)]
        first, rest = ([count / seconds for seconds in one] for one in (epochs[0], later))
        print(f"  {name:20} first epoch {first[0]:6.2f} {first[1]:6.2f}   later ones {rest[0]:6.2f} {rest[1]:6.2f}")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--steps", type=int, default=40, help="of an epoch; in shorter ones batch norms settle")
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--only", default="flat,solid,series")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    wanted = options.only.split(",")
    print(f"{options.threads} threads; {options.steps} steps an epoch")
    if "flat" in wanted:
        loops("64 x 64, batches of 16", *flat(options.steps), options)
    if "solid" in wanted:
        loops("48 x 48 x 48, batches of 4", *solid(options.steps), options)
    if "series" in wanted:
        with tempfile.TemporaryDirectory(prefix="medflow-bench-") as name:
            series(Path(name), options.subjects)


if __name__ == "__main__":
    main()
