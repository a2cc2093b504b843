"""A patient who is nobody, hidden wherever a DICOM file can hide one: each place has a token of its own."""

import random
import struct
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medflow.dicom.hush import hushed

TEXTS = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"])
BYTES = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
STRUCTURE = frozenset(
    {
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SpecificCharacterSet",
        "PatientID",
        "IssuerOfPatientID",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
        "ImageType",
        "NumberOfFrames",
        "PhotometricInterpretation",
        "BurnedInAnnotation",
        "SliceLocation",
        "InstanceNumber",
        "PixelAspectRatio",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "RescaleType",
    }
)
"""What must be as it is for the series to be read at all."""
ROWS = COLUMNS = 64


@dataclass(kw_only=True)
class Tokens:
    """Draws tokens that look like nothing a radiologist writes, and remembers where each was planted."""

    seed: int
    planted: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  (a test's data)

    def word(self, place: str, length: int = 12) -> str:
        """Draw a token of capital letters."""
        token = "QX" + "".join(self._chance.choices("BCDFGHJKLMNPQRSTVWXZ", k=length - 2))
        self.planted[place] = token.encode("ascii")
        return token

    def uid(self, place: str) -> str:
        """Draw a UID."""
        uid = f"1.2.826.0.1.3680043.9.{self._chance.randrange(10**15, 10**16)}"
        self.planted[place] = uid.encode("ascii")
        return uid

    def found_in(self, content: bytes) -> list[str]:
        """Name the places whose token stands in `content`, as it is or in UTF-16."""
        return [
            place
            for place, token in self.planted.items()
            if token in content or token.decode("ascii").encode("utf-16-le") in content
        ]


def ct_slice(number: int, *, patient: str = "4711-0815", seed: int = 0) -> Dataset:
    """Make one valid slice of a small CT."""
    root = f"1.2.826.0.1.3680043.8.498.{seed}"
    chance = np.random.default_rng(seed * 1000 + number)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{root}.3.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = f"{root}.1", f"{root}.2", f"{root}.4"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240229"
    ds.StudyTime = ds.SeriesTime = "081500"
    ds.AcquisitionTime = ds.ContentTime = f"0820{number:02d}.5"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ds.PositionReferenceIndicator = ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "SIEMENS", "SOMATOM Force"
    ds.SeriesDescription, ds.BodyPartExamined, ds.ConvolutionKernel = "Thorax 1.5mm Br40d", "CHEST", "Br40d"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Muster^Eva", patient, "19300115", "F"
    ds.PatientAge, ds.PatientWeight, ds.PatientSize = "094Y", "61.5", "1.64"
    ds.KVP, ds.SliceThickness, ds.PatientPosition = "120", "1.5", "HFS"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "4", "1", str(number + 1)
    ds.ImagePositionPatient = ["-12.5", "-30", f"{1.5 * number:.2f}"]
    ds.ImageOrientationPatient, ds.PixelSpacing = ["1", "0", "0", "0", "1", "0"], ["0.75", "0.75"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelData = chance.integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16).tobytes()
    return ds


def file_bytes(
    ds: Dataset,
    *,
    implicit: bool = False,
    preamble: bytes = bytes(128),
    tail: bytes = b"",
    extra_meta: Dataset | None = None,
) -> bytes:
    """Write a data set as a DICOM file, with what may ride before and behind it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.update(extra_meta or {})
    whole = FileDataset("", ds, file_meta=meta, preamble=preamble, is_implicit_VR=implicit, is_little_endian=True)
    stream = BytesIO()
    with hushed():
        dcmwrite(stream, whole, enforce_file_format=True)
    return stream.getvalue() + tail


def raw(ds: Dataset, tag: int, vr: str, value: bytes, *, implicit: bool = False) -> None:
    """Put an element into `ds` byte for byte, valid or not."""
    value += (b"\0" if vr in BYTES | {"UI"} else b" ") * (len(value) % 2)
    with hushed():
        ds[BaseTag(tag)] = RawDataElement(BaseTag(tag), vr, len(value), value, 0, implicit, is_little_endian=True)


def plant_everywhere(ds: Dataset, tokens: Tokens, *, where: str = "", implicit: bool = False) -> None:
    """Give every attribute of the dictionary that `ds` can do without a token, whatever its VR allows."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if group in {0, 2, 4, 0xFFFE} or tag >= 0x7FE00000 or keyword in STRUCTURE or (tag in ds and vr not in TEXTS):
            continue
        place = f"{where}{keyword or hex(tag)}"
        if vr in TEXTS:
            raw(ds, tag, vr, tokens.word(place).encode("ascii"), implicit=implicit)
        elif vr == "UI":
            raw(ds, tag, vr, tokens.uid(place).encode("ascii"), implicit=implicit)
        elif vr in BYTES:
            raw(ds, tag, vr, tokens.word(place).encode("ascii"), implicit=implicit)
        elif vr in {"FD", "FL", "UL", "SL"}:
            raw(ds, tag, vr, tokens.word(place, 16).encode("ascii"), implicit=implicit)
        elif vr == "SQ":
            ds[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", Sequence([planted_item(tokens, place)]))


def planted_item(tokens: Tokens, place: str) -> Dataset:
    """Make an item that hides tokens in names, codes, references and a sequence of its own."""
    item, inner = Dataset(), Dataset()
    item.PatientName = tokens.word(f"{place}.PatientName")
    item.OtherPatientIDs = tokens.word(f"{place}.OtherPatientIDs")
    item.SeriesDescription = f"AX {tokens.word(f'{place}.SeriesDescription')}"
    item.CodeValue, item.CodingSchemeDesignator = tokens.word(f"{place}.CodeValue"), "SCT"
    item.CodeMeaning = tokens.word(f"{place}.CodeMeaning")
    item.ReferencedSOPInstanceUID = tokens.uid(f"{place}.ReferencedSOPInstanceUID")
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "113100", "DCM", tokens.word(f"{place}.inner")
    raw(inner, 0x00090010, "LO", tokens.word(f"{place}.creator").encode("ascii"))
    raw(inner, 0x00091001, "UN", tokens.word(f"{place}.private").encode("ascii"))
    item.AnatomicRegionSequence = Sequence([inner])
    return item


def plant_aside(ds: Dataset, tokens: Tokens) -> None:
    """Plant where no dictionary leads: private blocks, repeating groups, group lengths, the pixels' tail."""

    def word(place: str) -> bytes:
        return tokens.word(place).encode("ascii")

    raw(ds, 0x00090010, "LO", word("private creator"))
    raw(ds, 0x00091001, "LO", word("private text"))
    raw(ds, 0x00091002, "UN", word("private UN"))
    raw(ds, 0x00190020, "LO", b"SIEMENS MR HEADER")
    raw(ds, 0x0019200C, "IS", word("safe private number"))
    raw(ds, 0x0019200D, "CS", word("safe private term"))
    raw(ds, 0x00192099, "LO", word("private of a safe creator"))
    raw(ds, 0x00430010, "LO", b"GEMS_PARM_01")
    raw(ds, 0x00431027, "UN", word("safe private UN"))
    raw(ds, 0x50000020, "CS", word("curve"))
    raw(ds, 0x50003000, "OW", word("curve data"))
    raw(ds, 0x60000022, "LO", word("overlay description"))
    raw(ds, 0x60003000, "OW", word("overlay data"))
    raw(ds, 0x60020022, "LO", word("second overlay"))
    raw(ds, 0x00080000, "UL", struct.pack("<I", 4))
    raw(ds, 0x00189999, "LO", word("a tag that no dictionary has"))
    raw(ds, 0x00080015, "UN", word("UN of the standard"))
    raw(ds, 0x00181030, "PN", word("another VR than the standard's"))
    raw(ds, 0xFFFCFFFC, "OB", word("trailing padding"))
    ds.PixelData += word("behind the last pixel")


def write_files(folder: Path, *contents: bytes) -> Path:
    """Write files as an export does."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{number:04d}").write_bytes(content)
    return folder
