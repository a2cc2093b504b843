"""Scoring: the same input gives the same bits, and nothing but a probability comes out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelKind
from medflow.errors import IntegrityError, Reason, SeriesError
from medflow.learning import heads
from medflow.learning.bundle import load_bundle, write_bundle
from medflow.learning.score import Scorer
from tests.learning.handmade import flat_bundle, handmade, of_kind
from tests.learning.made import samples, small_task


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    """Load the small model."""
    folder, model_digest, _ = write_bundle(tmp_path, version=1, task=small_task(), trained=handmade(small_task()))
    return Scorer(load_bundle(folder, model_digest), device="cpu")


def test_the_same_voxels_give_the_same_bits_whatever_was_scored_between(scorer: Scorer) -> None:
    first, second = samples()[:2]

    before = scorer.probabilities(first.voxels)
    other = scorer.probabilities(second.voxels)
    after = scorer.probabilities(np.asfortranarray(first.voxels))

    assert before == after != other
    assert sum(before) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", LabelKind)
def test_probabilities_and_answer_are_those_of_the_calibrated_logits(tmp_path: Path, kind: LabelKind) -> None:
    task = of_kind(kind)
    calibration = Calibration(temperature=1.75)
    folder, digest, _ = write_bundle(tmp_path, version=1, task=task, trained=handmade(task, calibration))
    calibrated = Scorer(load_bundle(folder, digest), device="cpu")
    voxels = samples()[1].voxels

    logits, said = calibrated.logits(voxels), calibrated.probabilities(voxels)

    assert logits.shape == (heads.width(task.labels),)
    assert said == tuple(heads.probabilities(task.labels, logits[None], 1.75)[0])
    assert calibrated.answer(said) == calibration.answer(task.labels, said)


def test_the_finding_is_called_from_the_operating_threshold_on(tmp_path: Path) -> None:
    task = small_task()
    made = handmade(task, Calibration(threshold=0.25))
    folder, digest, _ = write_bundle(tmp_path, version=1, task=task, trained=made)
    careful = Scorer(load_bundle(folder, digest), device="cpu")

    answers = [careful.answer((1 - likely, likely)) for likely in (0.2, 0.25, 0.4)]

    assert answers == ["absent", "present", "present"]


def test_a_bundle_of_version_0_3_still_says_what_it_said_bit_for_bit(tmp_path: Path) -> None:
    task, made = small_task(), handmade(small_task())
    digest = flat_bundle(tmp_path / "small" / "1", task, made)
    voxels = samples()[1].voxels

    bundle = load_bundle(tmp_path / "small" / "1", digest)
    old = Scorer(bundle, device="cpu")
    said = [old.probabilities(one.voxels) for one in samples()]

    before = [torch.softmax(torch.from_numpy(old.logits(one.voxels)), dim=0).tolist() for one in samples()]
    assert [list(one) for one in said] == before
    assert bundle.task.network == task.network
    assert bundle.card == {"name": "old"}
    assert old.answer(old.probabilities(voxels)) in task.labels.classes


def test_a_bundle_of_version_0_3_is_checked_too(tmp_path: Path) -> None:
    folder = tmp_path / "small" / "1"
    digest = flat_bundle(folder, small_task(), handmade(small_task()))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)

    with pytest.raises(IntegrityError, match=r"model\.safetensors is not what its digest says"):
        load_bundle(folder, digest)


def test_the_runtime_says_what_the_bits_depend_on(scorer: Scorer) -> None:
    runtime = scorer.runtime

    assert (runtime.device, runtime.threads, runtime.batch, runtime.dtype) == ("cpu", 1, 1, "float32")
    assert runtime.capability == torch.backends.cpu.get_cpu_capability()


def test_a_memory_mapped_volume_is_scored_like_any_other(scorer: Scorer, tmp_path: Path) -> None:
    voxels = samples()[0].voxels
    np.save(tmp_path / "a.npy", voxels)

    assert scorer.probabilities(np.load(tmp_path / "a.npy", mmap_mode="r")) == scorer.probabilities(voxels)


def test_voxels_that_are_no_numbers_are_refused(scorer: Scorer) -> None:
    voxels = samples()[0].voxels.copy()
    voxels[0, 0, 0] = np.nan

    with pytest.raises(SeriesError) as refused:
        scorer.probabilities(voxels)

    assert refused.value.reason is Reason.NON_FINITE_VOXELS


def test_voxels_off_the_grid_are_a_bug_and_no_refusal(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="looks at"):
        scorer.probabilities(np.zeros((31, 32, 1), np.float32))
