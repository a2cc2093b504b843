"""Patients dealt to the parts of a cohort: whole patients, every class in every part, the same deal every time."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

from medflow.domain.digests import digest
from medflow.domain.task import LabelKind, LabelRule, Part, SplitRule
from medflow.errors import BatchError

K = TypeVar("K", bound=Hashable)


def by_class(labels: Mapping[str, Collection[str]], rule: LabelRule) -> dict[str, set[str]]:
    """Give the patients of each class, from the labels of each patient's series.

    Of a multi-label task each finding has two classes: those who bear it, and those who do not.
    """
    if rule.kind is not LabelKind.MULTI_LABEL:
        return {name: {patient for patient, said in labels.items() if name in said} for name in rule.classes}
    found: dict[str, set[str]] = {}
    for place, name in enumerate(rule.findings):
        truths = {patient: {rule.truth(label)[place] for label in said} for patient, said in labels.items()}
        found[name] = {patient for patient, there in truths.items() if 1 in there}
        found[f"no {name}"] = {patient for patient, there in truths.items() if 0 in there}
    return found


def deal(patients_by_class: Mapping[str, Collection[str]], rule: SplitRule) -> dict[str, Part]:
    """Deal each patient to one part, class by class in the proportions of `rule`.

    Where some patients are of several classes (a series of each, or several findings), the rarest class is dealt
    first, so that no combination starves a part. The deal depends on the seed and the pseudonyms alone: no order of
    rows or folders changes it.

    Raises:
        BatchError: a part would lack a class; the message says how many more patients it takes.
    """
    shares = {part: share for part in Part if (share := getattr(rule, part.value)) > 0}
    dealt = _dealt(patients_by_class, shares, ["deal", rule.seed])
    check(patients_by_class, dealt, tuple(shares))
    return dealt


def deal_fold(
    patients_by_class: Mapping[str, Collection[str]], rule: SplitRule, *, folds: int, fold: int
) -> dict[str, Part]:
    """Deal for cross-validation: fold `fold` of `folds`, counted from 0, is the test part, the rest is dealt by `rule`.

    Over all folds each patient is in just one test part.

    Raises:
        BatchError: a part would lack a class.
    """
    equal = dict.fromkeys(range(folds), 1.0)
    places = _dealt(patients_by_class, equal, ["fold", rule.seed, folds])
    check(patients_by_class, places, tuple(equal))
    tested = {patient for patient, place in places.items() if place == fold}
    return dict.fromkeys(sorted(tested), Part.TEST) | deal_rest(patients_by_class, rule, tested)


def deal_rest(
    patients_by_class: Mapping[str, Collection[str]], rule: SplitRule, tested: Collection[str]
) -> dict[str, Part]:
    """Deal those who are not tested to train, select and calibrate, in the proportions that `rule` has for these.

    Raises:
        BatchError: a part would lack a class.
    """
    rest = {name: set(members) - set(tested) for name, members in patients_by_class.items()}
    learning = SplitRule(train=rule.train, select=rule.select, calibrate=rule.calibrate, test=0.0, seed=rule.seed)
    return deal(rest, learning)


def check(patients_by_class: Mapping[str, Collection[str]], dealt: Mapping[str, K], parts: Sequence[K]) -> None:
    """Refuse a deal in which a part lacks a class.

    Raises:
        BatchError: one does; the message says how many more patients it takes.
    """
    there = {name: {dealt[patient] for patient in members} for name, members in patients_by_class.items()}
    lacking = [
        f"{sum(part not in found for part in parts)} more of {name!r}"
        for name, found in sorted(there.items())
        if not found.issuperset(parts)
    ]
    if lacking:
        names = ", ".join(part.value if isinstance(part, Part) else f"fold {part}" for part in parts)
        raise BatchError(f"each of {names} needs a patient of every class: missing are {', '.join(lacking)}")


def _dealt(
    patients_by_class: Mapping[str, Collection[str]], shares: Mapping[K, float], salt: list[object]
) -> dict[str, K]:
    strata: dict[tuple[str, ...], list[str]] = {}
    for patient in sorted(set().union(*patients_by_class.values())):
        classes = tuple(sorted(name for name, members in patients_by_class.items() if patient in members))
        strata.setdefault(classes, []).append(patient)
    first, *more = salt
    for members in strata.values():
        members.sort(key=lambda patient: digest(str(first), [*more, patient]))
    if any(len(classes) > 1 for classes in strata):
        return _rarest_first(strata, shares)
    dealt: dict[str, K] = {}
    for classes in sorted(strata):
        order = strata[classes]
        for part, count in _counts(len(order), shares).items():
            dealt |= dict.fromkeys(order[:count], part)
            order = order[count:]
    return dealt


def _rarest_first(strata: Mapping[tuple[str, ...], Sequence[str]], shares: Mapping[K, float]) -> dict[str, K]:
    """Deal patients of several classes each (iterative stratification: Sechidis et al., ECML PKDD 2011).

    Of the classes not dealt yet the one with fewest patients left comes first. Each of its patients goes to a part
    that has none of it, else to the part that wants most of it, else to the one that wants most patients.
    """
    left = {patient: classes for classes, members in strata.items() for patient in members}
    names = sorted({name for classes in strata for name in classes})
    wanted = {name: dict(_counts(sum(name in of for of in left.values()), shares)) for name in names}
    room = dict(_counts(len(left), shares))
    there: dict[str, set[K]] = {name: set() for name in names}
    dealt: dict[str, K] = {}
    while left:
        counts = {name: count for name in names if (count := sum(name in classes for classes in left.values()))}
        rarest = min(counts, key=lambda name: (counts[name], name))
        for patient in [one for one, classes in left.items() if rarest in classes]:
            part = max(shares, key=lambda one: (one not in there[rarest], wanted[rarest][one], room[one]))
            dealt[patient] = part
            room[part] -= 1
            for name in left.pop(patient):
                wanted[name][part] -= 1
                there[name].add(part)
    return dealt


def _counts(patients: int, shares: Mapping[K, float]) -> dict[K, int]:
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
