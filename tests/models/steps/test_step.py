"""What all training steps share: the noise, the parts of a batch, the average, the freeze, the stop."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.steps.batch import Moment
from models.steps.step import (
    Draws,
    Execution,
    frozen,
    gradient_norm,
    has_finite_weights,
    in_evaluation,
    require_finite,
    set_learning_rate,
    update_average,
)

CPU = torch.device("cpu")
ALONE = Execution(CPU)


def draws(seed: int = 0, update: int = 0, rank: int = 0, processes: int = 1) -> Draws:
    return Draws(seed, update, rank, processes, CPU)


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("columns", [1, 5, 64])
def test_the_rows_of_all_processes_are_the_one_process_draw(processes: int, columns: int) -> None:
    rows = 4
    for kind in ("normal", "uniform"):
        parts = [getattr(draws(3, 7, rank, processes), kind)("code", rows, columns) for rank in range(processes)]
        whole = getattr(draws(3, 7), kind)("code", processes * rows, columns)
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


def test_a_name_is_a_prefix_and_names_nest() -> None:
    reference = draws().normal("a/b/code", 8, 4)
    assert torch.equal(draws().named("a").normal("b/code", 8, 4), reference)
    assert torch.equal(draws().named("a").named("b").normal("code", 8, 4), reference)
    others = [draws().named("b").named("a").normal("code", 8, 4), draws().named("ab").normal("code", 8, 4)]
    assert not any(torch.any(other == reference) for other in others)


def test_a_name_keeps_everything_else() -> None:
    named = draws(3, 5, 1, 2).named("generator")
    whole = draws(3, 5).named("generator").uniform("position", 8, 2)
    assert torch.equal(named.uniform("position", 4, 2), whole[4:])


def test_noise_leaves_torchs_own_generator_alone() -> None:
    before = torch.get_rng_state()
    draws().normal("code", 8, 4)
    draws().uniform("code", 8, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal_over_many_updates() -> None:
    noise = torch.cat([draws(update=update).normal("code", 64, 8) for update in range(200)]).double()
    count = noise.numel()
    assert abs(noise.mean()) < 4.0 / math.sqrt(count)
    assert abs(noise.var() - 1.0) < 4.0 * math.sqrt(2.0 / count)


def test_uniforms_fill_the_unit_interval_over_many_updates() -> None:
    numbers = torch.cat([draws(update=update).uniform("position", 64, 8) for update in range(200)]).double()
    count = numbers.numel()
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert abs(numbers.mean() - 0.5) < 4.0 / math.sqrt(12.0 * count)
    assert abs(numbers.square().mean() - 1.0 / 3.0) < 4.0 * math.sqrt(4.0 / 45.0 / count)


# -- execution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulation", [1, 2, 3, 6])
def test_the_parts_are_equal_and_in_order(accumulation: int) -> None:
    execution = Execution(CPU, accumulation=accumulation)
    rows = [list(range(12))[part] for part in execution.parts(12, nn.Identity())]
    assert len(rows) == accumulation
    assert {len(part) for part in rows} == {12 // accumulation}
    assert [row for part in rows for row in part] == list(range(12))


def test_parts_that_are_not_equal_are_refused() -> None:
    with pytest.raises(ValueError, match="10 rows cannot be split into 4 equal parts"):
        list(Execution(CPU, accumulation=4).parts(10, nn.Identity()))


class Synchronised(nn.Identity):
    """Counts what DistributedDataParallel would be told."""

    silent = False

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.silent = True
        yield
        self.silent = False


@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_processes_exchange_gradients_at_the_last_part_alone(accumulation: int) -> None:
    network = Synchronised()
    silent = [network.silent for _ in Execution(CPU, accumulation=accumulation).parts(8, network)]
    assert silent == [True] * (accumulation - 1) + [False]
    assert not network.silent


def test_one_process_is_its_own_mean_and_wraps_nothing() -> None:
    network, _ = networks()
    assert ALONE.mean_over_processes(torch.tensor(0.3)) == torch.tensor(0.3)
    assert ALONE.wrapped(network) is network


@pytest.mark.parametrize("bfloat16", [False, True])
def test_products_are_as_precise_as_asked_and_weights_stay_float32(bfloat16: bool) -> None:
    network = nn.Linear(3, 2)
    with Execution(CPU, bfloat16=bfloat16).autocast():
        product = network(torch.ones(1, 3))
    assert product.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
    assert network.weight.dtype == torch.float32


def test_a_placed_network_keeps_its_values_and_holds_pictures_channels_last() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3)
    before = network.weight.detach().clone()
    ALONE.place(network)
    assert torch.equal(network.weight, before)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)


# -- average ------------------------------------------------------------------------------------------


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
        require_finite("generator", torch.tensor(value), Moment(1200, 0.5), ALONE)


def test_the_stop_reads_a_loss_that_carries_its_graph_without_a_warning() -> None:
    torch.set_warn_always(True)  # torch would say it once per process only
    try:
        with pytest.raises(TrainingError, match="became nan"):
            require_finite("generator", torch.tensor(math.nan, requires_grad=True) * 1.0, Moment(0, 0.0), ALONE)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e30])
def test_a_finite_loss_passes(value: float) -> None:
    require_finite("generator", torch.tensor(value), Moment(0, 0.0), ALONE)


@pytest.mark.parametrize("execution", [Execution(torch.device("meta")), Execution(CPU, processes=2)])
def test_where_asking_would_wait_nobody_asks(execution: Execution) -> None:
    """On an accelerator, and where one process would leave the others: there the loop asks at its reports."""
    require_finite("generator", torch.tensor(math.nan), Moment(0, 0.0), execution)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_number_that_is_not_finite_is_found_among_weights_and_buffers(value: float) -> None:
    first, second = networks()
    second.register_buffer("statistic", torch.zeros(3))
    assert has_finite_weights({"first": first, "second": second})
    second.get_buffer("statistic")[1] = value
    assert not has_finite_weights({"first": first, "second": second})
    second.get_buffer("statistic").zero_()
    with torch.no_grad():
        first.get_parameter("weight")[1, 2] = value
    assert not has_finite_weights({"first": first, "second": second})


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


def test_a_network_is_judged_in_evaluation_and_left_as_it_was() -> None:
    for was_training in (True, False):
        network = nn.Sequential(nn.Dropout(0.5)).train(was_training)
        with in_evaluation(network):
            assert not network[0].training
            assert torch.equal(network(torch.ones(100)), torch.ones(100))
        assert network.training is was_training
        with pytest.raises(RuntimeError, match="inside"), in_evaluation(network):
            raise RuntimeError("inside")
        assert network.training is was_training


def test_the_gradients_length_is_over_all_parameters_and_zero_before_the_first() -> None:
    network, _ = networks()
    assert gradient_norm(network) == 0.0
    network(torch.ones(4, 3, dtype=torch.float64)).square().sum().backward()
    flat = torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])
    assert gradient_norm(network) == pytest.approx(flat.norm().item(), rel=1e-12)
