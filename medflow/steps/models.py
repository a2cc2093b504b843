"""The registry of models: what stands, and which version speaks."""

from medflow.domain.model import Model, Stage
from medflow.errors import ConfigurationError
from medflow.steps.house import House
from medflow.steps.run import opened
from medflow.store import flags, models
from medflow.store.engine import reading, writing
from medflow.store.models import Registered


def listed(house: House) -> tuple[Registered, ...]:
    """Give every model version and its stage, by name and version."""
    with reading(house.engine) as connection:
        return models.models(connection)


def flagged(house: House) -> dict[str, dict[str, int]]:
    """Count the flags of each model by kind: patients who were merged, erased or excluded since it was trained."""
    found: dict[str, dict[str, int]] = {}
    with reading(house.engine) as connection:
        for flag in flags.flags(connection):
            kinds = found.setdefault(flag.model_id, {})
            kinds[flag.kind] = kinds.get(flag.kind, 0) + 1
    return found


def promote(house: House, name: str, version: int, *, reason: str) -> Model:
    """Make one version the active one of its name; the one that was active retires.

    Raises:
        StateError: there is no such version.
        ConfigurationError: the reason is blank; an auditor will read it.
    """
    if not reason.strip():
        raise ConfigurationError("say why, with --reason: an auditor will read it")
    with opened(house, "promote") as run, writing(house.engine) as connection:
        chosen = models.model(connection, name, version).model
        for moved in models.set_stage(connection, chosen.id, Stage.ACTIVE):
            stage = Stage.ACTIVE if moved == chosen.id else Stage.RETIRED
            run.append(connection, "model-stage-changed", moved, stage=stage.value, reason=reason)
    return chosen
