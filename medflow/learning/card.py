"""The model card: what a model was made of and for, written from what really ran."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from medflow.domain.cohort import Duplicates, FrozenCohort, Member
from medflow.domain.model import Example
from medflow.domain.task import LabelRule, Part, Task
from medflow.learning.methods import calibration_found, methods
from medflow.learning.trained import Trained

USE = (
    "Research. The model sorts series that the task's rules select into the task's classes. It is no medical device, "
    "and it says nothing of series that the rules do not select."
)
LIMITS = (
    "The figures were measured on patients of the same source as those it was trained on; at another hospital expect "
    "less until it was measured there. The weights are those of the epoch that did best on the select part, and the "
    "temperature and the threshold were found on the calibrate part, so the figures of these two flatter; only the "
    "test part speaks for new patients, and only as long as nobody chose anything by it."
)


def card_of(task: Task, trained: Trained, examples: Sequence[Example]) -> dict[str, Any]:
    """Write the card of a model as plain JSON."""
    found = trained.calibration
    return {
        "name": task.name,
        "use": USE,
        "limits": LIMITS,
        "methods": methods(task, trained, examples),
        "data": data(task.labels, examples),
        "training": {
            "seed": task.schedule.seed,
            "epochs": len(trained.history),
            "best_epoch": trained.best_epoch,
            "history": [[epoch.number, epoch.training_loss, epoch.validation_loss] for epoch in trained.history],
            "precision": {"name": trained.precision.name, "reason": trained.precision.reason},
            "device": trained.runtime.device,
            "capability": trained.runtime.capability,
            "threads": trained.runtime.threads,
            "pretrained": trained.pretrained,
            "resumed_from": trained.resumed_from,
        },
        "calibration": {
            "said": calibration_found(task, trained),
            "temperature": found.temperature,
            "threshold": found.threshold,
            "conformal": found.conformal,
            "found": dict(found.found),
        },
        "metrics": trained.metrics,
    }


def data(rule: LabelRule, examples: Sequence[Example | Member]) -> dict[str, Any]:
    """Count patients and series of each part; of a multi-label task a series counts for each of its findings."""
    counted = {}
    for part in Part:
        inside = [example for example in examples if example.part == part.value]
        truth = [rule.truth(example.label) for example in inside]
        counted[part.value] = {
            "patients": len({example.patient for example in inside}),
            "series": len(inside),
            "examples": {name: sum(row[place] for row in truth) for place, name in enumerate(rule.outputs)},
        }
    return counted


def cohort_card(rule: LabelRule, cohort: FrozenCohort, measured: Sequence[Member]) -> dict[str, Any]:
    """Write what a cohort holds, and who stands in the part that was measured: sexes, ages, sites, scanners."""
    people: dict[str, Counter[str]] = {name: Counter() for name in ("sex", "age_band", "site", "scanner")}
    for member in measured:
        for name, counted in people.items():
            counted[getattr(member, name) or "not known"] += 1
    return {
        "id": cohort.id,
        "digest": cohort.digest,
        "table": data(rule, cohort.members),
        "people": {name: dict(sorted(counted.items())) for name, counted in people.items()},
        "left_out": dict(sorted(cohort.left_out.items())),
        "dealing": {name: value for name, value in cohort.dealing.items() if name != "linked"},
        "checks": checks(cohort),
    }


def checks(cohort: FrozenCohort) -> list[str]:
    """Say what was made sure of when the cohort was frozen, and how its patients were dealt."""
    dealt = cohort.dealing
    said = ["Patients were dealt, not images: nobody stands in two parts."]
    if "duplicates" not in dealt:
        return [*said, "The cohort is older than the search for images that stand under several patients."]
    alike = ", ".join(f"{float.fromhex(value):g} of {kind}" for kind, value in sorted(dealt["thresholds"].items()))
    found = f"{dealt['identical']} identical pairs, {dealt['alike']} nearly so (correlation from {alike} on)"
    done = {
        Duplicates.REFUSE: "any would have been refused",
        Duplicates.TOGETHER: f"their patients were dealt as one: {dealt['reason']}",
        Duplicates.ACCEPT: f"near ones stay where they were dealt: {dealt['reason']}",
    }[Duplicates(dealt["duplicates"])]
    how = f"Patients were dealt by the task's shares, seed {dealt['seed']}."
    if dealt["folds"] is not None:
        how = f"The test part is fold {dealt['fold'] + 1} of {dealt['folds']}."
    elif dealt["site"] is not None:
        how = f"The test part is the site {dealt['site'] or 'that has no name'}."
    elif dealt["split_file"]:
        how = "Patients were dealt by a split file."
    return [*said, f"Images of different patients were compared: {found}; {done}.", how]


def markdown(card: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Write the card for people: what stands on a bundle's card, and what was measured."""
    training = card.get("training") or {}
    lines = [
        f"# {card['title']}",
        "",
        "## Limits",
        "",
        *(f"{one}\n" for one in (card["use"], card["limits"], *card.get("warnings", ()))),
        "## Figures",
        "",
        f"Measured on {metrics['n']} examples of {metrics['patients']} patients; intervals are 95 %, of patients.",
        "",
        "| figure | value | interval | n | by |",
        "|---|---|---|---|---|",
        *_figure_lines(metrics),
        "",
        *(f"{one}\n" for one in card.get("openings", ())),
        "## Data",
        "",
        *_data_lines(card),
        "## Methods",
        "",
        f"{card.get('methods', '')}",
        "",
        *(["Precision: {name} ({reason}).".format(**training["precision"]), ""] if training.get("precision") else []),
        "## Where this comes from",
        "",
        *(f"- {name}: {value}" for name, value in card.get("provenance", {}).items()),
        "",
    ]
    return "\n".join(lines)


def _figure_lines(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    rate = metrics.get("majority_rate")
    if isinstance(rate, float):
        lines.append(f"| right by always giving the commonest answer | {rate:.3f} | | {metrics['n']} | |")
    for name, entry in metrics.items():
        if isinstance(entry, Mapping) and {"value", "n", "low", "high"} <= set(entry):
            value = "not measurable" if entry["value"] is None else f"{entry['value']:.3f}"
            known = entry["low"] is not None and entry["high"] is not None
            bounds = f"{entry['low']:.3f} to {entry['high']:.3f}" if known else ""
            lines.append(
                f"| {name.replace('_', ' ')} | {value} | {bounds} | {entry['n']} | {entry.get('method', '')} |"
            )
    return lines


def _data_lines(card: Mapping[str, Any]) -> list[str]:
    cohort = card["cohort"]
    names = list(next(iter(cohort["table"].values()))["examples"])
    lines = [
        f"| part | patients | series | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
        *(
            f"| {part} | {of['patients']} | {of['series']} | {' | '.join(str(of['examples'][one]) for one in names)} |"
            for part, of in cohort["table"].items()
            if of["series"]
        ),
        "",
    ]
    for kind, counted in cohort["people"].items():
        lines.append(f"- {kind.replace('_', ' ')}: {', '.join(f'{name} {count}' for name, count in counted.items())}")
    return [*lines, "", *(f"- {one}" for one in cohort["checks"]), ""]
