"""Transfer syntaxes: how the data set is spelled and how its pixels are packed (PS3.5 annex A, PS3.6 table A-1)."""

from enum import StrEnum

from medflow.dicom.walking import Coding

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
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
    JPEG_EXTENDED: Packing.JPEG,
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


def coding(transfer_syntax_uid: str) -> Coding:
    """Say how a data set of this transfer syntax is spelled; whatever is not listed is explicit little endian."""
    if transfer_syntax_uid == IMPLICIT_LITTLE:
        return Coding(explicit=False)
    return Coding(explicit=True, order=">" if transfer_syntax_uid == EXPLICIT_BIG else "<")


def is_read(transfer_syntax_uid: str) -> bool:
    """Tell whether pixels of this transfer syntax can be read."""
    return transfer_syntax_uid in NATIVE or transfer_syntax_uid in ENCAPSULATED
