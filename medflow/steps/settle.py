"""What an exception means: the one place that decides."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import medflow
from medflow.errors import BatchError, Reason, SeriesError

T = TypeVar("T")

FEW = 3
SHARE = 0.01


@dataclass(slots=True)
class Settler:
    """Runs the work on one series after another and tells refusals, bugs and stops apart.

    A SeriesError is handed back: the series is turned away, on the record. A BatchError goes on and stops the run.
    Anything else is a bug: it becomes `unexpected-error` with its type and our own frames, without its message,
    which may quote a header. More than three of those that are more than one in a hundred stop the run.
    """

    tried: int = 0
    unexpected: int = 0

    def settle(self, work: Callable[[], T]) -> T | SeriesError:
        """Do `work` and give back what it made, or why it was turned away.

        Raises:
            BatchError: the run must stop.
        """
        self.tried += 1
        try:
            return work()
        except BatchError:
            raise
        except Exception as error:  # noqa: BLE001  (law 6: a bug costs one series, not the night)
            refusal = _refusal(error)
            if refusal is not None:
                return refusal
            self.unexpected += 1
            turned_away = SeriesError(Reason.UNEXPECTED_ERROR, _where(error))
            if self.unexpected > FEW and self.unexpected > SHARE * self.tried:
                raise BatchError(
                    f"{self.unexpected} of {self.tried} series failed in a way nobody foresaw; "
                    f"the last at {turned_away.detail}"
                ) from None
            return turned_away


def _refusal(error: BaseException) -> SeriesError | None:
    """Find the refusal in what a library may have wrapped around it (MONAI's Compose does)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SeriesError):
            return seen
        seen = seen.__cause__
    return None


def _where(error: BaseException) -> str:
    """Name the error's type and the frames of ours that it passed through: no message, no path."""
    root = Path(medflow.__file__).parent
    frames = [
        f"{Path(frame.filename).relative_to(root.parent).with_suffix('').as_posix()}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root)
    ]
    return f"{type(error).__name__} at {' > '.join(frames[-3:]) or 'no frame of ours'}"
