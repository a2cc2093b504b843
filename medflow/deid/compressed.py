"""Compressed pixel data as it may leave: frame by frame, without what rides along."""

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID, RLELossless

from medflow.deid.codestream import without_comments
from medflow.deid.native import Integers, Pixels
from medflow.dicom.pixels import stored_samples
from medflow.errors import Reason, SeriesError


def compressed_pixels(dataset: Dataset, syntax: UID, frames: Integers) -> Pixels:
    """Copy compressed frames, one fragment each with a new offset table; comments inside them are left out.

    `frames` are the decoded values, with a fourth axis of samples where the image is planar. RLE has no end mark, so
    bytes could ride behind its last run: its frames are packed anew from `frames`.
    """
    if syntax == RLELossless:
        if dataset.PhotometricInterpretation.startswith("YBR"):  # `frames` are red, green and blue
            raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "PhotometricInterpretation")
        dtype = f"u{dataset.BitsAllocated // 8}"
        packed = [_packed(frame.astype(dtype, casting="unsafe"), dataset) for frame in frames]
    else:
        value = dataset.get_item(0x7FE00010).value
        read = generate_frames(value, number_of_frames=len(frames))
        packed = [without_comments(frame) for frame in read]
    if len(packed) != len(frames):
        raise SeriesError(Reason.DAMAGED_PIXELS, "frames")
    value = encapsulate(packed, has_bot=True)
    if dataset.SamplesPerPixel > 1 and not np.array_equal(_decoded(dataset, value), frames):
        raise SeriesError(Reason.DAMAGED_PIXELS, "colours")  # the decoder went by something that may not stay
    return Pixels(value=value, vr="OB", encapsulated=True, stray=0, trailing=0)


def _decoded(dataset: Dataset, value: bytes) -> Integers:
    """Decode the frames that will be written."""
    written = dataset.group_dataset(0x0028)
    written.file_meta = dataset.file_meta
    written.PixelData = value
    return stored_samples(written)


def _packed(frame: Integers, dataset: Dataset) -> bytes:
    samples = int(dataset.SamplesPerPixel)
    return bytes(
        RLELosslessEncoder.encode(
            frame,
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
