"""What training does to an example so that the network learns the finding and not the picture.

Each example is changed by itself, from a seed of its own: what becomes of it depends on the schedule, its key and its
voxels, and on nothing that stands beside it in a batch. The order is that in which an image comes about: how the
patient lies (mirroring; then turning, scaling and moving in one interpolation), what the scanner covers (a blanked
border), how it receives (bias field), how it shows (power, contrast), and noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.networks.layers import AffineTransform
from numpy.typing import NDArray

from medflow.domain.task import Task
from medflow.domain.volume import Intensity

AXES = "ijk"
DEGREE = 3
"""Of the polynomial in a bias field: MONAI's."""

Key = tuple[int, ...]
"""What an example's seed is made of beside the schedule's: the epoch, and its place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What chance decided for one example; what is not there is not done."""

    mirrored: tuple[int, ...] = ()
    """Dimensions of (channel, i, j[, k])."""
    shift: tuple[int, ...] = ()
    """Voxels along each axis."""
    turn: tuple[float, ...] = ()
    """Radians: about each axis of a volume, in the plane of a picture."""
    zoom: float = 1.0
    blank: tuple[tuple[int, int], ...] = ()
    """Voxels to blank at the beginning and the end of each axis."""
    field: tuple[float, ...] = ()
    """Coefficients of the bias field."""
    power: float = 1.0
    stretch: float = 1.0
    noise: int | None = None
    """Seed of the noise."""

    @property
    def interpolates(self) -> bool:
        """Tell whether more moves than whole voxels can."""
        return any(self.turn) or self.zoom != 1.0


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A task's augmentation: what it draws, and what it does with it."""

    task: Task
    axes: int = field(init=False)
    """Axes of an example: three of a volume, two of a slice or a planar image."""
    spacing: tuple[float, ...] = field(init=False)
    """mm; of a grid that has none, its pixels are taken for squares."""

    def __post_init__(self) -> None:
        shape = self.task.grid.shape
        axes = 2 if shape[2:] in ((), (1,)) else 3
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "spacing", (self.task.grid.spacing or (1.0,) * 3)[:axes])

    @property
    def idle(self) -> bool:
        """Tell whether the schedule names nothing: examples then pass as they are."""
        plan = self.task.schedule
        amounts = (
            plan.shift,
            plan.noise,
            plan.rotate,
            plan.zoom,
            plan.crop,
            plan.bias_field,
            plan.gamma,
            plan.contrast,
        )
        return not plan.flips and not any(amounts)

    def __call__(self, inputs: torch.Tensor, keys: Sequence[Key]) -> torch.Tensor:
        """Change each example of (n, channel, i, j[, k]) as its key draws; the inputs stay as they are."""
        if self.idle:
            return inputs
        return torch.stack([self.done(one, self.drawn(key)) for one, key in zip(inputs, keys, strict=True)])

    def drawn(self, key: Key) -> Drawn:
        """Draw what becomes of an example. What the schedule does not name takes no draw."""
        plan, axes = self.task.schedule, self.axes
        chance = np.random.default_rng((plan.seed, *key))
        mirrored = tuple(axis for axis in range(axes) if AXES[axis] in plan.flips and chance.integers(2))
        return Drawn(
            mirrored=tuple(axis + 1 for axis in mirrored),
            shift=_whole(chance.integers(-plan.shift, plan.shift + 1, axes)) if plan.shift else (),
            turn=_real(chance.uniform(-1, 1, axes if axes > 2 else 1) * math.radians(plan.rotate))  # noqa: PLR2004
            if plan.rotate
            else (),
            zoom=_around_one(plan.zoom, chance),
            blank=tuple((int(low), int(high)) for low, high in chance.integers(0, plan.crop + 1, (axes, 2)))
            if plan.crop
            else (),
            field=_real(chance.uniform(-1, 1, math.comb(DEGREE + axes, axes)) * plan.bias_field)
            if plan.bias_field
            else (),
            power=_around_one(plan.gamma, chance),
            stretch=_around_one(plan.contrast, chance),
            noise=int(chance.integers(2**63)) if plan.noise else None,
        )

    def done(self, example: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        """Change one example (channel, i, j[, k]) as it was drawn."""
        outside = self._outside(example)
        if drawn.mirrored:
            example = example.flip(drawn.mirrored)
        if drawn.interpolates:
            example = self._turned(example, drawn, outside)
        elif any(drawn.shift):
            example = _shifted(example, drawn.shift, outside)
        if any(map(any, drawn.blank)):
            example = _blanked(example, drawn.blank, outside)
        example = self._shown(example, drawn)
        if drawn.noise is not None:
            chance = torch.Generator(example.device).manual_seed(drawn.noise)
            added = torch.randn(example.shape, generator=chance, device=example.device)
            example = example + self.task.schedule.noise * added
        return example

    @property
    def _bounded(self) -> bool:
        """Tell whether the grid's numbers lie from 0 to 1."""
        return self.task.grid.intensity is not Intensity.ZSCORE

    def _outside(self, example: torch.Tensor) -> float | torch.Tensor:
        """Give the scaled value of the grid's padding; in z-scores that is the example's own least number."""
        grid = self.task.grid
        if grid.intensity is Intensity.ZSCORE:
            return example.min()
        if grid.window is None:
            return grid.padding
        low, high = grid.window
        return min(1.0, max(0.0, (grid.padding - low) / (high - low)))

    def _turned(self, example: torch.Tensor, drawn: Drawn, outside: float | torch.Tensor) -> torch.Tensor:
        """Turn and scale about the middle and move, in one linear interpolation, as MONAI's AffineTransform does.

        Turning is rigid in millimetres, whatever the voxels' shape.
        """
        size, middle = np.diag(self.spacing), (np.array(example.shape[1:]) - 1) / 2
        pull = np.eye(self.axes + 1)
        pull[:-1, :-1] = np.linalg.inv(size) @ _turn(drawn.turn, self.axes).T @ size / drawn.zoom
        pull[:-1, -1] = middle - pull[:-1, :-1] @ (middle + np.array(drawn.shift or (0,) * self.axes))
        sampler = AffineTransform(padding_mode="zeros", align_corners=True)
        matrix = torch.from_numpy(pull).to(example)
        moved: torch.Tensor = sampler((example - outside)[None], matrix)[0] + outside
        return moved

    def _shown(self, example: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        """Change how intensities come out: bias field, power, contrast.

        Numbers from 0 to 1 are multiplied and raised as they are, and stay from 0 to 1. z-scores have no zero that
        means no signal: their least number stands for it, and for the power their span for one, as in MONAI's
        AdjustContrast.
        """
        if not drawn.field and drawn.power == 1.0 and drawn.stretch == 1.0:
            return example
        if self._bounded:
            return _signal(example, drawn).clamp(0, 1)
        low = example.min()
        span = (example.max() - low).clamp_min(torch.finfo(example.dtype).tiny)
        return _signal((example - low) / span, drawn) * span + low


def bias_field(coefficients: Sequence[float], shape: Sequence[int]) -> torch.Tensor:
    """Give exp of a polynomial of degree 3 over (i, j[, k]): products of Legendre polynomials of -1 to 1 on each axis.

    It is the field of MONAI's RandBiasField, after Van Leemput et al., IEEE Transactions on Medical Imaging 1999; in
    two dimensions too it has every product up to the degree, where MONAI's has none that changes along j alone.
    """
    axes = len(shape)
    degrees = np.indices((DEGREE + 1,) * axes).reshape(axes, -1).T
    cube = np.zeros((DEGREE + 1,) * axes)
    cube[tuple(degrees[degrees.sum(axis=1) <= DEGREE].T)] = coefficients
    surface = torch.from_numpy(cube)
    for size in shape:  # each pass turns the first axis, of degrees, into the last one, of places
        values = np.polynomial.legendre.legvander(np.linspace(-1, 1, size), DEGREE)
        surface = torch.tensordot(surface, torch.from_numpy(values), dims=([0], [1]))
    return surface.exp()


def _signal(signal: torch.Tensor, drawn: Drawn) -> torch.Tensor:
    if drawn.field:
        signal = signal * bias_field(drawn.field, tuple(signal.shape[1:])).to(signal)
    if drawn.power != 1.0:
        signal = signal.clamp_min(0) ** drawn.power
    if drawn.stretch != 1.0:
        middle = signal.mean()
        signal = middle + (signal - middle) * drawn.stretch
    return signal


def _turn(angles: Sequence[float], axes: int) -> NDArray[np.float64]:
    """Give the rotation matrix: about i, then j, then k; of a picture, in its plane."""
    planes = [(1, 2), (2, 0), (0, 1)] if axes > 2 else [(0, 1)]  # noqa: PLR2004
    matrix = np.eye(axes)
    for angle, (first, second) in zip(angles, planes, strict=False):
        turn = np.eye(axes)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[second, first], turn[first, second] = math.sin(angle), -math.sin(angle)
        matrix = turn @ matrix
    return matrix


def _shifted(example: torch.Tensor, shift: Sequence[int], outside: float | torch.Tensor) -> torch.Tensor:
    """Move by whole voxels: an exact copy."""
    canvas = torch.empty_like(example).copy_(torch.as_tensor(outside))
    onto, source = [slice(None)], [slice(None)]
    for step, size in zip(shift, example.shape[1:], strict=True):
        onto.append(slice(max(0, step), size + min(0, step)))
        source.append(slice(max(0, -step), size - max(0, step)))
    canvas[tuple(onto)] = example[tuple(source)]
    return canvas


def _blanked(example: torch.Tensor, margins: Sequence[tuple[int, int]], outside: float | torch.Tensor) -> torch.Tensor:
    canvas = torch.empty_like(example).copy_(torch.as_tensor(outside))
    sides = zip(margins, example.shape[1:], strict=True)
    inner = (slice(None), *(slice(low, size - high) for (low, high), size in sides))
    canvas[inner] = example[inner]
    return canvas


def _around_one(reach: float, chance: np.random.Generator) -> float:
    return float(1 + chance.uniform(-reach, reach)) if reach else 1.0


def _whole(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _real(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
