"""A network's answer for one example: batch 1, fixed threads, no chance, so that the same input gives the same bits."""

import numpy as np
from numpy.typing import NDArray

from medflow.domain.prediction import Runtime
from medflow.errors import Reason, SeriesError
from medflow.learning.bundle import Bundle
from medflow.learning.machine import device_of, fixed_threads, runtime_of
from medflow.learning.networks import build
from medflow.learning.tensors import answered, tensor_of


class Scorer:
    """A loaded model, ready to score. `threads` None takes the number that the bundle was measured with."""

    def __init__(self, bundle: Bundle, *, device: str | None = None, threads: int | None = None) -> None:
        task = bundle.task
        self._grid = task.grid
        self._device = device_of(device)
        self._threads = threads or bundle.threads
        self._network = build(task.network, len(task.labels.classes), task.grid.shape, channels=task.channels)
        self._network.load_state_dict(dict(bundle.weights), strict=True)
        self._network.to(self._device).eval()
        self._dtype = bundle.precision

    @property
    def runtime(self) -> Runtime:
        """What the bits of its answers depend on beside code and weights."""
        return runtime_of(self._device, threads=self._threads, batch=1, dtype=self._dtype)

    def probabilities(self, voxels: NDArray[np.float32]) -> tuple[float, ...]:
        """Give the probability of each class, in the task's order; they sum to one. `voxels` lie on the grid.

        Raises:
            SeriesError: a voxel, or what the network makes of them, is no number.
            ValueError: the voxels are not on the task's grid.
        """
        if voxels.shape != self._grid.example_shape:
            raise ValueError(f"the network looks at {self._grid.example_shape} voxels, not at {voxels.shape}")
        if not np.isfinite(voxels).all():
            raise SeriesError(Reason.NON_FINITE_VOXELS)
        with fixed_threads(self._threads):
            answer = answered(self._network, tensor_of(voxels).to(self._device))
        if not np.isfinite(answer).all():
            raise SeriesError(Reason.NON_FINITE_VOXELS, "logits")
        return tuple(float(value) for value in answer)
