"""A task: which series, on which grid, through which network, learning which labels."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
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
    """What the weights are learned from."""
    SELECT = "select"
    """What the best epoch, and whatever else a person tries, is chosen by."""
    CALIBRATE = "calibrate"
    """What the temperature, the operating threshold and the conformal sets are found on."""
    TEST = "test"
    """What speaks for new patients; opened once for each model."""


class LabelKind(StrEnum):
    """What the values of a label are to each other."""

    CLASSES = "classes"
    """Each subject has just one of them; of two, the last is the finding."""
    ORDINAL = "ordinal"
    """Each subject has just one of them, and they stand in an order: grades, stages."""
    MULTI_LABEL = "multi-label"
    """Several findings, each a label of its own that is absent or present."""


MADE_OF_OTHERS = frozenset({"DERIVED", "SECONDARY", "LOCALIZER"})
"""Values of ImageType (PS3.3 C.7.6.1.1.2, C.8.2.1.1.1) that keep a series from a task which does not ask for them."""

FORMER_SELECT = "validation"
"""What the part `select` was called in the records and task files of version 0.3."""

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
    """Of a multi-label task the two values that each finding's label has: absent, present."""
    source: str | None = None
    version: str | None = None
    kind: LabelKind = LabelKind.CLASSES
    findings: tuple[str, ...] = ()
    """Of a multi-label task: the names of its labels, in output order."""
    lateral: bool = False
    """True where a value speaks of a side (left, right): mirroring left to right would make the label wrong."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Name what there is a probability of: the findings of a multi-label task, the classes of any other."""
        return self.findings if self.kind is LabelKind.MULTI_LABEL else self.classes

    @property
    def binary(self) -> bool:
        """True where one finding is told from its absence: two classes."""
        return self.kind is not LabelKind.MULTI_LABEL and len(self.classes) == 2  # noqa: PLR2004

    def truth(self, label: str) -> tuple[int, ...]:
        """Read an example's label as 0 or 1 for each output.

        An example of a multi-label task bears the names of its findings joined by `+`, or nothing where it has none.
        """
        said = set(label.split("+")) if self.kind is LabelKind.MULTI_LABEL else {label}
        return tuple(int(name in said) for name in self.outputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Name the stored labels that are asked for: one for each finding of a multi-label task, else the one."""
        return self.findings if self.kind is LabelKind.MULTI_LABEL else (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A local file of weights that training starts from."""

    file: str
    """The file's name, for messages and the card."""
    sha256: str
    train: str = "all"
    """"all": full fine-tuning; "head": the trunk stays frozen, its batch norms included."""
    path: Path | None = field(default=None, compare=False, repr=False)
    """Where it lies on this machine: never part of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRule:
    """A network of `medflow.learning.networks` by name, in two or three dimensions."""

    name: str
    dimensions: int
    options: tuple[tuple[str, Any], ...] = ()
    pretrained: Pretrained | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Fractions of the patients in each part, and the seed that deals them."""

    train: float
    select: float
    test: float
    seed: int
    calibrate: float = 0.0
    """Without this part a model stays uncalibrated, has no operating threshold, and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRule:
    """What is found on the calibrate part, and what the model is to claim."""

    temperature: bool = True
    """Divide the logits by the one temperature that makes the part's log loss least (Guo et al., ICML 2017)."""
    sensitivity: float | None = None
    """The claim of a binary task: the operating threshold is the highest whose lower bound of sensitivity meets it."""
    confidence: float = 0.95
    """Of that one-sided bound."""
    coverage: float | None = None
    """Share of patients whose conformal set holds the truth; None makes no sets."""
    prevalence: float | None = None
    """Of the finding where the model is to be used: what PPV and NPV are stated at; None takes the cohort's own."""


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
    optimizer: str = "adamw"
    """adamw, adam or sgd (Nesterov momentum 0.9)."""
    rate: str = "cosine"
    """How the learning rate falls: "cosine" (half a cosine to 5 %), "step" or "constant"."""
    warmup: int = 0
    """Epochs over which the learning rate rises from near zero, linearly, step by step."""
    step_every: int = 10
    """With rate "step": epochs between falls."""
    step_factor: float = 0.1
    """With rate "step": what is left of the learning rate after each fall."""
    loss: str = "cross-entropy"
    """cross-entropy, bce or focal. Multi-label and ordinal tasks are learned output by output: bce or focal."""
    focal_gamma: float = 2.0
    smoothing: float = 0.0
    """Label smoothing: the share of the truth that is spread over all values."""
    sampler: str = "shuffled"
    """"shuffled": each example once in an epoch; "balanced": drawn so that every class comes as often."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    clip: float | None = None
    """Largest norm of a step's gradient; None leaves it as it is."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which then is what is measured and kept."""
    precision: str = "auto"
    """auto, float32, bfloat16 or float16; whatever is not float32 must pass the self-check."""
    watch: str = "loss"
    """What decides on the select part which epoch is best: loss, roc_auc, balanced_accuracy or average_precision."""
    rotate: float = 0.0
    """Training may turn an example by up to this many degrees: a volume about each axis."""
    zoom: float = 0.0
    """Training may scale an example by a factor from 1 - zoom to 1 + zoom."""
    crop: int = 0
    """Training may blank up to this many voxels at each border: a narrower field of view."""
    bias_field: float = 0.0
    """Largest coefficient of a smooth multiplicative field, as coil sensitivity makes in MR."""
    gamma: float = 0.0
    """Training may raise scaled intensities to a power from 1 - gamma to 1 + gamma."""
    contrast: float = 0.0
    """Training may stretch intensities about their mean by a factor from 1 - contrast to 1 + contrast."""


FLOATS = tuple(one.name for one in fields(Schedule) if "float" in str(one.type))
SHARES = tuple(one.name for one in fields(CalibrationRule) if "float" in str(one.type))
"""Fields of the two that hold numbers, which a record spells in hex."""


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
    calibration: CalibrationRule = CalibrationRule()
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
            "calibration": _fields(self.calibration),
            "abstain_below": None if self.abstain_below is None else self.abstain_below.hex(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Task":
        """Read what `record` wrote."""
        planar = record.get("kind") == "planar"
        labels, split = dict(record["labels"]), dict(record["split"])
        labels["level"] = Level(labels["level"])
        labels["kind"] = LabelKind(labels.get("kind", LabelKind.CLASSES))
        if FORMER_SELECT in split:
            split["select"] = split.pop(FORMER_SELECT)
        network = record["network"]
        pretrained = network.get("pretrained")
        return cls(
            name=record["name"],
            series=(PlaneRule if planar else SeriesRule).from_record(record["series"]),
            unit=Unit(record["unit"]),
            grid=(PlanarGrid if planar else Grid).from_record(record["grid"]),
            network=NetworkRule(
                name=network["name"],
                dimensions=network["dimensions"],
                options=tuple((key, _number(value)) for key, value in network["options"]),
                pretrained=None if pretrained is None else Pretrained(**pretrained),
            ),
            labels=LabelRule(**_read(labels)),
            split=SplitRule(**_read(split, "train", "select", "calibrate", "test")),
            schedule=Schedule(**_read(record["schedule"], *FLOATS)),
            calibration=CalibrationRule(**_read(record.get("calibration", {}), *SHARES)),
            abstain_below=None if record["abstain_below"] is None else float.fromhex(record["abstain_below"]),
        )


def _fields(rule: LabelRule | NetworkRule | SplitRule | Schedule | CalibrationRule) -> dict[str, Any]:
    return {name: _plain(getattr(rule, name)) for name in rule.__slots__}


def _plain(value: Any) -> Any:  # noqa: ANN401  (a rule's field: text, number, tuples of them, or a file of weights)
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Pretrained):
        return {"file": value.file, "sha256": value.sha256, "train": value.train}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _read(fields: dict[str, Any], *floats: str) -> dict[str, Any]:
    """Undo `_plain` for a rule whose fields named in `floats` are numbers or None."""
    read: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
    return read | {name: float.fromhex(read[name]) for name in floats if read.get(name) is not None}


def _number(value: Any) -> Any:  # noqa: ANN401  (an option of a network is a whole number, or a float in hex)
    return float.fromhex(value) if isinstance(value, str) else value
