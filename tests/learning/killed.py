"""Trainings that are killed, and go on: each in a process of its own, forked from one that has imported it all.

`python -m tests.learning.killed FOLDER` prints a line for each: when it was killed, at which step it went on, and a
digest of its weights and history. The first line is of a training that nobody killed.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from medflow.learning import checkpoints
from medflow.learning.live import SilentLive
from medflow.learning.train import train
from medflow.learning.trained import Trained
from tests.learning.made import plain_task, samples, small_task

TASKS = {
    "plain": plain_task(accumulate=2, ema=0.9, clip=1.0, warmup=1, rotate=10.0, patience=3),
    "norms": small_task(epochs=2),
}
MOMENTS = {
    "plain": [("step", 1), ("step", 4), ("step", 6), ("open", 3), ("open", 5), ("os.rename", 2), ("os.rename", 6)],
    "norms": [("step", 4)],
}
"""After a step; as a checkpoint's file is opened; and before it is renamed: the number of each in a training."""


class Deadly(SilentLive):
    """Kills the process after so many steps."""

    def __init__(self, lives: int) -> None:
        self.lives = lives

    def step(self, **_: Any) -> None:  # noqa: ANN401
        """Count down."""
        self.lives -= 1
        if self.lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at(event: str, number: int, folder: Path) -> None:
    """Die before the change to the folder's checkpoint that comes as number `number`."""
    seen = count(1)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        changes = name == event and str(arguments[0]) == str(folder / f".{checkpoints.FILE}")
        if changes and next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_child(work: Callable[[], None]) -> bool:
    """Do it in a child; True where it lived to the end."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a training failed by itself")
    return os.WIFEXITED(status)


def digest_of(trained: Trained) -> str:
    """Name what came out of a training."""
    found = hashlib.sha256(repr((trained.history, trained.best_epoch)).encode())
    for name in sorted(trained.weights):
        found.update(trained.weights[name].numpy().tobytes())
    return found.hexdigest()


def main(folder: Path) -> None:
    """Kill and go on."""
    checkpoints.PATIENCE, checkpoints.COST = 0.0, 1e9  # every step is written
    for name, task in TASKS.items():

        def trained(where: Path, **others: Any) -> Trained:  # noqa: ANN401
            return train(task, samples(24), threads=1, device="cpu", folder=where, **others)  # noqa: B023

        def told(where: Path, moment: tuple[str, int] | None) -> None:
            result = trained(where, resume=moment is not None)
            line = {"task": name, "moment": moment, "from": result.resumed_from, "digest": digest_of(result)}  # noqa: B023
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

        in_child(lambda: told(folder / name, None))  # noqa: B023
        for moment in MOMENTS[name]:
            where = folder / f"{name}-{moment[0]}-{moment[1]}"

            def killed(where: Path = where, moment: tuple[str, int] = moment) -> None:
                if moment[0] != "step":
                    kill_at(*moment, where)
                trained(where, live=Deadly(moment[1] if moment[0] == "step" else 0))

            if in_child(killed):
                sys.exit("a training outlived its end")
            in_child(lambda: told(where, moment))  # noqa: B023


if __name__ == "__main__":
    main(Path(sys.argv[1]))
