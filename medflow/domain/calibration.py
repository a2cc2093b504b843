"""What was found on the calibrate part, and how probabilities become an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medflow.domain.task import LabelKind, LabelRule

ABSENT = "none"
"""The answer of a multi-label model that finds nothing."""
EVEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Part of a model: frozen with its weights, and of its digest."""

    temperature: float = 1.0
    """What logits are divided by before they become probabilities."""
    threshold: float | None = None
    """Of a binary task: the finding is called from this probability on. None: the likelier class is."""
    conformal: float | None = None
    """The set of a patient holds every class whose probability is at least one minus this; None makes no sets."""
    found: tuple[tuple[str, Any], ...] = ()
    """How: numbers of patients, bounds and sentences, as plain JSON values by name, sorted."""

    def record(self) -> dict[str, Any]:
        """Write it as plain values, floats in hex."""
        return {
            "temperature": self.temperature.hex(),
            "threshold": None if self.threshold is None else self.threshold.hex(),
            "conformal": None if self.conformal is None else self.conformal.hex(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Calibration":
        """Read what `record` wrote; how it was found stands on the card, not here."""
        threshold, conformal = record["threshold"], record["conformal"]
        return cls(
            temperature=float.fromhex(record["temperature"]),
            threshold=None if threshold is None else float.fromhex(threshold),
            conformal=None if conformal is None else float.fromhex(conformal),
        )

    def answer(self, rule: LabelRule, probabilities: Sequence[float]) -> str:
        """Say in a label what probabilities (one for each output) mean.

        Of two classes the finding from the operating threshold on, where there is one; of several classes the
        likeliest, of equals the first; of findings all that are at least as likely as not, joined by `+`.
        """
        outputs = rule.outputs
        if rule.kind is LabelKind.MULTI_LABEL:
            found = [name for name, value in zip(outputs, probabilities, strict=True) if value >= EVEN]
            return "+".join(found) or ABSENT
        if rule.binary and self.threshold is not None:
            return outputs[int(probabilities[1] >= self.threshold)]
        return outputs[max(range(len(outputs)), key=lambda place: probabilities[place])]

    def candidates(self, rule: LabelRule, probabilities: Sequence[float]) -> tuple[str, ...] | None:
        """Give the conformal set: the classes that cannot be ruled out; None where the model makes no sets."""
        if self.conformal is None:
            return None
        least = 1.0 - self.conformal
        return tuple(name for name, value in zip(rule.outputs, probabilities, strict=True) if value >= least)


UNCALIBRATED = Calibration()
