"""Transfer syntaxes: how the data set is spelled and how its pixels are packed (PS3.5 annex A, PS3.6 table A-1)."""

from enum import StrEnum

from medflow.dicom.walking import Coding
from medflow.errors import Reason, SeriesError

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE, EXPLICIT_BIG})


class Packing(StrEnum):
    """The compressions that are read, by the family of their bit stream."""

    JPEG = "jpeg"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg-2000"
    RLE = "rle"


ENCAPSULATED = {
    "1.2.840.10008.1.2.4.50": Packing.JPEG,
    "1.2.840.10008.1.2.4.51": Packing.JPEG,
    "1.2.840.10008.1.2.4.57": Packing.JPEG,
    "1.2.840.10008.1.2.4.70": Packing.JPEG,
    "1.2.840.10008.1.2.4.80": Packing.JPEG_LS,
    "1.2.840.10008.1.2.4.81": Packing.JPEG_LS,
    "1.2.840.10008.1.2.4.90": Packing.JPEG_2000,
    "1.2.840.10008.1.2.4.91": Packing.JPEG_2000,
    "1.2.840.10008.1.2.4.201": Packing.JPEG_2000,
    "1.2.840.10008.1.2.4.202": Packing.JPEG_2000,
    "1.2.840.10008.1.2.4.203": Packing.JPEG_2000,
    RLE: Packing.RLE,
}
"""High-throughput JPEG 2000 (.201 to .203) has the same main header as JPEG 2000."""

REFUSED = {
    "1.2.840.10008.1.2.4.52": "JPEG Extended, Processes 3 and 5",
    "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection, Processes 6 and 8",
    "1.2.840.10008.1.2.4.54": "JPEG Spectral Selection, Processes 7 and 9",
    "1.2.840.10008.1.2.4.55": "JPEG Full Progression, Processes 10 and 12",
    "1.2.840.10008.1.2.4.56": "JPEG Full Progression, Processes 11 and 13",
    "1.2.840.10008.1.2.4.58": "JPEG Lossless, Process 15",
    "1.2.840.10008.1.2.4.92": "JPEG 2000 Part 2 Multi-component, lossless only",
    "1.2.840.10008.1.2.4.93": "JPEG 2000 Part 2 Multi-component",
    "1.2.840.10008.1.2.4.94": "JPIP Referenced",
    "1.2.840.10008.1.2.4.95": "JPIP Referenced Deflate",
    "1.2.840.10008.1.2.4.100": "MPEG2 Main Profile / Main Level",
    "1.2.840.10008.1.2.4.100.1": "Fragmentable MPEG2 Main Profile / Main Level",
    "1.2.840.10008.1.2.4.101": "MPEG2 Main Profile / High Level",
    "1.2.840.10008.1.2.4.101.1": "Fragmentable MPEG2 Main Profile / High Level",
    "1.2.840.10008.1.2.4.102": "MPEG-4 AVC/H.264 High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.102.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.103": "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.103.1": "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.104": "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video",
    "1.2.840.10008.1.2.4.104.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video",
    "1.2.840.10008.1.2.4.105": "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video",
    "1.2.840.10008.1.2.4.105.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video",
    "1.2.840.10008.1.2.4.106": "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
    "1.2.840.10008.1.2.4.106.1": "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
    "1.2.840.10008.1.2.4.107": "HEVC/H.265 Main Profile / Level 5.1",
    "1.2.840.10008.1.2.4.108": "HEVC/H.265 Main 10 Profile / Level 5.1",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.204": "JPIP HTJ2K Referenced",
    "1.2.840.10008.1.2.4.205": "JPIP HTJ2K Referenced Deflate",
    "1.2.840.10008.1.2.7.1": "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
    "1.2.840.10008.1.2.7.2": "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
    "1.2.840.10008.1.2.7.3": "SMPTE ST 2110-30 PCM Digital Audio",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame",
}
"""What is known and not read, by the names of PS3.6 table A-1."""


def coding(transfer_syntax_uid: str) -> Coding:
    """Say how a data set of this transfer syntax is spelled; whatever is not listed is explicit little endian."""
    if transfer_syntax_uid == IMPLICIT_LITTLE:
        return Coding(explicit=False)
    return Coding(explicit=True, order=">" if transfer_syntax_uid == EXPLICIT_BIG else "<")


def is_read(transfer_syntax_uid: str) -> bool:
    """Tell whether pixels of this transfer syntax can be read."""
    return transfer_syntax_uid in NATIVE or transfer_syntax_uid in ENCAPSULATED


def unsupported(transfer_syntax_uid: str) -> SeriesError:
    """Say that pixels of this transfer syntax are not read; a known one is named, and nothing of an unknown one."""
    return SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, REFUSED.get(transfer_syntax_uid, "unknown transfer syntax"))
