"""Where every frame of a series stands in the patient, as volumes of uniform runs; nothing is guessed or left out."""

from collections import defaultdict
from dataclasses import dataclass, replace
from hashlib import sha256

from medflow.dicom.content import open_content
from medflow.dicom.grouping import Values, grouped, has_several_echoes, slices_of
from medflow.dicom.objects import state_for
from medflow.dicom.pixels import stored_values_in
from medflow.dicom.repeats import Labels, Part, parted
from medflow.dicom.stacks import Run
from medflow.dicom.tangles import disentangled
from medflow.domain.layout import Layout, Place
from medflow.domain.planefacts import PlaneFacts
from medflow.domain.series import Frame, Series, SetAside
from medflow.errors import Reason, SeriesError


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A series whose every object stands in a layout, and the files that were set aside on the way."""

    series: Series
    layouts: tuple[Layout, ...]
    """`Place.file` is an index into `series.instances`."""
    set_aside: tuple[SetAside, ...]
    planes: tuple[PlaneFacts, ...] = ()
    """The planar images of a planar series, which has no layouts; `PlaneFacts.file` is an index likewise."""


def lay_out(series: Series) -> LaidOut:
    """Work out the volumes of `series` from its headers; files are opened only to compare frames that look alike.

    Raises:
        SeriesError: no object of it can be laid out.
    """
    if series.modality.planar:
        planes = (replace(plane, file=n) for n, instance in enumerate(series.instances) for plane in instance.planes)
        return LaidOut(series=series, layouts=(), set_aside=(), planes=tuple(planes))
    set_aside: list[SetAside] = []
    series = _placed(series, set_aside)
    by_number = False
    while _crowded(parts := _parts(series, by_number=by_number)):
        dropped = _resent(series, parts)
        if dropped:
            series = _without(series, dropped, Reason.RESENT, set_aside)
        elif not by_number:
            by_number = True
        else:
            whole = {one.file for part in _crowded(parts) for one in part.slices}
            series = _without(series, whole, Reason.SINGLE_POSITION, set_aside)
    return LaidOut(series=series, layouts=_layouts(parts), set_aside=tuple(set_aside))


def _placed(series: Series, set_aside: list[SetAside]) -> Series:
    """Set aside objects with a frame that does not say where it lies."""
    lost = {
        number
        for number, instance in enumerate(series.instances)
        if not instance.frames or not all(f.position and f.orientation and f.spacing for f in instance.frames)
    }
    return _without(series, lost, Reason.IMPOSSIBLE_GEOMETRY, set_aside)


def _without(series: Series, numbers: set[int], reason: Reason, set_aside: list[SetAside]) -> Series:
    """Take objects out of a series; a series that has none left is refused."""
    kept = []
    for number, instance in enumerate(series.instances):
        if number in numbers:
            set_aside.append(SetAside(file=instance.file, state=state_for(reason), reason=reason))
        else:
            kept.append(instance)
    if not kept:
        raise SeriesError(reason)
    return replace(series, instances=tuple(kept))


def _parts(series: Series, *, by_number: bool) -> list[Part]:
    slices = slices_of(series)
    echoes = has_several_echoes(slices)
    parts = []
    for group in grouped(series, slices):
        shared: Labels = tuple(item for item in group[0].frame.labels if echoes and item[0] == "EchoTime")
        parts += [replace(part, labels=shared + part.labels) for part in parted(group, by_number=by_number)]
    return parts


def _crowded(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.most > 1]


def _resent(series: Series, parts: list[Part]) -> set[int]:
    """Find objects that repeat, pixel for pixel, another one at their place: all but the first of each."""
    dropped = set()
    for part in _crowded(parts):
        at_place: dict[int, set[int]] = defaultdict(set)
        for one, place in zip(part.slices, part.places.tolist(), strict=True):
            at_place[place].add(one.file)
        for files in {tuple(sorted(files)) for files in at_place.values() if len(files) > 1}:
            dropped |= _repeating(series, files)
    return dropped


def _repeating(series: Series, files: tuple[int, ...]) -> set[int]:
    seen = set()
    repeating = set()
    for number in files:
        instance = series.instances[number]
        try:
            with open_content(instance.file) as content:
                values = sha256(stored_values_in(content.stream, content.size).tobytes()).digest()
        except (SeriesError, OSError):
            continue
        contents = values, tuple((f.slope, f.intercept, f.corner, _rounded(f)) for f in instance.frames)
        if contents in seen:
            repeating.add(number)
        seen.add(contents)
    return repeating


def _rounded(frame: Frame) -> Values:
    return tuple(round(value, 2) for value in frame.position or ())


def _layouts(parts: list[Part]) -> tuple[Layout, ...]:
    layouts = []
    for part in parts:
        for thread, runs in disentangled(part):
            layouts += [_layout(run, thread.labels, (number, len(runs))) for number, run in enumerate(runs, 1)]
    return tuple(layouts)


def _layout(run: Run, labels: Labels, which: tuple[int, int]) -> Layout:
    frame = run.slices[0].frame
    return Layout(
        rows=frame.rows,
        columns=frame.columns,
        affine=run.affine,
        places=tuple(
            Place(
                file=one.file,
                frame=one.frame.number,
                corner=one.frame.corner,
                slope=one.frame.slope,
                intercept=one.frame.intercept,
            )
            for one in run.slices
        ),
        labels=tuple(sorted(labels)),
        run=which,
        residual=run.residual,
        sheared=run.sheared,
    )
