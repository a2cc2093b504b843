"""Stages of models: who may speak, who takes whose place, and how it is taken back; each with a reason, on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medflow.domain.evaluation import Evaluation
from medflow.domain.model import Model, Stage
from medflow.errors import ConfigurationError, IntegrityError, StateError
from medflow.learning.bundle import Bundle, load_bundle
from medflow.learning.calibrate import missing_positives
from medflow.steps.house import House
from medflow.steps.models import TEST, called, change_record, differing, flagged
from medflow.steps.run import opened
from medflow.store import evaluations, models, stages
from medflow.store.engine import reading, writing
from medflow.store.stages import StageChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a promotion, a rollback or a retirement changed."""

    model: Model
    """Whom the operator named; of a rollback, whom the promotion had named."""
    changes: tuple[StageChange, ...]
    called: Mapping[str, str]
    """`name:version` by id."""
    flags: Mapping[str, int]
    """Of the model, by kind."""

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        return {
            "model": self.called[self.model.id],
            "changes": [change_record(change, self.called) for change in self.changes],
            "flags": dict(self.flags),
        }


def promote(house: House, name: str, version: int, *, reason: str, to: Stage = Stage.ACTIVE) -> Moved:
    """Let a version speak, the one that was active retiring; or, as a shadow, let it score beside the active one.

    Raises:
        StateError: there is no such version, it stands there already, it is the active one and was to become a
            shadow, or it must be trained again.
        ConfigurationError: the reason is blank, no evaluation on a test part is there, or what the task claims has
            not been shown.
        IntegrityError: its files, or those of an evaluation on a test part, are not what their digests say.
    """
    _reasoned(reason)
    with opened(house, "promote") as run, writing(house.engine) as connection:
        standing = stages.hold(connection, name)
        chosen = models.model(connection, name, version)
        model = chosen.model
        if chosen.stage is to:
            raise StateError(f"{called(model)} is {to.value} already")
        if chosen.stage is Stage.ACTIVE:
            raise StateError(f"{called(model)} is the active one; promote another version in its place, or roll back")
        bundle = load_bundle(house.models / model.folder, model.model_digest)
        measured = evaluations.evaluations(connection, model_id=model.id, part=TEST)
        if not measured:
            raise ConfigurationError(
                f"{called(model)} was not measured on a test part; run `medflow evaluate {called(model)}` first"
            )
        if faults := [fault for one in measured for fault in differing(house.evaluations / one.folder, one)]:
            raise IntegrityError(f"{called(model)}: {'; '.join(faults)}")
        wanted = {model.id: to}
        if to is Stage.ACTIVE:
            _refuse_claim(called(model), bundle, measured)
            wanted |= {one.model.id: Stage.RETIRED for one in standing if one.stage is Stage.ACTIVE}
        changes = stages.move(connection, name, wanted, reason=reason, run_id=run.id, at=house.now())
        for change in changes:
            run.append(connection, "model-stage-changed", change.model_id, **_audited(change))
    return _moved(house, model, changes)


def retire(house: House, name: str, version: int, *, reason: str) -> Moved:
    """Take a candidate or a shadow out of use.

    Raises:
        StateError: there is no such version, it is retired, or it is the active one.
        ConfigurationError: the reason is blank.
    """
    _reasoned(reason)
    with opened(house, "retire") as run, writing(house.engine) as connection:
        stages.hold(connection, name)
        chosen = models.model(connection, name, version)
        model = chosen.model
        if chosen.stage is Stage.RETIRED:
            raise StateError(f"{called(model)} is retired already")
        if chosen.stage is Stage.ACTIVE:
            raise StateError(f"{called(model)} is the active one; promote another version in its place, or roll back")
        changes = stages.move(connection, name, {model.id: Stage.RETIRED}, reason=reason, run_id=run.id, at=house.now())
        for change in changes:
            run.append(connection, "model-stage-changed", change.model_id, **_audited(change))
    return _moved(house, model, changes)


def rollback(house: House, name: str, *, reason: str) -> Moved:
    """Take back the newest change of a name that still stands: everybody returns to where they were before it.

    Done again, it takes back the change before that one. What was taken back can be promoted again.

    Raises:
        StateError: nothing was promoted, or all of it was taken back.
        ConfigurationError: the reason is blank.
    """
    _reasoned(reason)
    with opened(house, "rollback") as run, writing(house.engine) as connection:
        stages.hold(connection, name)
        act = stages.last_act(connection, name)
        if not act:
            raise StateError(f"no version of {name} was promoted, or all of it was taken back: nothing to roll back")
        wanted = {change.model_id: change.former for change in act}
        changes = stages.move(connection, name, wanted, reason=reason, run_id=run.id, at=house.now(), undoes=act[0].run)
        for change in changes:
            run.append(connection, "model-stage-changed", change.model_id, **_audited(change))
        model = next(item.model for item in models.models(connection, name=name) if item.model.id == act[-1].model_id)
    return _moved(house, model, changes)


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise ConfigurationError("say why, with --reason: an auditor will read it")


def _refuse_claim(name: str, bundle: Bundle, measured: Sequence[Evaluation]) -> None:
    """Refuse a model whose task claims a sensitivity that the calibrate part cannot show, or the test part denies."""
    task = bundle.task
    target, confidence = task.calibration.sensitivity, task.calibration.confidence
    if target is None:
        return
    claim = f"the task claims a sensitivity of {target:g} ({confidence:.0%} bound)"
    if bundle.calibration.threshold is None:
        finding = task.labels.classes[-1]
        positives = bundle.card["calibration"]["found"].get("positives", 0)  # none where nobody was set apart
        lacking = missing_positives(target, confidence, positives)
        raise ConfigurationError(
            f"{name} has no operating threshold: {claim}, and its threshold was looked for among {positives} "
            f"patients with {finding!r}. "
            + (f"{lacking} more are missing, if all of them are found" if lacking else "Too many of them were missed")
            + "; label more patients or claim less, and train again. It may run as a shadow: --to shadow"
        )
    for one in measured:
        high = (one.metrics.get("sensitivity") or {}).get("high")
        if high is not None and high < target:
            raise ConfigurationError(
                f"{name} does not keep what it claims: {claim}, and on the test part it is at most {high:.3f}. "
                "It may run as a shadow: --to shadow"
            )


def _audited(change: StageChange) -> dict[str, Any]:
    undoes = {} if change.undoes is None else {"undoes": change.undoes}
    return {"former": change.former.value, "stage": change.stage.value, "reason": change.reason, **undoes}


def _moved(house: House, model: Model, changes: tuple[StageChange, ...]) -> Moved:
    with reading(house.engine) as connection:
        names = {item.model.id: called(item.model) for item in models.models(connection, name=model.name)}
    return Moved(model=model, changes=changes, called=names, flags=flagged(house).get(model.id, {}))
