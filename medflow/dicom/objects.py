"""What kind of DICOM object a file holds: an image of a CT, an MR or a PET, or something that is set aside."""

from medflow.dicom.files import MEDIA_DIRECTORY
from medflow.dicom.header import Header
from medflow.dicom.syntaxes import is_read
from medflow.dicom.tags import Tag
from medflow.domain.series import FileState, Modality
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
PLANAR_CLASSES = (
    *(
        f"{STORAGE}{number}"
        for number in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "12.1", "12.2", "481.1")
    ),
    *(f"{STORAGE}77.1.5.{number}" for number in (1, 2, 5, 6)),  # ophthalmic photographs
)
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
        Reason.ARCHIVE_NOT_OPENED,
    }
)
"""Reasons for which nobody needs to look at a file; every other one quarantines it."""


def state_for(reason: Reason) -> FileState:
    """Say what becomes of a file that is set aside for `reason`."""
    return FileState.IGNORED if reason in IGNORED else FileState.QUARANTINED


def volume_modality(meta: Header, header: Header, transfer_syntax_uid: str) -> Modality:
    """Tell which modality's volumes an object belongs to.

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
        raise SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
    modality = VOLUME_CLASSES.get(sop_class)
    if not sop_class and declared in set(Modality):
        raise SeriesError(Reason.MISSING_IDENTIFIER, "SOPClassUID")
    if modality is None:
        modality = _outside_volume_classes(header, sop_class, declared)
    elif declared in set(Modality) and declared != modality:
        raise SeriesError(Reason.DAMAGED_HEADER, "Modality")
    _check_depicts_slices(header, sop_class, modality)
    return modality


def sop_class_of(meta: Header, header: Header) -> str:
    """Read the SOP Class UID, from the file meta information where the data set lacks it."""
    return header.text(Tag.SOPClassUID) or meta.text(Tag.MediaStorageSOPClassUID)


def image_type_of(header: Header) -> tuple[str, ...]:
    """Read ImageType in capitals."""
    return tuple(value.upper() for value in header.texts(Tag.ImageType))


def _without_pixels(header: Header, sop_class: str, declared: str, transfer_syntax_uid: str) -> SeriesError:
    if Tag.PixelDataProviderURL in header or (not is_read(transfer_syntax_uid) and Tag.Rows in header):
        return SeriesError(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
    ours = sop_class in VOLUME_CLASSES or (not sop_class and declared in set(Modality))
    return SeriesError(Reason.DAMAGED_PIXELS, "no pixel data") if ours else SeriesError(Reason.NOT_AN_IMAGE)


def _outside_volume_classes(header: Header, sop_class: str, declared: str) -> Modality:
    """Judge an image whose SOP class is none of the CT, MR and PET classes."""
    if sop_class in PLANAR_CLASSES or (declared in PLANAR_MODALITIES and not sop_class.startswith(SECONDARY_CAPTURE)):
        raise SeriesError(Reason.PLANAR_IMAGE)
    if sop_class.startswith(OTHER_CLASSES) or declared in OTHER_MODALITIES:
        raise SeriesError(Reason.OTHER_MODALITY)
    if declared in set(Modality):
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


def _has_geometry(header: Header) -> bool:
    """Tell whether an object tries to say where in the patient it lies, rightly or not."""
    groups = {Tag.PerFrameFunctionalGroupsSequence, Tag.SharedFunctionalGroupsSequence}
    return bool(header.raw(Tag.ImagePositionPatient) or header.raw(Tag.ImageOrientationPatient)) or any(
        tag in header for tag in groups
    )
