"""What can be wrong, and for whom.

    MedflowError
    |-- SeriesError            rejects one series (or one file); becomes a row with its Reason; the run goes on
    |-- BatchError             stops the run; nothing of the step that raised it is kept
        |-- ConfigurationError     a setting, a task file or an option is wrong: the operator mends it
        |-- StateError             the stores disagree with what is asked (no such model, a key is missing)
        |-- IntegrityError         something stored is not what its digest says

Anything else is a bug: `medflow.steps.settle` says what becomes of it. A message says what is wrong, where and
what to do. It carries no patient's name, no original UID, no header value and no path of an export.
"""

import traceback
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why a file or a series was set aside: a code that is never renamed, and a radiographer's sentence."""

    sentence: str

    def __new__(cls, code: str, sentence: str = "") -> "Reason":
        """Make a member of its code; the sentence rides along."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    # files that are none of ours
    NOT_DICOM = "not-dicom", "This file is not DICOM."
    DICOMDIR = (
        "dicomdir",
        "A DICOMDIR is an index of a medium; the images it lists are read by themselves.",
    )
    NOT_AN_IMAGE = (
        "not-an-image",
        "A DICOM object without pixels: a report, a plan, a presentation state or raw data.",
    )
    NOT_PATIENT_GEOMETRY = (
        "not-patient-geometry",
        "An image that does not say where in the patient it lies: a screenshot, a scout or a secondary capture.",
    )
    PLANAR_IMAGE = (
        "planar-image",
        "A projection of a kind that is not read: a scout, or an angiographic, dental or portal image.",
    )
    OTHER_MODALITY = "other-modality", "An image of a modality that is not read."
    RESENT = "re-sent", "The same bytes as another file of this folder, sent again."
    ARCHIVE_WITHOUT_IMAGES = (
        "archive-without-images",
        "An archive that holds no image for us; each of its members says what it is.",
    )
    # files that are ours and cannot be used
    EMPTY_FILE = "empty-file", "The file holds no byte."
    UNREADABLE_FILE = "unreadable-file", "The system did not let the file be read."
    UNREADABLE_FOLDER = (
        "unreadable-folder",
        "The system did not let the folder be looked into; what it holds is not known.",
    )
    ARCHIVE_NOT_OPENED = (
        "archive-not-opened",
        "An archive, or something in one, that is not opened here; unpack it into the folder to take in what it holds.",
    )
    DAMAGED_ARCHIVE = (
        "damaged-archive",
        "The archive, or what a file in it is packed in, is damaged or breaks off.",
    )
    ARCHIVE_TOO_LARGE = (
        "archive-too-large",
        "The archive, or a file in it, would unfold to far more than an export holds.",
    )
    UNSAFE_ARCHIVE_MEMBER = (
        "unsafe-archive-member",
        "Something in an archive that is no plain file: a link, a device, or a path that leads out or is taken.",
    )
    ENCRYPTED_ARCHIVE = "encrypted-archive", "What the archive holds is locked with a password."
    NO_MEMBER_ACCEPTED = (
        "no-member-accepted",
        "Nothing that the archive holds could be taken in; each of its members says why.",
    )
    DAMAGED_HEADER = "damaged-header", "The DICOM header is damaged or breaks off."
    MISSING_IDENTIFIER = (
        "missing-identifier",
        "The object lacks a UID that DICOM requires of every object.",
    )
    CONFLICTING_OBJECT = (
        "conflicting-object",
        "Two different objects claim the same SOP Instance UID.",
    )
    TWO_PATIENTS = "two-patients", "Objects of two patients claim the same Series Instance UID."
    MIXED_SERIES = (
        "mixed-series",
        "Objects of one Series Instance UID disagree on their study or modality.",
    )
    UNSUPPORTED_TRANSFER_SYNTAX = (
        "unsupported-transfer-syntax",
        "The pixels are stored in a way (video, or streamed from elsewhere) that is not read here.",
    )
    DAMAGED_PIXELS = (
        "damaged-pixels",
        "The pixel data is damaged, breaks off, or has another size than the header says.",
    )
    DECODER_FAILED = (
        "decoder-failed",
        "Decoding the pixels crashed, or did not end within the time that they are worth.",
    )
    COLOUR_IMAGE = (
        "colour-image",
        "A colour image; a quantitative volume has one grey value for each voxel.",
    )
    IMPOSSIBLE_GEOMETRY = (
        "impossible-geometry",
        "Position, orientation or spacing is missing for some images, or cannot be right.",
    )
    SINGLE_POSITION = (
        "single-position",
        "Several images claim the same place, and nothing in them tells them apart.",
    )
    CHANGED_WHILE_READ = (
        "changed-while-read",
        "The file changed while it was read; it is taken in when it is quiet.",
    )
    # identity
    BURNED_IN_TEXT = (
        "burned-in-text",
        "Text may be burned into the pixels, and it could name the patient.",
    )
    TEXT_CANNOT_BE_READ = (
        "text-cannot-be-read",
        "An image of a kind that words are written on as a rule; what reads them here is not installed, or failed.",
    )
    PICTURE_WITHHELD = (
        "picture-withheld",
        "An image of a kind that words are written on as a rule; the profile does not clean pixels.",
    )
    REPORT_WITHHELD = (
        "report-withheld",
        "A structured report that is not cleaned: the profile does not clean their content, or its title is unknown.",
    )
    IDENTITY_REMAINS = (
        "identity-remains",
        "A value of the patient's identity was found after de-identification.",
    )
    RECOGNIZABLE_FACE = (
        "recognizable-face",
        "A head at full resolution shows a face, which the profile does not allow out.",
    )
    FACE_NOT_REMOVABLE = (
        "face-not-removable",
        "The profile demands that faces be removed, and where the face is could not be told for sure.",
    )
    # intensity
    NO_HOUNSFIELD_UNITS = (
        "no-hounsfield-units",
        "The CT's stored values cannot be turned into Hounsfield units.",
    )
    NO_SUV = (
        "no-suv",
        "The PET lacks, or contradicts, what the standardized uptake value is computed from.",
    )
    NO_ACTIVITY = "no-activity", "The PET's stored values cannot be turned into Bq/ml."
    NON_FINITE_VOXELS = "non-finite-voxels", "Some voxel values are not numbers."
    # what a task demands
    SEVERAL_VOLUMES = (
        "several-volumes",
        "The series holds several volumes, and the task does not say which one it wants.",
    )
    SEVERAL_SLICES = (
        "several-slices",
        "The volume has several slices, and the task looks at one.",
    )
    INCOMPLETE_STACK = "incomplete-stack", "Slices are missing or unevenly spaced."
    SEVERAL_PLANES = (
        "several-planes",
        "The series holds several planar images, and the task's rules fit more than one of them.",
    )
    NO_PIXEL_SPACING = (
        "no-pixel-spacing",
        "The image does not say how large its pixels are, and the task is in millimetres.",
    )
    NO_LATERALITY = (
        "no-laterality",
        "The image does not say which side of the body it shows, and the task mirrors one side.",
    )
    INCOMPLETE_SERIES = (
        "incomplete-series",
        "A count in the headers, or the PACS, says that more images belong to the series than are here.",
    )
    SEVERAL_SERIES = (
        "several-series",
        "Several series of the study match the task equally well, and nothing says which one it means.",
    )
    NO_MATCHING_SERIES = (
        "no-matching-series",
        "No series of the study matches what the task asks for.",
    )
    OUTSIDE_GRID = "outside-grid", "The volume does not cover what the task's grid needs."
    # people and stores
    PLACEHOLDER_PATIENT = (
        "placeholder-patient",
        "The patient's ID is absent or a placeholder; a cohort cannot use it.",
    )
    PATIENT_EXCLUDED = (
        "patient-excluded",
        "The patient opted out: nothing of theirs is taken in or used.",
    )
    PATIENT_ERASED = (
        "patient-erased",
        "The patient's data was erased, at the patient's or the hospital's request.",
    )
    RETENTION_ENDED = (
        "retention-ended",
        "What was made of this was removed when the time ended for which it may be kept.",
    )
    STORED_COPY_DIFFERS = (
        "stored-copy-differs",
        "A stored file is missing or is not what its digest says.",
    )
    UNEXPECTED_ERROR = (
        "unexpected-error",
        "Something failed in a way nobody foresaw; the audit trail says where.",
    )


class MedflowError(Exception):
    """Whatever medflow itself raises."""


class SeriesError(MedflowError):
    """Turns one series or file away for `reason`; `detail` holds counts, codes and keywords, never values."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.sentence} ({detail})" if detail else reason.sentence)


class BatchError(MedflowError):
    """Stops the run."""


class ConfigurationError(BatchError):
    """A setting, an option or a task file is wrong; the message says where and what to do."""


class StateError(BatchError):
    """What is asked does not fit what is stored."""


class IntegrityError(BatchError):
    """Something stored is not what its digest or its chain says."""


def came_from(error: BaseException) -> str:
    """Name an unforeseen error by its type and the frames of ours that it passed through: no message, no path."""
    root = Path(__file__).parent
    frames = [
        f"{Path(frame.filename).relative_to(root.parent).with_suffix('').as_posix()}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root)
    ]
    return f"{type(error).__name__} at {' > '.join(frames[-3:]) or 'no frame of ours'}"
