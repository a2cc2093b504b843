"""A model version as an immutable folder: all that inference reads, named by one digest, and its papers beside it."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from medflow.domain.digests import canonical
from medflow.domain.model import Example, files_digest
from medflow.domain.task import Task
from medflow.errors import IntegrityError, StateError
from medflow.learning.card import card_of
from medflow.learning.trained import Trained

INFERENCE = ("grid.json", "inference.json", "model.safetensors", "task.json")
"""Files that inference reads; the model digest is made of them."""
MANIFEST = "manifest.json"
READ_ONLY = 0o444
"""A bundle is never changed: a better model is another version."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A model version whose files were checked."""

    folder: Path
    model_digest: str
    task: Task
    weights: Mapping[str, torch.Tensor]
    threads: int
    precision: str


def versions(root: Path, name: str) -> tuple[int, ...]:
    """Name the versions of a model that have a folder, whether or not the registry knows them yet."""
    folder = root / name
    if not folder.is_dir():
        return ()
    return tuple(sorted(int(child.name) for child in folder.iterdir() if child.name.isdecimal()))


def write_bundle(
    root: Path, *, version: int, task: Task, trained: Trained, examples: Sequence[Example] = ()
) -> tuple[Path, str, dict[str, str]]:
    """Write `<root>/<task's name>/<version>/`; give the folder, the model digest, and the SHA-256 of each file.

    The folder appears whole or not at all. One that stands there with the same model is left as it is.

    Raises:
        StateError: the version stands there with another model.
    """
    contents = _contents(task, trained, examples)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    model_digest = files_digest({name: files[name] for name in INFERENCE})
    folder = root / task.name / str(version)
    if not folder.exists():
        _write(folder, contents | {MANIFEST: _json({"files": files, "model_digest": model_digest})})
    elif load_bundle(folder).model_digest != model_digest:
        raise StateError(f"version {version} of {task.name} is another model; take the next number")
    return folder, model_digest, files


def load_bundle(folder: Path, model_digest: str | None = None) -> Bundle:
    """Load a model version after checking the SHA-256 of every file; `model_digest` is what the registry says it is.

    Raises:
        IntegrityError: a file is missing or is not what its digest says; the message names the file.
        StateError: the model was made by code whose grid follows other rules.
    """
    contents = _checked(folder)
    found = files_digest({name: hashlib.sha256(contents[name]).hexdigest() for name in INFERENCE})
    if model_digest not in {None, found}:
        raise IntegrityError(
            f"{_called(folder)}: the model is {found[:12]}, the registry says {str(model_digest)[:12]}"
        )
    inference = json.loads(contents["inference.json"])
    try:
        task = Task.from_record(json.loads(contents["task.json"]))
        weights = load_tensors(contents["model.safetensors"])
    except ValueError as fault:
        raise StateError(f"{_called(folder)}: {fault}; train it again") from None
    except SafetensorError:
        raise IntegrityError(f"{_called(folder)}: model.safetensors is damaged") from None
    return Bundle(
        folder=folder,
        model_digest=found,
        task=task,
        weights=weights,
        threads=inference["threads"],
        precision=inference["precision"],
    )


def _contents(task: Task, trained: Trained, examples: Sequence[Example]) -> dict[str, bytes]:
    classes = list(task.labels.classes)
    inference = {
        "classes": classes,
        "unit": task.unit.value,
        "precision": "float32",
        "threads": trained.runtime.threads,
        "abstain_below": None if task.abstain_below is None else task.abstain_below.hex(),
    }
    return {
        "model.safetensors": save_tensors({name: trained.weights[name].contiguous() for name in trained.weights}),
        "task.json": _canonical(task.record()),
        "grid.json": _canonical(task.grid.record()),
        "inference.json": _canonical(inference),
        "metrics.json": _json(trained.metrics),
        "cohort.json": _json([asdict(example) for example in examples]),
        "card.json": _json(card_of(task, trained, examples)),
    }


def _checked(folder: Path) -> dict[str, bytes]:
    """Read every file that the manifest names, and compare."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files: dict[str, str] = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise IntegrityError(f"{_called(folder)}: {MANIFEST} is missing or damaged") from None
    contents = {}
    for name in sorted(set(files) | set(INFERENCE)):
        try:
            contents[name] = (folder / Path(name).name).read_bytes()
        except OSError:
            raise IntegrityError(f"{_called(folder)}: {Path(name).name} is missing") from None
        if hashlib.sha256(contents[name]).hexdigest() != files.get(name):
            raise IntegrityError(f"{_called(folder)}: {Path(name).name} is not what its digest says")
    if files_digest({name: files[name] for name in INFERENCE}) != manifest.get("model_digest"):
        raise IntegrityError(f"{_called(folder)}: {MANIFEST} is not what its digest says")
    return contents


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write beside, sync, rename: nobody ever sees half a model."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        for name, content in contents.items():
            with (beside / name).open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            (beside / name).chmod(READ_ONLY)
        beside.chmod(0o755)
        _sync(beside)
        beside.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _called(folder: Path) -> str:
    return f"model {folder.parent.name} {folder.name}"


def _canonical(value: dict[str, Any]) -> bytes:
    return f"{canonical(value)}\n".encode("ascii")


def _json(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
