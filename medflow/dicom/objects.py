"""What kind of DICOM object a file holds: a slice of a CT, MR or PET, a planar image, or what is set aside."""

from medflow.dicom.files import MEDIA_DIRECTORY
from medflow.dicom.header import Header
from medflow.dicom.syntaxes import is_read, unsupported
from medflow.dicom.tags import Tag
from medflow.domain.series import VOLUMES, FileState, Modality
from medflow.errors import Reason, SeriesError

STORAGE = "1.2.840.10008.5.1.4.1.1."

CLASSIC = {f"{STORAGE}2": Modality.CT, f"{STORAGE}4": Modality.MR, f"{STORAGE}128": Modality.PT}
ENHANCED = {
    f"{STORAGE}2.1": Modality.CT,
    f"{STORAGE}2.2": Modality.CT,  # Legacy Converted Enhanced
    f"{STORAGE}4.1": Modality.MR,
    f"{STORAGE}4.3": Modality.MR,  # Enhanced MR Color
    f"{STORAGE}4.4": Modality.MR,
    f"{STORAGE}130": Modality.PT,
    f"{STORAGE}128.1": Modality.PT,
}
VOLUME_CLASSES = CLASSIC | ENHANCED
SECONDARY_CAPTURE = f"{STORAGE}7"
OTHER_CLASSES = (
    f"{STORAGE}20",  # nuclear medicine
    f"{STORAGE}13.1.3",  # breast tomosynthesis
    f"{STORAGE}30",  # parametric map
    f"{STORAGE}66",  # segmentation and other derived objects
    f"{STORAGE}481.2",  # RT dose
)
RADIOGRAPHS = {
    f"{STORAGE}1": Modality.CR,
    f"{STORAGE}1.1": Modality.DX,
    f"{STORAGE}1.1.1": Modality.DX,
    f"{STORAGE}1.2": Modality.MG,
    f"{STORAGE}1.2.1": Modality.MG,
}
PHOTOGRAPHS = {f"{STORAGE}77.1.5.{number}": Modality.OP for number in (1, 2, 5, 6)}
"""Ophthalmic photographs of 8 and 16 bits, and wide field ones."""
PLANAR_CLASSES = RADIOGRAPHS | PHOTOGRAPHS
FOR_PROCESSING = frozenset({f"{STORAGE}1.1.1", f"{STORAGE}1.2.1"})
OTHER_PLANAR_CLASSES = tuple(f"{STORAGE}{number}" for number in ("1.3", "1.3.1", "12.1", "12.2", "481.1"))
"""Intra-oral, angiographic, fluoroscopic and portal images."""
PLANAR_MODALITIES = frozenset({"CR", "DX", "MG", "IO", "PX", "OP", "RG", "RF", "XA", "RTIMAGE"})
OTHER_MODALITIES = frozenset({"NM", "SEG", "RTDOSE"})

IGNORED = frozenset(
    {
        Reason.NOT_DICOM,
        Reason.DICOMDIR,
        Reason.NOT_AN_IMAGE,
        Reason.NOT_PATIENT_GEOMETRY,
        Reason.PLANAR_IMAGE,
        Reason.OTHER_MODALITY,
        Reason.COLOUR_IMAGE,
        Reason.RESENT,
        Reason.ARCHIVE_WITHOUT_IMAGES,
        Reason.PICTURE_WITHHELD,
        Reason.REPORT_WITHHELD,
    }
)
"""Reasons for which nobody needs to look at a file; every other one quarantines it."""


GREY = frozenset({"", "MONOCHROME1", "MONOCHROME2"})
"""What may be said of a grey image; saying nothing is judged with the rest of its pixel module."""


LONGEST_UID = 64


def state_for(reason: Reason) -> FileState:
    """Say what becomes of a file that is set aside for `reason`."""
    return FileState.IGNORED if reason in IGNORED else FileState.QUARANTINED


def image_modality(meta: Header, header: Header, transfer_syntax_uid: str) -> Modality:
    """Tell which modality's images an object belongs to: the planar ones become planes, and no other does.

    Raises:
        SeriesError: it belongs to none, for the reason given.
    """
    sop_class = sop_class_of(meta, header)
    declared = header.text(Tag.Modality)
    if sop_class == MEDIA_DIRECTORY or Tag.DirectoryRecordSequence in header:
        raise SeriesError(Reason.DICOMDIR)
    if header.pixels is None:
        raise _without_pixels(header, sop_class, declared, transfer_syntax_uid)
    if not is_read(transfer_syntax_uid):
        raise unsupported(transfer_syntax_uid)
    _check_class(sop_class, declared)
    if sop_class in PLANAR_CLASSES:
        return _planar_modality(sop_class, declared)
    modality = VOLUME_CLASSES.get(sop_class)
    if modality is None:
        modality = _outside_volume_classes(header, sop_class, declared)
    elif declared in VOLUMES and declared != modality:
        raise SeriesError(Reason.DAMAGED_HEADER, "Modality")
    _check_depicts_slices(header, sop_class, modality)
    return modality


def _check_class(sop_class: str, declared: str) -> None:
    if not sop_class and declared in set(Modality):
        raise SeriesError(Reason.MISSING_IDENTIFIER, "SOPClassUID")
    if sop_class and not is_uid(sop_class):
        raise SeriesError(Reason.DAMAGED_HEADER, "SOPClassUID")


def is_uid(text: str) -> bool:
    """Tell whether `text` can be a UID (PS3.5 9.1)."""
    return 0 < len(text) <= LONGEST_UID and not set(text) - set("0123456789.")


def sop_class_of(meta: Header, header: Header) -> str:
    """Read the SOP Class UID, from the file meta information where the data set lacks it."""
    return header.text(Tag.SOPClassUID) or meta.text(Tag.MediaStorageSOPClassUID)


def image_type_of(header: Header) -> tuple[str, ...]:
    """Read ImageType in capitals."""
    return tuple(value.upper() for value in header.texts(Tag.ImageType))


def _without_pixels(header: Header, sop_class: str, declared: str, transfer_syntax_uid: str) -> SeriesError:
    if not is_read(transfer_syntax_uid) and (Tag.PixelDataProviderURL in header or Tag.Rows in header):
        return unsupported(transfer_syntax_uid)
    if Tag.PixelDataProviderURL in header:
        return SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "PixelDataProviderURL")
    ours = sop_class in VOLUME_CLASSES | PLANAR_CLASSES or (not sop_class and declared in set(Modality))
    return SeriesError(Reason.DAMAGED_PIXELS, "no pixel data") if ours else SeriesError(Reason.NOT_AN_IMAGE)


def _planar_modality(sop_class: str, declared: str) -> Modality:
    """Judge an object of a planar class; a CR plate may have been exposed for a mammogram, and say so."""
    if not declared:
        return PLANAR_CLASSES[sop_class]
    classes = RADIOGRAPHS if sop_class in RADIOGRAPHS else PHOTOGRAPHS
    if declared in classes.values():
        return Modality(declared)
    if declared in PLANAR_MODALITIES - set(Modality):
        raise SeriesError(Reason.PLANAR_IMAGE)  # dental, panoramic, portal: read by nobody here
    raise SeriesError(Reason.DAMAGED_HEADER, "Modality")


def _outside_volume_classes(header: Header, sop_class: str, declared: str) -> Modality:
    """Judge an image whose SOP class is none of the CT, MR and PET classes."""
    if sop_class.startswith(OTHER_CLASSES) or declared in OTHER_MODALITIES:
        raise SeriesError(Reason.OTHER_MODALITY)
    if sop_class in OTHER_PLANAR_CLASSES or (
        declared in PLANAR_MODALITIES and not sop_class.startswith(SECONDARY_CAPTURE)
    ):
        raise SeriesError(Reason.PLANAR_IMAGE)
    if declared in VOLUMES:
        return Modality(declared)
    raise SeriesError(Reason.OTHER_MODALITY if _has_geometry(header) else Reason.NOT_PATIENT_GEOMETRY)


def _check_depicts_slices(header: Header, sop_class: str, modality: Modality) -> None:
    """Set aside screenshots, scouts and colour pictures that a scanner stores among its slices."""
    image_type = image_type_of(header)
    placed = _has_geometry(header)
    scout = modality is Modality.CT and "LOCALIZER" in image_type[2:3]
    made_of_others = (
        sop_class not in VOLUME_CLASSES or image_type[:1] == ("DERIVED",) or image_type[1:2] == ("SECONDARY",)
    )
    if not placed and (made_of_others or scout):
        raise SeriesError(Reason.NOT_PATIENT_GEOMETRY)
    if scout:
        raise SeriesError(Reason.PLANAR_IMAGE)  # a projection, wherever it lies (PS3.3 C.8.2.1.1.1)
    photometric = header.text(Tag.PhotometricInterpretation)
    samples = header.integer(Tag.SamplesPerPixel)
    if (photometric and not photometric.startswith("MONOCHROME")) or (samples or 1) > 1:
        raise SeriesError(Reason.COLOUR_IMAGE)
    if photometric not in GREY:
        raise SeriesError(Reason.DAMAGED_HEADER, "PhotometricInterpretation")


def _has_geometry(header: Header) -> bool:
    """Tell whether an object tries to say where in the patient it lies, rightly or not."""
    groups = {Tag.PerFrameFunctionalGroupsSequence, Tag.SharedFunctionalGroupsSequence}
    return bool(header.raw(Tag.ImagePositionPatient) or header.raw(Tag.ImageOrientationPatient)) or any(
        tag in header for tag in groups
    )
