"""Figures of a training while it runs: a line of JSON each, and TensorBoard or MLflow where they are asked for.

Only numbers are taken, under the names that the loop gives them: nothing here can name a patient or a path.
"""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from medflow.errors import ConfigurationError

FILE = "metrics.jsonl"
DATABASE = "mlflow.db"
TRACKERS = ("tensorboard", "mlflow")

Figure = float | int | bool | None
Figures = Mapping[str, "Figure | Figures"]


class Live(Protocol):
    """Somewhere that figures go while training runs."""

    def step(self, **values: Any) -> None:  # noqa: ANN401
        """Say what a step came to: `epoch`, `step`, and numbers, or mappings of numbers."""

    def epoch(self, **values: Any) -> None:  # noqa: ANN401
        """Say what an epoch came to: `epoch`, and numbers, or mappings of numbers."""

    def close(self) -> None:
        """Write what is not yet written."""


class SilentLive:
    """Says nothing."""

    def step(self, **values: Any) -> None:  # noqa: ANN401
        """Say nothing."""

    def epoch(self, **values: Any) -> None:  # noqa: ANN401
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


SILENT_LIVE = SilentLive()


def opened(folder: Path, trackers: Sequence[str] = (), *, clock: Callable[[], float] = time.monotonic) -> "MetricsFile":
    """Write to `folder`/metrics.jsonl, and to the trackers named: tensorboard, mlflow.

    A training that goes on continues the file: lines of steps and epochs that are written anew are dropped first.
    TensorBoard's events lie in `folder`/tensorboard. MLflow's lie in `folder`/mlflow.db, unless MLFLOW_TRACKING_URI
    says where the house keeps them; MLflow reads that itself.

    Raises:
        ConfigurationError: a tracker is unknown, or is not installed.
    """
    if unknown := [name for name in trackers if name not in TRACKERS]:
        raise ConfigurationError(f"no tracker is called {unknown[0]}; known are {', '.join(TRACKERS)}")
    folder.mkdir(parents=True, exist_ok=True)
    opening: dict[str, Callable[[Path], _Tracker]] = {"tensorboard": _TensorBoard, "mlflow": _MLflow}
    return MetricsFile(folder / FILE, [opening[name](folder) for name in dict.fromkeys(trackers)], clock)


class MetricsFile:
    """A file of one JSON object a line: `kind` (step or epoch), `epoch`, `step`, `seconds`, and figures."""

    def __init__(self, path: Path, trackers: Sequence["_Tracker"], clock: Callable[[], float]) -> None:
        self._path, self._trackers, self._clock = path, trackers, clock
        self._began = clock()
        self._stream: IO[str] | None = None
        self._steps = 0

    def step(self, **values: Any) -> None:  # noqa: ANN401
        """Write what a step came to; the first line of all decides what of an older file still holds."""
        self._write("step", (values["epoch"], values["step"]), values)

    def epoch(self, **values: Any) -> None:  # noqa: ANN401
        """Write what an epoch came to."""
        self._write("epoch", (values["epoch"], math.inf), values)

    def close(self) -> None:
        """Close the file and the trackers."""
        if self._stream is not None:
            self._stream.close()
            for tracker in self._trackers:
                tracker.close()

    def _write(self, kind: str, place: tuple[float, float], values: Figures) -> None:
        figures = {name: _numbers(name, value) for name, value in values.items()}
        stream = self._stream or self._begun(place)
        seconds = round(self._clock() - self._began, 3)
        stream.write(json.dumps({"kind": kind, **figures, "seconds": seconds}, allow_nan=False) + "\n")
        stream.flush()
        self._steps += kind == "step"
        at = self._steps if kind == "step" else int(place[0])
        flat = {name: value for name, value in _flat(kind, values) if name not in {f"{kind}/epoch", f"{kind}/step"}}
        for tracker in self._trackers:
            tracker.write(flat, at)

    def _begun(self, place: tuple[float, float]) -> IO[str]:
        """Keep the older lines that stand before `place`, in one move, and open the file to append."""
        kept = [line for line in _lines(self._path) if _place(line) < place]
        beside = self._path.with_suffix(".new")
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept), "ascii")
        beside.replace(self._path)
        self._steps = sum(line["kind"] == "step" for line in kept)
        self._began -= max((line["seconds"] for line in kept), default=0.0)
        for tracker in self._trackers:
            tracker.begin(self._steps, goes_on=bool(kept))
        self._stream = self._path.open("a", encoding="ascii")
        return self._stream


class _Tracker(Protocol):
    """A program that shows figures."""

    def begin(self, steps: int, *, goes_on: bool) -> None:
        """Begin, or go on after so many steps."""

    def write(self, figures: Mapping[str, float], at: int) -> None:
        """Take figures of a step, counted over the whole training, or of an epoch."""

    def close(self) -> None:
        """End."""


class _TensorBoard:
    """TensorBoard's event files."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (an extra)
        except ImportError:
            raise _absent("tensorboard") from None
        self._folder, self._made = folder / "tensorboard", SummaryWriter

    def begin(self, steps: int, *, goes_on: bool) -> None:
        """Hide what an earlier run wrote of later steps."""
        self._writer = self._made(str(self._folder), purge_step=steps + 1 if goes_on else 0)

    def write(self, figures: Mapping[str, float], at: int) -> None:
        """Add scalars."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, at)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class _MLflow:
    """A run in MLflow's experiment `medflow`: made by the client, which adds no tag of user, script or revision."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it reports its use to its makers, from import on
        try:
            import mlflow  # noqa: PLC0415  (an extra)
        except ImportError:
            raise _absent("mlflow") from None
        self._note, self._fault = folder / "mlflow.run", mlflow.exceptions.MlflowException
        ours = not mlflow.is_tracking_uri_set()
        self._artifacts = (folder / "mlflow").absolute().as_uri() if ours else None
        self._client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(folder / DATABASE).absolute()}" if ours else None)

    def begin(self, steps: int, *, goes_on: bool) -> None:
        """Make a run, or go on with the one that was noted."""
        del steps
        if goes_on and self._note.is_file():
            self._run = self._note.read_text("ascii").strip()
            with suppress(self._fault):  # it was noted in another store than today's
                self._client.update_run(self._run, status="RUNNING")
                return
        known = self._client.get_experiment_by_name("medflow")
        experiment = known.experiment_id if known else self._client.create_experiment("medflow", self._artifacts)
        self._run = self._client.create_run(experiment).info.run_id
        self._note.write_text(self._run + "\n", "ascii")

    def write(self, figures: Mapping[str, float], at: int) -> None:
        """Log metrics."""
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value, step=at)

    def close(self) -> None:
        """Say that the run has ended."""
        self._client.set_terminated(self._run)


def _absent(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is not installed; it comes with the extra `track`: pip install medflow[track]")


def _numbers(name: str, value: Any) -> Any:  # noqa: ANN401
    """Give a figure as JSON has it: what is no number becomes null.

    Raises:
        TypeError: it is text, or anything else that could say more than a number.
    """
    if isinstance(value, Mapping):
        return {inner: _numbers(inner, one) for inner, one in value.items()}
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{name} is no number")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(name: str, value: Any) -> list[tuple[str, float]]:  # noqa: ANN401
    """Name each number of nested figures by its way: `epoch/select/roc_auc`."""
    if isinstance(value, Mapping):
        return [pair for inner, one in value.items() for pair in _flat(f"{name}/{inner}", one)]
    return [] if value is None else [(name, float(value))]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Read the whole lines of an older file; a killed process may have left half a one."""
    read: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text("ascii").splitlines():
            with suppress(ValueError):
                read.append(json.loads(line))
    return read


def _place(line: Mapping[str, Any]) -> tuple[float, float]:
    return (line["epoch"], math.inf if line["kind"] == "epoch" else line["step"])
