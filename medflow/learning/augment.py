"""What training does to a batch so that the network learns the finding and not the picture."""

import torch

from medflow.domain.task import Schedule

AXES = "ijk"


def augmented(batch: torch.Tensor, schedule: Schedule, outside: float, chance: torch.Generator) -> torch.Tensor:
    """Mirror, move and add noise to each example of (batch, channel, i, j[, k]), by the schedule and `chance` alone.

    What a move uncovers becomes `outside`, the scaled value of the grid's padding.
    """
    moved = torch.stack([_moved(example, schedule, outside, chance) for example in batch])
    if schedule.noise > 0:
        moved += schedule.noise * torch.randn(moved.shape, generator=chance)
    return moved


def _moved(example: torch.Tensor, schedule: Schedule, outside: float, chance: torch.Generator) -> torch.Tensor:
    axes = range(1, example.ndim)
    mirrored = [axis for axis in axes if AXES[axis - 1] in schedule.flips and _draw(2, chance)]
    if mirrored:
        example = example.flip(mirrored)
    if schedule.shift == 0:
        return example
    canvas = torch.full_like(example, outside)
    onto, source = [slice(None)], [slice(None)]
    for axis in axes:
        step, size = _draw(2 * schedule.shift + 1, chance) - schedule.shift, example.shape[axis]
        onto.append(slice(max(0, step), size + min(0, step)))
        source.append(slice(max(0, -step), size - max(0, step)))
    canvas[tuple(onto)] = example[tuple(source)]
    return canvas


def _draw(below: int, chance: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=chance))
