"""Scoring: the same input gives the same bits, and nothing but a probability comes out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medflow.errors import Reason, SeriesError
from medflow.learning.bundle import load_bundle, write_bundle
from medflow.learning.score import Scorer
from tests.learning.made import samples, small_task, trained


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    """Load the small model."""
    folder, model_digest, _ = write_bundle(tmp_path, version=1, task=small_task(), trained=trained())
    return Scorer(load_bundle(folder, model_digest), device="cpu")


def test_the_same_voxels_give_the_same_bits_whatever_was_scored_between(scorer: Scorer) -> None:
    first, second = samples()[:2]

    before = scorer.probabilities(first.voxels)
    other = scorer.probabilities(second.voxels)
    after = scorer.probabilities(np.asfortranarray(first.voxels))

    assert before == after != other
    assert sum(before) == pytest.approx(1.0, abs=1e-12)


def test_scores_are_what_training_measured(scorer: Scorer) -> None:
    drawn = [sample for sample in samples() if sample.part.value == "test"]

    right = sum(np.argmax(scorer.probabilities(one.voxels)) == (one.label == "present") for one in drawn)

    assert right / len(drawn) == trained().metrics["test"]["accuracy"]["value"]


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
