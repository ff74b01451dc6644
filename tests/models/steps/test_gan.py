"""Goodfellow's Algorithm 1: who moves, how often, on what noise; and what a trained discriminator knows."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import logsigmoid

from models.config import (
    ConvolutionalSettings,
    GanSettings,
    MinimaxSettings,
    MlpSettings,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
)
from models.diagnostics import LOG_2, calibrated_jsd_lower_bound, jsd_lower_bound
from models.errors import TrainingError
from models.networks.build import Discriminator
from models.objectives import adversarial
from models.steps.gan import GanStep, discriminator_losses, generator_loss
from models.steps.step import Draws

CPU = torch.device("cpu")
BATCH = 8
OBJECTIVES: list[Objective] = [MinimaxSettings(), NonSaturatingSettings(), RelativisticSettings()]


def settings(**changes: Any) -> GanSettings:
    network = MlpSettings(hidden_width=8, hidden_layers=2)
    return GanSettings(latent_size=3, generator=network, discriminator=network, **changes)


def step_of(configured: GanSettings, shape: tuple[int, ...] = (2,), seed: int = 0) -> GanStep:
    torch.manual_seed(seed)
    return GanStep(configured, shape, CPU, lambda network: network)


def batches(count: int, shape: tuple[int, ...] = (2,), seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, *shape, generator=generator).clamp(-1, 1) for _ in range(count)]


def draws(update: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, update, 0, 1, CPU)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


# -- Algorithm 1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_k_updates_of_the_discriminator_then_exactly_one_of_the_generator(k: int) -> None:
    step = step_of(settings(discriminator_steps=k))
    assert step.batches_per_update == k
    moved: list[tuple[bool, bool]] = []
    last = (weights(step.discriminator), weights(step.generator))

    def record(*_: object) -> None:
        nonlocal last
        now = (weights(step.discriminator), weights(step.generator))
        moved.append((not torch.equal(now[0], last[0]), not torch.equal(now[1], last[1])))
        last = now

    for optimizer in step.optimizers.values():
        optimizer.register_step_post_hook(record)
    step.update(batches(k), draws(), 1.0, 0)
    assert moved == [(True, False)] * k + [(False, True)]
    # nothing moved outside of the optimizers' steps
    assert torch.equal(weights(step.discriminator), last[0])
    assert torch.equal(weights(step.generator), last[1])


@pytest.mark.parametrize("k", [1, 3])
def test_every_update_draws_fresh_noise(k: int) -> None:
    step = step_of(settings(discriminator_steps=k))
    latents: list[Tensor] = []
    step.generator.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0].clone()))
    step.update(batches(k), draws(0), 1.0, 0)
    step.update(batches(k), draws(1), 1.0, 0)
    assert len(latents) == 2 * (k + 1)
    assert all(latent.shape == (BATCH, 3) for latent in latents)
    for index, latent in enumerate(latents):
        assert not any(torch.any(latent == earlier) for earlier in latents[:index])


def test_each_discriminator_update_sees_its_own_batch() -> None:
    step = step_of(settings(discriminator_steps=3))
    seen: list[Tensor] = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()[:BATCH].clone()))
    real = batches(3)
    step.update(real, draws(), 1.0, 0)
    assert all(torch.equal(found, expected) for found, expected in zip(seen[:3], real, strict=True))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_generators_update_leaves_no_trace_in_the_discriminator(objective: Objective) -> None:
    step = step_of(settings(objective=objective))
    gradients: list[list[Tensor]] = []

    def record(*_: object) -> None:
        gradients.append([p.grad.clone() for p in step.discriminator.parameters() if p.grad is not None])

    step.discriminator_optimizer.register_step_post_hook(record)
    step.generator_optimizer.register_step_post_hook(record)
    step.update(batches(1), draws(), 1.0, 0)
    after_discriminator, after_generator = gradients
    assert len(after_discriminator) == len(list(step.discriminator.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(after_discriminator, after_generator, strict=True))


def test_requires_grad_is_as_it_was() -> None:
    step = step_of(settings())
    step.update(batches(1), draws(), 1.0, 0)
    for name, expected in (("generator", True), ("discriminator", True), ("generator_ema", False)):
        assert all(parameter.requires_grad is expected for parameter in step.networks[name].parameters())


def test_the_discriminators_update_leaves_no_gradient_in_the_generator() -> None:
    step = step_of(settings())
    found: list[bool] = []
    step.discriminator_optimizer.register_step_post_hook(
        lambda *_: found.append(all(parameter.grad is None for parameter in step.generator.parameters()))
    )
    step.update(batches(1), draws(), 1.0, 0)
    assert found == [True]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_both_learning_rates_are_scaled_apart(share: float) -> None:
    """The first step of Adam with beta1 = 0 moves every weight that has a gradient by its learning rate."""
    step = step_of(settings(generator_learning_rate=1e-2, discriminator_learning_rate=3e-3))
    before = weights(step.generator), weights(step.discriminator)
    step.update(batches(1), draws(), share, 0)
    assert (weights(step.generator) - before[0]).abs().max().item() == pytest.approx(1e-2 * share, rel=1e-2)
    assert (weights(step.discriminator) - before[1]).abs().max().item() == pytest.approx(3e-3 * share, rel=1e-2)


def test_the_same_seed_gives_the_same_weights() -> None:
    def train(seed: int, noise_seed: int) -> Tensor:
        step = step_of(settings(), seed=seed)
        for update in range(3):
            step.update(batches(1, seed=update), draws(update, noise_seed), 1.0, BATCH * update)
        return torch.cat([weights(network) for network in step.networks.values()])

    reference = train(0, 0)
    assert torch.equal(train(0, 0), reference)
    assert not torch.equal(train(1, 0), reference)
    assert not torch.equal(train(0, 1), reference)


@pytest.mark.parametrize(("k", "processes"), [(1, 1), (2, 1), (2, 3)])
def test_the_averaged_generator_is_its_formula(k: int, processes: int) -> None:
    step = step_of(settings(discriminator_steps=k, ema_half_life_images=50))
    before = weights(step.generator_ema)
    step.update(batches(k), Draws(0, 0, 0, processes, CPU), 1.0, 10**6)
    keep = 0.5 ** (k * BATCH * processes / 50)
    torch.testing.assert_close(
        weights(step.generator_ema), keep * before + (1.0 - keep) * weights(step.generator), rtol=1e-4, atol=1e-6
    )
    assert not torch.equal(before, weights(step.generator))


# -- stopping in time ---------------------------------------------------------------------------------


def everything(step: GanStep) -> Tensor:
    return torch.cat([weights(network) for network in step.networks.values()])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_discriminator_loss_that_is_not_finite_stops_before_anything_moves(value: float) -> None:
    step = step_of(settings())
    before = everything(step)
    with pytest.raises(TrainingError, match="discriminator loss became"):
        step.update([torch.full((BATCH, 2), value)], draws(), 1.0, 0)
    assert torch.equal(everything(step), before)


def test_a_penalty_that_is_not_finite_stops_too() -> None:
    step = step_of(settings(r1_weight=1e38))
    with torch.no_grad():
        for parameter in step.discriminator.parameters():
            parameter.mul_(1e3)
    before = everything(step)
    with pytest.raises(TrainingError, match="discriminator loss became inf"):
        step.update(batches(1), draws(), 1.0, 0)
    assert torch.equal(everything(step), before)


def test_a_generator_loss_that_is_not_finite_stops_before_the_generator_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = step_of(settings(objective=NonSaturatingSettings()))
    before = weights(step.generator), weights(step.generator_ema)
    monkeypatch.setattr(adversarial, "generator_non_saturating", lambda fake: fake.mean() * math.nan)
    with pytest.raises(TrainingError, match="generator loss became nan"):
        step.update(batches(1), draws(), 1.0, 0)
    assert torch.equal(weights(step.generator), before[0])
    assert torch.equal(weights(step.generator_ema), before[1])
    assert all(parameter.requires_grad for parameter in step.discriminator.parameters())


# -- terms --------------------------------------------------------------------------------------------


class Quadratic(nn.Module):
    """D(x) = c ‖x‖² / 2, so ‖∇D(x)‖² = c² ‖x‖²."""

    def __init__(self) -> None:
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, sample: Tensor) -> Tensor:
        return 0.5 * self.curvature * sample.square().flatten(1).sum(dim=1)


def sides(requires_grad: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    fake = 2.0 * torch.randn(6, 2, generator=generator, dtype=torch.float64) + 1.0
    return real, fake.requires_grad_(requires_grad)


@pytest.mark.parametrize(("r1", "r2"), [(0.0, 0.0), (2.0, 0.0), (0.0, 3.0), (2.0, 3.0)])
def test_penalties_are_half_gamma_times_the_mean_on_their_own_side(r1: float, r2: float) -> None:
    discriminator, (real, fake) = Quadratic(), sides()
    losses = discriminator_losses(discriminator, real, fake, settings(r1_weight=r1, r2_weight=r2))
    curvature = discriminator.curvature.item()
    at_real, at_fake = (curvature**2 * side.square().sum(dim=1).mean().item() for side in (real, fake))
    assert losses.r1.item() == pytest.approx(0.5 * r1 * at_real)
    assert losses.r2.item() == pytest.approx(0.5 * r2 * at_fake)
    assert at_fake > 2.0 * at_real  # so that exchanging the sides would show
    torch.testing.assert_close(losses.total, losses.adversarial + losses.r1 + losses.r2)


def test_penalties_teach_the_discriminator() -> None:
    """d/dc of gamma/2 · c² E‖x‖² is gamma · c E‖x‖²."""
    discriminator, (real, fake) = Quadratic(), sides()
    losses = discriminator_losses(discriminator, real, fake, settings(r1_weight=2.0, r2_weight=0.0))
    (gradient,) = torch.autograd.grad(losses.r1, discriminator.curvature)
    torch.testing.assert_close(gradient, 2.0 * discriminator.curvature.detach() * real.square().sum(dim=1).mean())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_each_objective_is_its_pair_of_formulas(objective: Objective) -> None:
    discriminator, (real, fake) = Quadratic(), sides()
    at_real, at_fake = discriminator(real).detach(), discriminator(fake).detach()
    game = -(logsigmoid(at_real).mean() + logsigmoid(-at_fake).mean())
    expected_discriminator, expected_generator = {
        "minimax": (game, logsigmoid(-at_fake).mean()),
        "non-saturating": (game, -logsigmoid(at_fake).mean()),
        "relativistic": (-logsigmoid(at_real - at_fake).mean(), -logsigmoid(at_fake - at_real).mean()),
    }[objective.kind]
    found = discriminator_losses(discriminator, real, fake, settings(objective=objective)).adversarial
    torch.testing.assert_close(found.detach(), expected_discriminator)
    torch.testing.assert_close(generator_loss(discriminator, real, fake, objective).detach(), expected_generator)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_gradients_flow_to_the_player_who_moves(objective: Objective) -> None:
    discriminator, (real, fake) = Quadratic(), sides(requires_grad=True)
    total = discriminator_losses(discriminator, real, fake, settings(objective=objective)).total
    (leaked,) = torch.autograd.grad(total, fake, allow_unused=True)
    assert leaked is None
    (gradient,) = torch.autograd.grad(generator_loss(discriminator, real, fake, objective), fake)
    assert gradient.abs().min() > 0


# -- what a trained discriminator knows ---------------------------------------------------------------


def trained_discriminator(p: Normal, q: Normal, objective: Objective, updates: int = 500) -> Discriminator:
    """A small discriminator on unlimited samples of two densities in the plane that differ along its first axis."""
    torch.manual_seed(0)
    configured = settings(objective=objective, r1_weight=0.0, r2_weight=0.0)
    discriminator = Discriminator(MlpSettings(hidden_width=24, hidden_layers=2), (2,))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1.0 - update / updates)
        losses = discriminator_losses(discriminator, *plane(p, q, 512), configured)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    return discriminator


def plane(p: Normal, q: Normal, rows: int) -> tuple[Tensor, Tensor]:
    real, fake = (torch.stack([side.sample((rows,)), torch.randn(rows)], dim=1) for side in (p, q))
    return real, fake


def integrated_jsd(p: Normal, q: Normal) -> float:
    grid = torch.linspace(-30.0, 30.0, 60_001, dtype=torch.float64)
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    log_m = torch.logaddexp(log_p, log_q) - LOG_2
    return 0.5 * float(
        torch.trapezoid(log_p.exp() * (log_p - log_m), grid) + torch.trapezoid(log_q.exp() * (log_q - log_m), grid)
    )


def test_a_trained_discriminator_converges_to_the_optimum() -> None:
    """D* = p / (p + q) (Goodfellow et al. 2014, proposition 1)."""
    p, q = Normal(1.0, 1.0), Normal(-0.5, 0.7)
    discriminator = trained_discriminator(p, q, NonSaturatingSettings())
    with torch.no_grad():
        real, fake = plane(p, q, 20_000)
        both = torch.cat([real, fake])
        found = torch.sigmoid(discriminator(both))
        optimum = torch.sigmoid(p.log_prob(both[:, 0]) - q.log_prob(both[:, 0]))
        assert (found - optimum).abs().mean() < 0.02
        assert optimum.min() < 0.1
        assert optimum.max() > 0.9  # there was something to learn
        bound = jsd_lower_bound(discriminator(real), discriminator(fake))
    assert bound == pytest.approx(integrated_jsd(p, q), abs=0.01)


def test_a_trained_critic_knows_the_log_ratio_up_to_its_offset() -> None:
    p, q = Normal(1.0, 1.0), Normal(-0.5, 0.7)
    critic = trained_discriminator(p, q, RelativisticSettings())
    with torch.no_grad():
        real, fake = plane(p, q, 20_000)
        both = torch.cat([real, fake])
        log_ratio = p.log_prob(both[:, 0]) - q.log_prob(both[:, 0])
        inside = log_ratio.abs() < 3.0
        residual = (critic(both) - log_ratio)[inside]
        assert (residual - residual.mean()).abs().mean() < 0.15
        bound = calibrated_jsd_lower_bound(critic(real) + 5.0, critic(fake) + 5.0)
    assert bound == pytest.approx(integrated_jsd(p, q), abs=0.015)


def test_at_equal_densities_the_discriminator_says_one_half() -> None:
    p = Normal(0.0, 1.0)
    discriminator = trained_discriminator(p, p, NonSaturatingSettings(), updates=300)
    with torch.no_grad():
        real, fake = plane(p, p, 5000)
        assert (torch.sigmoid(discriminator(real)) - 0.5).abs().mean() < 0.03
        assert jsd_lower_bound(discriminator(real), discriminator(fake)) < 0.005


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_generator_moves_towards_the_data(objective: Objective) -> None:
    configured = settings(
        objective=objective, r1_weight=0.1, r2_weight=0.1, generator_learning_rate=3e-3, ema_half_life_images=1000
    )
    step = step_of(configured)
    center = torch.tensor([1.5, -1.0])
    latent = draws(seed=9).normal("probe", 500, 3)
    start = (step.sample(latent).mean(dim=0) - center).norm()
    generator = torch.Generator().manual_seed(2)
    for update in range(250):
        step.update([center + 0.3 * torch.randn(64, 2, generator=generator)], draws(update), 1.0, 64 * update)
    assert (step.sample(latent).mean(dim=0) - center).norm() < 0.35 * start


# -- reports ------------------------------------------------------------------------------------------


def test_the_report_holds_the_terms_of_the_last_update() -> None:
    step = step_of(settings(objective=NonSaturatingSettings(), r1_weight=0.5, r2_weight=0.0))
    (real,) = batches(1)
    fake = step.generator(draws().normal("discriminator-0", BATCH, 3))
    expected = discriminator_losses(copy.deepcopy(step.discriminator), real, fake, step.settings)
    step.update([real], draws(), 0.0, 0)  # nothing moves
    report = step.report()
    assert set(report) == {"discriminator_loss", "generator_loss", "r1", "r2"}
    assert report["discriminator_loss"] == pytest.approx(expected.adversarial.item(), rel=1e-5)
    assert report["r1"] == pytest.approx(expected.r1.item(), rel=1e-5)
    assert report["r2"] == 0.0
    fake = step.generator(draws().normal("generator", BATCH, 3))
    assert report["generator_loss"] == pytest.approx(-logsigmoid(step.discriminator(fake)).mean().item(), rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_diagnosis_bounds_the_jsd_on_both_splits(objective: Objective) -> None:
    step = step_of(settings(objective=objective))
    train, held_out = 2.0 + torch.randn(600, 2), -2.0 + torch.randn(400, 2)
    fake = step.generator(draws().normal("diagnose", 600, 3))
    bound = calibrated_jsd_lower_bound if objective.kind == "relativistic" else jsd_lower_bound
    with torch.no_grad():
        expected = {
            "train": bound(step.discriminator(train), step.discriminator(fake)),
            "held_out": bound(step.discriminator(held_out), step.discriminator(fake[:400])),
        }
    found = step.diagnose(train, held_out, draws())
    assert set(found) == {f"jsd_bound_{split}{unit}" for split in expected for unit in ("", "_share_of_log2")}
    for split, value in expected.items():
        assert found[f"jsd_bound_{split}"] == pytest.approx(value, abs=1e-6)
        assert found[f"jsd_bound_{split}_share_of_log2"] == pytest.approx(value / LOG_2, abs=1e-6)
    assert max(expected.values()) > 0.01


def test_a_relativistic_critics_offset_does_not_change_the_diagnosis() -> None:
    def bounds(objective: Objective, offset: float) -> float:
        step = step_of(settings(objective=objective))
        with torch.no_grad():
            list(step.discriminator.parameters())[-1].add_(offset)
        generator = torch.Generator().manual_seed(3)
        real = 2.0 + torch.randn(400, 2, generator=generator)
        return step.diagnose(real, real, draws())["jsd_bound_held_out"]

    assert bounds(RelativisticSettings(), 20.0) == pytest.approx(bounds(RelativisticSettings(), 0.0), abs=1e-4)
    assert bounds(NonSaturatingSettings(), 20.0) == 0.0  # negative control


def test_sampling_is_by_the_averaged_generator() -> None:
    step = step_of(settings())
    latent = draws().normal("probe", 5, 3)
    reference = step.sample(latent)
    with torch.no_grad():
        for parameter in step.generator.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(latent), reference)
    with torch.no_grad():
        for parameter in step.generator_ema.parameters():
            parameter.add_(1.0)
    assert not torch.equal(step.sample(latent), reference)
    assert not reference.requires_grad


def test_pictures_are_sampled_between_zero_and_one() -> None:
    small = ConvolutionalSettings(base_channels=2, max_channels=4)
    configured = GanSettings(latent_size=3, generator=small, discriminator=small)
    step = step_of(configured, (1, 8, 8))
    step.update(batches(1, (1, 8, 8)), draws(), 1.0, 0)
    latent = 20.0 * draws().normal("probe", 50, 3)
    images = step.sample(latent)
    assert images.shape == (50, 1, 8, 8)
    assert images.min() >= 0.0
    assert images.min() < 0.1
    assert 0.9 < images.max() <= 1.0
    torch.testing.assert_close(2.0 * images - 1.0, step.generator_ema(latent), atol=1e-6, rtol=0)


def test_every_network_and_optimizer_is_named_for_the_checkpoint() -> None:
    step = step_of(settings())
    assert set(step.networks) == {"generator", "discriminator", "generator_ema"}
    assert step.optimizers == {"generator": step.generator_optimizer, "discriminator": step.discriminator_optimizer}
    assert step.latent_size == 3
    assert torch.equal(weights(step.generator), weights(step.generator_ema))
