"""Where a training stands, on disk: a file that is there whole or not at all, and is loaded as plain tensors."""

import hashlib
import io
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medflow.domain import durable
from medflow.errors import BatchError

FILE = "checkpoint.pt"
MARK = b"medflow checkpoint 1\n"
COST = 0.03
"""Share of the time that writing may take: a file is synced to the disk, and an epoch may be shorter than that."""
PATIENCE = 60.0
"""Seconds within a long epoch after which it is worth writing."""
DAMAGES = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError)
BEGIN_ANEW = "train without --resume to begin anew"


@dataclass(slots=True, kw_only=True)
class Checkpoints:
    """The newest state of one training, in a folder of its own."""

    folder: Path
    about: Mapping[str, Any]
    """What the state is a state of, as plain values by name: another one's is not gone on with."""
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _last: float = field(init=False)
    _spent: float = field(init=False, default=0.0)
    _written: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._began = self._last = self.clock()

    def due(self, *, within: bool) -> bool:
        """Tell whether it is time to write; `within` an epoch only after a while.

        At an epoch's end it is, unless writing has come to cost more than its share of the time.
        """
        now = self.clock()
        if within and now - self._last < PATIENCE:
            return False
        another = self._spent / max(1, self._written)
        return self._spent + another <= COST * (now - self._began) or not self._written

    def save(self, state: dict[str, Any]) -> None:
        """Write a state in place of the one before: written beside, synced, renamed."""
        started = self.clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        torch.save(state | {"about": dict(self.about)}, stream)
        content = stream.getvalue()
        beside = self.folder / f".{FILE}"
        durable.write(beside, MARK + hashlib.sha256(content).digest() + content)
        beside.replace(self.folder / FILE)
        durable.flush(self.folder)
        self._last = self.clock()
        self._spent, self._written = self._spent + self._last - started, self._written + 1

    def load(self) -> dict[str, Any] | None:
        """Read the newest state; None where there is none.

        Raises:
            BatchError: it is damaged, or the state of another training.
        """
        try:
            content = (self.folder / FILE).read_bytes()
        except FileNotFoundError:
            return None
        start = len(MARK) + hashlib.sha256().digest_size
        said, payload = content[len(MARK) : start], content[start:]
        if not content.startswith(MARK) or hashlib.sha256(payload).digest() != said:
            raise BatchError(f"the checkpoint of this training is damaged; {BEGIN_ANEW}")
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            about = dict(state["about"])
        except DAMAGES:
            raise BatchError(f"the checkpoint of this training is damaged; {BEGIN_ANEW}") from None
        if other := sorted(
            name for name in self.about.keys() | about.keys() if self.about.get(name) != about.get(name)
        ):
            raise BatchError(f"the checkpoint is of a training with other {' and '.join(other)}; {BEGIN_ANEW}")
        return state


def forget(folder: Path) -> None:
    """Take the state out of a training's folder; its figures stay."""
    for name in (FILE, f".{FILE}"):
        (folder / name).unlink(missing_ok=True)
