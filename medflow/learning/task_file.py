"""Task files: YAML in, a Task out, and every mistake of the file named with its line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medflow.documents import Kind, packaged_schema, parse, read_text
from medflow.domain.plane import PlanarGrid
from medflow.domain.planefacts import Intent
from medflow.domain.planerule import PlaneRule
from medflow.domain.series import Modality
from medflow.domain.task import LabelRule, Level, NetworkRule, Schedule, SeriesRule, SplitRule, Task
from medflow.domain.volume import Grid, Intensity, Unit
from medflow.learning.task_checks import contradictions

TASK_FILE = Kind(
    name="task file", schema="task.schema.json", examples="pipelines/tasks/", contradictions=contradictions
)
THICKNESSES = ("minimum_slice_thickness", "maximum_slice_thickness")


def read_task(path: Path) -> Task:
    """Read a task file.

    Raises:
        ConfigurationError: the file is absent, no YAML, or wrong; the message lists every mistake by its line.
    """
    return parse_task(read_text(path, TASK_FILE), path.name)


def parse_task(text: str, name: str) -> Task:
    """Read the text of a task file; `name` is how messages call it."""
    return _task(parse(text, name, TASK_FILE))


def schema() -> dict[str, Any]:
    """Load the JSON Schema of task files."""
    return packaged_schema(TASK_FILE.schema)


def _task(value: dict[str, Any]) -> Task:
    """Make the Task of values that passed every check."""
    planar = value.get("kind") == "planar"
    network, labels = (dict(value[key]) for key in ("network", "labels"))
    abstain = value.get("abstain_below")
    return Task(
        name=value["name"],
        series=_plane_rule(value) if planar else _series_rule(value["series"]),
        unit=Unit(value["unit"]),
        grid=_planar_grid(value["grid"]) if planar else _grid(value["grid"]),
        network=NetworkRule(
            name=network["name"],
            dimensions=network["dimensions"],
            options=tuple(sorted(network.get("options", {}).items())),
        ),
        labels=LabelRule(level=Level(labels.pop("level")), **_tuples(labels)),
        split=SplitRule(
            train=float(value["split"]["train"]),
            validation=float(value["split"]["validation"]),
            test=float(value["split"]["test"]),
            seed=value["split"]["seed"],
        ),
        schedule=Schedule(**_tuples(value["schedule"]) | _floats(value["schedule"])),
        abstain_below=None if abstain is None else float(abstain),
    )


def _series_rule(series: Mapping[str, Any]) -> SeriesRule:
    thicknesses = {key: None if series[key] is None else float(series[key]) for key in THICKNESSES if key in series}
    return SeriesRule(**_tuples(series) | thicknesses | {"modality": Modality(series["modality"])})


def _plane_rule(value: Mapping[str, Any]) -> PlaneRule:
    series = value["series"]
    intent = Intent.PRESENTATION if value["unit"] == Unit.DISPLAY else Intent.PROCESSING
    return PlaneRule(**_tuples(series) | {"modalities": tuple(map(Modality, series["modalities"])), "intent": intent})


def _grid(grid: Mapping[str, Any]) -> Grid:
    return Grid(
        axes=grid["axes"],
        spacing=(float(grid["spacing"][0]), float(grid["spacing"][1]), float(grid["spacing"][2])),
        shape=(grid["shape"][0], grid["shape"][1], grid["shape"][2]),
        crop=grid["crop"],
        intensity=Intensity(grid["intensity"]),
        window=_pair(grid.get("window")),
        padding=float(grid["padding"]),
        interpolation=grid["interpolation"],
        antialias=grid["antialias"],
    )


def _planar_grid(grid: Mapping[str, Any]) -> PlanarGrid:
    return PlanarGrid(
        shape=(grid["shape"][0], grid["shape"][1]),
        channels=grid["channels"],
        spacing=_pair(grid.get("spacing")),
        crop=grid["crop"],
        intensity=Intensity(grid["intensity"]),
        window=_pair(grid.get("window")),
        padding=float(grid["padding"]),
        interpolation=grid["interpolation"],
        antialias=grid["antialias"],
        mirror=grid.get("mirror", "none"),
    )


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (float(values[0]), float(values[1]))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in fields.items()}


def _floats(schedule: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(schedule[key]) for key in ("learning_rate", "weight_decay", "noise") if key in schedule}
