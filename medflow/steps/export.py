"""Data for people: volumes as NIfTI, as they were taken or on a task's grid, and DICOM under a recipient's names."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medflow.deid.relabel import for_recipient, relabelled_series, renamed
from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.task import SeriesRule, Task
from medflow.domain.volume import Grid, Unit, Volume
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.imaging.grid import on_grid
from medflow.imaging.nifti import write_nifti
from medflow.imaging.read import read_volume
from medflow.steps import exported
from medflow.steps.house import House
from medflow.steps.rules import failures
from medflow.steps.run import Run, opened
from medflow.steps.selection import Selected, select
from medflow.steps.settle import Settler
from medflow.store import files
from medflow.store.engine import reading, writing
from medflow.store.series import SeriesRow, accepted_series


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written, and what was not."""

    run: str
    what: str
    """volumes or series."""
    written: int
    refused: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {"run": self.run, self.what: self.written, "refused": dict(self.refused)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be exported: on the grid of `task`, or natively where there is none."""

    task: Task | None
    faces: bool = False
    """True where the operator accepts heads, which show a face, by name."""
    recipient: str = ""
    """Whom it is for: two recipients get other pseudonyms, UIDs and dates. Without one, the house's own."""


def export_volumes(house: House, out: Path, wish: Wish, *, progress: Progress = SILENT) -> ExportReport:
    """Write each volume as `<pseudonym>/<series id>_<n>.nii.gz` and `.json` below `out`.

    No date is written. A head is refused unless `wish.faces` accepts it: its surface is a face.

    Raises:
        ConfigurationError: `out` lies inside the data folder, or the task looks at planar images.
    """
    if wish.task is not None and wish.task.planar:
        raise ConfigurationError("planar images have no place in space, and are not written as volumes")
    return _export_all(house, out, wish, "volumes", partial(_volumes_of, out=out, wish=wish), progress)


def export_dicom(house: House, out: Path, wish: Wish, *, progress: Progress = SILENT) -> ExportReport:
    """Write each series as de-identified DICOM below `out`, under the names that `wish.recipient` knows it by.

    Pseudonyms, UIDs, codes and the shift of dates are the recipient's own; pixels are as they stand in the safe store.
    A head is refused unless `wish.faces` accepts it.

    Raises:
        ConfigurationError: `out` lies inside the data folder, or there is no recipient.
    """
    if not wish.recipient.strip():
        raise ConfigurationError("say whom the export is for: --recipient LABEL")
    return _export_all(house, out, wish, "series", partial(_dicom_of, out=out, wish=wish), progress)


def _export_all(
    house: House, out: Path, wish: Wish, what: str, write: Callable[[Run, DeidentifiedSeries], int], progress: Progress
) -> ExportReport:
    """Export what stands, series by series; what is refused is counted by its reason."""
    if out.resolve().is_relative_to(house.data):
        raise ConfigurationError("the output folder lies inside the data folder; name another place")
    settler, written = Settler(), 0
    refused: Counter[str] = Counter()
    with opened(house, "export", source="native" if wish.task is None else wish.task.name) as run:
        with reading(house.engine) as connection:
            rows = accepted_series(connection)
        progress.start(f"exporting {what}", len(rows))
        for row in rows:
            outcome = settler.settle(partial(_export, run, row, wish, write))
            if isinstance(outcome, SeriesError):
                refused[outcome.reason.value] += 1
            else:
                written += outcome
            progress.advance()
        run.detail = {what: written, "refused": dict(refused)}
        if written:
            detail = {what: written, "faces": wish.faces, "recipient": _code(house, wish)}
            with writing(house.engine) as connection:
                run.append(connection, f"{what}-exported", "", **detail)
        return ExportReport(run=run.id, what=what, written=written, refused=refused)


def _code(house: House, wish: Wish) -> str:
    """Name the recipient in the trail by a keyed code: a label is the operator's words."""
    return house.pseudonyms.code("recipient", wish.recipient) if wish.recipient else ""


def _export(run: Run, row: SeriesRow, wish: Wish, write: Callable[[Run, DeidentifiedSeries], int]) -> int:
    series = files.described(run.house.safe, row)
    if wish.task is not None and failures(wish.task.series, series):
        return 0
    return write(run, series)


def _check(series: DeidentifiedSeries, wish: Wish) -> None:
    """Let a series go out: no face that nobody accepted, and every file as it was written."""
    if series.descriptors.head and not wish.faces:
        raise SeriesError(Reason.RECOGNIZABLE_FACE)
    files.check(series)


def _volumes_of(run: Run, series: DeidentifiedSeries, *, out: Path, wish: Wish) -> int:
    if not series.layouts:
        return 0
    _check(series, wish)
    named = series
    if wish.recipient:
        renaming, source_digest = for_recipient(series, run.house.pseudonyms, wish.recipient)
        named = renamed(series, renaming, source_digest=source_digest)
    exported.remember(run, series.patient, "volumes", out / named.patient)
    written = 0
    for number, (selected, volume) in enumerate(_volumes(series, wish), start=1):
        stem = f"{named.id}_{number}"
        write_nifti(volume, out / named.patient / f"{stem}.nii.gz", _sidecar(selected, named, volume, wish))
        written += 1
    return written


def _dicom_of(run: Run, series: DeidentifiedSeries, *, out: Path, wish: Wish) -> int:
    _check(series, wish)
    renaming, source_digest = for_recipient(series, run.house.pseudonyms, wish.recipient)
    named = renamed(series, renaming, source_digest=source_digest)
    exported.remember(run, series.patient, "dicom", out / named.study / named.uid)
    relabelled_series(series, renaming, out, source_digest=source_digest)
    return 1


def _volumes(series: DeidentifiedSeries, wish: Wish) -> Iterator[tuple[Selected, Volume[Unit]]]:
    if wish.task is None:
        for layout in series.layouts:
            yield Selected(series=series, layout=layout), read_volume(series, layout)
    elif isinstance(wish.task.series, SeriesRule) and isinstance(wish.task.grid, Grid):
        selected = select(wish.task.series, series)
        yield selected, on_grid(read_volume(series, selected.layout, unit=wish.task.unit), wish.task.grid)


def _sidecar(selected: Selected, series: DeidentifiedSeries, volume: Volume[Unit], wish: Wish) -> dict[str, Any]:
    """Say what the voxels are and where they come from: pseudonyms, digests and numbers, no date."""
    layout = selected.layout
    return {
        "schema": "medflow/volume/1",
        "patient": series.patient,
        "study": series.study,
        "series": series.uid,
        "series_id": series.id,
        "modality": series.modality.value,
        "unit": volume.unit.value,
        "labels": dict(layout.labels),
        "run": list(layout.run),
        "sheared": layout.sheared and wish.task is None,
        "series_digest": series.series_digest,
        "layout_digest": layout.digest,
        "input_digest": selected.input_digest,
        "grid_digest": None if wish.task is None else wish.task.grid.digest,
    }
