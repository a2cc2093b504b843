"""A task: which series, on which grid, through which network, learning which labels."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from medflow.domain.digests import digest
from medflow.domain.plane import PlanarGrid
from medflow.domain.planerule import PlaneRule
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


MADE_OF_OTHERS = frozenset({"DERIVED", "SECONDARY", "LOCALIZER"})
"""Values of ImageType (PS3.3 C.7.6.1.1.2, C.8.2.1.1.1) that keep a series from a task which does not ask for them."""

FIRST_RULES = 7
"""How many rules of a series every record of a task holds: those up to `volumes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRule:
    """Which series a task wants. An empty or absent rule lets everything pass, but for `derived`."""

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
    minimum_slice_thickness: float | None = None
    """mm"""
    without_words: tuple[str, ...] = ()
    """None of them may stand in the cleaned SeriesDescription."""
    orientations: tuple[str, ...] = ()
    """Every volume of the series must lie in one of these: axial, coronal, sagittal, oblique."""
    contrast: str = "any"
    """"required", "forbidden" or "any"."""
    kernels: tuple[str, ...] = ()
    """ConvolutionKernel must be one of them, or hold one of them as a word; a series without a kernel fails."""
    derived: bool = False
    """Whether images made of others pass: ImageType says DERIVED, SECONDARY or LOCALIZER. What `image_type` asks for
    by name passes without."""
    completeness: str = "quiet"
    """"proven": only series proven complete; "quiet": these, and those that no evidence contradicts; "any": all."""
    choose: str = "every"
    """Of the series of a study that pass: "every", or the one with "most-slices", or the "thinnest"."""

    def failures(self, modality: Modality, descriptors: Descriptors) -> tuple[str, ...]:
        """Name the rules that a series fails, by their key in the task file; empty where it is wanted."""
        words = set(descriptors.description.upper().split())
        kinds, asked = ({value.upper() for value in values} for values in (descriptors.image_type, self.image_type))
        checks = {
            "modality": modality is self.modality,
            "body_parts": not self.body_parts or descriptors.body_part in self.body_parts,
            "description_words": words >= {word.upper() for word in self.description_words},
            "without_words": not words & {word.upper() for word in self.without_words},
            "image_type": kinds >= asked,
            "derived": self.derived or not kinds & MADE_OF_OTHERS - asked,
            "contrast": self.contrast == "any" or descriptors.contrast == (self.contrast == "required"),
            "kernels": not self.kernels or self._names_kernel(descriptors.kernel or ""),
            **self._thickness_checks(descriptors.slice_thickness),
        }
        return tuple(name for name, passed in checks.items() if not passed)

    def record(self) -> dict[str, Any]:
        """Write the rule as plain values; later rules only where the task sets them, so that old digests stand."""
        added = fields(self)[FIRST_RULES:]
        defaults = {field.name for field in added if getattr(self, field.name) == field.default}
        return {name: _plain(getattr(self, name)) for name in self.__slots__ if name not in defaults}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "SeriesRule":
        """Read what `record` wrote."""
        read = _read(record, "minimum_slice_thickness", "maximum_slice_thickness")
        return cls(**read | {"modality": Modality(record["modality"])})

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Name the modalities that the task looks at."""
        return (self.modality,)

    def _names_kernel(self, kernel: str) -> bool:
        found = kernel.upper()
        return bool({found, *found.split()} & {one.upper() for one in self.kernels})

    def _thickness_checks(self, thickness: float | None) -> dict[str, bool]:
        least, most = self.minimum_slice_thickness, self.maximum_slice_thickness
        return {
            "minimum_slice_thickness": least is None or (thickness is not None and thickness >= least),
            "maximum_slice_thickness": most is None or (thickness is not None and thickness <= most),
        }


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
    series: SeriesRule | PlaneRule
    unit: Unit
    grid: Grid | PlanarGrid
    network: NetworkRule
    labels: LabelRule
    split: SplitRule
    schedule: Schedule
    abstain_below: float | None = None
    """A prediction whose highest probability is below this is withheld; None withholds none."""

    def __post_init__(self) -> None:
        if isinstance(self.series, PlaneRule) != self.planar:
            raise ValueError("planar images go with a planar grid, and volumes with a grid of theirs")

    @property
    def planar(self) -> bool:
        """True where the task looks at planar images, and never at volumes."""
        return isinstance(self.grid, PlanarGrid)

    @property
    def channels(self) -> int:
        """Give the input channels of its network."""
        return self.grid.channels if isinstance(self.grid, PlanarGrid) else 1

    @property
    def digest(self) -> str:
        """Name the task by everything that its file decides."""
        return digest("task", self.record())

    def record(self) -> dict[str, Any]:
        """Write the task as plain values, floats in hex."""
        return {
            **({"kind": "planar"} if self.planar else {}),
            "name": self.name,
            "series": self.series.record(),
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
        planar = record.get("kind") == "planar"
        labels, split, schedule = (dict(record[key]) for key in ("labels", "split", "schedule"))
        labels["level"] = Level(labels["level"])
        network = record["network"]
        return cls(
            name=record["name"],
            series=(PlaneRule if planar else SeriesRule).from_record(record["series"]),
            unit=Unit(record["unit"]),
            grid=(PlanarGrid if planar else Grid).from_record(record["grid"]),
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


def _fields(rule: LabelRule | NetworkRule | SplitRule | Schedule) -> dict[str, Any]:
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
    return read | {name: float.fromhex(read[name]) for name in floats if read.get(name) is not None}


def _number(value: Any) -> Any:  # noqa: ANN401  (an option of a network is a whole number, or a float in hex)
    return float.fromhex(value) if isinstance(value, str) else value
