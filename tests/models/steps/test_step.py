"""What all training steps share: the noise, the average, the freeze, the stop."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.steps.step import Draws, frozen, require_finite, set_learning_rate, update_average

CPU = torch.device("cpu")


def draws(seed: int = 0, update: int = 0, rank: int = 0, processes: int = 1) -> Draws:
    return Draws(seed, update, rank, processes, CPU)


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("columns", [1, 5, 64])
def test_the_rows_of_all_processes_are_the_one_process_draw(processes: int, columns: int) -> None:
    rows = 4
    parts = [draws(3, 7, rank, processes).normal("code", rows, columns) for rank in range(processes)]
    whole = draws(3, 7).normal("code", processes * rows, columns)
    assert torch.equal(torch.cat(parts), whole)
    assert all(part.shape == (rows, columns) for part in parts)


def test_noise_depends_on_seed_update_and_purpose_alone() -> None:
    reference = draws(1, 2).normal("generator", 8, 4)
    torch.randn(100)  # torch's own generator has no part in it
    assert torch.equal(draws(1, 2).normal("generator", 8, 4), reference)
    others: list[Tensor] = [
        draws(2, 2).normal("generator", 8, 4),
        draws(1, 3).normal("generator", 8, 4),
        draws(1, 2).normal("discriminator-0", 8, 4),
        draws(2, 1).normal("generator", 8, 4),
        draws(12, 0).normal("generator", 8, 4),
    ]
    for index, other in enumerate(others):
        assert not torch.any(other == reference)
        assert not any(torch.any(other == another) for another in others[:index])


def test_seed_and_update_do_not_run_together() -> None:
    assert not torch.any(draws(1, 23).normal("code", 8, 4) == draws(12, 3).normal("code", 8, 4))


def test_noise_leaves_torchs_own_generator_alone() -> None:
    before = torch.get_rng_state()
    draws().normal("code", 8, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal_over_many_updates() -> None:
    noise = torch.cat([draws(update=update).normal("code", 64, 8) for update in range(200)]).double()
    count = noise.numel()
    assert abs(noise.mean()) < 4.0 / math.sqrt(count)
    assert abs(noise.var() - 1.0) < 4.0 * math.sqrt(2.0 / count)


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Linear(3, 2).double(), nn.Linear(3, 2).double()


def test_the_average_moves_by_its_half_life() -> None:
    average, network = networks()
    start = copy.deepcopy(average)
    update_average(average, network, half_life_images=640, batch_size=640, images_seen=10**6)
    for found, a, b in zip(average.parameters(), start.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(found, 0.5 * (a + b))


@pytest.mark.parametrize(("half_life", "batch", "seen"), [(5000, 64, 10**6), (100, 7, 10**6), (5000, 64, 3000)])
def test_the_average_is_its_formula(half_life: int, batch: int, seen: int) -> None:
    average, network = networks()
    start = copy.deepcopy(average)
    update_average(average, network, half_life_images=half_life, batch_size=batch, images_seen=seen)
    keep = 0.5 ** (batch / min(half_life, 0.05 * seen))
    for found, a, b in zip(average.parameters(), start.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(found, keep * a + (1.0 - keep) * b)


def test_two_small_batches_average_like_one_of_their_size() -> None:
    average, network = networks()
    once, twice = copy.deepcopy(average), copy.deepcopy(average)
    update_average(once, network, half_life_images=100, batch_size=64, images_seen=10**6)
    for _ in range(2):
        update_average(twice, network, half_life_images=100, batch_size=32, images_seen=10**6)
    torch.testing.assert_close(list(once.parameters()), list(twice.parameters()))


def test_the_first_average_forgets_its_start() -> None:
    average, network = networks()
    update_average(average, network, half_life_images=5000, batch_size=2, images_seen=0)
    torch.testing.assert_close(list(average.parameters()), list(network.parameters()), check_stride=False)


def test_averaging_leaves_the_network_alone() -> None:
    average, network = networks()
    before = copy.deepcopy(network)
    update_average(average, network, half_life_images=10, batch_size=10, images_seen=10**6)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_with_its_name(value: float) -> None:
    with pytest.raises(TrainingError, match=r"generator loss became .* after 1,200 images"):
        require_finite("generator", torch.tensor(value), 1200)


def test_the_stop_reads_a_loss_that_carries_its_graph_without_a_warning() -> None:
    torch.set_warn_always(True)  # torch would say it once per process only
    try:
        with pytest.raises(TrainingError, match="became nan"):
            require_finite("generator", torch.tensor(math.nan, requires_grad=True) * 1.0, 0)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e30])
def test_a_finite_loss_passes(value: float) -> None:
    require_finite("generator", torch.tensor(value), 0)


def test_frozen_lets_gradients_through_but_not_in() -> None:
    network, _ = networks()
    inputs = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    with frozen(network):
        network(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().max() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_frozen_thaws_after_an_error() -> None:
    network, _ = networks()
    with pytest.raises(RuntimeError, match="inside"), frozen(network):
        raise RuntimeError("inside")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_learning_rate_reaches_every_group() -> None:
    first, second = networks()
    optimizer = torch.optim.Adam([{"params": first.parameters(), "lr": 1.0}, {"params": second.parameters()}])
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]
