"""What goes into training and what comes out of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medflow.domain.prediction import Runtime
from medflow.domain.task import Part
from medflow.learning.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One example of a cohort: whose it is, its class, its part, and its voxels on the task's grid."""

    patient: str
    label: str
    part: Part
    voxels: NDArray[np.float32]
    """(i, j, k), or (channel, i, j, 1) of a planar image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Mean losses of one pass over the training part; the validation loss is taken after it."""

    number: int
    training_loss: float
    validation_loss: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """The weights of the epoch with the best validation loss, and how they came about."""

    weights: dict[str, torch.Tensor]
    history: tuple[Epoch, ...]
    best_epoch: int
    precision: Precision
    """What training computed in; inference is always float32."""
    metrics: dict[str, Any]
    """By part: what `metrics.measured` writes."""
    runtime: Runtime
