"""The report of an evaluation as one HTML page: no network, no script, plain sentences, the limits first."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelRule
from medflow.learning import curves, drawings
from medflow.learning.cases import Case, cases
from medflow.learning.drawings import Whisker
from medflow.learning.predicted import Predicted
from medflow.learning.wording import entries, flat, is_entry, plain, said, spelt, table

FIGURES = {
    "accuracy": "accuracy: share of right answers",
    "balanced_accuracy": "balanced accuracy: mean over the classes",
    "sensitivity": "sensitivity: share of the findings that are called",
    "specificity": "specificity: share of the others that are not called",
    "ppv": "PPV: share of the calls that are right",
    "npv": "NPV: share of the all-clears that are right",
    "f1": "F1",
    "roc_auc": "area under the ROC curve",
    "average_precision": "average precision",
    "brier": "Brier score (0 is best)",
    "ece": "expected calibration error (0 is best)",
    "log_loss": "log loss (0 is best)",
    "exact_match": "all findings of an example right",
    "mean_absolute_error": "mean error in grades",
    "quadratic_kappa": "quadratic weighted kappa",
}
"""Figures and what a reader calls them, in the order of the table; others follow under their own names."""
GROUPS = {
    "sex": "sex",
    "age_band": "age",
    "site": "site",
    "scanner": "scanner",
    "slice_thickness": "slice thickness",
}
STYLE = """
body{font:16px/1.5 sans-serif;color:#1a1a1a;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;border-bottom:1px solid #999;margin-top:2.2rem}
table{border-collapse:collapse;margin:.6rem 0}th,td{border:1px solid #999;padding:.2rem .6rem;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.limits{border:3px solid #1a1a1a;padding:.4rem 1rem}.pair{display:flex;flex-wrap:wrap;gap:1rem}
figure{margin:.5rem 0}figcaption,small{font-size:.85rem;color:#333}img{max-width:100%;image-rendering:pixelated}
.headline{font-size:1.15rem}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a report is drawn from."""

    card: Mapping[str, Any]
    metrics: Mapping[str, Any]
    rule: LabelRule
    calibration: Calibration
    rows: Sequence[Predicted]
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What was asked beside the evaluation: figures at another prevalence, a comparison, openings known by then."""
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """PNG by file name."""


def drawn(evidence: Evidence) -> str:
    """Draw the page; the same evidence gives the same bytes."""
    title = str(evidence.card["title"])
    body = "".join(
        f"<section><h2>{escape(name)}</h2>{content}</section>"
        for name, section in SECTIONS.items()
        if (content := section(evidence))
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{_limits(evidence)}{_headline(evidence)}{body}"
        "</body></html>\n"
    )


def _limits(evidence: Evidence) -> str:
    said = [evidence.card["use"], evidence.card["limits"], *evidence.card.get("warnings", [])]
    return f'<div class="limits"><strong>Limits.</strong>{"".join(f"<p>{escape(one)}</p>" for one in said)}</div>'


def _headline(evidence: Evidence) -> str:
    metrics = evidence.metrics
    figures = [
        f"{FIGURES[name].partition(':')[0]} <strong>{said(metrics[name])}</strong>"
        for name in ("roc_auc", "balanced_accuracy", "sensitivity", "specificity")
        if metrics.get(name)
    ]
    rate = metrics.get("majority_rate")
    always = "" if rate is None else f" Always giving the commonest answer would be right in {rate:.1%} of them."
    return (
        f'<p class="headline">{metrics["n"]} examples of {metrics["patients"]} patients: {"; ".join(figures)}. '
        f"In brackets: the 95 % interval.{always}</p>"
    )


def _figures(evidence: Evidence) -> str:
    known = evidence.metrics | evidence.beside.get("figures", {})
    names = [*FIGURES, *(name for name in known if name not in FIGURES)]
    rows = [(FIGURES.get(name, name.replace("_", " ")), known[name]) for name in names if is_entry(known.get(name))]
    prevalence = (known.get("ppv") or {}).get("prevalence")
    stated = "" if prevalence is None else f"<p>PPV and NPV are stated at a prevalence of {prevalence:.1%}.</p>"
    singly = [
        (f"{output}: {FIGURES.get(name, name)}", entry)
        for output, of in (known.get("per_class") or known.get("per_finding") or {}).items()
        for name, entry in of.items()
        if is_entry(entry)
    ]
    more = f"<h3>One by one</h3>{entries(singly)}" if singly else ""
    return f"{entries(rows)}{stated}{more}"


def _curves(evidence: Evidence) -> str:
    if not evidence.rows:
        return ""
    pictures = (curves.roc, curves.precision_recall, curves.reliability)
    shown = "".join(f"<figure>{picture(evidence.rule, evidence.rows)}</figure>" for picture in pictures)
    return (
        f'<div class="pair">{shown}</div><p><small>Dotted: what chance would give, and in the reliability diagram what '
        "a perfectly calibrated model would give.</small></p>"
    )


def _confusion(evidence: Evidence) -> str:
    metrics, rule = evidence.metrics, evidence.rule
    matrices = {"": metrics["confusion"]} if "confusion" in metrics else {}
    matrices |= {name: of["confusion"] for name, of in metrics.get("per_finding", {}).items()}
    drawn = "".join(
        f"<figure>{drawings.confusion(f'Confusion matrix {name}'.strip(), rule.classes, counts)}"
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, counts in matrices.items()
    )
    return (
        f'<div class="pair">{drawn}</div>'
        "<p><small>Each row holds those of one truth; the outlined diagonal holds the right answers.</small></p>"
    )


def _claim(evidence: Evidence) -> str:
    found = evidence.card.get("calibration") or {}
    listed = "".join(
        f"<li>{escape(spelt(name))}: {escape(plain(value))}</li>"
        for name, value in sorted((found.get("found") or {}).items())
        if value is not None
    )
    sensitivity, here = evidence.metrics.get("sensitivity"), ""
    if found.get("threshold") is not None and sensitivity:
        here = (
            f"<p>On this part, at that threshold: sensitivity {said(sensitivity)}, "
            f"specificity {said(evidence.metrics['specificity'])}.</p>"
        )
    told = f"<p>{escape(found['said'])}</p>" if found.get("said") else ""
    return f"{told}{f'<ul>{listed}</ul>' if listed else ''}{here}"


def _conformal(evidence: Evidence) -> str:
    sets = evidence.metrics.get("conformal")
    if not sets:
        return ""
    named = sorted(sets.items())
    figures = [(spelt(name), value) for name, value in named if is_entry(value)]
    others = [(spelt(name), plain(value)) for name, value in named if not is_entry(value)]
    return (
        "<p>For each example the model names the classes that it cannot rule out: its set.</p>"
        f"{entries(figures)}{table(('', ''), others)}"
    )


def _subgroups(evidence: Evidence) -> str:
    groups = evidence.metrics.get("subgroups") or {}
    rows = list(_whiskers(groups))
    if not rows:
        return ""
    name = next((row.note for row in rows if row.heading), "")
    whole = (evidence.metrics.get(name) or {}).get("value")
    across = FIGURES.get(name, name)
    return drawings.forest("Subgroups", [_unnoted(row) for row in rows], across=across, whole=whole) + (
        "<p><small>Dashed: all together. Diamonds and words mark groups too small to say much; differences between "
        "groups whose intervals overlap may be chance.</small></p>"
    )


def _whiskers(groups: Mapping[str, Any]) -> Iterator[Whisker]:
    """Give the lines of the forest plot; a heading's note names the figure."""
    for kind, of_kind in groups.items():
        figure = _figure_of(of_kind)
        yield Whisker(name=GROUPS.get(kind, kind), n=0, value=None, heading=True, note=figure)
        for name, measured in of_kind.items():
            entry = measured.get(figure) or {}
            small = "few" if measured.get("small") else ""
            yield Whisker(
                name=str(name),
                n=int(measured.get("n", 0)),
                value=entry.get("value"),
                low=entry.get("low"),
                high=entry.get("high"),
                note=small,
            )


def _figure_of(members: Mapping[str, Any]) -> str:
    """Choose what subgroups are compared by: the first of these that all of them have."""
    ranked = ("roc_auc", "balanced_accuracy", "sensitivity", "accuracy")
    return next((one for one in ranked if any(one in measured for measured in members.values())), "accuracy")


def _unnoted(row: Whisker) -> Whisker:
    return Whisker(name=row.name, n=0, value=None, heading=True) if row.heading else row


def _examples(evidence: Evidence) -> str:
    chosen = cases(evidence.rule, evidence.rows) if evidence.rows else ()
    shown = [_example(evidence, case) for case in chosen]
    if not shown:
        return ""
    return (
        "<p>Left the image as the network sees it, right the places that spoke most for the named class "
        f"({escape(str(evidence.card.get('heat', 'heat map')))}); white outlines half of the greatest heat. Such maps "
        "show where, not why, and can mislead.</p>"
        f'<div class="pair">{"".join(shown)}</div>'
    )


def _example(evidence: Evidence, case: Case) -> str:
    picture, row = evidence.pictures.get(case.file(evidence.rows)), evidence.rows[case.row]
    image = (
        "<p>(no picture)</p>"
        if picture is None
        else f'<img alt="{escape(case.title)}" src="data:image/png;base64,{b64encode(picture).decode("ascii")}">'
    )
    output = evidence.rule.outputs[case.output]
    return (
        f"<figure>{image}<figcaption><strong>{escape(case.title)}</strong>: "
        f"truth {escape(row.member.label or 'none')}, answer {escape(row.answer)}; {escape(output)} "
        f"{case.probability:.3f}; line {case.row + 2} of predictions.csv</figcaption></figure>"
    )


def _comparison(evidence: Evidence) -> str:
    found = evidence.beside.get("comparison")
    if not found:
        return ""
    named = [(spelt(name), value) for name, value in flat(found) if not name.startswith("against")]
    figures = [(name, value) for name, value in named if is_entry(value)]
    others = [(name, plain(value)) for name, value in named if not is_entry(value)]
    return (
        f"<p>Both models on the same examples: this one against {escape(str(found.get('against', 'another')))}. "
        "Differences are this one minus the other, so that positive ones speak for this one where more is better. "
        "McNemar's exact test asks whether the two are alone in being right equally often.</p>"
        f"{entries(figures) if figures else ''}{table(('', ''), others)}"
    )


def _cohort(evidence: Evidence) -> str:
    cohort = evidence.card.get("cohort")
    if not cohort:
        return ""
    names = list(next(iter(cohort["table"].values()))["examples"])
    rows = [
        (part, of["patients"], of["series"], *(of["examples"].get(name, 0) for name in names))
        for part, of in cohort["table"].items()
        if of["series"]
    ]
    people = [
        (GROUPS.get(kind, kind), ", ".join(f"{name} {count}" for name, count in counts.items()))
        for kind, counts in cohort["people"].items()
    ]
    checks = "".join(f"<li>{escape(one)}</li>" for one in cohort["checks"])
    return (
        f"{table(('part', 'patients', 'series', *names), rows)}"
        f"<p>Of the part that was measured, in series:</p>{table(('', ''), people)}"
        f"<p>What was done against leaks:</p><ul>{checks}</ul>"
    )


def _folds(evidence: Evidence) -> str:
    folds = evidence.metrics.get("folds")
    if not folds:
        return ""
    rows = [
        (name, of["n"], of["patients"], *(said(of[one]) for one in ("roc_auc", "balanced_accuracy") if of.get(one)))
        for name, of in folds.items()
    ]
    return table(("left out", "n", "patients", "area under the ROC curve", "balanced accuracy"), rows)


def _training(evidence: Evidence) -> str:
    training = evidence.card.get("training") or {}
    history = training.get("history")
    if not history:
        return ""
    return curves.training(history, training["best_epoch"])


def _methods(evidence: Evidence) -> str:
    return f"<p>{escape(str(evidence.card.get('methods', '')))}</p>"


def _provenance(evidence: Evidence) -> str:
    rows = list(evidence.card.get("provenance", {}).items())
    openings = "".join(f"<p>{escape(one)}</p>" for one in evidence.beside.get("openings", ()))
    return f"{openings}{table(('', ''), rows)}"


SECTIONS: dict[str, Callable[[Evidence], str]] = {
    "All figures": _figures,
    "Each fold": _folds,
    "Curves": _curves,
    "Right and wrong answers": _confusion,
    "Threshold and claim": _claim,
    "Sets of classes": _conformal,
    "Subgroups": _subgroups,
    "Examples": _examples,
    "Comparison": _comparison,
    "Cohort": _cohort,
    "Training": _training,
    "Methods": _methods,
    "Where this comes from": _provenance,
}
