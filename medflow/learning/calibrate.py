"""What is found on the calibrate part: the temperature, the operating threshold, and the reach of conformal sets.

The patient is the unit throughout. Of a patient with several examples of the finding the least of their probabilities
decides, so that the patient counts as found only where every one of them is; of a conformal set the worst does.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.digests import digest
from medflow.domain.task import CalibrationRule, LabelKind, LabelRule
from medflow.learning.figures import LEAST
from medflow.learning.heads import probabilities
from medflow.learning.intervals import lower_bound

Array = NDArray[np.float64]
Truth = NDArray[np.int64]
Owners = NDArray[np.str_]
Found = Mapping[str, Any]

HOTTEST, COLDEST = 20.0, 0.1
"""Between these a temperature is looked for."""
WIDEST = 30.0
"""Logits are not driven further apart than this: beyond 36 probabilities become 1 in float64, and order is lost."""
FEWEST = 2
"""Patients whom a temperature takes: one number is fitted, and it must not be fitted to one patient."""
AT_END = 1e-3
"""On the logarithm: how near the end of its range a temperature counts as having run into it."""
ROUNDING = 1e-9
"""Taken off before rounding up, so that 0.95 * 20 is 19 and not 20."""


def calibrated(
    rule: LabelRule, wanted: CalibrationRule, logits: Array, truth: Truth, patients: Sequence[str], *, seed: int
) -> Calibration:
    """Find a calibration on (example, logit) logits and (example, output) truth of the calibrate part.

    Where conformal sets are wanted, every second patient of each class is for these, and the others are for all else:
    what a temperature was fitted on would make the sets too small.
    """
    if not len(logits):
        return UNCALIBRATED
    owners = np.array(patients, dtype=str)
    fitting = np.ones(len(owners), bool)
    if wanted.coverage is not None and rule.kind is not LabelKind.MULTI_LABEL:
        fitting = ~_set_aside(owners, truth, seed)
    temperature, said = _temperature(rule, wanted, logits[fitting], truth[fitting], owners[fitting])
    # one by one, as scoring does: a batch may differ in the last bit, and thresholds are compared with >=
    likely = np.concatenate([probabilities(rule, row[None], temperature) for row in logits])
    threshold, claim = _threshold(rule, wanted, likely[fitting], truth[fitting], owners[fitting])
    conformal, sets = _conformal(rule, wanted, likely[~fitting], truth[~fitting], owners[~fitting])
    about = {"patients": len(set(patients)), "examples": len(logits), **said, **claim, **sets}
    return Calibration(
        temperature=temperature, threshold=threshold, conformal=conformal, found=tuple(sorted(about.items()))
    )


def missing_positives(sensitivity: float, confidence: float, found: int) -> int:
    """Count the patients with the finding that are missing for a claim beside `found`, if each one will be found.

    Of n that were all found, the one-sided lower bound of sensitivity is (1 - confidence) ** (1 / n). With fewer no
    threshold makes the claim; with as many one does.

    >>> missing_positives(0.95, 0.95, 0), missing_positives(0.95, 0.95, 50), missing_positives(0.9, 0.95, 40)
    (59, 9, 0)
    """
    needed = max(1, math.ceil(math.log(1 - confidence) / math.log(sensitivity) - ROUNDING))
    while lower_bound(needed, needed, confidence) < sensitivity:  # one more where rounding took too much off
        needed += 1
    return max(0, needed - found)


def log_loss(rule: LabelRule, likely: Array, truth: Array | Truth) -> float:
    """Give the mean log loss of probabilities (example, output); of findings that come together, over them too."""
    held = np.clip(likely, LEAST, 1.0)
    if rule.kind is LabelKind.MULTI_LABEL:
        away = np.clip(1 - likely, LEAST, 1.0)
        return float(-(truth * np.log(held) + (1 - truth) * np.log(away)).mean())
    return float(-(truth * np.log(held)).sum(axis=1).mean())


def _temperature(
    rule: LabelRule, wanted: CalibrationRule, logits: Array, truth: Truth, owners: Owners
) -> tuple[float, Found]:
    """Find the temperature of the least log loss (Guo et al., ICML 2017).

    Where the classes are told apart without a mistake, the loss falls towards a temperature of 0, and certainty would
    be claimed that no number of examples supports. Then the truth is smoothed as Platt does (Advances in Large Margin
    Classifiers, 1999): a class of n examples counts n + 1 of n + K. The probabilities are sharpened by that at most.
    """
    patients = len(set(owners))
    about = {"temperature_patients": patients}
    if not wanted.temperature:
        return 1.0, about | {"temperature_said": "not asked for: probabilities are the network's own"}
    if patients < FEWEST:
        return 1.0, about | {"temperature_said": "not fitted: fewer than two patients"}
    if not (truth.min(axis=0) < truth.max(axis=0)).any():
        return 1.0, about | {"temperature_said": "not fitted: all examples have the same label"}
    reach = float(np.ptp(logits, axis=1).max() if rule.kind is LabelKind.CLASSES else 2 * abs(logits).max())
    coldest = min(1.0, max(COLDEST, reach / WIDEST))
    ends = (math.log(coldest), math.log(HOTTEST))
    best = _least(rule, logits, truth, ends)
    said = "fitted: the least log loss"
    if best - ends[0] < AT_END:
        best = min(0.0, _least(rule, logits, smoothed(rule, truth), ends))
        said = (
            "clipped: without a mistake on this part the loss falls towards a temperature of 0; smoothed labels keep it"
        )
    elif ends[1] - best < AT_END:
        best, said = ends[1], "clipped: at the upper end of the range, because the logits tell next to nothing"
    before, after = (log_loss(rule, probabilities(rule, logits, t), truth) for t in (1.0, math.exp(best)))
    if not after < before:
        best, after = 0.0, before
    return math.exp(best), about | {"temperature_said": said, "log_loss_before": before, "log_loss_after": after}


def _least(rule: LabelRule, logits: Array, truth: Array | Truth, ends: tuple[float, float]) -> float:
    """Give the logarithm of the temperature that makes the loss least."""
    found = minimize_scalar(
        lambda logarithm: log_loss(rule, probabilities(rule, logits, math.exp(logarithm)), truth),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(found.x)


def smoothed(rule: LabelRule, truth: Truth) -> Array:
    """Give each truth as probabilities that its class's number of examples supports (Laplace's rule of succession)."""
    if rule.kind is LabelKind.MULTI_LABEL:
        there = truth.sum(axis=0)
        return np.asarray(np.where(truth == 1, (there + 1) / (there + 2), 1 / (len(truth) - there + 2)))
    sizes, classes = truth.sum(axis=0), truth.shape[1]
    own = sizes[truth.argmax(axis=1)][:, None]
    return np.asarray((own * truth + 1) / (own + classes))


def _threshold(
    rule: LabelRule, wanted: CalibrationRule, likely: Array, truth: Truth, owners: Owners
) -> tuple[float | None, Found]:
    """Find the highest threshold whose one-sided lower bound of sensitivity meets the target."""
    target, confidence = wanted.sensitivity, wanted.confidence
    if target is None or not rule.binary:
        return None, {}
    places = np.flatnonzero(truth[:, 1] == 1)
    least = np.sort([value.min() for value in _by_owner(likely[places, 1], owners[places])])[::-1]
    positives = len(least)
    about: dict[str, Any] = {"target_sensitivity": target, "confidence": confidence, "positives": positives}
    missing = missing_positives(target, confidence, positives)
    about["missing_positives"] = missing
    if missing:
        return None, about | {
            "threshold_said": f"none: {positives} patients with the finding are too few, {missing} more are missing, "
            "if every one of them is found"
        }
    needed = next(hits for hits in range(1, positives + 1) if lower_bound(hits, positives, confidence) >= target)
    threshold = float(least[needed - 1])
    found = int((least >= threshold).sum())  # more than needed where probabilities are equal
    return threshold, about | {
        "found": found,
        "sensitivity_bound": lower_bound(found, positives, confidence),
        "threshold_said": f"the highest at which so many of the {positives} patients with the finding are found, all "
        f"examples of each, that the lower bound of sensitivity meets {target:g}",
    }


def _conformal(
    rule: LabelRule, wanted: CalibrationRule, likely: Array, truth: Truth, owners: Owners
) -> tuple[float | None, Found]:
    """Find the reach of sets that hold the truth for a share of patients (split conformal; Sadinle et al., JASA 2019).

    The quantile is that of finite samples, the ceil((n + 1) coverage)-th of n patients.
    """
    coverage = wanted.coverage
    if coverage is None or rule.kind is LabelKind.MULTI_LABEL:
        return None, {}
    least = np.sort([value.min() for value in _by_owner((likely * truth).sum(axis=1), owners)])[::-1]
    place = math.ceil((len(least) + 1) * coverage - ROUNDING)
    missing = max(0, math.ceil(coverage / (1 - coverage) - ROUNDING) - len(least))
    about: dict[str, Any] = {
        "coverage": coverage,
        "conformal_patients": len(least),
        "conformal_missing_patients": missing,
    }
    if place > len(least):
        said = f"none: {len(least)} patients set aside for the sets are too few, {missing} more are missing"
        return None, about | {"conformal_said": said}
    lowest = float(least[place - 1])
    reach = 1.0 - lowest
    while 1.0 - reach > lowest:  # rounding must not leave out the patient by whom the reach is set
        reach = math.nextafter(reach, 2.0)
    said = f"sets take every class of at least {1.0 - reach:.4g}; found on patients whom no temperature was fitted on"
    return reach, about | {"conformal_said": said}


def _set_aside(owners: Owners, truth: Truth, seed: int) -> NDArray[np.bool_]:
    """Choose every second patient of each class, in an order that only seed and pseudonyms decide.

    Of a patient with several labels the last class counts.
    """
    classes: dict[str, int] = {}
    for owner, place in zip(owners.tolist(), truth.argmax(axis=1).tolist(), strict=True):
        classes[owner] = max(place, classes.get(owner, 0))
    aside: set[str] = set()
    for one in sorted(set(classes.values())):
        members = sorted(
            (owner for owner in classes if classes[owner] == one),
            key=lambda owner: digest("conformal", [seed, owner]),
        )
        aside.update(members[1::2])
    return np.array([owner in aside for owner in owners.tolist()], bool)


def _by_owner(values: Array, owners: Owners) -> list[Array]:
    """Part values by whose they are."""
    if not len(values):
        return []
    order = np.argsort(owners, kind="stable")
    starts = np.flatnonzero(owners[order][1:] != owners[order][:-1]) + 1
    return list(np.split(values[order], starts))
