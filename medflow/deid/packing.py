"""A decoded frame packed anew without loss, in the transfer syntax that it came in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID

from medflow.deid.codestream import without_comments
from medflow.deid.native import Integers
from medflow.dicom.codestreams import Stated

RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
HTJ2K = frozenset({"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"})
"""Transfer syntaxes that can hold exact values (PS3.5 A.4); some of them may hold others too."""
ROOM = 4
"""Times the size of a frame that its JPEG-LS may need; noise grows by being packed."""


def packed(frame: Integers, syntax: UID, dataset: Dataset, like: Stated | None) -> bytes | None:
    """Pack a frame (row, column) or (row, column, sample) as the bit stream `like`; None where that cannot be exact.

    Colours come as red, green and blue: a syntax whose header speaks of others holds them with a reversible transform,
    or not at all.
    """
    grey = frame.ndim == 2 or frame.shape[-1] == 1  # noqa: PLR2004
    photometric = str(dataset.PhotometricInterpretation)
    if not grey and photometric != "RGB" and not (photometric == "YBR_RCT" and syntax in JPEG_2000 | HTJ2K):
        return None
    values = frame.reshape(*frame.shape[:2], -1)
    if syntax == RLE:
        return rle(values, dataset)
    if like is None:
        return None
    samples = values if like.signed else _unsigned(values, dataset)
    plain = np.ascontiguousarray(samples[..., 0] if grey else samples)
    stream = _stream(plain, syntax, like)
    return None if stream is None else without_comments(stream)


def rle(values: Integers, dataset: Dataset) -> bytes:
    """Pack a frame (row, column, sample) as runs (PS3.5 annex G)."""
    samples = values.shape[-1]
    return bytes(
        RLELosslessEncoder.encode(
            (values[..., 0] if samples == 1 else values).astype(f"u{dataset.BitsAllocated // 8}", casting="unsafe"),
            rows=dataset.Rows,
            columns=dataset.Columns,
            samples_per_pixel=samples,
            planar_configuration=0,
            bits_allocated=dataset.BitsAllocated,
            bits_stored=dataset.BitsAllocated,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2" if samples == 1 else "RGB",
            number_of_frames=1,
        )
    )


def _unsigned(values: Integers, dataset: Dataset) -> NDArray[Any]:
    """Give the bits of the values: streams that know no sign hold BitsStored of them (PS3.5 8.2.1)."""
    unsigned = values.astype(f"u{values.itemsize}", casting="unsafe")
    return np.asarray(unsigned & unsigned.dtype.type((1 << int(dataset.BitsStored)) - 1))


def _stream(samples: NDArray[Any], syntax: UID, like: Stated) -> bytes | None:
    import imagecodecs  # noqa: PLC0415  (the codecs take a while to load, and few series need one)

    if samples.itemsize > 2:  # noqa: PLR2004
        return None
    if syntax in JPEG:
        first_order = 1  # the predictor that .70 demands (PS3.5 A.4.1)
        return bytes(
            imagecodecs.jpeg8_encode(samples, lossless=True, predictor=first_order, bitspersample=like.precision)
        )
    if syntax in JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(samples, out=ROOM * samples.nbytes + (1 << 12)))
    if syntax in JPEG_2000:
        transform = samples.ndim == 3 and like.transformed  # noqa: PLR2004
        return bytes(
            imagecodecs.jpeg2k_encode(
                samples,
                level=0,
                codecformat="j2k",
                reversible=True,
                mct=transform,
                bitspersample=like.precision,
                planar=False if samples.ndim == 3 else None,  # noqa: PLR2004
                numthreads=1,
            )
        )
    if syntax in HTJ2K:
        return bytes(imagecodecs.htj2k_encode(samples, reversible=True, tlm=True, rgb=like.transformed or None))
    return None
