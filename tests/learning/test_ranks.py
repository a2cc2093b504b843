"""Ranks: two that share each batch learn what one learns, and none waits for another that has gone.

The tests start this very file with torchrun: two processes over gloo on the loopback.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from medflow.learning.ranks import ALONE, PATIENCE, Ranks, joined

BATCH, STEPS, SIZE = 7, 8, 16
"""Seven examples: two ranks share them unequally."""
TOLERANCE = 2e-5
"""What `Ranks.wrapped` promises: the largest difference of a weight after a few steps in float32."""


class Dense(nn.Module):
    """Two dense blocks of a layer each: convolutions and batch norms, joined as a DenseNet joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(1, 8, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(16)])
        self.layers = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)])
        self.head = nn.Sequential(nn.BatchNorm1d(24), nn.Linear(24, 2))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Pass (n, 1, i, j)."""
        batch = self.entry(batch)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            batch = torch.cat([batch, layer(norm(batch).relu())], dim=1)
        logits: torch.Tensor = self.head(batch.mean(dim=(2, 3)))
        return logits


def learned(ranks: Ranks) -> dict[str, torch.Tensor]:
    """Train a `Dense` for a few steps on batches that are shared out by rank."""
    torch.manual_seed(1)
    network = Dense()
    shared = ranks.wrapped(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    for _ in range(STEPS):
        inputs, labels = torch.randn(BATCH, 1, SIZE, SIZE) * 3 + 2, torch.randint(2, (BATCH,))
        mine = slice(ranks.rank, None, ranks.world)
        loss = nn.functional.cross_entropy(shared(inputs[mine]), labels[mine], reduction="sum")
        optimizer.zero_grad()
        (loss * ranks.world / BATCH).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.state_dict()


def gradient(ranks: Ranks) -> torch.Tensor:
    """Give the gradient of one batch that is shared out by rank."""
    torch.manual_seed(2)
    network, inputs, labels = Dense(), torch.randn(BATCH, 1, SIZE, SIZE) * 3 + 2, torch.randint(2, (BATCH,))
    shared, mine = ranks.wrapped(network), slice(ranks.rank, None, ranks.world)
    loss = nn.functional.cross_entropy(shared(inputs[mine]), labels[mine], reduction="sum")
    (loss * ranks.world / BATCH).backward()  # type: ignore[no-untyped-call]
    return torch.cat([value.grad.flatten() for value in network.parameters() if value.grad is not None])


def talked(ranks: Ranks) -> dict[str, Any]:
    """Say what a rank hears of the other."""
    kept = torch.tensor([float(ranks.rank + 1)])
    heard = {
        "total": float(ranks.total(kept)),
        "kept": float(kept),
        "told": ranks.told({"threshold": ranks.rank + 0.5}),
    }
    ranks.wait()
    return heard


def settled(ranks: Ranks) -> dict[str, torch.Tensor]:
    """Give the state of a network that took statistics by itself, and not through its wrapped form."""
    torch.manual_seed(1)
    network = Dense()
    ranks.wrapped(network)
    update_bn([torch.randn(4, 1, SIZE, SIZE)], network)
    return network.state_dict()


def launched(what: str, out: Path) -> "subprocess.CompletedProcess[str]":
    """Start this file with torchrun, and wait until it ends."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(  # noqa: S603  (this very file)
        [*launch, __file__, what, str(out)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def started(what: str, rank: int, port: int, out: Path) -> "subprocess.Popen[str]":
    """Start this file as torchrun would start one of two ranks: torchrun itself may end a survivor before it speaks."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    told = {name: str(value) for name, value in places.items()} | {"TORCHELASTIC_RUN_ID": "test"}
    return subprocess.Popen(  # noqa: S603  (this very file)
        [sys.executable, __file__, what, str(out)],
        env=os.environ | told | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    """Find a port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Give what each of two ranks saved."""
    out = tmp_path_factory.mktemp("ranks")
    ended = launched("learn", out)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_learn_what_one_learns(two: list[dict[str, Any]]) -> None:
    first, second = two[0]["learned"], two[1]["learned"]

    alone = learned(ALONE)

    assert list(first) == list(alone)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert max(float((first[name].double() - alone[name].double()).abs().max()) for name in alone) < TOLERANCE


def test_gradients_of_two_ranks_are_those_of_the_whole_batch(two: list[dict[str, Any]]) -> None:
    alone = gradient(ALONE)

    assert torch.equal(two[0]["gradient"], two[1]["gradient"])
    assert float((two[0]["gradient"] - alone).norm() / alone.norm()) < 1e-4


def test_ranks_add_up_and_the_main_one_tells_the_others(two: list[dict[str, Any]]) -> None:
    heard = [one["talked"] for one in two]

    assert heard[0] == {"total": 3.0, "kept": 1.0, "told": {"threshold": 0.5}}
    assert heard[1] == {"total": 3.0, "kept": 2.0, "told": {"threshold": 0.5}}
    assert [one["main"] for one in two] == [True, False]


def test_what_does_not_pass_through_the_wrapped_network_is_each_ranks_own(two: list[dict[str, Any]]) -> None:
    alone = settled(ALONE)

    for one in two:  # torchrun gives each of its processes one thread, and another number gives other last bits
        torch.testing.assert_close(one["settled"], alone)


def test_a_rank_that_dies_ends_the_other_at_once(tmp_path: Path) -> None:
    began = time.monotonic()

    survivor, victim = (started("die", rank, port, tmp_path) for port in [free_port()] for rank in range(2))
    said = survivor.communicate(timeout=400)[1]
    victim.communicate(timeout=60)

    assert (victim.returncode, survivor.returncode != 0) == (9, True)
    assert "another rank of this training ended" in said
    assert time.monotonic() - began < PATIENCE.total_seconds() / 4


def test_a_rank_that_is_alone_changes_nothing() -> None:
    network = Dense()

    assert ALONE.main
    assert ALONE.wrapped(network) is network
    assert ALONE.told("this") == "this"
    assert ALONE.total(torch.tensor(3.0)) == 3.0
    ALONE.wait()
    with joined(torch.device("cpu")) as ranks:
        assert ranks == ALONE


def main(what: str, out: Path) -> None:
    """Be one of two ranks."""
    with joined(torch.device("cpu")) as ranks:
        if what == "die":
            ranks.wait()
            if ranks.rank == 1:
                os._exit(9)
            ranks.wait()
        made = {"learned": learned, "gradient": gradient, "talked": talked, "settled": settled}
        saved = {name: function(ranks) for name, function in made.items()}
        torch.save(saved | {"main": ranks.main}, out / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
