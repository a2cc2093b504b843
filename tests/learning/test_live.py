"""Live figures: one line each, whole at every moment, and none twice when a training goes on."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from medflow.errors import ConfigurationError
from medflow.learning.live import FILE, SILENT_LIVE, Live, opened


def lines(folder: Path) -> list[dict[str, Any]]:
    """Read what was written."""
    return [json.loads(line) for line in (folder / FILE).read_text("ascii").splitlines()]


def ticking() -> Iterator[float]:
    """Count seconds from 100 on."""
    return iter(count(100.0))


def trained(live: Live, epochs: range, *, stop: tuple[int, int] | None = None) -> None:
    """Say what a training says of two steps an epoch, until it is killed."""
    for epoch in epochs:
        for step in (1, 2):
            if (epoch, step) == stop:
                live.close()
                return
            live.step(epoch=epoch, step=step, loss=1 / (epoch + step), rate=0.1)
        live.epoch(epoch=epoch, loss=0.5 / epoch, select={"loss": 0.4, "roc_auc": 0.9})
    live.close()


def test_each_step_and_epoch_is_on_disk_when_it_is_said(tmp_path: Path) -> None:
    clock = ticking()
    live = opened(tmp_path / "training", clock=lambda: next(clock))

    live.step(epoch=1, step=1, loss=0.7, rate=0.001)
    live.epoch(epoch=1, loss=0.7, select={"roc_auc": float("nan")})

    assert lines(tmp_path / "training") == [
        {"kind": "step", "epoch": 1, "step": 1, "loss": 0.7, "rate": 0.001, "seconds": 1.0},
        {"kind": "epoch", "epoch": 1, "loss": 0.7, "select": {"roc_auc": None}, "seconds": 2.0},
    ]
    live.close()


def test_a_training_that_goes_on_says_nothing_twice_and_counts_its_seconds_on(tmp_path: Path) -> None:
    trained(opened(tmp_path), range(1, 4), stop=(3, 2))
    with (tmp_path / FILE).open("a", encoding="ascii") as stream:
        stream.write('{"kind": "step", "epo')  # killed in the middle of a line

    trained(opened(tmp_path), range(2, 5))

    said = [(line["kind"], line["epoch"], line.get("step")) for line in lines(tmp_path)]
    assert said == [
        (kind, epoch, step) for epoch in range(1, 5) for kind, step in (("step", 1), ("step", 2), ("epoch", None))
    ]
    seconds = [line["seconds"] for line in lines(tmp_path)]
    assert seconds == sorted(seconds)


def test_another_training_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    trained(opened(tmp_path), range(1, 4))

    trained(opened(tmp_path), range(1, 2))

    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize("value", ["Doe^Jane", Path("/export"), [1.0]])
def test_nothing_but_numbers_is_taken(value: object, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="name is no number"):
        opened(tmp_path).step(epoch=1, step=1, name=value)


def test_a_tracker_that_is_not_there_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tensorboard", "torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, module, None)

    for name in ("tensorboard", "mlflow"):
        with pytest.raises(ConfigurationError, match="extra `track`"):
            opened(tmp_path, [name])
    with pytest.raises(ConfigurationError, match="no tracker is called wandb"):
        opened(tmp_path, ["wandb"])


def test_the_silent_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    trained(SILENT_LIVE, range(1, 2))

    assert capsys.readouterr() == ("", "")
