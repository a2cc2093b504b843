"""A task: which series, on which grid, through which network, learning which labels."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from medflow.domain.digests import digest
from medflow.domain.safe import Descriptors
from medflow.domain.series import Modality
from medflow.domain.volume import Grid, Unit


class Level(StrEnum):
    """What a label speaks of."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"


class Part(StrEnum):
    """The parts that a cohort is split into, by patient."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRule:
    """Which series a task wants. An empty or absent rule lets everything pass."""

    modality: Modality
    body_parts: tuple[str, ...] = ()
    description_words: tuple[str, ...] = ()
    """All of them must stand in the cleaned SeriesDescription."""
    image_type: tuple[str, ...] = ()
    """All of them must be among ImageType's values."""
    minimum_slices: int = 1
    maximum_slice_thickness: float | None = None
    """mm"""
    volumes: str = "one"
    """"one": a series of several volumes is refused; "largest": the one with most slices, if it is alone in that."""

    def failures(self, modality: Modality, descriptors: Descriptors) -> tuple[str, ...]:
        """Name the rules that a series fails, by their key in the task file; empty where it is wanted."""
        words = set(descriptors.description.upper().split())
        thickness = descriptors.slice_thickness
        limit = self.maximum_slice_thickness
        checks = {
            "modality": modality is self.modality,
            "body_parts": not self.body_parts or descriptors.body_part in self.body_parts,
            "description_words": words >= {word.upper() for word in self.description_words},
            "image_type": set(descriptors.image_type) >= set(self.image_type),
            "maximum_slice_thickness": limit is None or (thickness is not None and thickness <= limit),
        }
        return tuple(name for name, passed in checks.items() if not passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """What is learned: the label's name, what it speaks of, and its values in the network's output order."""

    name: str
    level: Level
    classes: tuple[str, ...]
    source: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRule:
    """A network of `medflow.learning.networks` by name, in two or three dimensions."""

    name: str
    dimensions: int
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Fractions of the patients in each part, and the seed that deals them."""

    train: float
    validation: float
    test: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the network is trained."""

    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    patience: int | None = None
    """Epochs without a better validation loss before training stops; None trains them all."""
    flips: tuple[str, ...] = ()
    """Axes of the grid ("i", "j", "k") that training may mirror."""
    shift: int = 0
    """Training may move the volume by up to this many voxels along each axis."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise that training adds, in scaled units."""
    balanced: bool = True
    """Weigh the classes by their inverse frequency in the training part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that decides what is learned; its digest is part of every model's natural key."""

    name: str
    series: SeriesRule
    unit: Unit
    grid: Grid
    network: NetworkRule
    labels: LabelRule
    split: SplitRule
    schedule: Schedule
    abstain_below: float | None = None
    """A prediction whose highest probability is below this is withheld; None withholds none."""

    @property
    def digest(self) -> str:
        """Name the task by everything that its file decides."""
        return digest("task", self.record())

    def record(self) -> dict[str, Any]:
        """Write the task as plain values, floats in hex."""
        return {
            "name": self.name,
            "series": _fields(self.series),
            "unit": self.unit.value,
            "grid": self.grid.record(),
            "network": _fields(self.network),
            "labels": _fields(self.labels),
            "split": _fields(self.split),
            "schedule": _fields(self.schedule),
            "abstain_below": None if self.abstain_below is None else self.abstain_below.hex(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Task":
        """Read what `record` wrote."""
        series, labels, split, schedule = (dict(record[key]) for key in ("series", "labels", "split", "schedule"))
        series["modality"] = Modality(series["modality"])
        labels["level"] = Level(labels["level"])
        network = record["network"]
        return cls(
            name=record["name"],
            series=SeriesRule(**_read(series, "maximum_slice_thickness")),
            unit=Unit(record["unit"]),
            grid=Grid.from_record(record["grid"]),
            network=NetworkRule(
                name=network["name"],
                dimensions=network["dimensions"],
                options=tuple((key, _number(value)) for key, value in network["options"]),
            ),
            labels=LabelRule(**_read(labels)),
            split=SplitRule(**_read(split, "train", "validation", "test")),
            schedule=Schedule(**_read(schedule, "learning_rate", "weight_decay", "noise")),
            abstain_below=None if record["abstain_below"] is None else float.fromhex(record["abstain_below"]),
        )


def _fields(rule: SeriesRule | LabelRule | NetworkRule | SplitRule | Schedule) -> dict[str, Any]:
    return {name: _plain(getattr(rule, name)) for name in rule.__slots__}


def _plain(value: Any) -> Any:  # noqa: ANN401  (a rule's field: text, number or tuples of them)
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _read(fields: dict[str, Any], *floats: str) -> dict[str, Any]:
    """Undo `_plain` for a rule whose fields named in `floats` are numbers or None."""
    read: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
    return read | {name: None if read[name] is None else float.fromhex(read[name]) for name in floats}


def _number(value: Any) -> Any:  # noqa: ANN401  (an option of a network is a whole number, or a float in hex)
    return float.fromhex(value) if isinstance(value, str) else value
