"""One file of an export: read up to its pixels, and either an image of ours or set aside for a reason."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from medflow.dicom.archives.members import Content
from medflow.dicom.classic import classic_frame, only_frame
from medflow.dicom.counts import counts_of
from medflow.dicom.enhanced import enhanced_frames, first_group
from medflow.dicom.files import open_object
from medflow.dicom.header import Header
from medflow.dicom.mosaic import is_mosaic, mosaic_frames
from medflow.dicom.objects import ENHANCED, image_modality, is_uid, sop_class_of, state_for
from medflow.dicom.pet import pet_header
from medflow.dicom.pixelfacts import PixelFacts, check_size, padding_of, pixel_facts
from medflow.dicom.planar import planes_of
from medflow.dicom.tags import Tag
from medflow.dicom.uih import grid_frames, is_grid
from medflow.dicom.walking import Window
from medflow.domain.series import Frame, Instance, Modality, Owner, SetAside, SourceFile
from medflow.errors import Reason, SeriesError, came_from

_Shared = TypeVar("_Shared", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageObject:
    """One image of a volume or a planar one, and the identifiers that say whose it is and where it belongs."""

    instance: Instance
    modality: Modality
    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    person: tuple[str, str] = field(repr=False)
    """Name and birth date, to tell apart patients without an ID."""
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)


class Sharing:
    """Keeps one copy of equal values, so that a series of a thousand slices holds its orientation once."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Hashable] = {}

    def __call__(self, value: _Shared) -> _Shared:
        """Give the copy of `value` that was seen first."""
        return self._values.setdefault(value, value)  # type: ignore[return-value]  # an equal value of the same type


def read_object(file: SourceFile, content: Content, shared: Sharing) -> ImageObject | SetAside:
    """Read the header of an open file or member. It never raises about what the file holds.

    Raises:
        OSError: the system does not let it be read.
    """
    owner: Owner | None = None
    try:
        opened = open_object(content.stream, content.size)
        owner = _owner(opened[1], shared)
        return _image_object(file, shared, opened)
    except SeriesError as error:
        return refused(file, error, owner)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  (law 6: a bug costs one file; `steps.settle` stops a run of many)
        return refused(file, SeriesError(Reason.UNEXPECTED_ERROR, came_from(error)), owner)


def refused(file: SourceFile, refusal: SeriesError, owner: Owner | None = None) -> SetAside:
    """Set a file aside for the reason that it was refused for."""
    state = state_for(refusal.reason)
    return SetAside(file=file, state=state, reason=refusal.reason, detail=refusal.detail, owner=owner)


def _owner(header: Header, shared: Sharing) -> Owner:
    return shared(
        Owner(
            patient_id=text_in(header, Tag.PatientID),
            issuer=text_in(header, Tag.IssuerOfPatientID),
            study_instance_uid=header.text(Tag.StudyInstanceUID),
        )
    )


def _image_object(file: SourceFile, shared: Sharing, opened: tuple[Header, Header, str, Window]) -> ImageObject:
    meta, header, syntax, window = opened
    modality = image_modality(meta, header, syntax)
    sop, study, series = (
        uid_in(header, tag) for tag in (Tag.SOPInstanceUID, Tag.StudyInstanceUID, Tag.SeriesInstanceUID)
    )
    facts = pixel_facts(header)
    check_size(header, window, facts, syntax)
    sop_class = sop_class_of(meta, header)
    planes = planes_of(header, sop_class, modality, facts) if modality.planar else ()
    frames, rescaled = ((), False) if modality.planar else _frames(header, sop_class, modality, facts)
    described = first_group(header) if sop_class in ENHANCED else header
    number = header.decimal(Tag.InstanceNumber)
    instance = Instance(
        file=file,
        sop_instance_uid=sop,
        sop_class_uid=shared(sop_class),
        transfer_syntax_uid=shared(syntax),
        instance_number=None if number is None else int(number),
        frames=tuple(_compact(frame, shared) for frame in frames),
        frame_of_reference=shared(header.text(Tag.FrameOfReferenceUID)),
        photometric=shared(header.text(Tag.PhotometricInterpretation)),
        rescale_type=shared(described.text(Tag.RescaleType) or None),
        rescaled=rescaled,
        padding=shared(padding_of(header, signed=facts.signed)),
        pet=shared(pet_header(header)) if modality is Modality.PT else None,
        planes=shared(planes),
        counts=shared(counts_of(header)),
    )
    return ImageObject(
        instance=instance,
        modality=modality,
        patient_id=shared(text_in(header, Tag.PatientID)),
        issuer=shared(text_in(header, Tag.IssuerOfPatientID)),
        person=shared((text_in(header, Tag.PatientName), header.text(Tag.PatientBirthDate))),
        study_instance_uid=shared(study),
        series_instance_uid=shared(series),
    )


def _frames(header: Header, sop_class: str, modality: Modality, facts: PixelFacts) -> tuple[tuple[Frame, ...], bool]:
    if sop_class in ENHANCED:
        return enhanced_frames(header, facts.frames, facts.rows, facts.columns)
    only_frame(facts.frames)
    frame, stated = classic_frame(header, modality, facts.rows, facts.columns)
    if is_grid(frame):
        return grid_frames(header, frame), stated
    return (mosaic_frames(header, frame) if is_mosaic(header, frame) else (frame,)), stated


def _compact(frame: Frame, shared: Sharing) -> Frame:
    """Make a frame share what it has in common with others."""
    return Frame(
        number=frame.number,
        rows=frame.rows,
        columns=frame.columns,
        position=frame.position,
        orientation=shared(frame.orientation),
        spacing=shared(frame.spacing),
        slope=shared(frame.slope),
        intercept=shared(frame.intercept),
        unit_of_last_digit=shared(frame.unit_of_last_digit),
        image_type=shared(frame.image_type),
        labels=tuple(map(shared, frame.labels)),
        corner=shared(frame.corner),
        thickness=shared(frame.thickness),
        kernel=shared(frame.kernel),
    )


def uid_in(header: Header, tag: Tag) -> str:
    """Read an identifier that every object must have."""
    uid = header.text(tag)
    if not is_uid(uid):
        raise SeriesError(Reason.MISSING_IDENTIFIER, tag.name)
    return uid


def text_in(header: Header, tag: Tag) -> str:
    """Read a text in the object's own character set (PS3.5 6.1); what cannot be read in it shows as U+FFFD."""
    raw = header.raw(tag).strip(b" \0")
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii").strip()
    from medflow.dicom.charset import decoded  # noqa: PLC0415  (pydicom takes a quarter of a second to import)

    return decoded(raw, header.texts(Tag.SpecificCharacterSet))
