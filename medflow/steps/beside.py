"""What is asked beside an evaluation, from its stored predictions: another prevalence, a comparison, a copy."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medflow.domain.evaluation import Evaluation
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError, StateError
from medflow.learning import dossier
from medflow.learning.compare import compared
from medflow.learning.metrics import measured
from medflow.learning.predicted import answers
from medflow.steps import exported
from medflow.steps.house import House
from medflow.steps.run import Run
from medflow.steps.subject import Subject, subject_of
from medflow.store import evaluations as rows
from medflow.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted beside the figures."""

    prevalence: float | None = None
    against: str | None = None
    out: Path | None = None


NOTHING = Asked()
COPIED = (*dossier.DIGESTED, dossier.REPORT)
"""What `--out` holds."""


def rival(house: House, subject: Subject, name: str) -> Subject:
    """Find the model that another one is compared with, on the same part.

    Raises:
        StateError: it was not measured there.
        ConfigurationError: the two do not learn the same labels.
    """
    other = subject_of(house, name, subject.part, subject.cohort.id)
    if other.bundle.task.labels.outputs != subject.bundle.task.labels.outputs:
        raise ConfigurationError(f"{other.name} does not learn the same labels")
    if known_of(house, other) is None:
        raise StateError(f"{other.name} was not measured on this part; run `medflow evaluate {other.name}` first")
    return other


def check_place(house: House, out: Path) -> None:
    """Refuse to copy into the data folder, or beside files of others, which an erasure would remove with the copy.

    Raises:
        ConfigurationError: it would be so.
    """
    if out.resolve().is_relative_to(house.data.resolve()):
        raise ConfigurationError("the output folder lies inside the data folder; name another place")
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= {*COPIED}):
        raise ConfigurationError("the output folder holds other files; name an empty one or a new one")


def beside(
    house: House, subject: Subject, evaluation: Evaluation, prevalence: float | None, other: Subject | None
) -> dict[str, Any]:
    """Compute PPV and NPV at another prevalence, and the comparison with another model."""
    found: dict[str, Any] = {}
    rule, seed = subject.bundle.task.labels, subject.bundle.task.schedule.seed
    said = dossier.evidence(folder_of(house, evaluation)).rows
    mine = answers(rule, subject.bundle.calibration, said)
    if prevalence is not None:
        there = measured(mine, seed=seed, prevalence=prevalence)
        found["figures"] = {name: there[name] for name in ("ppv", "npv") if name in there}
    if other is not None and (known := known_of(house, other)) is not None:
        theirs = {row.member.series_id: row for row in dossier.evidence(folder_of(house, known)).rows}
        paired = answers(rule, other.bundle.calibration, [theirs[row.member.series_id] for row in said])
        found["comparison"] = {
            "against": other.name,
            "against_digest": other.model.model_digest,
            **compared(mine, paired, seed=seed),
        }
    return found


def copied(run: Run, subject: Subject, folder: Path, out: Path) -> None:
    """Copy the files into a folder of their own, which is remembered: an erasure of somebody it shows removes it."""
    shown = {name.rpartition("-")[0] for name in dossier.pictures(folder) or {}}
    for patient in sorted({member.patient for member in subject.members if member.series_id in shown}):
        exported.remember(run, Pseudonym(patient), "evaluation", out)
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(folder / name, out / name)


def known_of(house: House, subject: Subject) -> Evaluation | None:
    """Find what was measured before; None where nothing was."""
    with reading(house.engine) as connection:
        found = rows.evaluations(
            connection, model_id=subject.model.id, cohort_digest=subject.cohort.digest, part=subject.part.value
        )
    return found[0] if found else None


def folder_of(house: House, evaluation: Evaluation) -> Path:
    """Say where the files of an evaluation lie."""
    return house.evaluations / evaluation.folder
