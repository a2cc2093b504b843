"""Examples that a report shows: where the model was surest, right and wrong, and what it looked at."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medflow.domain.task import LabelKind, LabelRule
from medflow.learning.predicted import Predicted

Floats = NDArray[np.float32]
SHOWN = 256
"""Pixels: what is shorter is enlarged a whole number of times."""
MOST = 4
"""Right examples, and as many wrong ones, of a task with several classes."""
WARM = np.array([255.0, 140.0, 0.0])
CONTOUR = 0.5
"""The outline is drawn where the heat passes this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One example to show: which row, which output the heat is of, and why it is shown."""

    title: str
    row: int
    output: int
    probability: float
    """Of that output."""

    def file(self, rows: Sequence[Predicted]) -> str:
        """Name its picture: by the series, so that it can be found when a patient is erased."""
        return f"{rows[self.row].member.series_id}-{self.output}.png"


def cases(rule: LabelRule, rows: Sequence[Predicted]) -> tuple[Case, ...]:
    """Choose what is shown: the same rows always give the same cases."""
    if rule.kind is LabelKind.MULTI_LABEL:
        return tuple(_of_findings(rule, rows))
    return tuple(_of_two(rule, rows) if rule.binary else _of_several(rule, rows))


def picture(voxels: Floats, heat: Floats, *, axes: str | None = None) -> bytes:
    """Draw the slice that was looked at most, grey and with the heat laid over it and outlined, as PNG.

    `voxels` are (i, j, k) or (channel, i, j, 1) on the grid, `heat` (i, j[, k]) between 0 and 1. `axes` are those of a
    volume's grid: it is shown as a radiologist sees it, the patient's right on the left, anterior and superior up.
    """
    grey, warmth = (_as_seen(one, axes) for one in _hottest(voxels, heat))
    low, high = np.percentile(grey, (1.0, 99.0))
    scaled = np.clip((grey - low) / ((high - low) or 1.0), 0.0, 1.0)
    warm = np.clip(warmth, 0.0, 1.0)
    times = max(1, SHOWN // max(scaled.shape))
    plain, warm = (one.repeat(times, axis=0).repeat(times, axis=1) for one in (scaled, warm))
    colour = np.repeat(plain[:, :, None] * 255.0, 3, axis=2)
    laid = colour * (1 - 0.6 * warm[:, :, None]) + WARM * 0.6 * warm[:, :, None]
    laid[_outline(warm > CONTOUR)] = 255.0
    gap = np.full((len(plain), 4, 3), 255.0)
    whole = np.concatenate([colour, gap, laid], axis=1)
    stream = BytesIO()
    Image.fromarray(np.rint(whole).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def _hottest(voxels: Floats, heat: Floats) -> tuple[Floats, Floats]:
    if voxels.ndim == 4:  # noqa: PLR2004  (a planar image, its channels first)
        return voxels[..., 0].mean(axis=0), heat
    if heat.ndim == 2:  # noqa: PLR2004
        return voxels[:, :, 0], heat
    place = int(heat.sum(axis=(0, 1)).argmax())
    return voxels[:, :, place], heat[:, :, place]


def _as_seen(cut: Floats, axes: str | None) -> Floats:
    """Turn a slice (i, j) into rows and columns, which grow towards the left or posterior, and downwards."""
    along_i, along_j = ("L", "P") if axes is None else (axes[0], axes[1])
    turned = cut[:: -1 if along_i in "RAS" else 1, :: -1 if along_j in "RAS" else 1]
    return turned if along_i in "SI" else turned.T


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give the pixels that are inside and touch one that is not: an outline needs no colour to be seen."""
    edge = np.zeros_like(inside)
    edge[1:] |= inside[1:] & ~inside[:-1]
    edge[:-1] |= inside[:-1] & ~inside[1:]
    edge[:, 1:] |= inside[:, 1:] & ~inside[:, :-1]
    edge[:, :-1] |= inside[:, :-1] & ~inside[:, 1:]
    return edge


def _of_two(rule: LabelRule, rows: Sequence[Predicted]) -> Iterator[Case]:
    finding = rule.outputs[1]
    for true, said, title in (
        (True, True, "surest of the right calls"),
        (False, False, "surest of the right all-clears"),
        (False, True, "worst false alarm"),
        (True, False, "worst miss"),
    ):
        fitting = [
            place
            for place, row in enumerate(rows)
            if (row.member.label == finding) is true and (row.answer == finding) is said
        ]
        sign = 1.0 if said else -1.0
        yield from _best(rows, fitting, lambda place, sign=sign: sign * rows[place].probabilities[1], title, 1)  # type: ignore[misc]  # mypy on defaults


def _of_several(rule: LabelRule, rows: Sequence[Predicted]) -> Iterator[Case]:
    answered = [rule.outputs.index(row.answer) for row in rows]
    right = [place for place, row in enumerate(rows) if row.answer == row.member.label]
    wrong = [place for place, row in enumerate(rows) if row.answer != row.member.label]
    for output, name in enumerate(rule.outputs[:MOST]):
        of_class = [place for place in right if answered[place] == output]
        yield from _best(rows, of_class, lambda place: max(rows[place].probabilities), f"surest right {name}", output)
    for place in sorted(wrong, key=lambda one: (-rows[one].probabilities[answered[one]], one))[:MOST]:
        title = f"worst error: {rows[place].member.label} taken for {rows[place].answer}"
        yield Case(
            title=title, row=place, output=answered[place], probability=rows[place].probabilities[answered[place]]
        )


def _of_findings(rule: LabelRule, rows: Sequence[Predicted]) -> Iterator[Case]:
    truth = [rule.truth(row.member.label) for row in rows]
    called = [rule.truth(row.answer) for row in rows]
    pairs = [(place, output) for place in range(len(rows)) for output in range(len(rule.outputs))]
    for true, said, title in (
        (1, 1, "surest of the right calls"),
        (0, 0, "surest of the right all-clears"),
        (0, 1, "worst false alarm"),
        (1, 0, "worst miss"),
    ):
        fitting = [(p, o) for p, o in pairs if truth[p][o] == true and called[p][o] == said]
        if fitting:
            sign = 1.0 if said else -1.0
            place, output = max(fitting, key=lambda at: (sign * rows[at[0]].probabilities[at[1]], -at[0], -at[1]))
            chance = rows[place].probabilities[output]
            yield Case(title=f"{title}: {rule.outputs[output]}", row=place, output=output, probability=chance)


def _best(
    rows: Sequence[Predicted], places: Iterable[int], score: Callable[[int], float], title: str, output: int
) -> Iterator[Case]:
    """Give the place of the highest score, of equals the first."""
    fitting = list(places)
    if fitting:
        place = max(fitting, key=lambda one: (score(one), -one))
        yield Case(title=title, row=place, output=output, probability=rows[place].probabilities[output])
