"""Several processes of ours that do the same work on one thing after another; results come in the order of the things.

The processes are plain interpreters, each fed by a thread of ours over pipes, as those that read headers are:
`multiprocessing` would start the caller's own program again in each of them. One that dies takes one piece of work with
it, and another one is started for the next. They end with the pipe, so that none outlives who started it.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

from medflow.dicom.pipes import Died, receive, send
from medflow.errors import BatchError, SeriesError, came_from
from medflow.steps.settle import Elsewhere

Thing = TypeVar("Thing")
Result = TypeVar("Result")

Outcome: TypeAlias = Callable[[], Result]
"""Gives the result of a piece of work, or raises what became of it."""

AHEAD = 2
"""Pieces of work for each process that wait to be done or to be taken."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
DONE, REFUSED, STOP, BUG = range(4)
"""What became of a piece of work; the first is followed by its result, the others say why."""


def outcomes(work: Callable[[Thing], Result], things: Iterable[Thing], *, processes: int) -> Iterator[Outcome[Result]]:
    """Do `work` on each of `things`, in `processes` processes; each outcome is a call that gives it, or raises.

    `work` and all that goes to it and comes of it must be pickled: a function of a module, or a `partial` of one.
    """
    idle: deque[_Worker[Thing, Result]] = deque(_Worker(work) for _ in range(processes))
    crew = tuple(idle)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(processes, thread_name_prefix="crew") as threads:
        try:
            for thing in things:
                waiting.append(threads.submit(_done_by, idle, thing))
                if len(waiting) > AHEAD * processes:
                    yield waiting.popleft().result
            while waiting:
                yield waiting.popleft().result
        finally:
            for future in waiting:
                future.cancel()
            for worker in crew:
                worker.close()


def _done_by(idle: "deque[_Worker[Thing, Result]]", thing: Thing) -> Result:
    worker = idle.popleft()  # there are as many as threads
    try:
        return worker.done(thing)
    finally:
        idle.append(worker)


class _Worker(Generic[Thing, Result]):
    """One process. It starts when it is first asked, and again when it died."""

    def __init__(self, work: Callable[[Thing], Result]) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def done(self, thing: Thing) -> Result:
        """Have the work done on one thing.

        Raises:
            SeriesError, BatchError: as the work raised it there.
            Elsewhere: a bug, there; or the process died.
        """
        try:
            what, *answer = pickle.loads(self._answer(pickle.dumps(thing)))  # noqa: S301  (from a process of ours)
        except (Died, OSError):
            self._end()
            raise Elsewhere("the process that worked on it died") from None
        if what == DONE:
            result: Result = answer[0]
            return result
        if what == REFUSED:
            raise SeriesError(*answer)
        if what == STOP:
            raise answer[0]
        raise Elsewhere(*answer)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        self._end()

    def _answer(self, question: bytes) -> bytes:
        process = self._process or self._started()
        if process.stdin is None or process.stdout is None:
            raise Died
        send(process.stdin, question)
        return receive(process.stdout)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise Died
        start = f"import sys; sys.path[:] = {sys.path!r}; from medflow.steps.crew import serve; serve()"
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter)
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a library's warning could quote what it read
            env=os.environ | ONE_THREAD,
        )
        if self._process.stdin is not None:
            send(self._process.stdin, pickle.dumps(self._work))
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # what was still to be written has no reader any more
                if stream is not None:
                    stream.close()


def serve() -> None:
    """Be such a process: learn the work, then do it on what comes in on stdin until that ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    with suppress(Died):
        work: Callable[[Any], object] = pickle.loads(receive(sys.stdin.buffer))  # noqa: S301  (from who started us)
        while True:
            thing = pickle.loads(receive(sys.stdin.buffer))  # noqa: S301
            send(answers, pickle.dumps(_outcome(work, thing)))


def _outcome(work: Callable[[Any], object], thing: object) -> tuple[object, ...]:
    try:
        return DONE, work(thing)
    except SeriesError as refusal:
        return REFUSED, refusal.reason, refusal.detail
    except BatchError as stop:
        return STOP, stop
    except Exception as error:  # noqa: BLE001  (`steps.settle` decides, in the process that asked)
        return BUG, came_from(error)
