"""How weights move: rates, clipping, averages and settled batch norms are what their names say."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from medflow.domain.task import Schedule
from medflow.learning.optim import LEAST_RATE, averaged, clipped, optimizer_of, rate, settled

PLAN = Schedule(seed=1, epochs=10, batch_size=4, learning_rate=0.1, weight_decay=0.01)


def test_warm_up_rises_by_the_step_and_ends_at_the_whole_rate() -> None:
    plan = replace(PLAN, warmup=2, rate="constant")

    rates = [rate(plan, step, steps=5) for step in range(12)]

    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[10:] == [0.1, 0.1]


def test_half_a_cosine_falls_to_its_least_share() -> None:
    rates = [rate(PLAN, step, steps=5) for step in range(51)]

    assert rates[0] == 0.1
    assert rates[25] == pytest.approx(0.1 * (1 + LEAST_RATE) / 2)
    assert rates[50] == pytest.approx(0.1 * LEAST_RATE)
    assert rates == sorted(rates, reverse=True)


def test_steps_fall_every_so_many_epochs_after_the_warm_up() -> None:
    plan = replace(PLAN, rate="step", step_every=3, step_factor=0.5, warmup=1)

    rates = [rate(plan, epoch * 5 + 4, steps=5) for epoch in range(10)]

    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025])


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_only_weights_that_learn_move_and_norms_and_biases_are_not_decayed(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    network[2].requires_grad_(requires_grad=False)

    made = optimizer_of(network, replace(PLAN, optimizer=name))

    decayed, spared = made.param_groups
    assert type(made) is kind
    assert [weight.shape for weight in decayed["params"]] == [(2, 1, 3, 3)]
    assert [weight.shape for weight in spared["params"]] == [(2,), (2,), (2,)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    if name == "sgd":
        assert (decayed["momentum"], decayed["nesterov"]) == (0.9, True)


def test_a_gradient_that_is_too_long_is_cut_and_its_own_length_told() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])

    assert clipped([weight], None) == 5
    assert weight.grad.tolist() == [3, 4]
    assert clipped([weight], 1.0) == 5
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))


def test_an_average_follows_the_weights_by_its_decay_and_copies_running_statistics() -> None:
    network, average = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        network.weight.fill_(2.0)
        network.get_buffer("running_mean").fill_(7.0)

    averaged(average, network, 0.9, 10_000)

    torch.testing.assert_close(average.weight.detach(), torch.tensor([1.1]))
    assert average.running_mean is not None
    assert average.running_mean.tolist() == [7]


def test_an_average_does_not_linger_at_the_beginning() -> None:
    network, average = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(1.0)
        average.weight.fill_(0.0)

    averaged(average, network, 0.999, 0)

    torch.testing.assert_close(average.weight.detach(), torch.tensor([[0.9]]))


def test_settled_batch_norms_hold_the_batches_own_statistics_and_draw_no_chance() -> None:
    one, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    network = nn.Sequential(nn.Dropout(0.5), one, other)
    batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    chance, frozen = torch.get_rng_state(), other.get_buffer("running_mean").clone()

    settled(network.train(), batches, [one])

    means = torch.stack([batch.mean(dim=0) for batch in batches])
    torch.testing.assert_close(one.running_mean, means.mean(dim=0))
    assert torch.equal(other.get_buffer("running_mean"), frozen)
    assert torch.equal(torch.get_rng_state(), chance)
    assert one.momentum == 0.1
    assert not network.training
