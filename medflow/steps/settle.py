"""What an exception means: the one place that decides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from medflow.dicom.scan import Scan
from medflow.errors import BatchError, Reason, SeriesError, came_from

T = TypeVar("T")


class Elsewhere(Exception):
    """A bug that another process of ours met: where it stood there, as `came_from` would say it."""


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
            where = str(error) if isinstance(error, Elsewhere) else came_from(error)
            turned_away = SeriesError(Reason.UNEXPECTED_ERROR, where)
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


def check_scan(scan: Scan) -> None:
    """Let a few files that could not be read for reasons nobody foresaw be set aside, and no more.

    Raises:
        BatchError: the run must stop.
    """
    unexpected = [aside for aside in scan.set_aside if aside.reason is Reason.UNEXPECTED_ERROR]
    if len(unexpected) > FEW and len(unexpected) > SHARE * (scan.seen + scan.members):
        raise BatchError(
            f"{len(unexpected)} files could not be read in a way nobody foresaw; the last at {unexpected[-1].detail}"
        )
