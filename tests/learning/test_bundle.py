"""Bundles: whole or absent, never changed, and every byte accounted for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medflow.domain.calibration import UNCALIBRATED, Calibration
from medflow.domain.model import Example, files_digest
from medflow.domain.volume import Grid
from medflow.errors import IntegrityError, StateError
from medflow.learning.bundle import INFERENCE, faults, load_bundle, versions, write_bundle
from medflow.learning.trained import Trained
from tests.learning.handmade import handmade
from tests.learning.made import samples, small_task

EXAMPLES = tuple(
    Example(
        patient=sample.patient,
        series_id="ser_" + "0" * 32,
        subject="2.25.1",
        input_digest="1" * 64,
        layout_digest="2" * 64,
        label=sample.label,
        part=sample.part.value,
    )
    for sample in samples()
)


def written(root: Path) -> tuple[Path, str, dict[str, str]]:
    """Write the small model as version 1."""
    return write_bundle(root, version=1, task=small_task(), trained=made(), examples=EXAMPLES)


def made() -> Trained:
    """Make the small model, with a temperature and a threshold."""
    return handmade(small_task(), Calibration(temperature=1.5, threshold=0.375))


def test_a_bundle_gives_back_task_and_weights(tmp_path: Path) -> None:
    folder, model_digest, files = written(tmp_path)

    loaded = load_bundle(folder, model_digest)

    assert folder == tmp_path / "small" / "1"
    assert loaded.task == small_task()
    assert loaded.threads == 1
    assert all(torch.equal(loaded.weights[name], value) for name, value in made().weights.items())
    assert model_digest == files_digest({name: files[name] for name in INFERENCE})
    assert loaded.calibration == Calibration(temperature=1.5, threshold=0.375)
    assert loaded.card["name"] == "small"
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert there == sorted([*files, "manifest.json"])
    assert versions(tmp_path, "small") == (1,)


def test_the_model_digest_knows_neither_version_nor_metrics(tmp_path: Path) -> None:
    _, first, _ = written(tmp_path)

    _, second, _ = write_bundle(
        tmp_path, version=2, task=small_task(), trained=replace(made(), metrics={"select": {"n": 1}})
    )

    assert first == second
    assert versions(tmp_path, "small") == (1, 2)


def test_another_temperature_or_threshold_is_another_model(tmp_path: Path) -> None:
    found = [UNCALIBRATED, Calibration(temperature=1.5), Calibration(threshold=0.375)]

    digests = {
        write_bundle(tmp_path, version=number, task=small_task(), trained=replace(made(), calibration=one))[1]
        for number, one in enumerate(found, start=1)
    }

    assert len(digests) == len(found)


def test_writing_the_same_version_again_changes_nothing_and_another_model_is_refused(tmp_path: Path) -> None:
    folder, model_digest, _ = written(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    other = replace(made(), weights={name: value + 1 for name, value in made().weights.items()})

    assert written(tmp_path)[1] == model_digest
    with pytest.raises(StateError, match="take the next number"):
        write_bundle(tmp_path, version=1, task=small_task(), trained=other)

    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


ALL = [*INFERENCE, "configs/metadata.json", "metrics.json", "card.json", "cohort.json"]


@pytest.mark.parametrize("name", ALL)
def test_a_changed_byte_is_found_and_its_file_named(tmp_path: Path, name: str) -> None:
    folder, model_digest, _ = written(tmp_path)
    (folder / name).chmod(0o644)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(IntegrityError, match=name):
        load_bundle(folder, model_digest)
    assert faults(folder, model_digest) == (f"{name} is not what its digest says",)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder, model_digest, _ = written(tmp_path)
    (folder / "task.json").unlink()

    with pytest.raises(IntegrityError, match=r"task\.json is missing"):
        load_bundle(folder, model_digest)


def test_every_fault_is_told_and_what_was_added_too(tmp_path: Path) -> None:
    folder, model_digest, _ = written(tmp_path)
    assert faults(folder, model_digest) == ()

    (folder / "task.json").unlink()
    (folder / "cohort.json").chmod(0o644)
    (folder / "cohort.json").write_text("[]")
    (folder / "configs" / "more.json").write_text("{}")

    assert faults(folder, model_digest) == (
        "cohort.json is not what its digest says",
        "task.json is missing",
        "configs/more.json is not of the model",
    )


def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder, model_digest, files = written(tmp_path)
    (folder / "manifest.json").chmod(0o644)
    named = {"files": files | {"../other": "0" * 64}, "model_digest": model_digest}
    (folder / "manifest.json").write_text(json.dumps(named))

    with pytest.raises(IntegrityError, match=r"manifest\.json is missing or damaged"):
        load_bundle(folder, model_digest)


def test_the_configs_say_what_the_network_eats_and_gives(tmp_path: Path) -> None:
    folder, _, _ = written(tmp_path)

    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    settings = json.loads((folder / "configs" / "inference.json").read_text())["medflow"]

    formats = metadata["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert (metadata["version"], metadata["name"]) == ("1", "small")
    assert (image["num_channels"], image["spatial_shape"]) == (1, [32, 32])
    assert (pred["num_channels"], pred["channel_def"]) == (2, {"0": "absent", "1": "present"})
    assert settings["calibration"]["threshold"] == (0.375).hex()


def test_a_model_swapped_with_its_manifest_is_not_the_registrys(tmp_path: Path) -> None:
    folder, _, _ = written(tmp_path)

    with pytest.raises(IntegrityError, match="the registry says 000000000000"):
        load_bundle(folder, "0" * 64)


def test_a_model_of_other_resampling_rules_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, model_digest, _ = written(tmp_path)
    old = Grid.RULES
    monkeypatch.setattr("medflow.domain.volume.Grid.RULES", old + 1)

    with pytest.raises(StateError, match=f"rules {old}"):
        load_bundle(folder, model_digest)


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("medflow.domain.durable.os.fsync", full)

    with pytest.raises(OSError, match="no space left"):
        written(tmp_path)

    assert list((tmp_path / "small").iterdir()) == []
