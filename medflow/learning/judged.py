"""A model speaks on each example of a part, and shows what it looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medflow.domain.cohort import Member
from medflow.domain.progress import Progress
from medflow.domain.task import Task
from medflow.domain.volume import Grid
from medflow.errors import BatchError, SeriesError
from medflow.learning.bundle import Bundle
from medflow.learning.cases import Case, picture
from medflow.learning.heads import probabilities
from medflow.learning.heatmaps import heat, logit_of
from medflow.learning.predicted import Predicted
from medflow.learning.score import Scorer
from medflow.learning.tensors import tensor_of

Arrays = Mapping[str, NDArray[np.float32]]
"""Voxels on the grid, by series id."""


def scored(
    bundle: Bundle, scorer: Scorer, members: Sequence[Member], arrays: Arrays, *, progress: Progress, fold: str = ""
) -> tuple[Predicted, ...]:
    """Let a model speak on each of some members.

    Raises:
        BatchError: it gives no finite number for one.
    """
    rule, calibration = bundle.task.labels, bundle.calibration
    said = []
    for member in members:
        try:
            logits = scorer.logits(arrays[member.series_id])
        except SeriesError as fault:
            raise BatchError(f"an example cannot be scored, so that nothing was measured: {fault}") from None
        likely = tuple(map(float, probabilities(rule, logits[None], calibration.temperature)[0]))
        said.append(
            Predicted(
                member=member,
                logits=tuple(map(float, logits)),
                probabilities=likely,
                answer=calibration.answer(rule, likely),
                candidates=calibration.candidates(rule, likely),
                fold=fold,
            )
        )
        progress.advance()
    return tuple(said)


def pictured(task: Task, scorer: Scorer, voxels: NDArray[np.float32], case: Case) -> bytes:
    """Draw what the network looked at for the output of a case."""
    warmth = heat(scorer.network, task.network, tensor_of(voxels), logit_of(task.labels, case.output))
    return picture(voxels, warmth, axes=task.grid.axes if isinstance(task.grid, Grid) else None)
