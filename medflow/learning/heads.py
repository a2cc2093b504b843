"""From logits to probabilities: what a network's last layer means, by the kind of label that it learns.

Exclusive classes have a logit each, and a softmax. Findings of a multi-label task have a logit each, and a sigmoid.
Ordered classes c0 < c1 < ... < cK have K logits, one for each "at least c1", "at least c2" ...; their sigmoids are made
to fall (each takes the least of those before it), and a class has the difference of its two neighbours (Frank and Hall,
ECML 2001).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from medflow.domain.task import LabelKind, LabelRule

Array = NDArray[np.float64]


def width(rule: LabelRule) -> int:
    """Count the logits of a network that learns these labels."""
    return len(rule.outputs) - (rule.kind is LabelKind.ORDINAL)


def probabilities(rule: LabelRule, logits: Array, temperature: float = 1.0) -> Array:
    """Turn logits (example, logit) into probabilities (example, output), in float64.

    Those of exclusive and of ordered classes sum to one.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    if rule.kind is LabelKind.MULTI_LABEL:
        return np.asarray(expit(scaled))
    if rule.kind is LabelKind.CLASSES:
        return np.asarray(softmax(scaled, axis=1))
    reached = np.minimum.accumulate(expit(scaled), axis=1)
    edges = np.concatenate([np.ones((len(scaled), 1)), reached, np.zeros((len(scaled), 1))], axis=1)
    return np.asarray(edges[:, :-1] - edges[:, 1:])
