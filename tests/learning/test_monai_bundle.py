"""A model in MONAI's words: its own tools open the copy, make the network, and say what we say."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import load, verify_net_in_out
from monai.bundle.properties import InferProperties, MetaProperties
from monai.bundle.utils import load_bundle_config

from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelKind
from medflow.errors import ConfigurationError
from medflow.learning.bundle import Bundle, load_bundle, write_bundle
from medflow.learning.monai_bundle import write_monai
from medflow.learning.score import Scorer
from tests.learning.handmade import handmade, of_kind
from tests.learning.made import samples

RUN = """\
from monai.bundle import run
run(config_file="{0}/configs/inference.json", bundle_root="{0}", dataset_dir="{1}", output_file="{2}", device="cpu")
"""
"""What `python -m monai.bundle run` does, without the package fire that its command line needs."""

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")


def bundle_of(root: Path, kind: LabelKind) -> Bundle:
    """Write the small task's model for labels of a kind, as version 2."""
    task = of_kind(kind)
    made = handmade(task, Calibration(temperature=1.75))
    folder, digest, _ = write_bundle(root / "models", version=2, task=task, trained=made)
    return load_bundle(folder, digest)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A copy for MONAI of the model with exclusive classes."""
    write_monai(bundle_of(tmp_path, LabelKind.CLASSES), tmp_path / "small", version=2, notes={"Use": "Research."})
    return tmp_path / "small"


def ran(bundle: Path, inputs: Path, output: Path) -> list[dict[str, object]]:
    """Run a bundle with MONAI's own runner, in a process of its own."""
    code = RUN.format(bundle, inputs, output)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)  # noqa: S603
    said: list[dict[str, object]] = json.loads(output.read_text())
    return said


@pytest.mark.parametrize("kind", LabelKind)
def test_monais_runner_gives_the_probabilities_that_we_give(tmp_path: Path, kind: LabelKind) -> None:
    bundle = bundle_of(tmp_path, kind)
    write_monai(bundle, tmp_path / "out", version=2, notes={})
    (tmp_path / "inputs").mkdir()
    for number in range(2):
        np.save(tmp_path / "inputs" / f"{number}.npy", samples()[number].voxels)

    said = ran(tmp_path / "out", tmp_path / "inputs", tmp_path / "said.json")

    scorer, outputs = Scorer(bundle, device="cpu"), bundle.task.labels.outputs
    assert [one["image"] for one in said] == ["0.npy", "1.npy"]
    for one, sample in zip(said, samples(), strict=False):
        expected = dict(zip(outputs, scorer.probabilities(sample.voxels), strict=True))
        assert one["probabilities"] == pytest.approx(expected, abs=1e-9)


def test_the_model_itself_runs_in_place_too(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, LabelKind.CLASSES)
    (tmp_path / "inputs").mkdir()
    np.save(tmp_path / "inputs" / "a.npy", samples()[0].voxels)

    (said,) = ran(bundle.folder, tmp_path / "inputs", tmp_path / "said.json")

    expected = Scorer(bundle, device="cpu").probabilities(samples()[0].voxels)
    assert list(said["probabilities"].values()) == pytest.approx(expected, abs=1e-9)  # type: ignore[attr-defined]


def test_monais_parser_reads_both_configs_and_makes_the_network(exported: Path) -> None:
    parser = load_bundle_config(str(exported), "inference.json")

    network = parser.get_parsed_content("network_def")

    weights = torch.load(exported / "models" / "model.pt", weights_only=True)
    assert network.load_state_dict(weights, strict=True)
    assert parser["_meta_#version"] == "2"
    assert parser["medflow#outputs"] == ["absent", "present"]


def test_monais_check_of_the_network_passes_and_no_required_property_is_missing(exported: Path) -> None:
    configs = exported / "configs"
    parser = load_bundle_config(str(exported), "inference.json")

    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )

    asked = {**InferProperties, **MetaProperties}
    assert [name for name, one in asked.items() if one["required"] and one["id"] not in parser] == []


def test_monai_loads_the_network_with_its_weights(exported: Path) -> None:
    network = load("small", workflow_type="inference", bundle_dir=exported.parent, device="cpu", source="github")

    weights = torch.load(exported / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_the_copy_holds_nothing_but_the_model(exported: Path) -> None:
    there = sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file())

    assert there == [
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
    ]
    assert "## Use\n\nResearch." in (exported / "docs" / "README.md").read_text()


def test_a_folder_that_holds_something_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        write_monai(bundle_of(tmp_path, LabelKind.CLASSES), exported, version=2, notes={})


def test_a_class_that_looks_like_code_is_none_to_monai(tmp_path: Path) -> None:
    task = of_kind(LabelKind.CLASSES)
    tricky = replace(task, labels=replace(task.labels, classes=("$1 / 0", "@network")))
    folder, digest, _ = write_bundle(tmp_path, version=1, task=tricky, trained=handmade(tricky))
    write_monai(load_bundle(folder, digest), tmp_path / "out", version=1, notes={})

    parser = load_bundle_config(str(tmp_path / "out"), "inference.json")

    assert parser.get_parsed_content("medflow#outputs") == [" $1 / 0", " @network"]
