"""A training that torchrun's processes share: `torchrun ... -m tests.learning.shared FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from medflow.learning.ranks import joined
from medflow.learning.train import train
from tests.learning.made import PLAIN, plain_task, samples, small_task

WHOLE = replace(PLAIN, options=(("init_features", 4), ("dropout_prob", 0.0)))
TASKS = {
    "plain": replace(plain_task(accumulate=2, clip=1.0, ema=0.9, epochs=2), network=WHOLE),
    "norms": small_task(epochs=2, optimizer="sgd", learning_rate=0.001, batch_size=8),
}
"""Without dropout, which each rank draws for itself; and with the gradients themselves, not their signs, as steps."""


def main(folder: Path) -> None:
    """Train each of them, alone or as one of several, and write what came out."""
    with joined(torch.device("cpu")) as ranks:
        for name, task in TASKS.items():
            found = train(task, samples(24), threads=1, device="cpu", ranks=ranks)
            losses = torch.tensor([[one.training_loss, one.validation_loss] for one in found.history])
            torch.save({"weights": found.weights, "losses": losses}, folder / f"{name}-{ranks.rank}-{ranks.world}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
