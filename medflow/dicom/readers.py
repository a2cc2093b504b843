"""Headers read by several processes at once: the same outcomes in the same order as by one.

The processes are plain interpreters that import nothing but `medflow.dicom`, each fed by a thread of ours over pipes.
`multiprocessing` would start the caller's own program again in each of them, which a flow's or a script's may not bear,
and leaves helpers running. One that dies costs nobody a file: its share is read again in halves, until the file that
kills it stands alone and is set aside.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from medflow.dicom.pipes import Died, receive, send
from medflow.dicom.read import Sharing, refused
from medflow.dicom.sources import Outcome, read_file
from medflow.domain.progress import Progress
from medflow.domain.series import SourceFile
from medflow.errors import Reason, SeriesError

MANY_FILES = 5000
MANY_BYTES = 1 << 33
"""Fewer files of fewer bytes are hardly read later by one process than others start (half a second)."""
SHARE_FILES = 256
SHARE_BYTES = 1 << 28
"""Files and bytes that a process reads at a time."""
AHEAD = 2
"""Shares for each process that wait to be read or to be taken."""
READY, RAISED = b"ready", b"raised"


def read_files(files: list[SourceFile], *, workers: int | None, progress: Progress) -> Iterator[Outcome]:
    """Read files in their order, by as many processes as are asked for, or as there are cores where files are many."""
    if workers is None:
        many = len(files) >= MANY_FILES or sum(file.size for file in files) >= MANY_BYTES
        workers = len(os.sched_getaffinity(0)) if many else 1
    shares = list(_shares(files))
    read = map(_read_here, shares) if min(workers, len(shares)) < 2 else _by_crew(shares, min(workers, len(shares)))  # noqa: PLR2004
    for share, outcomes in zip(shares, read, strict=True):
        yield from outcomes
        progress.advance(len(share))


def _shares(files: Iterable[SourceFile]) -> Iterator[list[SourceFile]]:
    share: list[SourceFile] = []
    size = 0
    for file in files:
        share.append(file)
        size += file.size
        if len(share) == SHARE_FILES or size >= SHARE_BYTES:
            yield share
            share, size = [], 0
    if share:
        yield share


def _read_here(files: list[SourceFile]) -> list[Outcome]:
    shared = Sharing()
    return [outcome for file in files for outcome in read_file(file, shared)]


def _by_crew(shares: list[list[SourceFile]], workers: int) -> Iterator[list[Outcome]]:
    """Let each share be read by whichever process is free; hand them back in their order."""
    idle: deque[_Reader] = deque(_Reader() for _ in range(workers))
    crew = tuple(idle)
    waiting: deque[Future[list[Outcome]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="headers") as threads:
        try:
            for share in shares:
                waiting.append(threads.submit(_read_by, idle, share))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for reader in crew:
                reader.close()


def _read_by(idle: "deque[_Reader]", share: list[SourceFile]) -> list[Outcome]:
    reader = idle.popleft()  # there are as many as threads
    try:
        return reader.outcomes(share)
    finally:
        idle.append(reader)


class _Reader:
    """A process that reads headers. It starts when it is first asked, and again when it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def outcomes(self, files: list[SourceFile]) -> list[Outcome]:
        """Read files; where the process dies of one, that one is set aside."""
        if self._closed:
            return []
        if not self._running():
            return _read_here(files)
        try:
            return self._asked(files)
        except (Died, OSError):
            self._end()
        if len(files) > 1:
            half = len(files) // 2
            return self.outcomes(files[:half]) + self.outcomes(files[half:])
        try:
            return self._asked(files) if self._running() else _read_here(files)
        except (Died, OSError):
            self._end()
            return [refused(files[0], SeriesError(Reason.UNEXPECTED_ERROR, "the process that read its header died"))]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        self._end()

    def _asked(self, files: list[SourceFile]) -> list[Outcome]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise Died
        send(process.stdin, pickle.dumps([(str(f.path), f.relative, f.size, f.mtime_ns) for f in files]))
        answer = receive(process.stdout)
        return _read_here(files) if answer == RAISED else _unpacked(answer, files)

    def _running(self) -> bool:
        """Start the process where there is none; False where it does not start, and its work is done here."""
        if self._process is not None:
            return True
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter)
                _command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
            )
            ready = self._process.stdout is not None and receive(self._process.stdout) == READY
        except (Died, OSError):
            ready = False
        if not ready or self._closed:
            self._end()
        return ready

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass  # what was still to be written has no reader any more


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _command() -> list[str]:
    """Start an interpreter that finds what this one finds, and ends with the pipe."""
    start = f"import sys; sys.path[:] = {sys.path!r}; from medflow.dicom.readers import serve; serve()"
    return [sys.executable, "-c", start]


def serve() -> None:
    """Be such a process: read the shares that come in on stdin until it ends."""
    send(sys.stdout.buffer, READY)
    while True:
        try:
            asked = receive(sys.stdin.buffer)
        except Died:
            return
        files = [
            SourceFile(path=Path(path), relative=relative, size=size, mtime_ns=mtime_ns)
            for path, relative, size, mtime_ns in pickle.loads(asked)  # noqa: S301  (from the process that started us)
        ]
        try:
            answer = _packed(_read_here(files), files)
        except Exception:  # noqa: BLE001  (whoever asked reads them again, and meets it)
            answer = RAISED
        send(sys.stdout.buffer, answer)


class _Pickler(pickle.Pickler):
    """Writes outcomes; a file is written as its number, for whoever asked has it already."""

    numbers: dict[str, int]

    def persistent_id(self, value: object) -> tuple[int, str, int] | None:
        if type(value) is SourceFile:
            return self.numbers[value.relative], value.member, value.size
        return None


class _Unpickler(pickle.Unpickler):
    files: list[SourceFile]

    def persistent_load(self, name: tuple[int, str, int]) -> SourceFile:
        number, member, size = name
        file = self.files[number]
        return replace(file, member=member, size=size) if member else file


def _packed(outcomes: list[Outcome], files: list[SourceFile]) -> bytes:
    stream = BytesIO()
    pickler = _Pickler(stream, pickle.HIGHEST_PROTOCOL)
    pickler.numbers = {file.relative: number for number, file in enumerate(files)}
    pickler.dump(outcomes)
    return stream.getvalue()


def _unpacked(answer: bytes, files: list[SourceFile]) -> list[Outcome]:
    unpickler = _Unpickler(BytesIO(answer))
    unpickler.files = files
    outcomes: list[Outcome] = unpickler.load()
    return outcomes
