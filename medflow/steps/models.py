"""The registry of models: what stands, what each version is worth, who spoke when, and whether all is as it was."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medflow.domain.digests import instant
from medflow.domain.evaluation import Evaluation, Opening
from medflow.domain.model import Model
from medflow.domain.task import Part
from medflow.errors import ConfigurationError, StateError
from medflow.learning.bundle import Bundle, faults, load_bundle
from medflow.learning.monai_bundle import write_monai
from medflow.steps.house import House
from medflow.steps.run import opened
from medflow.store import evaluations, flags, models, stages
from medflow.store.engine import reading, writing
from medflow.store.models import Registered
from medflow.store.stages import StageChange

TEST = Part.TEST.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that is known of one version."""

    registered: Registered
    bundle: Bundle
    evaluations: tuple[Evaluation, ...]
    openings: tuple[Opening, ...]
    history: tuple[StageChange, ...]
    flags: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """Write it as plain values, for `--json`."""
        model = self.registered.model
        names = {model.id: called(model)}
        return {
            "calibration": self.bundle.calibration.record(),
            "abstain_below": self.bundle.task.abstain_below,
            "card": dict(self.bundle.card),
            "evaluations": [
                {
                    "part": one.part,
                    "cohort_digest": one.cohort_digest,
                    "examples": one.examples,
                    "patients": one.patients,
                    "metrics": one.metrics,
                    "folder": one.folder,
                    "at": instant(one.at),
                }
                for one in self.evaluations
            ],
            "openings": [
                {"test_digest": one.test_digest, "patients": one.patients, "at": instant(one.at)}
                for one in self.openings
            ],
            "history": [change_record(change, names) for change in self.history],
            "flags": dict(self.flags),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What differs of one version from what is on record; nothing where it is as it was."""

    model: str
    faults: tuple[str, ...]


def called(model: Model) -> str:
    """Call a version `name:version`."""
    return f"{model.name}:{model.version}"


def change_record(change: StageChange, names: Mapping[str, str]) -> dict[str, Any]:
    """Write a change of stage as plain values; `names` gives `name:version` by id."""
    return {
        "model": names[change.model_id],
        "from": change.former.value,
        "to": change.stage.value,
        "reason": change.reason,
        "undoes": change.undoes,
        "run": change.run,
        "at": instant(change.at),
    }


def listed(house: House) -> tuple[Registered, ...]:
    """Give every model version and its stage, by name and version."""
    with reading(house.engine) as connection:
        return models.models(connection)


def tested(house: House) -> dict[str, Evaluation]:
    """Give, by model id, the evaluation on a test part: the first one, which nothing had been chosen by."""
    found: dict[str, Evaluation] = {}
    with reading(house.engine) as connection:
        for evaluation in evaluations.evaluations(connection, part=TEST):
            found.setdefault(evaluation.model_id, evaluation)
    return found


def flagged(house: House) -> dict[str, dict[str, int]]:
    """Count the flags of each model by kind: patients who were merged, erased or excluded since it was trained."""
    found: dict[str, dict[str, int]] = {}
    with reading(house.engine) as connection:
        for flag in flags.flags(connection):
            kinds = found.setdefault(flag.model_id, {})
            kinds[flag.kind] = kinds.get(flag.kind, 0) + 1
    return found


def shown(house: House, name: str, version: int | None) -> Shown:
    """Gather what is known of a version; without a number of the one that speaks.

    Raises:
        StateError: there is no such version, or it must be trained again.
        IntegrityError: its files are not what their digests say.
    """
    with reading(house.engine) as connection:
        found = models.model(connection, name, version)
        measured = evaluations.evaluations(connection, model_id=found.model.id)
        looked = evaluations.openings(connection, model_id=found.model.id)
        changes = stages.history(connection, model_id=found.model.id)
    return Shown(
        registered=found,
        bundle=load_bundle(house.models / found.model.folder, found.model.model_digest),
        evaluations=measured,
        openings=looked,
        history=changes,
        flags=flagged(house).get(found.model.id, {}),
    )


def active_at(house: House, at: str, name: str | None = None) -> tuple[tuple[Model, StageChange], ...]:
    """Tell which version of each name was active at an instant (ISO 8601 with its zone), and what made it so.

    Raises:
        ConfigurationError: it is no instant, or has no zone.
        StateError: there is no model of that name.
    """
    moment = read_instant(at)
    with reading(house.engine) as connection:
        known = {item.model.id: item.model for item in models.models(connection, name=name)}
        if name is not None and not known:
            raise StateError(f"there is no model {name}")
        found = stages.active_at(connection, moment, name)
    return tuple((known[change.model_id], change) for _, change in sorted(found.items()))


def read_instant(text: str) -> datetime:
    """Read an instant in ISO 8601; one without a zone is refused, because nobody could say later what it meant."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError("write the time as in 2026-05-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ConfigurationError("say the time's zone too: 2026-05-01T12:00:00Z, or 2026-05-01T14:00:00+02:00")
    return moment


def verify(house: House, name: str | None = None, version: int | None = None) -> tuple[Checked, ...]:
    """Compare every file of every version, and of its evaluations, with digest and registry; one after the other.

    Raises:
        StateError: there is no such model.
    """
    with reading(house.engine) as connection:
        rows = models.models(connection, name=name)
        measured = evaluations.evaluations(connection)
    rows = tuple(item for item in rows if version in {None, item.model.version})
    if name is not None and not rows:
        raise StateError(f"there is no model {name}{'' if version is None else f':{version}'}")
    checked = []
    for item in rows:
        found = list(faults(house.models / item.model.folder, item.model.model_digest))
        for one in measured:
            if one.model_id == item.model.id:
                found += differing(house.evaluations / one.folder, one)
        checked.append(Checked(model=called(item.model), faults=tuple(found)))
    return tuple(checked)


def export_monai(house: House, name: str, version: int, folder: Path) -> tuple[str, ...]:
    """Write a version as a bundle that MONAI's own tools open, and put that on record; name the files.

    Raises:
        StateError: there is no such version, or it must be trained again.
        IntegrityError: its files are not what their digests say.
        ConfigurationError: the folder is not empty, or cannot be written.
    """
    with opened(house, "export-model") as run:
        found = shown(house, name, version)
        model, card = found.registered.model, found.bundle.card
        notes = {key.capitalize(): str(card[key]) for key in ("use", "limits", "methods") if key in card}
        worth = [f"{headline(one)}, {one.patients} patients." for one in found.evaluations if one.part == TEST]
        notes["Test part"] = "\n".join(worth) or "It was not measured on a test part."
        written = write_monai(found.bundle, folder, version=model.version, notes=notes)
        with writing(house.engine) as connection:
            run.append(connection, "model-exported", model.id, model_digest=model.model_digest, format="monai")
    return written


def headline(evaluation: Evaluation) -> str:
    """Say in a line how good a model was on a part: its AUC with the interval, and n."""
    auc = evaluation.metrics.get("roc_auc") or {}
    if auc.get("value") is None:
        return f"n = {evaluation.examples}"
    reach = "" if auc.get("low") is None else f" ({auc['low']:.3f} to {auc['high']:.3f})"
    return f"AUC {auc['value']:.3f}{reach}, n = {evaluation.examples}"


def differing(folder: Path, evaluation: Evaluation) -> list[str]:
    """Name the files of an evaluation that are not what its row says; pictures and reports may change, and are none."""
    found = []
    for name, sha256 in sorted(evaluation.files.items()):
        path = folder / Path(name).name
        what = f"evaluation on the {evaluation.part} part: {Path(name).name}"
        if not path.is_file():
            found.append(f"{what} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            found.append(f"{what} is not what its digest says")
    return found
