"""Chance that falls the same on every machine, with every version of numpy.

Only the raw bits of the Philox counter generator are used (its output is fixed by its algorithm, whereas numpy's
distributions may change between releases), and what is made of them uses only operations that IEEE 754 rounds
correctly: + - * / and square root. So no stored pixel depends on a mathematical library.
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

_SIXTEEN_BITS = np.uint64(0xFFFF)
_MEAN_OF_FOUR = 4 * 65535 / 2
_SD_OF_FOUR = math.sqrt(4 * (65536**2 - 1) / 12)


class Chance:
    """A stream of numbers that depends on its name alone, for instance `Chance("chest-ct", 7, "anatomy")`."""

    def __init__(self, *name: str | int) -> None:
        seed = hashlib.sha256("/".join(map(str, name)).encode("ascii")).digest()
        self._bits = np.random.Philox(key=int.from_bytes(seed[:16], "big"))

    def uniform(self, low: float, high: float) -> float:
        """Draw from [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) / 2**53)

    def below(self, count: int) -> int:
        """Draw one of 0 .. count - 1."""
        return int(self.uniform(0, count))

    def coin(self) -> bool:
        """Draw heads or tails."""
        return self.below(2) == 1

    def shuffled(self, count: int) -> list[int]:
        """Draw an order of 0 .. count - 1."""
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def noise(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Draw bell-shaped noise of mean 0 and deviation 1: the sum of four 16-bit numbers per voxel."""
        bits = np.asarray(self._bits.random_raw(math.prod(shape)), np.uint64).reshape(shape)
        total = np.zeros(shape, np.int64)
        for shift in (0, 16, 32, 48):
            total += ((bits >> np.uint64(shift)) & _SIXTEEN_BITS).astype(np.int64)
        bell: NDArray[np.float64] = (total.astype(np.float64) - _MEAN_OF_FOUR) / np.float64(_SD_OF_FOUR)
        return bell
