"""Objects become files, byte for byte the same on every machine."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from sample_dicom.subjects import uid

IMPLEMENTATION_VERSION = "MEDFLOW_SAMPLE_1"

Pixels = NDArray[np.int16] | NDArray[np.uint16] | NDArray[np.uint8]


def dicom_bytes(ds: Dataset, pixels: Pixels, *, compressed: bool = False) -> bytes:
    """Put one frame, ordered (row, column), into `ds` and write it as a DICOM file (PS3.10)."""
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    ds.PixelData = little.tobytes()
    ds["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation"))
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    ds.file_meta = meta
    if compressed:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()
