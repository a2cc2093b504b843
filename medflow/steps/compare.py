"""Two versions on the same series: what each said, how far apart they are, and who was right where that is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from medflow.domain.model import Model
from medflow.domain.prediction import Prediction
from medflow.domain.safe import Pseudonym
from medflow.domain.task import LabelRule, Level
from medflow.errors import ConfigurationError
from medflow.learning.bundle import Bundle, load_bundle
from medflow.learning.compare import compared
from medflow.learning.metrics import Answers
from medflow.steps.house import House
from medflow.steps.models import called
from medflow.steps.score import chosen_models
from medflow.store import labels, models, predictions
from medflow.store import series as series_rows
from medflow.store.engine import reading

LIMITS = 1.96
"""Standard deviations from the mean within which 95 % of differences lie (Bland and Altman, Lancet 1986)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two models said of one series, and what is true of it where somebody said so."""

    one: Prediction
    other: Prediction
    patient: str
    """The one pseudonym of the person."""
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Paired differences of two versions: the first minus the second."""

    one: str
    other: str
    pairs: int
    patients: int
    trained_on: int
    """Pairs of patients in a cohort that one of the two was trained on, whatever the part."""
    left_out: bool
    """True where these pairs are not among `pairs`."""
    agreement: float | None
    """Share of the pairs in which both give the same answer."""
    differences: Mapping[str, Mapping[str, float]]
    """By output: mean difference of the probabilities, and its limits of agreement."""
    labelled: int
    """Pairs whose truth is known."""
    against_truth: Mapping[str, Any] | None
    """What `learning.compare.compared` says of these; None where there is none."""

    def record(self) -> dict[str, Any]:
        """Write the comparison as plain values, for `--json`."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"differences": {name: dict(found) for name, found in self.differences.items()}}


def compare(
    house: House, one: str, other: str, *, since: datetime | None = None, trained_on: bool = False
) -> Comparison:
    """Compare what two versions (`NAME:VERSION`) said of the series that both scored, shadows included.

    Pairs of patients from the cohort of either are left out, unless `trained_on` asks for them: a model knows those
    it learned from, and the test part is opened by an evaluation alone. `since` keeps what both said from then on.

    Raises:
        StateError: there is no such model.
        ConfigurationError: both are the same, or they give different outputs.
    """
    sides = tuple(_side(house, name) for name in (one, other))
    (first, bundle), (second, beside) = sides
    if first.id == second.id:
        raise ConfigurationError("name two different versions")
    rule = bundle.task.labels
    if (rule.kind, rule.outputs) != (beside.task.labels.kind, beside.task.labels.outputs):
        raise ConfigurationError(f"{called(first)} and {called(second)} give different outputs: nothing to compare")
    with reading(house.engine) as connection:
        persons = house.same_patient
        known = _pairs(connection, rule, persons, first, second, since)
        cohort = {
            persons.get(Pseudonym(example.patient), example.patient)
            for model in (first, second)
            for example in models.examples(connection, model.id)
        }
    seen = [pair for pair in known if pair.patient in cohort]
    pairs = known if trained_on else [pair for pair in known if pair.patient not in cohort]
    labelled = [pair for pair in pairs if pair.label is not None]
    return Comparison(
        one=called(first),
        other=called(second),
        pairs=len(pairs),
        patients=len({pair.patient for pair in pairs}),
        trained_on=len(seen),
        left_out=not trained_on,
        agreement=float(np.mean([pair.one.label == pair.other.label for pair in pairs])) if pairs else None,
        differences=_differences(rule, pairs),
        labelled=len(labelled),
        against_truth=_against_truth(rule, bundle, beside, labelled) if labelled else None,
    )


def _side(house: House, name: str) -> tuple[Model, Bundle]:
    (model,) = chosen_models(house, name)
    return model, load_bundle(house.models / model.folder, model.model_digest)


def _pairs(
    connection: Connection,
    rule: LabelRule,
    persons: Mapping[Pseudonym, Pseudonym],
    first: Model,
    second: Model,
    since: datetime | None,
) -> list[Pair]:
    """Pair the newest answers of two models about the same revision of a series, by series id."""
    said = [_newest(predictions.predictions(connection, model_id=one.id, since=since)) for one in (first, second)]
    truth = labels.labels_for(connection, rule, persons).values
    pairs = []
    for series_id in sorted(said[0].keys() & said[1].keys()):
        one, other = said[0][series_id], said[1][series_id]
        row = series_rows.series_row(connection, series_id)
        person = persons.get(one.patient, one.patient)
        subject = {Level.PATIENT: person, Level.STUDY: row.study, Level.SERIES: one.subject}[rule.level]
        label = None if subject is None else truth.get(subject)
        pairs.append(Pair(one=one, other=other, patient=person, label=_usable(rule, label)))
    return pairs


def _newest(found: Sequence[Prediction]) -> dict[str, Prediction]:
    """Keep the newest answer about each series; `found` begins with the newest."""
    newest: dict[str, Prediction] = {}
    for prediction in found:
        newest.setdefault(prediction.series_id, prediction)
    return newest


def _usable(rule: LabelRule, label: str | None) -> str | None:
    """Leave out a label that is none of the task's classes."""
    known = label is not None and (bool(rule.findings) or label in rule.classes)
    return label if known else None


def _differences(rule: LabelRule, pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    if not pairs:
        return {}
    apart = np.array([pair.one.probabilities for pair in pairs]) - [pair.other.probabilities for pair in pairs]
    spread = apart.std(axis=0, ddof=1) if len(pairs) > 1 else np.full(apart.shape[1], np.nan)
    found = {}
    for name, mean, reach in zip(rule.outputs, apart.mean(axis=0), LIMITS * spread, strict=True):
        found[name] = {"mean": float(mean)}
        if np.isfinite(reach):
            found[name] |= {"low": float(mean - reach), "high": float(mean + reach)}
    return found


def _against_truth(rule: LabelRule, bundle: Bundle, beside: Bundle, pairs: Sequence[Pair]) -> dict[str, Any]:
    truth = np.array([rule.truth(pair.label or "") for pair in pairs], np.int64)
    patients = [pair.patient for pair in pairs]
    sides = [
        Answers(
            rule=rule,
            calibration=of.calibration,
            probabilities=np.array([said.probabilities for said in answers]),
            truth=truth,
            patients=patients,
        )
        for of, answers in ((bundle, [pair.one for pair in pairs]), (beside, [pair.other for pair in pairs]))
    ]
    return compared(*sides, seed=bundle.task.schedule.seed)
