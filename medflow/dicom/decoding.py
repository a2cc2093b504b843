"""The decoder's own process: compressed frames in, samples out, and nothing else. It knows numpy and the codecs only.

`medflow.dicom.decoder` runs this file. A keeper loads the codecs once and forks a worker that decodes; where a worker
crashes, runs out of its time or of its memory, or meets bytes that cannot be decoded, the keeper forks another one from
its clean memory. Both end when whoever started them has gone.
"""

import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

READY, GOING_ON, DONE, REFUSED, CRASHED = b"R", b".", b"+", b"-", b"!"
"""What is answered; one message each."""
JPEG, JPEG_LS, JPEG_2000, RLE = range(4)
REQUEST = struct.Struct("<4B3I3Qd")
"""Codec, samples, bytes of a sample, signed; rows, columns, frames; where the frames stand in the shared memory, its
size (another one than the usual comes with the request), memory in bytes; processor seconds that a frame may take."""
LENGTH = np.dtype("<u8")
HEAD_OF_RLE = 64
"""Bytes before the first segment of an RLE frame (PS3.5 G.5)."""
CHANNEL, ROOM = 3, 4
"""The file descriptors that the process is given: where it is asked, and the shared memory that most requests use."""
BREATH = 0.5
"""Seconds between two signs of life."""
ANEW = 3
"""Exit status of a worker that has answered, and whose memory is not to be trusted any more."""

Samples = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request: frames of one size in one codec."""

    codec: int
    samples: int
    width: int
    signed: bool
    rows: int
    columns: int
    frames: int
    at: int
    size: int
    memory: int
    seconds: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples that are handed back."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.width}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and samples of a frame."""
        return self.rows, self.columns, self.samples


def main() -> None:
    """Load the codecs, and keep a worker running until there is nobody to work for."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's pixels
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    import imagecodecs  # noqa: PLC0415  (whoever imports this module for its constants loads no codec)

    for load in (imagecodecs.jpeg8_decode, imagecodecs.jpegls_decode, imagecodecs.jpeg2k_decode):
        _warm(load)
    _warm(imagecodecs.packbits_decode)
    channel = socket.socket(fileno=CHANNEL)
    room = mmap.mmap(ROOM, os.fstat(ROOM).st_size)
    channel.send(READY)
    keep(channel, room, imagecodecs)


def keep(channel: socket.socket, room: mmap.mmap, codecs: ModuleType) -> None:
    """Fork workers one after another, and tell of each that crashed."""
    keeper = os.getpid()
    while True:
        worker = os.fork()
        if worker == 0:
            serve(channel, room, codecs, keeper)
        _, status = os.waitpid(worker, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return
        if code != ANEW:
            try:
                channel.send(CRASHED)
            except OSError:
                return


def serve(channel: socket.socket, room: mmap.mmap, codecs: ModuleType, keeper: int) -> None:
    """Decode what is asked, request by request; ends with the process."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, REQUEST.size, 1)
        if not message or os.getppid() != keeper:
            os._exit(0)
        asked = _asked(message)
        limit = _address_space() + asked.size + asked.memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            _decode(channel, codecs, asked, mmap.mmap(descriptors[0], asked.size) if descriptors else room)
        except BaseException:  # noqa: BLE001  (codecs raise what they like; it ends here, unquoted)
            channel.send(REFUSED)
            os._exit(ANEW)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(DONE)


def _asked(message: bytes) -> _Asked:
    codec, samples, width, signed, rows, columns, frames, at, size, memory, seconds = REQUEST.unpack(message)
    return _Asked(
        codec=codec,
        samples=samples,
        width=width,
        signed=bool(signed),
        rows=rows,
        columns=columns,
        frames=frames,
        at=at,
        size=size,
        memory=memory,
        seconds=seconds,
    )


def _decode(channel: socket.socket, codecs: ModuleType, asked: _Asked, shared: mmap.mmap) -> None:
    found: Samples = np.ndarray((asked.frames, *asked.shape), asked.dtype, shared)
    lengths = np.ndarray(asked.frames, LENGTH, shared, asked.at)
    at, told = asked.at + lengths.nbytes, time.monotonic()
    for frame, length in zip(found, lengths.tolist(), strict=True):
        # counted in processor time, so that a busy machine refuses nothing; the kernel kills who is still at it then
        signal.setitimer(signal.ITIMER_PROF, asked.seconds)
        CODECS[asked.codec](codecs, bytes(memoryview(shared)[at : at + length]), frame, asked)
        at += length
        if time.monotonic() - told > BREATH:
            channel.send(GOING_ON)
            told = time.monotonic()
    signal.setitimer(signal.ITIMER_PROF, 0)


def _jpeg(codecs: ModuleType, data: bytes, frame: Samples, asked: _Asked) -> None:
    """Decode JPEG of any process (ITU-T T.81), colours as they are."""
    colours = "YCBCR" if asked.samples > 1 else None
    _put(codecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours), frame)


def _jpeg_ls(codecs: ModuleType, data: bytes, frame: Samples, asked: _Asked) -> None:
    """Decode JPEG-LS (ITU-T T.87)."""
    found = codecs.jpegls_decode(data)
    planes = asked.samples > 1 and found.shape == (asked.samples, asked.rows, asked.columns) != frame.shape
    _put(np.moveaxis(found, 0, -1) if planes else found, frame)


def _jpeg_2000(codecs: ModuleType, data: bytes, frame: Samples, _: _Asked) -> None:
    """Decode JPEG 2000, also the high-throughput one (ITU-T T.800, T.814); its colour transform is undone."""
    _put(codecs.jpeg2k_decode(data, planar=False, numthreads=1), frame)


def _rle(codecs: ModuleType, data: bytes, frame: Samples, asked: _Asked) -> None:
    """Decode RLE (PS3.5 annex G): one segment for each byte of a pixel, the most significant byte first."""
    count = asked.samples * asked.width
    segments, *starts = struct.unpack_from("<16I", data)
    if segments != count or starts[0] < HEAD_OF_RLE or starts[:count] != sorted(starts[:count]):
        raise ValueError
    plane = asked.rows * asked.columns
    octets = frame.view("u1").reshape(plane, asked.samples, asked.width)
    for segment, (start, stop) in enumerate(zip(starts[:count], (*starts[1:count], len(data)), strict=True)):
        sample, byte = divmod(segment, asked.width)
        octets[:, sample, asked.width - 1 - byte] = _unpacked(codecs, data[start:stop], plane)


def _unpacked(codecs: ModuleType, segment: bytes, wanted: int) -> NDArray[np.uint8]:
    """Unpack a segment whose runs give `wanted` bytes; what stands behind its last run is no business of ours."""
    try:
        found = codecs.packbits_decode(segment)
    except Exception:  # noqa: BLE001  (imagecodecs has an error class for each build)
        found = b""
    if len(found) != wanted:
        found = codecs.packbits_decode(segment[: _end_of_runs(segment, wanted)])
    if len(found) != wanted:
        raise ValueError
    return np.frombuffer(found, np.uint8)


def _end_of_runs(segment: bytes, wanted: int) -> int:
    """Find where runs of `wanted` bytes end (PS3.5 G.3.2)."""
    at = 0
    while wanted > 0 and at < len(segment):
        head = segment[at]
        literal, repeated = head < 128, head > 128  # noqa: PLR2004
        at += 2 + head if literal else 2 if repeated else 1
        wanted -= head + 1 if literal else 257 - head if repeated else 0
    return at


def _put(found: Samples, frame: Samples) -> None:
    """Write a decoded frame of exactly the size that was asked for; negative numbers keep their bit pattern."""
    if found.size != frame.size or found.shape[:2] != frame.shape[:2] or found.dtype.kind not in "iu":
        raise ValueError
    frame[...] = found.reshape(frame.shape)


Codec = Callable[[ModuleType, bytes, Samples, _Asked], None]
CODECS: tuple[Codec, ...] = (_jpeg, _jpeg_ls, _jpeg_2000, _rle)
"""By the numbers of `JPEG` to `RLE`."""


def _warm(decode: Callable[[bytes], object]) -> None:
    """Load a codec, which imagecodecs does when it is first used."""
    try:
        decode(b"\0")
    except Exception as error:
        if isinstance(error, ImportError):
            raise


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as status:  # noqa: PTH123  (no pathlib in the child)
        return int(status.read().split()[0]) * mmap.PAGESIZE


if __name__ == "__main__":
    sys.path[:] = sys.argv[1:]
    main()
