"""Patients dealt to train, validation and test: whole patients, every class in every part, the same deal every time."""

from collections.abc import Collection, Mapping

from medflow.domain.digests import digest
from medflow.domain.task import Part, SplitRule
from medflow.errors import BatchError


def deal(patients_by_class: Mapping[str, Collection[str]], rule: SplitRule) -> dict[str, Part]:
    """Deal each patient to one part, class by class in the proportions of `rule`.

    A patient of several classes (a series of each) belongs to the stratum of just those classes. The deal depends on
    the seed and the pseudonyms alone: no order of rows or folders changes it.

    Raises:
        BatchError: a part would lack a class; the message says how many more patients it takes.
    """
    shares = {part: share for part in Part if (share := getattr(rule, part.value)) > 0}
    strata: dict[tuple[str, ...], list[str]] = {}
    for patient in sorted(set().union(*patients_by_class.values())):
        classes = tuple(sorted(name for name, members in patients_by_class.items() if patient in members))
        strata.setdefault(classes, []).append(patient)
    dealt: dict[str, Part] = {}
    for classes in sorted(strata):
        order = sorted(strata[classes], key=lambda patient: digest("deal", [rule.seed, patient]))
        counts = _counts(len(order), shares)
        for part, count in counts.items():
            dealt |= dict.fromkeys(order[:count], part)
            order = order[count:]
    _check(patients_by_class, dealt, shares)
    return dealt


def _counts(patients: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """Split a number by largest remainders, but give every part one as long as there are enough."""
    if patients < len(shares):
        by_size = sorted(shares, key=lambda part: -shares[part])
        return {part: int(place < patients) for place, part in enumerate(by_size)}
    free, whole = patients - len(shares), sum(shares.values())
    exact = {part: max(0.0, patients * share / whole - 1.0) for part, share in shares.items()}
    scale = free / total if (total := sum(exact.values())) else 0.0
    counts = {part: int(exact[part] * scale) for part in shares}
    left = free - sum(counts.values())
    for part in sorted(shares, key=lambda part: counts[part] - exact[part] * scale)[:left]:
        counts[part] += 1
    return {part: 1 + counts[part] for part in shares}


def _check(
    patients_by_class: Mapping[str, Collection[str]], dealt: Mapping[str, Part], shares: Mapping[Part, float]
) -> None:
    lacking = [
        f"{sum(not any(dealt[p] is part for p in members) for part in shares)} more of {name!r}"
        for name, members in sorted(patients_by_class.items())
        if any(not any(dealt[patient] is part for patient in members) for part in shares)
    ]
    if lacking:
        parts = ", ".join(part.value for part in shares)
        raise BatchError(f"each of {parts} needs a patient of every class: missing are {', '.join(lacking)}")
