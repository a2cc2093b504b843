"""Voxels into a network, logits out of it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def tensor_of(voxels: NDArray[np.float32]) -> torch.Tensor:
    """Make an example (channel, i, j, k) of voxels (i, j, k); of a single slice (channel, i, j).

    Of a planar image (channel, i, j, 1), the shape that its grid gives it, make (channel, i, j).

    The voxels are copied: a cached array is memory-mapped and read-only, which torch does not know.
    """
    if voxels.ndim == 4:  # noqa: PLR2004
        return torch.from_numpy(np.array(voxels[..., 0], np.float32, order="C"))
    flat = voxels[:, :, 0] if voxels.shape[2] == 1 else voxels
    return torch.from_numpy(np.array(flat, np.float32, order="C"))[None]


@torch.inference_mode()
def logits_of(network: nn.Module, example: torch.Tensor) -> NDArray[np.float64]:
    """Give the logits of one example (channel, i, j[, k]): a batch of one, as float64."""
    return np.asarray(network(example[None])[0].double().cpu().numpy(), np.float64)
