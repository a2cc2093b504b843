"""Bundles: whole or absent, never changed, and every byte accounted for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medflow.domain.model import Example, files_digest
from medflow.domain.volume import Grid
from medflow.errors import IntegrityError, StateError
from medflow.learning.bundle import INFERENCE, load_bundle, versions, write_bundle
from tests.learning.made import samples, small_task, trained

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
    return write_bundle(root, version=1, task=small_task(), trained=trained(), examples=EXAMPLES)


def test_a_bundle_gives_back_task_and_weights(tmp_path: Path) -> None:
    folder, model_digest, files = written(tmp_path)

    loaded = load_bundle(folder, model_digest)

    assert folder == tmp_path / "small" / "1"
    assert loaded.task == small_task()
    assert loaded.threads == 1
    assert all(torch.equal(loaded.weights[name], value) for name, value in trained().weights.items())
    assert model_digest == files_digest({name: files[name] for name in INFERENCE})
    assert sorted(path.name for path in folder.iterdir()) == sorted([*files, "manifest.json"])
    assert versions(tmp_path, "small") == (1,)


def test_the_card_says_what_really_ran(tmp_path: Path) -> None:
    folder, _, _ = written(tmp_path)

    card = json.loads((folder / "card.json").read_text())

    assert card["data"]["train"] == {"patients": 12, "examples": {"absent": 6, "present": 6}}
    assert card["training"]["best_epoch"] == trained().best_epoch
    assert "32 x 32 x 1 voxels of 1 x 1 x 1 mm in LPS orientation" in card["methods"]
    assert f"for {len(trained().history)} of at most 3 epochs in float32" in card["methods"]


def test_the_model_digest_knows_neither_version_nor_metrics(tmp_path: Path) -> None:
    _, first, _ = written(tmp_path)

    _, second, _ = write_bundle(tmp_path, version=2, task=small_task(), trained=replace(trained(), metrics={}))

    assert first == second
    assert versions(tmp_path, "small") == (1, 2)


def test_writing_the_same_version_again_changes_nothing_and_another_model_is_refused(tmp_path: Path) -> None:
    folder, model_digest, _ = written(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    other = replace(trained(), weights={name: value + 1 for name, value in trained().weights.items()})

    assert written(tmp_path)[1] == model_digest
    with pytest.raises(StateError, match="take the next number"):
        write_bundle(tmp_path, version=1, task=small_task(), trained=other)

    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("name", [*INFERENCE, "metrics.json", "card.json", "cohort.json"])
def test_a_changed_byte_is_found_and_its_file_named(tmp_path: Path, name: str) -> None:
    folder, model_digest, _ = written(tmp_path)
    (folder / name).chmod(0o644)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(IntegrityError, match=name):
        load_bundle(folder, model_digest)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder, model_digest, _ = written(tmp_path)
    (folder / "task.json").unlink()

    with pytest.raises(IntegrityError, match=r"task\.json is missing"):
        load_bundle(folder, model_digest)


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

    monkeypatch.setattr("medflow.learning.bundle.os.fsync", full)

    with pytest.raises(OSError, match="no space left"):
        written(tmp_path)

    assert list((tmp_path / "small").iterdir()) == []
