"""One subject's study as files: a path inside the export, and the bytes that lie there."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom.dataset import Dataset

from sample_dicom import brain, headers, images, torso
from sample_dicom.geometry import Geometry, Vector, centred
from sample_dicom.headers import SeriesPlan
from sample_dicom.images import Stored
from sample_dicom.scanners import CT_SCANNERS, MR_SCANNERS, PET_SCANNERS, CTScanner, Device, PETScanner, Stack
from sample_dicom.shapes import Part
from sample_dicom.subjects import Subject, scanner_of
from sample_dicom.writing import dicom_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What lies where in an export; the path uses `/`."""

    path: str
    content: bytes


def chest_ct(subject: Subject) -> Iterator[File]:
    """Scan a chest, with lung nodules if the subject has them."""
    scanner = CT_SCANNERS[scanner_of(subject.number, len(CT_SCANNERS))]
    yield from ct_files(subject, scanner, chest(subject), number=2)


def brain_mr(subject: Subject) -> Iterator[File]:
    """Scan a head, with a lesion if the subject has one."""
    scanner = MR_SCANNERS[scanner_of(subject.number, len(MR_SCANNERS))]
    body = brain.head(subject.chance("anatomy"))
    parts = (*body.parts, *(brain.lesion(subject.chance("finding"), body) if subject.finding else ()))
    plan = SeriesPlan(
        subject=subject,
        device=scanner.device,
        modality="MR",
        number=3,
        description=scanner.description,
        body_part=scanner.body_part,
        geometry=_placed(subject, scanner.stack, (0.0, 0.0, 2.0)),
        thickness=scanner.stack.thickness,
    )
    stored = images.mr_image(parts, plan.geometry, scanner, subject.chance("mr noise"))
    yield from series_files(plan, stored, lambda ds: headers.mr(ds, scanner))


def pet_ct(subject: Subject) -> Iterator[File]:
    """Scan a trunk twice in one study and one frame of reference: low-dose CT, then FDG PET."""
    scanner = PET_SCANNERS[scanner_of(subject.number, len(PET_SCANNERS))]
    body = torso.torso(subject.chance("anatomy"), woman=subject.sex == "F")
    parts = (*body.parts, *((torso.focus(subject.chance("finding"), body),) if subject.finding else ()))
    yield from ct_files(subject, scanner.ct, parts, number=2, time="100900")
    yield from _pet_files(subject, scanner, parts)


def chest(subject: Subject) -> tuple[Part, ...]:
    """Draw the subject's chest, with its nodules if there are any."""
    body = torso.torso(subject.chance("anatomy"), woman=subject.sex == "F")
    return (*body.parts, *(torso.nodules(subject.chance("finding"), body) if subject.finding else ()))


def ct_plan(subject: Subject, scanner: CTScanner, *, number: int, time: str = headers.SCANNED) -> SeriesPlan:
    """Plan a CT series of the trunk."""
    return SeriesPlan(
        subject=subject,
        device=scanner.device,
        modality="CT",
        number=number,
        description=scanner.description,
        body_part=scanner.body_part,
        geometry=_placed(subject, scanner.stack, (0.0, 0.0, 4.0)),
        thickness=scanner.stack.thickness,
        time=time,
    )


def ct_files(
    subject: Subject, scanner: CTScanner, parts: Sequence[Part], *, number: int, time: str = headers.SCANNED
) -> Iterator[File]:
    """Scan `parts` with a CT."""
    plan = ct_plan(subject, scanner, number=number, time=time)
    stored = images.ct_image(parts, plan.geometry, scanner, subject.chance("ct noise"))
    yield from series_files(plan, stored, lambda ds: headers.ct(ds, scanner))


def series_files(plan: SeriesPlan, stored: Stored, describe: Callable[[Dataset], None]) -> Iterator[File]:
    """Write each slice of a series; files are named by instance number, as exports do."""
    shared = headers.series(plan)
    describe(shared)
    numbers = _instance_numbers(plan.subject, plan.device, len(stored.pixels))
    folder = series_folder(plan)
    for index, instance_number in enumerate(numbers):
        ds = deepcopy(shared)
        headers.instance(ds, plan, slice_index=index, instance_number=instance_number)
        if stored.slopes:
            ds.RescaleSlope = stored.slopes[index]
            ds.ImageIndex = index + 1
        content = dicom_bytes(ds, stored.pixels[index], compressed=plan.device.compressed)
        yield File(path=f"{folder}/IM{instance_number:05}{plan.device.suffix}", content=content)


def series_folder(plan: SeriesPlan) -> str:
    """Name the folder of a series."""
    return f"{plan.subject.patient_id}/ST{plan.subject.study_date:%Y%m%d}/SE{plan.number:03}"


def _pet_files(subject: Subject, scanner: PETScanner, parts: Sequence[Part]) -> Iterator[File]:
    dose = 1e6 * round(subject.weight * subject.chance("dose").uniform(3.0, 4.5))
    plan = SeriesPlan(
        subject=subject,
        device=scanner.device,
        modality="PT",
        number=3,
        description=f"PET AC {scanner.reconstruction}",
        body_part="CHESTABDOMEN",
        geometry=_placed(subject, scanner.stack, (0.0, 0.0, 4.0)),
        thickness=scanner.stack.thickness,
    )
    stored = images.pet_image(
        parts,
        plan.geometry,
        scanner,
        subject.chance("pet noise"),
        bqml_per_suv=dose * headers.REMAINING / (1000 * subject.weight),
    )
    yield from series_files(plan, stored, lambda ds: headers.pet(ds, scanner, dose=dose))


def _placed(subject: Subject, stack: Stack, centre: Vector) -> Geometry:
    """Centre a stack on the body as a technologist would: nearly."""
    chance = subject.chance("table")
    x, y, z = (value + round(chance.uniform(-5, 5)) for value in centre)
    return centred(stack.shape, stack.spacing, (x, y, z), stack.axes)


def _instance_numbers(subject: Subject, device: Device, count: int) -> list[int]:
    if device.numbering == "shuffled":
        return [1 + place for place in subject.chance("numbering").shuffled(count)]
    return list(range(count, 0, -1)) if device.numbering == "down" else list(range(1, count + 1))
