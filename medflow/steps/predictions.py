"""What the models said, without identity."""

from dataclasses import dataclass
from typing import Any

from medflow.domain.digests import instant
from medflow.domain.model import Model
from medflow.domain.prediction import Prediction
from medflow.steps.house import House
from medflow.steps.score import chosen_models
from medflow.store import models, predictions
from medflow.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One prediction and the model that made it."""

    prediction: Prediction
    model: Model
    input_erased: bool = False
    """True where nothing of the series is left here: the patient was erased, or its time ended."""

    @property
    def probability(self) -> float:
        """Probability of the answer; of several findings, or of none, the highest."""
        likely = dict(zip(self.prediction.classes, self.prediction.probabilities, strict=True))
        return likely.get(self.prediction.label, max(likely.values()))

    def record(self) -> dict[str, Any]:
        """Write the prediction as plain values, for `--json`; probabilities as numbers that keep every bit."""
        said, runtime = self.prediction, self.prediction.runtime
        return {
            "id": said.id,
            "patient": said.patient,
            "subject": said.subject,
            "series": said.series_id,
            "model": f"{self.model.name}:{self.model.version}",
            "model_id": said.model_id,
            "label": said.label,
            "probabilities": dict(zip(said.classes, said.probabilities, strict=True)),
            "withheld": said.withheld,
            "completeness": said.completeness,
            "stage": said.stage,
            "input_erased": self.input_erased,
            "series_digest": said.series_digest,
            "layout_digest": said.layout_digest,
            "input_digest": said.input_digest,
            "model_digest": said.model_digest,
            "grid_digest": said.grid_digest,
            "generation": said.generation,
            "code": said.code,
            "runtime": {name: getattr(runtime, name) for name in runtime.__slots__},
            "at": instant(said.at),
        }


def listed(
    house: House, *, model: str | None = None, patient: str | None = None, shadow: bool = False
) -> tuple[Said, ...]:
    """Give the predictions of one model (`NAME` or `NAME:VERSION`) and one pseudonym, or of all; newest first.

    What a model said while it was a shadow was not delivered, whatever became of the model since: it is given only
    where `shadow` asks for it.

    Raises:
        StateError: there is no such model.
    """
    chosen = None if model is None else chosen_models(house, model)[0].id
    with reading(house.engine) as connection:
        registered = {item.model.id: item.model for item in models.models(connection)}
        rows = predictions.predictions(connection, model_id=chosen, patient=patient, shadow=shadow)
        erased = predictions.without_input(connection)
    return tuple(Said(prediction=row, model=registered[row.model_id], input_erased=row.id in erased) for row in rows)
