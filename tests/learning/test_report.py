"""Facts about the files of an evaluation: other code finds the same figures, and a report needs nothing but itself."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, roc_auc_score

from medflow.documents import packaged_schema
from medflow.domain.task import LabelRule
from medflow.errors import IntegrityError
from medflow.learning import dossier
from medflow.learning.assess import assessed
from medflow.learning.cases import Case, cases, picture
from medflow.learning.curves import precision_points, roc_points
from medflow.learning.predicted import Predicted, read, written
from tests.learning.said import RULES, calibration_of, said

KINDS = pytest.mark.parametrize("kind", sorted(RULES))
CARD: dict[str, Any] = {
    "title": "ball:1 on the test part",
    "use": "Research.",
    "limits": "Measured at one hospital.",
    "methods": "A network was trained.",
    "calibration": {"said": "The temperature was 1.7.", "threshold": 0.3, "found": {"patients": 30}},
    "training": {"history": [[1, 0.7, 0.6], [2, 0.5, 0.5]], "best_epoch": 2},
    "provenance": {"model": "ball:1"},
}
ABOUT = {
    "model": {"id": "mod_1", "name": "ball", "version": 1, "digest": "d" * 64},
    "task": {"name": "ball", "digest": "t" * 64},
    "cohort": {"id": "coh_1", "digest": "c" * 64},
    "part": "test",
    "unseen": True,
}


def metrics_of(rule: LabelRule, rows: tuple[Predicted, ...]) -> dict[str, Any]:
    return assessed(rule, calibration_of(rule), rows, about=ABOUT, seed=1, prevalence=0.1 if rule.binary else None)


@pytest.fixture
def filed(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the folder of an evaluation for labels of a kind, with a picture of every example that is shown."""

    def file(kind: str) -> Path:
        rule, rows = RULES[kind], said(RULES[kind])
        table = {"test": {"patients": 60, "series": 60, "examples": dict.fromkeys(rule.outputs, 20)}}
        card = {
            **CARD,
            "labels": dossier.labels_record(rule),
            "answers_by": calibration_of(rule).record(),
            "cohort": {"table": table, "people": {"sex": {"F": 20}}, "checks": ["Patients were dealt."]},
        }
        contents = {
            dossier.PREDICTIONS: written(rule, rows).encode(),
            dossier.METRICS: dossier.as_json(metrics_of(rule, rows)),
            dossier.CARD: dossier.as_json(card),
            dossier.MARKDOWN: b"# ball:1\n",
        }
        drawn = {
            case.file(rows): picture(np.eye(16, dtype=np.float32)[:, :, None], np.eye(16, dtype=np.float32))
            for case in cases(rule, rows)
        }
        dossier.write(tmp_path / kind / "one", contents, drawn)
        return tmp_path / kind / "one"

    return file


@KINDS
def test_the_table_of_predictions_reads_back_bit_for_bit(kind: str) -> None:
    rule, rows = RULES[kind], said(RULES[kind])

    assert read(rule, written(rule, rows)) == rows
    folded = tuple(replace(row, fold="1 of 5") for row in rows)
    assert read(rule, written(rule, folded)) == folded


def test_a_table_of_another_task_is_refused() -> None:
    with pytest.raises(IntegrityError, match="columns"):
        read(RULES["grades"], written(RULES["two classes"], said(RULES["two classes"])))


def test_other_code_finds_the_same_figures_in_the_table() -> None:
    rule = RULES["two classes"]
    rows = said(rule)
    metrics = metrics_of(rule, rows)
    lines = [
        line.split(",")
        for line in written(rule, [replace(r, member=replace(r.member, scanner="S")) for r in rows]).splitlines()
    ]
    head = lines[0]
    true = np.array([line[head.index("label")] == "bright" for line in lines[1:]])
    likely = np.array([float(line[head.index("probability:bright")]) for line in lines[1:]])
    called = np.array([line[head.index("answer")] == "bright" for line in lines[1:]])

    assert metrics["roc_auc"]["value"] == pytest.approx(roc_auc_score(true, likely), abs=1e-12)
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(true, called), abs=1e-12)
    assert metrics["brier"]["value"] == pytest.approx(brier_score_loss(true, likely), abs=1e-12)


@KINDS
def test_figures_are_what_their_schema_says_and_nothing_beside(kind: str) -> None:
    metrics = json.loads(json.dumps(metrics_of(RULES[kind], said(RULES[kind]))))
    schema = Draft202012Validator(packaged_schema("metrics.schema.json"))

    assert [error.message for error in schema.iter_errors(metrics)] == []
    assert not schema.is_valid({**metrics, "surprise": 1})


@KINDS
def test_a_report_fetches_nothing_and_names_nobody(kind: str, filed: Callable[[str], Path]) -> None:
    page = (filed(kind) / "report.html").read_text("utf-8")

    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"' <]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert all(source.startswith("data:") for source in re.findall(r"src=\"([^\"]+)", page))
    assert not re.search(r"url\(|@import|<link|href=", page)
    assert not re.search(r"P\d{3}|ser_\d|1\.[23]\.\d", page)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(drawing)  # noqa: S314  (ours)


@KINDS
def test_the_same_files_draw_the_same_report(kind: str, filed: Callable[[str], Path]) -> None:
    folder = filed(kind)
    first = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()

    dossier.draw(folder)

    assert (folder / "report.html").read_bytes() == first


def test_a_report_says_its_limits_first_and_the_majority_rate_with_the_figures(filed: Callable[[str], Path]) -> None:
    page = (filed("two classes") / "report.html").read_text("utf-8")

    assert page.index("Limits.") < page.index("60 examples of 60 patients") < page.index("All figures")
    assert "Always giving the commonest answer" in page


def test_pictures_of_a_series_go_from_the_folder_and_from_the_report(filed: Callable[[str], Path]) -> None:
    folder = filed("two classes")
    shown = sorted((folder / "pictures").iterdir())
    gone = shown[0].name.rpartition("-")[0]
    before = (folder / "report.html").read_text("utf-8").count("data:image/png")

    removed = dossier.forget([folder.parents[1]], {gone})

    assert removed == 1
    assert not shown[0].exists()
    assert (folder / "report.html").read_text("utf-8").count("data:image/png") == before - 1
    assert dossier.forget([folder.parents[1]], {gone}) == 0


def test_a_report_that_cannot_be_drawn_again_goes_with_the_picture(filed: Callable[[str], Path]) -> None:
    folder = filed("two classes")
    (folder / "metrics.json").write_text("{")
    gone = next((folder / "pictures").iterdir()).name.rpartition("-")[0]

    dossier.forget([folder.parents[1]], {gone})

    assert not (folder / "report.html").exists()


def test_examples_are_the_surest_and_the_worst() -> None:
    rule, rows = RULES["two classes"], said(RULES["two classes"])

    chosen = {case.title: case for case in cases(rule, rows)}

    missed = [row.probabilities[1] for row in rows if row.member.label == "bright" and row.answer == "dull"]
    alarms = [row.probabilities[1] for row in rows if row.member.label == "dull" and row.answer == "bright"]
    assert chosen["worst miss"].probability == min(missed)
    assert chosen["worst false alarm"].probability == max(alarms)
    assert chosen["surest of the right calls"].output == 1


def test_a_volume_is_shown_as_a_radiologist_sees_it(tmp_path: Path) -> None:
    voxels, heat = np.zeros((8, 8, 2), np.float32), np.zeros((8, 8, 2), np.float32)
    voxels[7, 7, 1] = heat[7, 7, 1] = 1.0  # the patient's right, anterior

    (tmp_path / "a.png").write_bytes(picture(voxels, heat, axes="RAS"))

    with Image.open(tmp_path / "a.png") as drawn:
        grey = np.asarray(drawn.convert("L"))
    assert grey[:32, :32].mean() == 255
    assert grey[32:, :256].max() == 0


def test_equal_scores_make_one_step_of_the_curve() -> None:
    scores, hits = np.array([0.5, 0.5, 0.1]), np.array([1.0, 0.0, 0.0])

    assert roc_points(scores, hits) == [(0.0, 0.0), (0.5, 1.0), (1.0, 1.0)]
    assert precision_points(scores, hits)[:2] == [(0.0, 0.5), (1.0, 0.5)]


def test_a_picture_is_named_by_its_series() -> None:
    rows = said(RULES["two classes"])

    assert Case(title="", row=3, output=1, probability=0.5).file(rows) == "ser_003-1.png"
