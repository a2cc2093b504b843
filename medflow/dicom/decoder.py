"""Whoever decodes compressed frames for us: processes of their own, so that a crash, a bomb or a hang costs one file.

What is sent in is never trusted: the header has said how large a frame is, its bit stream must say the same, and the
process gets memory and time for a frame of that size. Frames go in, and samples come back, through shared memory.
"""

import atexit
import fcntl
import math
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medflow.dicom import decoding
from medflow.errors import ConfigurationError, Reason, SeriesError

LENGTH = decoding.LENGTH.itemsize
MEBI = 1 << 20
SPARE_MEMORY = 128 * MEBI
"""What a codec may take whatever the size of the frame."""
MEMORY_OF_A_SAMPLE = 32
"""Bytes of working memory for each sample: OpenJPEG, the hungriest, takes about 16."""
ROOM = 16 * MEBI
"""Shared memory of a process; frames for which it is too small get their own, one by one."""
STARTING = 60.0
"""Seconds within which the process must have loaded its codecs, on a machine that has much else to do."""
ENDING = 2.0
"""Seconds that it has to end by itself."""
MOST_PROCESSES = 4
"""At once in one process of ours; they are started when threads ask for them."""

Samples = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a frame may take. The slowest codec, JPEG 2000, decodes 15 MiB in a second here."""

    seconds: float = 2.0
    """Processor time for any frame."""
    seconds_of_a_mebibyte: float = 1.0
    """Processor time for each MiB of its samples."""
    stretch: float = 10.0
    """How many times as long the clock on the wall may run: other processes want the processor, too."""

    def of_a_frame(self, size: int) -> float:
        """Give the processor seconds for a frame of `size` bytes."""
        return self.seconds + self.seconds_of_a_mebibyte * size / MEBI


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Compressed frames of one object, and what they must decode to."""

    codec: int
    streams: Sequence[bytes]
    rows: int
    columns: int
    samples: int
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and samples of a frame."""
        return self.rows, self.columns, self.samples

    @property
    def frame_bytes(self) -> int:
        """Size of a decoded frame."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def at(self) -> int:
        """Where in the shared memory the compressed frames stand: behind room for the decoded ones."""
        return -(-len(self.streams) * self.frame_bytes // LENGTH) * LENGTH

    @property
    def size(self) -> int:
        """Bytes of shared memory that decoding all of them takes."""
        return self.at + sum(LENGTH + len(stream) for stream in self.streams)

    def portions(self, room: int) -> Iterator[slice]:
        """Divide the frames into portions that fit into `room` bytes; a frame that does not is one of its own."""
        first, taken = 0, LENGTH
        for number, stream in enumerate(self.streams):
            size = self.frame_bytes + LENGTH + len(stream)
            if taken + size > room and number > first:
                yield slice(first, number)
                first, taken = number, LENGTH
            taken += size
        yield slice(first, len(self.streams))

    def write(self, room: mmap.mmap) -> None:
        """Write the compressed frames into shared memory, and before them the length of each."""
        lengths = np.array([len(stream) for stream in self.streams], decoding.LENGTH)
        place = self.at
        for part in (lengths.tobytes(), *self.streams):
            room[place : place + len(part)] = part
            place += len(part)

    def request(self, seconds: float) -> bytes:
        """Write what is asked; a frame may take so many `seconds` of processor time."""
        memory = SPARE_MEMORY + MEMORY_OF_A_SAMPLE * math.prod(self.shape)
        width, signed = self.dtype.itemsize, self.dtype.kind == "i"
        counts = len(self.streams), self.at, self.size
        return decoding.REQUEST.pack(
            self.codec, self.samples, width, signed, self.rows, self.columns, *counts, memory, seconds
        )


class Process:
    """One decoder process; for one thread at a time."""

    def __init__(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            ConfigurationError: it cannot be started.
        """
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, _memory(ROOM) as (descriptor, self.room):
            above = max(theirs.fileno(), descriptor, decoding.ROOM) + 1  # so that neither overwrites the other
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", decoding.__file__, *filter(None, sys.path)],  # it finds what we find
                {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # and no secret of ours
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), above),
                    (os.POSIX_SPAWN_DUP2, descriptor, decoding.ROOM),
                    (os.POSIX_SPAWN_DUP2, above, decoding.CHANNEL),
                    (os.POSIX_SPAWN_CLOSE, above),
                    # codecs write notes to the standard streams, and those could quote what they read
                    *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)),
                ],
                setsid=True,
            )
        self.channel.settimeout(STARTING)
        try:
            ready = self.channel.recv(1)
        except OSError:
            ready = b""
        if ready != decoding.READY:
            self.end(at_once=True)
            raise ConfigurationError("the decoder of compressed pixels does not start: is imagecodecs installed?")

    def is_awake(self) -> bool:
        """Tell whether it is there; what it has said of a worker that ended while nothing was asked is passed over."""
        self.channel.settimeout(0)
        try:
            while self.channel.recv(1):
                pass
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def decode(self, frames: Frames, patience: Patience) -> Samples:
        """Decode frames as (frame, row, column, sample).

        Raises:
            SeriesError: they cannot be decoded, or crash the decoder.
            OSError: the process has to be replaced: it has ended, or does not answer in time.
        """
        found = np.empty((len(frames.streams), *frames.shape), frames.dtype)
        for some in frames.portions(ROOM):
            part = replace(frames, streams=frames.streams[some])
            if part.size <= ROOM:
                found[some] = self._decoded(part, self.room, patience, ())
                continue
            with _memory(part.size) as (descriptor, room):
                found[some] = self._decoded(part, room, patience, (descriptor,))
        return found

    def _decoded(self, frames: Frames, room: mmap.mmap, patience: Patience, own: Sequence[int]) -> Samples:
        """Have frames decoded that fit into `room`; what is given stands in it."""
        seconds = patience.of_a_frame(frames.frame_bytes)
        frames.write(room)
        socket.send_fds(self.channel, [frames.request(seconds)], own)
        self.channel.settimeout(seconds * patience.stretch)
        answer = decoding.GOING_ON
        while answer == decoding.GOING_ON:
            answer = self.channel.recv(1)
        if answer == decoding.DONE:
            return np.ndarray((len(frames.streams), *frames.shape), frames.dtype, room)
        if answer == decoding.REFUSED:
            raise SeriesError(Reason.DAMAGED_PIXELS, "cannot be decoded")
        if answer == decoding.CRASHED:
            raise failed()
        raise ConnectionError

    def end(self, *, at_once: bool = False) -> None:
        """Let it go, and see that it has gone."""
        self.channel.close()
        deadline = time.monotonic() + (0 if at_once else ENDING)
        try:
            while time.monotonic() < deadline:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    return
                time.sleep(0.002)
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ChildProcessError, ProcessLookupError):
            return  # somebody else has seen it end


class Decoder:
    """A few decoder processes, for as many threads at once; the others wait."""

    def __init__(self, *, most: int = 1, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._free = threading.Semaphore(most)
        self._idle: list[Process] = []

    def decode(self, frames: Frames) -> Samples:
        """Decode frames as (frame, row, column, sample); they are ours to write to.

        Raises:
            SeriesError: they cannot be decoded, or not with the memory and within the time that is due to them.
            ConfigurationError: no decoder can be started.
        """
        with self._free:
            process = self._process()
            try:
                samples = process.decode(frames, self.patience)
            except SeriesError:
                self._idle.append(process)
                raise
            except OSError:
                process.end(at_once=True)
                raise failed() from None
            except BaseException:
                process.end(at_once=True)  # we are interrupted, and its answer would be taken for that to the next one
                raise
            self._idle.append(process)
            return samples

    def close(self) -> None:
        """End the processes; they are started again when they are needed."""
        for process in self._taken():
            process.end()

    def abandon(self) -> None:
        """Let go of processes that are another's: we are its fork."""
        for process in self._taken():
            process.channel.close()

    def _process(self) -> Process:
        for process in self._taken():
            if process.is_awake():
                return process
            process.end(at_once=True)
        return Process()

    def _taken(self) -> Iterator[Process]:
        while True:
            try:
                yield self._idle.pop()
            except IndexError:
                return


@cache
def decoder() -> Decoder:
    """Give the decoder of this process; no other process of ours shares it."""
    found = Decoder(most=min(MOST_PROCESSES, os.cpu_count() or 1))

    def forked() -> None:
        found.abandon()
        decoder.cache_clear()

    atexit.register(found.close)
    os.register_at_fork(after_in_child=forked)
    return found


def failed() -> SeriesError:
    """Say that decoding ended without an answer."""
    return SeriesError(Reason.DECODER_FAILED)


@contextmanager
def _memory(size: int) -> Iterator[tuple[int, mmap.mmap]]:
    """Make shared memory of `size` bytes, which nobody can make smaller; its descriptor is closed at the end."""
    descriptor = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor, mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
