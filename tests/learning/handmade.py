"""A trained model without the training: weights as they were drawn, so that what comes after is tested at once."""

import json
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

from safetensors.torch import save

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.digests import canonical
from medflow.domain.model import files_digest
from medflow.domain.prediction import Runtime
from medflow.domain.task import LabelKind, Schedule, Task
from medflow.learning import heads
from medflow.learning.machine import seeded
from medflow.learning.networks import build
from medflow.learning.precision import float32
from medflow.learning.trained import Epoch, Trained
from tests.learning.made import small_task

THREE = ("none", "left", "right")

FIRST_OF_SCHEDULE = 10
"""How many fields of a schedule version 0.3 knew: those up to `balanced`."""
LATER = {
    "network": ("pretrained",),
    "labels": ("kind", "findings", "lateral"),
    "split": ("calibrate",),
    "schedule": tuple(field.name for field in fields(Schedule)[FIRST_OF_SCHEDULE:]),
}
"""Keys of a task's record that version 0.3 did not write."""


def of_kind(kind: LabelKind) -> Task:
    """Make the small task learn labels of a kind: three outputs, two of exclusive classes."""
    task = small_task()
    known = {
        LabelKind.CLASSES: task.labels,
        LabelKind.ORDINAL: replace(task.labels, kind=kind, classes=THREE),
        LabelKind.MULTI_LABEL: replace(task.labels, kind=kind, findings=THREE),
    }
    return replace(task, labels=known[kind])


def handmade(task: Task, calibration: Calibration = UNCALIBRATED, *, seed: int = 1) -> Trained:
    """Draw weights, and say that an epoch gave them. Another seed gives another model."""
    with seeded(seed):
        network = build(task.network, heads.width(task.labels), task.grid.shape, channels=task.channels)
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Trained(
        weights=weights,
        history=(Epoch(number=1, training_loss=0.7, validation_loss=0.7, watched=0.7, rate=0.001),),
        best_epoch=1,
        precision=float32("a test"),
        metrics={"select": {"n": 0}},
        runtime=Runtime(device="cpu", capability="none", threads=1, batch=4, dtype="float32"),
        calibration=calibration,
        pretrained=None,
        resumed_from=None,
    )


def flat_bundle(folder: Path, task: Task, trained: Trained) -> str:
    """Write a model as version 0.3 did: all files in one folder, no calibration, a task without what came later.

    Gives the model digest.
    """
    record = task.record()
    record["split"] = {"validation" if key == "select" else key: value for key, value in record["split"].items()}
    for part, added in LATER.items():
        for name in added:
            del record[part][name]
    del record["calibration"]
    inference = {
        "classes": list(task.labels.classes),
        "unit": task.unit.value,
        "precision": "float32",
        "threads": 1,
        "abstain_below": None,
    }
    contents = {
        "model.safetensors": save(trained.weights),
        "task.json": f"{canonical(record)}\n".encode(),
        "grid.json": f"{canonical(task.grid.record())}\n".encode(),
        "inference.json": f"{canonical(inference)}\n".encode(),
        "metrics.json": b"{}",
        "cohort.json": b"[]",
        "card.json": b'{"name": "old"}',
    }
    files = {name: sha256(content).hexdigest() for name, content in contents.items()}
    read = ("grid.json", "inference.json", "model.safetensors", "task.json")
    digest = files_digest({name: files[name] for name in read})
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps({"files": files, "model_digest": digest}))
    return digest
