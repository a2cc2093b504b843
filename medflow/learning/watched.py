"""What the best epoch is chosen by: one number of the select part, higher is better."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from medflow.domain.task import LabelKind, LabelRule
from medflow.errors import BatchError

EVEN = 0.5


def check_watchable(name: str, rule: LabelRule, truth: NDArray[np.int64]) -> None:
    """Refuse a figure that has no value over `truth` (example, output).

    Raises:
        BatchError: an output has no example in the select part, or has nothing else.
    """
    if name == "loss":
        return
    for place in _places(rule):
        if len(set(truth[:, place])) < 2:  # noqa: PLR2004
            raise BatchError(
                f"schedule.watch: {name} needs patients with {rule.outputs[place]!r} and patients without it in the "
                "select part"
            )


def watched(name: str, rule: LabelRule, probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Give roc_auc, balanced_accuracy or average_precision of (example, output) probabilities.

    Of two classes they speak of the finding; of more, and of findings, they are means over the outputs.
    """
    if name == "balanced_accuracy" and rule.kind is not LabelKind.MULTI_LABEL:
        return float(balanced_accuracy_score(truth.argmax(axis=1), probabilities.argmax(axis=1)))
    scores = [_score(name, truth[:, place], probabilities[:, place]) for place in _places(rule)]
    return float(np.mean(scores))


def _places(rule: LabelRule) -> range:
    return range(1, 2) if rule.binary else range(len(rule.outputs))


def _score(name: str, truth: NDArray[np.int64], said: NDArray[np.float64]) -> float:
    if name == "balanced_accuracy":
        return float(balanced_accuracy_score(truth, said >= EVEN))
    return float((roc_auc_score if name == "roc_auc" else average_precision_score)(truth, said))
