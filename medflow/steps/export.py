"""Volumes for people: NIfTI with a sidecar, as they were taken or on a task's grid."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medflow.domain.progress import SILENT, Progress
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.task import SeriesRule, Task
from medflow.domain.volume import Grid, Unit, Volume
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.imaging.grid import on_grid
from medflow.imaging.nifti import write_nifti
from medflow.imaging.read import read_volume
from medflow.steps.house import House
from medflow.steps.rules import failures
from medflow.steps.run import opened
from medflow.steps.selection import Selected, select
from medflow.steps.settle import Settler
from medflow.store import files
from medflow.store.engine import reading, writing
from medflow.store.series import SeriesRow, accepted_series


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written, and what was not."""

    run: str
    volumes: int
    refused: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """Write the report as plain values, for `--json`."""
        return {"run": self.run, "volumes": self.volumes, "refused": dict(self.refused)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be exported: on the grid of `task`, or natively where there is none."""

    task: Task | None
    faces: bool = False
    """True where the operator accepts heads, which show a face, by name."""


def export_volumes(house: House, out: Path, wish: Wish, *, progress: Progress = SILENT) -> ExportReport:
    """Write each volume as `<pseudonym>/<series id>_<n>.nii.gz` and `.json` below `out`.

    No date is written. A head is refused unless `wish.faces` accepts it: its surface is a face.

    Raises:
        ConfigurationError: `out` lies inside the data folder, or the task looks at planar images.
    """
    if out.resolve().is_relative_to(house.data):
        raise ConfigurationError("the output folder lies inside the data folder; name another place")
    if wish.task is not None and wish.task.planar:
        raise ConfigurationError("planar images have no place in space, and are not written as volumes")
    settler, volumes = Settler(), 0
    refused: Counter[str] = Counter()
    with opened(house, "export", source="native" if wish.task is None else wish.task.name) as run:
        with reading(house.engine) as connection:
            rows = accepted_series(connection)
        progress.start("exporting volumes", len(rows))
        for row in rows:
            outcome = settler.settle(lambda row=row: _export(house, row, out, wish))  # type: ignore[misc]  # mypy on defaults
            if isinstance(outcome, SeriesError):
                refused[outcome.reason.value] += 1
            else:
                volumes += outcome
            progress.advance()
        run.detail = {"volumes": volumes, "refused": dict(refused)}
        if volumes:
            with writing(house.engine) as connection:
                run.append(connection, "volumes-exported", "", volumes=volumes, faces=wish.faces)
        return ExportReport(run=run.id, volumes=volumes, refused=refused)


def _export(house: House, row: SeriesRow, out: Path, wish: Wish) -> int:
    series = files.described(house.safe, row)
    if not series.layouts or (wish.task is not None and failures(wish.task.series, series)):
        return 0
    if series.descriptors.head and not wish.faces:
        raise SeriesError(Reason.RECOGNIZABLE_FACE)
    files.check(series)
    written = 0
    for number, (selected, volume) in enumerate(_volumes(series, wish), start=1):
        stem = f"{series.id}_{number}"
        write_nifti(volume, out / series.patient / f"{stem}.nii.gz", _sidecar(selected, volume, wish))
        written += 1
    return written


def _volumes(series: DeidentifiedSeries, wish: Wish) -> Iterator[tuple[Selected, Volume[Unit]]]:
    if wish.task is None:
        for layout in series.layouts:
            yield Selected(series=series, layout=layout), read_volume(series, layout)
    elif isinstance(wish.task.series, SeriesRule) and isinstance(wish.task.grid, Grid):
        selected = select(wish.task.series, series)
        yield selected, on_grid(read_volume(series, selected.layout, unit=wish.task.unit), wish.task.grid)


def _sidecar(selected: Selected, volume: Volume[Unit], wish: Wish) -> dict[str, Any]:
    """Say what the voxels are and where they come from: pseudonyms, digests and numbers, no date."""
    series, layout = selected.series, selected.layout
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
