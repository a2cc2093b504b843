"""A network's answer for one example: batch 1, fixed threads, no chance, so that the same input gives the same bits."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medflow.domain.prediction import Runtime
from medflow.errors import Reason, SeriesError
from medflow.learning import heads
from medflow.learning.bundle import Bundle
from medflow.learning.machine import device_of, fixed_threads, runtime_of
from medflow.learning.networks import build
from medflow.learning.tensors import logits_of, tensor_of


class Scorer:
    """A loaded model, ready to score. `threads` None takes the number that the bundle was measured with."""

    def __init__(self, bundle: Bundle, *, device: str | None = None, threads: int | None = None) -> None:
        task = bundle.task
        self._rule, self._grid = task.labels, task.grid
        self._calibration, self._flat = bundle.calibration, bundle.flat
        self._device = device_of(device)
        self._threads = threads or bundle.threads
        self._network = build(task.network, heads.width(task.labels), task.grid.shape, channels=task.channels)
        self._network.load_state_dict(dict(bundle.weights), strict=True)
        self._network.to(self._device).eval()
        self._dtype = bundle.precision

    @property
    def runtime(self) -> Runtime:
        """What the bits of its answers depend on beside code and weights."""
        return runtime_of(self._device, threads=self._threads, batch=1, dtype=self._dtype)

    @property
    def network(self) -> nn.Module:
        """The network with its weights, on its device."""
        return self._network

    def logits(self, voxels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the logits of one example, as float64. `voxels` lie on the grid.

        Raises:
            SeriesError: a voxel, or what the network makes of them, is no number.
            ValueError: the voxels are not on the task's grid.
        """
        if voxels.shape != self._grid.example_shape:
            raise ValueError(f"the network looks at {self._grid.example_shape} voxels, not at {voxels.shape}")
        if not np.isfinite(voxels).all():
            raise SeriesError(Reason.NON_FINITE_VOXELS)
        with fixed_threads(self._threads):
            logits = logits_of(self._network, tensor_of(voxels).to(self._device))
        if not np.isfinite(logits).all():
            raise SeriesError(Reason.NON_FINITE_VOXELS, "logits")
        return logits

    def probabilities(self, voxels: NDArray[np.float32]) -> tuple[float, ...]:
        """Give the calibrated probability of each output, in the task's order; raises what `logits` does.

        Those of exclusive and of ordered classes sum to one.
        """
        logits = self.logits(voxels)
        if self._flat:  # torch's softmax and scipy's differ in the last bit: what such a model said is said again
            found = torch.softmax(torch.from_numpy(logits), dim=0).numpy()
        else:
            found = heads.probabilities(self._rule, logits[None], self._calibration.temperature)[0]
        return tuple(float(value) for value in found)

    def answer(self, probabilities: tuple[float, ...]) -> str:
        """Say in a label what probabilities mean."""
        return self._calibration.answer(self._rule, probabilities)
