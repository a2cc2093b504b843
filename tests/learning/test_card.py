"""Facts about the model card: what it says is what ran."""

from dataclasses import replace

import pytest
import torch

from medflow.domain.calibration import Calibration
from medflow.domain.model import Example
from medflow.domain.prediction import Runtime
from medflow.domain.task import CalibrationRule, LabelKind, Level, Pretrained, Task
from medflow.learning.card import card_of, data
from medflow.learning.methods import methods
from medflow.learning.precision import Precision
from medflow.learning.trained import Epoch, Trained
from tests.learning.made import small_task
from tests.learning.said import RULES

TRAINED = Trained(
    weights={"one": torch.zeros(1)},
    history=(Epoch(number=1, training_loss=0.5, validation_loss=0.4, watched=0.4, rate=0.001),),
    best_epoch=1,
    precision=Precision(name="bfloat16", reason="it agreed with float32 within 1 %"),
    metrics={"select": {}, "calibrate": {}},
    runtime=Runtime(device="cpu", capability="AVX2", threads=1, batch=1, dtype="float32"),
    calibration=Calibration(temperature=1.25, threshold=0.4),
    pretrained=None,
    resumed_from=None,
)


def examples(parts: dict[str, int]) -> tuple[Example, ...]:
    return tuple(
        Example(
            patient=f"{part}{number}",
            series_id=f"ser_{part}{number}",
            subject="s",
            input_digest="i",
            layout_digest="l",
            label=("absent", "present")[number % 2],
            part=part,
        )
        for part, count in parts.items()
        for number in range(count)
    )


def told(task: Task, **changes: object) -> str:
    return methods(task, replace(TRAINED, **changes), examples({"train": 6, "test": 3}))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"optimizer": "sgd"}, "stochastic gradient descent"),
        ({"rate": "step", "step_every": 7}, "every 7 epochs"),
        ({"warmup": 3}, "rising over the first 3 epochs"),
        ({"loss": "focal", "focal_gamma": 1.5}, "focal loss (gamma 1.5)"),
        ({"smoothing": 0.1}, "label smoothing 0.1"),
        ({"ema": 0.99}, "moving average of the weights (decay 0.99)"),
        ({"clip": 2.0}, "clipped to a norm of 2"),
        ({"accumulate": 4}, "4 of them to a step"),
        ({"rotate": 10.0}, "rotations of up to 10 degrees"),
        ({"bias_field": 0.2}, "multiplicative fields"),
        ({"sampler": "balanced", "balanced": False}, "classes come as often"),
        ({"watch": "roc_auc"}, "area under the ROC curve"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_methods_name_what_was_set_and_nothing_else(setting: dict[str, object], sentence: str) -> None:
    assert sentence in told(small_task(**setting))
    assert sentence not in told(small_task())


def test_the_methods_say_what_really_ran() -> None:
    paragraph = told(small_task(epochs=5, patience=2), resumed_from=17)

    assert "1 of at most 5 epochs, when 2 epochs had brought nothing better" in paragraph
    assert "bfloat16 (it agreed with float32 within 1 %)" in paragraph
    assert "resumed at step 17" in paragraph
    assert "6 to train, 3 to test" in paragraph
    assert "resumed" not in told(small_task())


def test_the_methods_say_where_weights_came_from_and_what_matched() -> None:
    task = small_task()
    source = Pretrained(file="net.pth", sha256="ab" * 32, train="head")
    task = replace(task, network=replace(task.network, pretrained=source))

    paragraph = told(task, pretrained={"matched": 100, "made": ["out.weight"], "channels": [3, 1], "inflated": 0})

    assert "with its trunk frozen from net.pth (SHA-256 abababababab" in paragraph
    assert "100 tensors matched" in paragraph
    assert "3 input channels" in paragraph


def test_calibration_is_told_as_it_was_found() -> None:
    task = replace(small_task(), calibration=CalibrationRule(sensitivity=0.95))

    assert "temperature was found to be 1.25; 0.4 is the highest threshold" in told(task)
    assert "no threshold could be found" in told(task, calibration=Calibration(temperature=1.25))
    assert "No part was set apart" in told(task, metrics={"select": {}})


def test_a_card_counts_patients_and_series_of_each_part() -> None:
    card = card_of(small_task(), TRAINED, examples({"train": 6, "select": 2, "test": 3}))

    assert card["data"]["train"] == {"patients": 6, "series": 6, "examples": {"absent": 3, "present": 3}}
    assert card["data"]["calibrate"]["patients"] == 0
    assert card["calibration"]["temperature"] == 1.25


def test_an_example_counts_for_each_of_its_findings() -> None:
    both = replace(examples({"test": 1})[0], label="oedema+effusion")

    assert data(RULES["findings"], [both])["test"]["examples"] == {"oedema": 1, "effusion": 1}
    assert RULES["findings"].kind is LabelKind.MULTI_LABEL
    assert RULES["findings"].level is Level.PATIENT
