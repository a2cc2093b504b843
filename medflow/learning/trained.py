"""What goes into training and what comes out of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medflow.domain.calibration import Calibration
from medflow.domain.prediction import Runtime
from medflow.domain.task import Part
from medflow.learning.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One example of a cohort: whose it is, its label, its part, and its voxels on the task's grid."""

    patient: str
    label: str
    """As `LabelRule.truth` reads it."""
    part: Part
    voxels: NDArray[np.float32]
    """(i, j, k), or (channel, i, j, 1) of a planar image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Mean losses of one pass over the training part; that of the select part is taken after it."""

    number: int
    training_loss: float
    validation_loss: float
    watched: float
    """What the schedule watches on the select part."""
    rate: float
    """The last step's learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """The weights of the best epoch on the select part, what was found on the calibrate part, and how it came about."""

    weights: dict[str, torch.Tensor]
    history: tuple[Epoch, ...]
    best_epoch: int
    precision: Precision
    """What training computed in; inference is always float32."""
    metrics: dict[str, Any]
    """Of the parts select and calibrate: what `metrics.measured` writes. The test part is never looked at."""
    runtime: Runtime
    calibration: Calibration
    pretrained: dict[str, Any] | None
    """What matched of a file of weights; None where training began from chance."""
    resumed_from: int | None
    """Steps that an interrupted training had done; None where it was not interrupted."""
