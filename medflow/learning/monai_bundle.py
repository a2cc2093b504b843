"""A model in the words of MONAI's bundle tools: what its configs say, and a copy that `monai.bundle` opens.

The layout is that of https://monai.readthedocs.io/en/latest/mb_specification.html: configs/metadata.json,
configs/inference.json, models/. medflow itself never runs a config: it builds the network from the task, by name.
"""

import io
import json
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelKind, LabelRule, Task
from medflow.domain.volume import Intensity
from medflow.errors import ConfigurationError
from medflow.learning import heads, networks

if TYPE_CHECKING:
    from medflow.learning.bundle import Bundle

SAFETENSORS = "models/model.safetensors"
STATE_DICT = "models/model.pt"
"""MONAI's tools read no safetensors: an export holds torch's own format."""
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
SPECIAL = ("$", "@", "%")
"""A text that begins so is code, a reference or a file to MONAI's parser."""
LICENSE = "Nobody has said yet under which terms this model may be used: ask the institution that trained it.\n"

READERS = {
    SAFETENSORS: "$load_file(@weights, device=str(@device))",
    STATE_DICT: "$torch.load(@weights, map_location=@device, weights_only=True)",
}


def inference_config(
    task: Task, calibration: Calibration, *, threads: int, weights: str = SAFETENSORS
) -> dict[str, Any]:
    """Write what `monai.bundle run` reads: from arrays on the task's grid to calibrated probabilities, as JSON.

    The arrays are `.npy` or NIfTI files below `dataset_dir`, scaled as the grid says: what `medflow export volumes
    --task` writes. Of planar tasks they are (channel, i, j, 1).
    """
    reader = {"imports": ["$import glob", "$import json", "$import os", "$import pathlib"]}
    if weights == SAFETENSORS:
        reader["imports"].append("$from safetensors.torch import load_file")
    return {
        **reader,
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_file": "$@bundle_root + '/predictions.json'",
        "weights": f"$@bundle_root + '/{weights}'",
        "datalist": (
            "$[file for end in ('npy', 'nii', 'nii.gz')"
            " for file in sorted(glob.glob(@dataset_dir + '/**/*.' + end, recursive=True))]"
        ),
        "network_def": _definition(task),
        "network": "$@network_def.to(@device)",
        "state_dict": READERS[weights],
        "loaded": "$(@network.load_state_dict(@state_dict), @network.eval().requires_grad_(False))[1]",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(task)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': file} for file in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Lambdad", "keys": "pred", "func": _probabilities(task.labels, calibration.temperature)}
            ],
        },
        "predictions": (
            "$[{'image': os.path.relpath(file, @dataset_dir), 'probabilities': dict(zip(@medflow#outputs, "
            "@postprocessing({'pred': @inferer(one['image'][None].to(@device), @loaded)[0]})['pred'].tolist()))} "
            "for file, one in zip(@datalist, @dataset)]"
        ),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@loaded",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$pathlib.Path(@output_file).write_text(json.dumps(@predictions, indent=1))"],
        "medflow": {
            "outputs": [_inert(name) for name in task.labels.outputs],
            "kind": task.labels.kind.value,
            "unit": task.unit.value,
            "threads": threads,
            "precision": "float32",
            "abstain_below": None if task.abstain_below is None else task.abstain_below.hex(),
            "calibration": calibration.record(),
        },
    }


def metadata(task: Task, version: int) -> dict[str, Any]:
    """Write MONAI's metadata: what the network eats and gives, and what it was made with."""
    rule = task.labels
    called = str(version)
    ours = ("medflow",) if _definition(task)["_target_"].startswith("medflow.") else ()
    what = f"{task.network.dimensions}-D {task.network.name}, which tells {', '.join(rule.outputs)} of {rule.name}"
    return {
        "schema": SCHEMA,
        "version": called,
        "changelog": {called: "trained and calibrated by medflow; a version is never changed"},
        "monai_version": installed("monai"),
        "pytorch_version": installed("torch").partition("+")[0],
        "numpy_version": installed("numpy"),
        "required_packages_version": {name: installed(name) for name in ("nibabel", "safetensors", *ours)},
        "name": task.name,
        "task": f"classification of {' and '.join(task.series.modalities)}: {task.name}",
        "description": f"A {what}. medflow's task file and grid stand beside it; its card says what it is worth.",
        "authors": "the institution that trained it",
        "copyright": "the institution that trained it",
        "intended_use": "Research. It is no medical device.",
        "data_type": "DICOM, resampled to the task's grid",
        "network_data_format": {"inputs": {"image": _image(task)}, "outputs": {"pred": _pred(rule)}},
    }


def write_monai(bundle: "Bundle", folder: Path, *, version: int, notes: Mapping[str, str]) -> tuple[str, ...]:
    """Write a model as a bundle that MONAI's tools open; name the files. Nothing in it names or lists patients.

    `notes` are sentences for its README, by heading.

    Raises:
        ConfigurationError: the folder is not empty, or cannot be made.
    """
    task, stream = bundle.task, io.BytesIO()
    torch.save({name: value.contiguous() for name, value in bundle.weights.items()}, stream)
    config = inference_config(task, bundle.calibration, threads=bundle.threads, weights=STATE_DICT)
    described = metadata(task, version)
    described["required_packages_version"].pop("safetensors")
    contents = {
        "configs/inference.json": _json(config),
        "configs/metadata.json": _json(described),
        STATE_DICT: stream.getvalue(),
        "docs/README.md": _readme(task, version, notes).encode(),
        "LICENSE": LICENSE.encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError("the folder for the export is not empty; name a new one")
        for name, content in contents.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as fault:
        raise ConfigurationError(f"the export cannot be written there: {fault.strerror}") from None
    return tuple(sorted(contents))


def _definition(task: Task) -> dict[str, Any]:
    return networks.definition(task.network, heads.width(task.labels), task.grid.shape, channels=task.channels)


def _preprocessing(task: Task) -> list[dict[str, Any]]:
    """Bring a file's array into the network's shape (channel, i, j[, k])."""
    channel: str | int = 0 if task.planar else "no_channel"
    flat = {"_target_": "Lambdad", "keys": "image", "func": "$lambda voxels: voxels[..., 0]"}
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": channel},
        *([flat] if task.network.dimensions < len(task.grid.shape) or task.planar else []),
        {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32", "track_meta": False},
    ]


def _probabilities(rule: LabelRule, temperature: float) -> str:
    """Spell `heads.probabilities` of one example's logits as an expression of torch."""
    scaled = f"(logits.double() / float.fromhex('{temperature.hex()}'))"
    if rule.kind is LabelKind.MULTI_LABEL:
        return f"$lambda logits: torch.sigmoid({scaled})"
    if rule.kind is LabelKind.CLASSES:
        return f"$lambda logits: torch.softmax({scaled}, dim=0)"
    reached = f"torch.cummin(torch.sigmoid({scaled}), dim=0).values"
    edges = f"torch.nn.functional.pad(torch.nn.functional.pad({reached}, (1, 0), value=1.0), (0, 1), value=0.0)"
    return f"$lambda logits: (lambda edges: edges[:-1] - edges[1:])({edges})"


def _image(task: Task) -> dict[str, Any]:
    colour = task.channels > 1
    names = ("red", "green", "blue") if colour else ("image",)
    return {
        "type": "image",
        "format": "rgb" if colour else "magnitude",
        "modality": "/".join(task.series.modalities),
        "num_channels": task.channels,
        "spatial_shape": list(task.grid.shape[: task.network.dimensions]),
        "dtype": "float32",
        "value_range": [] if task.grid.intensity is Intensity.ZSCORE else [0, 1],
        "is_patch_data": False,
        "channel_def": {str(place): name for place, name in enumerate(names)},
    }


def _pred(rule: LabelRule) -> dict[str, Any]:
    names = [f"at least {name}" for name in rule.classes[1:]] if rule.kind is LabelKind.ORDINAL else rule.outputs
    return {
        "type": "logits",
        "format": "classes",
        "num_channels": heads.width(rule),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(place): _inert(name) for place, name in enumerate(names)},
    }


def _inert(name: str) -> str:
    """Keep MONAI's parser from taking a name for code or a reference."""
    return f" {name}" if name.startswith(SPECIAL) else name


def _readme(task: Task, version: int, notes: Mapping[str, str]) -> str:
    paragraphs = "".join(f"\n## {heading}\n\n{text}\n" for heading, text in notes.items())
    return (
        f"# {task.name}, version {version}\n\nTo run it: put arrays on the model's grid (`.npy` or NIfTI, as `medflow "
        "export volumes --task` writes them) into a folder, then\n\n    python -m monai.bundle run --config_file "
        "configs/inference.json --bundle_root . --dataset_dir FOLDER --output_file predictions.json\n\n"
        f"The file holds calibrated probabilities of {', '.join(task.labels.outputs)}.\n{paragraphs}"
    )


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
