"""A model version as an immutable folder in MONAI's bundle layout: what inference reads, named by one digest."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from medflow.domain import durable
from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.digests import canonical
from medflow.domain.model import Example, files_digest
from medflow.domain.task import Task
from medflow.errors import IntegrityError, StateError
from medflow.learning.card import card_of
from medflow.learning.monai_bundle import SAFETENSORS, inference_config, metadata
from medflow.learning.trained import Trained

INFERENCE = ("calibration.json", "configs/inference.json", "grid.json", SAFETENSORS, "task.json")
"""Files that inference reads; the model digest is made of them."""
FLAT = ("grid.json", "inference.json", "model.safetensors", "task.json")
"""The same in a bundle of version 0.3, which has no folders and no calibration: predictions stand on such models."""
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
    calibration: Calibration
    card: Mapping[str, Any]
    flat: bool = False
    """True of a bundle of version 0.3."""


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
    contents = _contents(task, trained, examples, version)
    files = {name: _sha256(content) for name, content in contents.items()}
    model_digest = files_digest({name: files[name] for name in INFERENCE})
    folder = root / task.name / str(version)
    if not folder.exists():
        _write(folder, contents | {MANIFEST: _json({"files": files, "model_digest": model_digest})})
    elif load_bundle(folder).model_digest != model_digest:
        raise StateError(f"version {version} of {task.name} is another model; take the next number")
    return folder, model_digest, files


def load_bundle(folder: Path, model_digest: str | None = None) -> Bundle:
    """Load a model version after checking the SHA-256 of every file; `model_digest` is what the registry says it is.

    No configuration is executed and nothing is unpickled: the network is built from `task.json`, by name.

    Raises:
        IntegrityError: a file is missing or is not what its digest says; the message names the file.
        StateError: the model was made by code whose grid follows other rules.
    """
    read = _read(folder, model_digest)
    if read.faults:
        raise IntegrityError(f"{_called(folder)}: {read.faults[0]}")
    contents = read.contents
    settings, weights_file = ("inference.json", "model.safetensors") if read.flat else INFERENCE[1::2]
    inference = json.loads(contents[settings])
    try:
        task = Task.from_record(json.loads(contents["task.json"]))
        weights = load_tensors(contents[weights_file])
    except ValueError as fault:
        raise StateError(f"{_called(folder)}: {fault}; train it again") from None
    except SafetensorError:
        raise IntegrityError(f"{_called(folder)}: {weights_file} is damaged") from None
    return Bundle(
        folder=folder,
        model_digest=read.model_digest,
        task=task,
        weights=weights,
        threads=(inference if read.flat else inference["medflow"])["threads"],
        precision=(inference if read.flat else inference["medflow"])["precision"],
        calibration=UNCALIBRATED if read.flat else Calibration.from_record(json.loads(contents["calibration.json"])),
        card=json.loads(contents.get("card.json", b"{}")),
        flat=read.flat,
    )


def faults(folder: Path, model_digest: str) -> tuple[str, ...]:
    """Say of every file of a model version what differs from the manifest and from the registry; () where nothing."""
    read = _read(folder, model_digest)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    added = sorted(there - set(read.files) - {MANIFEST})
    return (*read.faults, *(f"{name} is not of the model" for name in added if read.files))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Every file that a manifest names, and what is wrong with it."""

    files: Mapping[str, str]
    contents: Mapping[str, bytes]
    model_digest: str
    flat: bool
    faults: tuple[str, ...]


def _read(folder: Path, registered: str | None) -> _Reading:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {_inside(name): str(digest) for name, digest in manifest["files"].items()}
        said = str(manifest["model_digest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wrong = (f"{MANIFEST} is missing or damaged",)
        return _Reading(files={}, contents={}, model_digest="", flat=False, faults=wrong)
    flat = FLAT[2] in files
    inference = FLAT if flat else INFERENCE
    contents, wrong_files = {}, []
    for name in sorted({*files, *inference}):
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError:
            wrong_files.append(f"{name} is missing")
            continue
        if _sha256(contents[name]) != files.get(name):
            wrong_files.append(f"{name} is not what its digest says")
    found = files_digest({name: files.get(name, "") for name in inference})
    if found != said:
        wrong_files.append(f"{MANIFEST} is not what its digest says")
    elif registered not in {None, found}:
        wrong_files.append(f"the model is {found[:12]}, the registry says {str(registered)[:12]}")
    return _Reading(files=files, contents=contents, model_digest=found, flat=flat, faults=tuple(wrong_files))


def _inside(name: str) -> str:
    """Refuse a name that leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(name)
    return name


def _contents(task: Task, trained: Trained, examples: Sequence[Example], version: int) -> dict[str, bytes]:
    calibration = trained.calibration
    return {
        SAFETENSORS: save_tensors({name: trained.weights[name].contiguous() for name in trained.weights}),
        "task.json": _canonical(task.record()),
        "grid.json": _canonical(task.grid.record()),
        "calibration.json": _canonical(calibration.record()),
        "configs/inference.json": _json(inference_config(task, calibration, threads=trained.runtime.threads)),
        "configs/metadata.json": _json(metadata(task, version)),
        "metrics.json": _json(trained.metrics),
        "cohort.json": _json([asdict(example) for example in examples]),
        "card.json": _json(card_of(task, trained, examples)),
    }


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write beside, sync, rename: nobody ever sees half a model."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        for name, content in contents.items():
            (beside / name).parent.mkdir(exist_ok=True)
            durable.write(beside / name, content)
            (beside / name).chmod(READ_ONLY)
        beside.chmod(0o755)
        for inner in {(beside / name).parent for name in contents}:
            durable.flush(inner)
        beside.rename(folder)
        durable.flush(folder.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _called(folder: Path) -> str:
    return f"model {folder.parent.name} {folder.name}"


def _canonical(value: dict[str, Any]) -> bytes:
    return f"{canonical(value)}\n".encode("ascii")


def _json(value: Any) -> bytes:  # noqa: ANN401  (any JSON value)
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
