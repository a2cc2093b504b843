"""The curves of a report, computed from stored predictions: ROC, precision-recall, reliability, training."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medflow.domain.task import LabelKind, LabelRule
from medflow.learning import drawings
from medflow.learning.drawings import Curve, Plot, Point
from medflow.learning.heads import probabilities as calibrated
from medflow.learning.predicted import Predicted, truth

Array = NDArray[np.float64]
BINS = 10
"""Of equal width, in a reliability diagram."""
MOST_CURVES = 7
"""Curves that can be told apart in one plot; classes beyond are in the table."""


def roc(rule: LabelRule, rows: Sequence[Predicted]) -> str:
    """Draw sensitivity against the rate of false alarms: of the finding, of each class or of each finding."""
    drawn = [Curve(name=name, points=roc_points(scores, hits)) for name, scores, hits in _scored(rule, rows)]
    plot = Plot(title="ROC curve", across="false alarms (1 - specificity)", up="sensitivity")
    return drawings.curves(plot, drawn, chance=[(0, 0), (1, 1)])


def precision_recall(rule: LabelRule, rows: Sequence[Predicted]) -> str:
    """Draw the share of calls that are right against the share of findings that are called."""
    scored = list(_scored(rule, rows))
    drawn = [Curve(name=name, points=precision_points(scores, hits)) for name, scores, hits in scored]
    plot = Plot(title="Precision-recall curve", across="recall (sensitivity)", up="precision (PPV)")
    rate = float(scored[0][2].mean()) if len(scored) == 1 else None
    return drawings.curves(plot, drawn, chance=[] if rate is None else [(0, rate), (1, rate)])


def reliability(rule: LabelRule, rows: Sequence[Predicted]) -> str:
    """Draw how often it was so against how likely it was said to be, before and after calibration."""
    before = calibrated(rule, np.array([row.logits for row in rows], np.float64))
    after = np.array([row.probabilities for row in rows], np.float64)
    hits = truth(rule, rows)
    drawn = [
        Curve(name=f"{name} (bins of n = {_range(counts)})", points=points, marks=True)
        for name, (points, counts) in (
            ("before the temperature", _bins(*confidence(rule, before, hits))),
            ("as the model says it", _bins(*confidence(rule, after, hits))),
        )
    ]
    plot = Plot(title="Reliability diagram", across="probability that was said", up="share of which it was so")
    return drawings.curves(plot, drawn, chance=[(0, 0), (1, 1)])


def training(history: Sequence[Sequence[float]], best: int) -> str:
    """Draw the losses of each epoch; history holds (epoch, training loss, loss on the select part)."""
    losses = [value for _, *pair in history for value in pair]
    low, high = min(losses), max(losses)
    last = max(2, int(history[-1][0]))
    plot = Plot(
        title="Training curve", x=(1, last), y=(min(0.0, low), high or 1.0), across="epoch", up="loss", wide=520
    )
    plot.axes()
    for place, name in enumerate(("training part", "select part")):
        points = [(epoch[0], epoch[1 + place]) for epoch in history]
        plot.curve(Curve(name=name, points=points), place)
    plot.line([(best, plot.y[0]), (best, plot.y[1])], dash="2 4")
    plot.named(f"epoch {best}, whose weights were kept", drawings.INK, "2 4")
    return plot.svg()


def roc_points(scores: Array, hits: Array) -> list[Point]:
    """Give (false alarms, sensitivity) at each threshold; equal scores make one step."""
    if not hits.any() or hits.all():
        return []
    found, alarms = _counted(scores, hits)
    return [(0.0, 0.0), *zip((alarms / alarms[-1]).tolist(), (found / found[-1]).tolist(), strict=True)]


def precision_points(scores: Array, hits: Array) -> list[Point]:
    """Give (recall, precision) at each threshold, drawn as steps: between two thresholds there is nothing."""
    if not hits.any():
        return []
    found, alarms = _counted(scores, hits)
    recall, precision = (found / found[-1]).tolist(), (found / (found + alarms)).tolist()
    points: list[Point] = []
    before = 0.0
    for reached, kept in zip(recall, precision, strict=True):
        points += [(before, kept), (reached, kept)]
        before = reached
    return points


def confidence(rule: LabelRule, said: Array, hits: NDArray[np.int64]) -> tuple[Array, Array]:
    """Give what was said to be how likely, and whether it was so: the finding, the likeliest class, or each finding."""
    if rule.kind is LabelKind.MULTI_LABEL:
        return said.ravel(), hits.ravel().astype(np.float64)
    if rule.binary:
        return said[:, 1], hits[:, 1].astype(np.float64)
    best = said.argmax(axis=1)
    rows = np.arange(len(said))
    return said[rows, best], hits[rows, best].astype(np.float64)


def _bins(said: Array, hits: Array) -> tuple[list[Point], list[int]]:
    """Average both within bins of equal width; empty bins give no point."""
    places = np.minimum((said * BINS).astype(int), BINS - 1)
    filled = [place for place in range(BINS) if (places == place).any()]
    points = [(float(said[places == one].mean()), float(hits[places == one].mean())) for one in filled]
    return points, [int((places == one).sum()) for one in filled]


def _scored(rule: LabelRule, rows: Sequence[Predicted]) -> Iterator[tuple[str, Array, Array]]:
    """Give the name, scores and truths of each curve: one for a finding and its absence, else one for each output."""
    said, hits = np.array([row.probabilities for row in rows], np.float64), truth(rule, rows)
    places = [1] if rule.binary else range(min(len(rule.outputs), MOST_CURVES))
    for place in places:
        number = int(hits[:, place].sum())
        yield f"{rule.outputs[place]} ({number} of {len(rows)})", said[:, place], hits[:, place].astype(np.float64)


def _counted(scores: Array, hits: Array) -> tuple[Array, Array]:
    """Count the findings and the others at or above each distinct score, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))  # of several equal scores the last
    found = np.cumsum(hits[order])[last]
    return found, last + 1 - found


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)} to {max(counts)}" if len(set(counts)) > 1 else str(counts[0])
