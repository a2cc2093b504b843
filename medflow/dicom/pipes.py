"""What passes between our processes: byte strings over pipes, each behind its length."""

import struct
from typing import IO

LENGTH = struct.Struct("<Q")


class Died(Exception):
    """The process at the other end ended before it had said all."""


def send(stream: IO[bytes], content: bytes) -> None:
    """Send one byte string."""
    stream.write(LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Wait for one byte string.

    Raises:
        Died: the pipe was closed first.
    """
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise Died
    return content
