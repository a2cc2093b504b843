"""The rules of a task file that choose series: read, kept in the record, and refused where they cannot be."""

import pytest

from medflow.domain.series import Modality
from medflow.domain.task import SeriesRule, Task
from medflow.learning.task_file import parse_task
from tests.learning.test_task_file import WRITTEN, said

RULES = """\
  orientations: [axial, oblique]
  contrast: forbidden
  kernels: [B30f, STANDARD]
  without_words: [MIP]
  derived: true
  minimum_slice_thickness: 1
  completeness: proven
  choose: thinnest
"""


def with_rules(rules: str) -> str:
    """Write a task whose series have these rules beside those they have."""
    head, rest = WRITTEN.split("  modality: CT\n")
    return f"{head}  modality: CT\n{rules}{rest}"


def test_every_rule_arrives_and_survives_the_record() -> None:
    task = parse_task(with_rules(RULES), "task.yaml")

    assert isinstance(task.series, SeriesRule)
    assert (task.series.orientations, task.series.contrast) == (("axial", "oblique"), "forbidden")
    assert (task.series.kernels, task.series.without_words) == (("B30f", "STANDARD"), ("MIP",))
    assert (task.series.derived, task.series.minimum_slice_thickness) == (True, 1.0)
    assert (task.series.completeness, task.series.choose) == ("proven", "thinnest")
    assert Task.from_record(task.record()) == task


def test_without_them_derived_images_and_incomplete_series_stay_out() -> None:
    rule = SeriesRule(modality=Modality.CT)

    assert (rule.derived, rule.completeness, rule.choose, rule.contrast) == (False, "quiet", "every", "any")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "orientations: [axail]",
            "series.orientations.0: must be one of axial, coronal, sagittal, oblique; did you mean",
        ),
        ("contrast: yes", "series.contrast: must be one of required, forbidden, any"),
        ("choose: newest", "series.choose: must be one of every, most-slices, thinnest"),
        ("completeness: maybe", "series.completeness: must be one of proven, quiet, any"),
        ("minimum_slice_thickness: 0", "series.minimum_slice_thickness: 0 will not do: millimetres, above 0"),
        ("minimum_slice_thickness: 99", "series.minimum_slice_thickness: no slice is thicker and thinner than that"),
        ("description_words: [lung]\n  without_words: [LUNG]", "series.without_words: description_words asks for the"),
    ],
)
def test_a_rule_that_cannot_be_is_named(rule: str, message: str) -> None:
    text = with_rules(f"  {rule}\n")
    if "maximum_slice_thickness" not in text and "99" in rule:
        text = with_rules(f"  {rule}\n  maximum_slice_thickness: 5\n")

    assert message in said(text)


def test_an_mr_has_no_kernel() -> None:
    text = (
        with_rules("  kernels: [B30f]\n").replace("modality: CT", "modality: MR").replace("unit: HU", "unit: arbitrary")
    )

    assert "series.kernels: an MR has no reconstruction kernel" in said(text)
