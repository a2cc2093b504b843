"""What a model said of each example of a part: a table from which other code can compute every figure again."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medflow.domain.calibration import Calibration
from medflow.domain.cohort import Member
from medflow.domain.task import LabelKind, LabelRule
from medflow.errors import IntegrityError
from medflow.learning.metrics import Answers

COLUMNS = {
    "pseudonym": "patient",
    "study": "study",
    "series": "series_id",
    "subject": "subject",
    "input_digest": "input_digest",
    "layout_digest": "layout_digest",
    "label": "label",
    "part": "part",
    "site": "site",
    "scanner": "scanner",
    "sex": "sex",
    "age_band": "age_band",
    "slice_thickness": "slice_thickness",
}
"""Columns of the table, and what of a member stands in each."""
BETWEEN = "|"
"""Stands between the classes of a conformal set."""
NO_SETS = "-"
"""Stands for the set where a model makes none: an empty set is something else."""
GROUPS = ("sex", "age_band", "site", "scanner", "slice_thickness")
THICK = ((1.5, "up to 1.5 mm"), (3.0, "over 1.5, up to 3 mm"), (5.0, "over 3, up to 5 mm"))
THICKEST = "over 5 mm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """An example, and what a model said of it."""

    member: Member
    logits: tuple[float, ...]
    """Before the temperature."""
    probabilities: tuple[float, ...]
    """One for each output, after the temperature."""
    answer: str
    candidates: tuple[str, ...] | None
    """The conformal set; None where the model makes none."""
    fold: str = ""
    """Of a cross-validation: which of its models spoke."""


def written(rule: LabelRule, rows: Sequence[Predicted]) -> str:
    """Write rows as CSV; numbers are written so that reading them gives the same bits."""
    folds = any(row.fold for row in rows)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow([*(["fold"] if folds else []), *_header(rule)])
    for row in rows:
        said = [*map(repr, row.logits), *map(repr, row.probabilities), row.answer, _set(row.candidates)]
        known = [getattr(row.member, name) for name in COLUMNS.values()]
        cells = ["" if one is None else repr(one) if isinstance(one, float) else one for one in known]
        table.writerow([*([row.fold] if folds else []), *cells, *said])
    return stream.getvalue()


def read(rule: LabelRule, text: str) -> tuple[Predicted, ...]:
    """Read what `written` wrote.

    Raises:
        IntegrityError: it is no such table.
    """
    header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    folds = header[:1] == ["fold"]
    if header[folds:] != _header(rule):
        raise IntegrityError("predictions.csv does not have the columns of its task")
    try:
        return tuple(_row(rule, line[folds:], line[0] if folds else "") for line in lines)
    except (ValueError, IndexError):
        raise IntegrityError("predictions.csv holds a line that cannot be read") from None


def answers(rule: LabelRule, calibration: Calibration, rows: Sequence[Predicted]) -> Answers:
    """Bring rows into the form in which they are measured."""
    return Answers(
        rule=rule,
        calibration=calibration,
        probabilities=np.array([row.probabilities for row in rows], np.float64).reshape(-1, len(rule.outputs)),
        truth=truth(rule, rows),
        patients=[row.member.patient for row in rows],
    )


def truth(rule: LabelRule, rows: Iterable[Predicted]) -> NDArray[np.int64]:
    """Give the labels (example, output) as 0 and 1."""
    return np.array([rule.truth(row.member.label) for row in rows], np.int64).reshape(-1, len(rule.outputs))


def groups(rows: Sequence[Predicted]) -> dict[str, list[str | None]]:
    """Say which subgroup each row is of, by what tells them apart."""
    found: dict[str, list[str | None]] = {name: [getattr(row.member, name) or None for row in rows] for name in GROUPS}
    found["slice_thickness"] = [thickness_band(row.member.slice_thickness) for row in rows]
    return found


def thickness_band(thickness: float | None) -> str | None:
    """Give the band that a slice thickness (mm) falls into."""
    if thickness is None:
        return None
    return next((band for bound, band in THICK if thickness <= bound), THICKEST)


def logit_names(rule: LabelRule) -> tuple[str, ...]:
    """Name the logits: one for each output, of ordered classes one for each "at least this one"."""
    if rule.kind is LabelKind.ORDINAL:
        return tuple(f"at-least-{name}" for name in rule.outputs[1:])
    return rule.outputs


def _header(rule: LabelRule) -> list[str]:
    logits = [f"logit:{name}" for name in logit_names(rule)]
    return [*COLUMNS, *logits, *(f"probability:{name}" for name in rule.outputs), "answer", "conformal_set"]


def _row(rule: LabelRule, cells: Sequence[str], fold: str) -> Predicted:
    known, said = dict(zip(COLUMNS.values(), cells, strict=False)), cells[len(COLUMNS) :]
    width = len(logit_names(rule))
    logits, probabilities = said[:width], said[width : width + len(rule.outputs)]
    answer, candidates = said[width + len(rule.outputs) :]
    thickness = known.pop("slice_thickness")
    absent = {name: None for name in ("sex", "age_band") if not known[name]}
    return Predicted(
        member=Member(
            **{**known, **absent},  # type: ignore[arg-type]  # text, and None where none stands
            slice_thickness=float(thickness) if thickness else None,
        ),
        logits=tuple(map(float, logits)),
        probabilities=tuple(map(float, probabilities)),
        answer=answer,
        candidates=None if candidates == NO_SETS else tuple(filter(None, candidates.split(BETWEEN))),
        fold=fold,
    )


def _set(candidates: tuple[str, ...] | None) -> str:
    return NO_SETS if candidates is None else BETWEEN.join(candidates)
