"""Task files: YAML in, a Task out, and every mistake of the file named with its line."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medflow.documents import Kind, packaged_schema, parse, read_text
from medflow.domain.plane import PlanarGrid
from medflow.domain.planefacts import Intent
from medflow.domain.planerule import PlaneRule
from medflow.domain.series import Modality
from medflow.domain.task import (
    FLOATS,
    FORMER_SELECT,
    SHARES,
    CalibrationRule,
    LabelKind,
    LabelRule,
    Level,
    NetworkRule,
    Pretrained,
    Schedule,
    SeriesRule,
    SplitRule,
    Task,
)
from medflow.domain.volume import Grid, Intensity, Unit
from medflow.errors import ConfigurationError
from medflow.learning.task_checks import contradictions

TASK_FILE = Kind(
    name="task file", schema="task.schema.json", examples="pipelines/tasks/", contradictions=contradictions
)
THICKNESSES = ("minimum_slice_thickness", "maximum_slice_thickness")


def read_task(path: Path) -> Task:
    """Read a task file; a file of weights that it names lies beside it, or where its absolute path says.

    Raises:
        ConfigurationError: the file is absent, no YAML, or wrong; the message lists every mistake by its line. Or the
            file of weights is absent, or is not what the task file says.
    """
    return _task(parse(read_text(path, TASK_FILE), path.name, TASK_FILE), path.parent)


def parse_task(text: str, name: str) -> Task:
    """Read the text of a task file that names no file of weights beside it; `name` is how messages call it."""
    return _task(parse(text, name, TASK_FILE), Path())


def schema() -> dict[str, Any]:
    """Load the JSON Schema of task files."""
    return packaged_schema(TASK_FILE.schema)


def _task(value: dict[str, Any], folder: Path) -> Task:
    """Make the Task of values that passed every check; relative paths start at `folder`."""
    planar = value.get("kind") == "planar"
    network, labels = (dict(value[key]) for key in ("network", "labels"))
    abstain, calibration = value.get("abstain_below"), value.get("calibration", {})
    return Task(
        name=value["name"],
        series=_plane_rule(value) if planar else _series_rule(value["series"]),
        unit=Unit(value["unit"]),
        grid=_planar_grid(value["grid"]) if planar else _grid(value["grid"]),
        network=NetworkRule(
            name=network["name"],
            dimensions=network["dimensions"],
            options=tuple(sorted(network.get("options", {}).items())),
            pretrained=_pretrained(network.get("pretrained"), folder),
        ),
        labels=_labels(labels),
        split=_split(value["split"]),
        schedule=Schedule(**_tuples(value["schedule"]) | _floats(value["schedule"], FLOATS)),
        calibration=CalibrationRule(**calibration | _floats(calibration, SHARES)),
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


def _floats(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {key: float(fields[key]) for key in names if fields.get(key) is not None}


def _labels(labels: dict[str, Any]) -> LabelRule:
    kind = LabelKind(labels.pop("kind", LabelKind.CLASSES))
    findings = tuple(labels.get("findings", ()))
    name = labels.pop("name", "+".join(findings))
    return LabelRule(name=name, level=Level(labels.pop("level")), kind=kind, **_tuples(labels))


def _split(split: Mapping[str, Any]) -> SplitRule:
    return SplitRule(
        train=float(split["train"]),
        select=float(split.get("select", split.get(FORMER_SELECT))),
        calibrate=float(split.get("calibrate", 0.0)),
        test=float(split["test"]),
        seed=split["seed"],
    )


def _pretrained(value: Mapping[str, str] | None, folder: Path) -> Pretrained | None:
    if value is None:
        return None
    path = folder / value["file"]
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        raise ConfigurationError(
            f"the file of weights {path.name!r} cannot be read; its path starts at the task file's folder"
        ) from None
    if value.get("sha256", found).lower() != found:
        raise ConfigurationError(f"the file of weights {path.name!r} is not what network.pretrained.sha256 says")
    return Pretrained(file=path.name, sha256=found, train=value.get("train", "all"), path=path)
