"""Small pictures in every packing that is read: encoded by imagecodecs and pyjpegls, and RLE by a few lines here."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from jpeg_ls import encode_pixel_data
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.dicom.drawn import one_slice, written

Values = NDArray[np.integer[Any]]
Encode = Callable[[Values, int], bytes]


def jpeg(values: Values, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(unsigned(values, bits), level=95, bitspersample=8 if bits <= 8 else 12))


def jpeg_lossless(values: Values, bits: int, predictor: int = 1) -> bytes:
    stored = unsigned(values, bits)
    return bytes(imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=bits))


def jpeg_ls(values: Values, bits: int, near: int = 0) -> bytes:
    stored = unsigned(values, bits)
    picture = {"rows": values.shape[0], "columns": values.shape[1], "samples_per_pixel": 1, "bits_stored": bits}
    allocated = {"bits_allocated": stored.itemsize * 8, "photometric_interpretation": "MONOCHROME2"}
    return bytes(encode_pixel_data(stored.tobytes(), lossy_error=near, **picture, **allocated))


def jpeg_2000(values: Values, bits: int, wrap: str = "j2k") -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, codecformat=wrap, reversible=True, bitspersample=bits))


def jpeg_2000_lossy(values: Values, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, 60, codecformat="j2k", reversible=False, bitspersample=bits))


def htj2k(values: Values, _: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(values, reversible=True))


def rle(values: Values, _: int) -> bytes:
    """Pack RLE (PS3.5 annex G): a segment for each byte of each sample, the high bytes first."""
    samples = values.reshape(values.shape[0] * values.shape[1], -1)
    segments = []
    for sample in samples.T:
        octets = np.ascontiguousarray(sample).view("u1").reshape(len(sample), -1)
        segments += [bytes(imagecodecs.packbits_encode(plane.tobytes())) for plane in octets.T[::-1]]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    starts = np.cumsum([64, *map(len, segments[:-1])])
    head = np.zeros(16, "<u4")
    head[0], head[1 : 1 + len(segments)] = len(segments), starts
    return head.tobytes() + b"".join(segments)


LOSSLESS: dict[str, tuple[UID, Encode]] = {
    "rle": (RLELossless, rle),
    "jpeg lossless": (JPEGLossless, lambda values, bits: jpeg_lossless(values, bits, 6)),
    "jpeg lossless sv1": (JPEGLosslessSV1, jpeg_lossless),
    "jpeg-ls": (JPEGLSLossless, jpeg_ls),
    "jpeg 2000": (JPEG2000Lossless, jpeg_2000),
    "jpeg 2000 in jp2": (JPEG2000Lossless, lambda values, bits: jpeg_2000(values, bits, "jp2")),
    "jpeg 2000 marked lossy": (JPEG2000, jpeg_2000),
    "htj2k": (HTJ2KLossless, htj2k),
    "htj2k rpcl": (HTJ2KLosslessRPCL, htj2k),
    "htj2k marked lossy": (HTJ2K, htj2k),
}
LOSSY: dict[str, tuple[UID, Encode]] = {
    "jpeg baseline": (JPEGBaseline8Bit, jpeg),
    "jpeg extended": (JPEGExtended12Bit, jpeg),
    "jpeg-ls near lossless": (JPEGLSNearLossless, lambda values, bits: jpeg_ls(values, bits, 2)),
    "jpeg 2000 lossy": (JPEG2000, jpeg_2000_lossy),
}
PACKINGS = LOSSLESS | LOSSY


def unsigned(values: Values, bits: int) -> Values:
    """Keep the `bits` low bits: JPEG and JPEG-LS know no sign."""
    low = values.astype(np.int64) & ((1 << bits) - 1)
    return low.astype(np.uint8 if bits <= 8 else np.uint16)


def smooth(bits: int, *, signed: bool = False, shape: tuple[int, int] = (40, 48)) -> Values:
    """Draw a slope with a little noise over the whole range of `bits`."""
    rows, columns = np.indices(shape)
    top = (1 << bits) - 1
    noise = np.random.default_rng(7).integers(0, max(1, top // 64) + 1, shape)
    values = np.clip((rows * 3 + columns) * top // (3 * shape[0] + shape[1]) + noise, 0, top)
    if signed:
        values -= 1 << bits - 1
    drawn: Values = values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    return drawn


def holding(values: Values, bits: int, syntax: str, fragments: bytes, **others: Any) -> Dataset:  # noqa: ANN401
    """Make an object of `values` (row, column) or (frame, row, column) whose pixel data is `fragments`."""
    dataset = one_slice(
        Rows=values.shape[-2],
        Columns=values.shape[-1],
        BitsAllocated=values.dtype.itemsize * 8,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(values.dtype.kind == "i"),
        NumberOfFrames=str(values.shape[0]) if values.ndim > 2 else None,
        **others,
    )
    dataset.PixelData = fragments
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    written(dataset, syntax)
    return dataset


def packed(values: Values, bits: int, name: str, **others: Any) -> Dataset:  # noqa: ANN401
    """Make an object of one frame in the packing called `name`."""
    syntax, encode = PACKINGS[name]
    return holding(values, bits, syntax, encapsulate([encode(values, bits)]), **others)
