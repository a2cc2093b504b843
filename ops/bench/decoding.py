"""What isolation costs: 100 frames of 512 x 512 x 16 bit, decoded in the decoder's process and in this one.

python ops/bench/decoding.py
"""

from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from timing import medians, table

from medflow.dicom import decoding
from medflow.dicom.decoder import Frames, decoder

FRAMES, EDGE = 100, 512


def picture() -> NDArray[np.uint16]:
    """Draw a disc with the noise of a CT."""
    rows, columns = np.indices((EDGE, EDGE)) - EDGE / 2
    disc = np.where(np.hypot(rows, columns) < EDGE / 3, 1050.0, 24.0)
    return np.clip(disc + np.random.default_rng(1).normal(0, 12, disc.shape), 0, 4095).astype(np.uint16)


def rle(values: NDArray[np.uint16]) -> bytes:
    """Pack RLE (PS3.5 annex G), the high bytes first."""
    planes = values.view("u1").reshape(-1, 2)[:, ::-1]
    packed = [imagecodecs.packbits_encode(np.ascontiguousarray(plane)) for plane in planes.T]
    packed = [segment + b"\0" * (len(segment) % 2) for segment in packed]
    head = np.array([2, 64, 64 + len(packed[0])] + [0] * 13, "<u4").tobytes()
    return b"".join((head, *packed))


def in_process(frames: Frames) -> None:
    """Decode with the same codecs, here."""
    out = np.empty((len(frames.streams), frames.rows, frames.columns, frames.samples), frames.dtype)
    for frame, stream in zip(out, frames.streams, strict=True):
        if frames.codec == decoding.RLE:
            first, second = np.frombuffer(stream, "<u4", 2, 4).tolist()
            high, low = imagecodecs.packbits_decode(stream[first:second]), imagecodecs.packbits_decode(stream[second:])
            octets = frame.view("u1").reshape(-1, 2)
            octets[:, 1] = np.frombuffer(high, "u1", EDGE * EDGE)
            octets[:, 0] = np.frombuffer(low, "u1", EDGE * EDGE)
        else:
            frame[..., 0] = imagecodecs.jpeg2k_decode(stream, numthreads=1)


def main() -> None:
    """Measure both codecs."""
    values = picture()
    streams = {
        "JPEG 2000 lossless": (
            decoding.JPEG_2000,
            imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True),
        ),
        "RLE": (decoding.RLE, rle(values)),
    }
    for name, (codec, stream) in streams.items():
        frames = Frames(
            codec=codec, streams=[stream] * FRAMES, rows=EDGE, columns=EDGE, samples=1, dtype=np.dtype("u2")
        )
        assert np.array_equal(decoder().decode(frames)[-1, :, :, 0], values)  # noqa: S101
        cases = {"in this process": partial(in_process, frames), "isolated": partial(decoder().decode, frames)}
        table(f"{name}, {FRAMES} frames of {EDGE} x {EDGE} x 16 bit in one object", medians(cases), "in this process")
        single = Frames(codec=codec, streams=[stream], rows=EDGE, columns=EDGE, samples=1, dtype=np.dtype("u2"))
        cases = {"in this process": partial(in_process, single), "isolated": partial(decoder().decode, single)}
        table(f"{name}, one frame", medians(cases), "in this process")


if __name__ == "__main__":
    main()
