"""Which planar images a task wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from medflow.domain.planefacts import Intent, PlaneFacts
from medflow.domain.safe import Descriptors
from medflow.domain.series import Modality


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRule:
    """Which series of planar images a task wants, and which image of each. An empty rule lets everything pass."""

    modalities: tuple[Modality, ...]
    intent: Intent = Intent.PRESENTATION
    """It follows from the task's unit."""
    views: tuple[str, ...] = ()
    lateralities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    description_words: tuple[str, ...] = ()
    """All of them must stand in the cleaned SeriesDescription."""
    without_words: tuple[str, ...] = ()
    """None of them may."""
    completeness: str = "quiet"
    """As in `SeriesRule`."""

    choose: ClassVar[str] = "every"
    """Each image of a study that passes is an input of its own."""

    def failures(self, modality: Modality, descriptors: Descriptors, planes: Sequence[PlaneFacts]) -> tuple[str, ...]:
        """Name the rules that a series fails, by their key in the task file; empty where it is wanted."""
        words = set(descriptors.description.upper().split())
        checks = {
            "modalities": modality in self.modalities,
            "body_parts": not self.body_parts or descriptors.body_part in self.body_parts,
            "description_words": words >= {word.upper() for word in self.description_words},
            "without_words": not words & {word.upper() for word in self.without_words},
        }
        return (*(name for name, passed in checks.items() if not passed), *self._left_out(planes))

    def fitting(self, planes: Sequence[PlaneFacts]) -> tuple[PlaneFacts, ...]:
        """Give the images of a series that the task means."""
        left = [plane for plane in planes if plane.intent is self.intent]
        left = [plane for plane in left if not self.views or plane.view in self.views]
        return tuple(plane for plane in left if not self.lateralities or plane.laterality in self.lateralities)

    def record(self) -> dict[str, Any]:
        """Write the rule as plain values."""
        read = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in read.items()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "PlaneRule":
        """Read what `record` wrote."""
        read: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in record.items()}
        modalities = tuple(map(Modality, record["modalities"]))
        return cls(**read | {"modalities": modalities, "intent": Intent(record["intent"])})

    def _left_out(self, planes: Sequence[PlaneFacts]) -> tuple[str, ...]:
        """Name the first rule that leaves no image of the series; a series of volumes has none to begin with."""
        if self.fitting(planes):
            return ()
        meant = [plane for plane in planes if plane.intent is self.intent]
        if not meant:
            return ("unit",)
        seen = [plane for plane in meant if not self.views or plane.view in self.views]
        return ("lateralities",) if seen else ("views",)
