"""Every game's two losses against the formulas written out, the penalties, and what a trained discriminator knows."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from models.config import (
    ForwardKlSettings,
    HingeSettings,
    LeastSquaresSettings,
    MinimaxSettings,
    MlpSettings,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
    ReverseKlSettings,
    WassersteinSettings,
)
from models.diagnostics import LOG_2, calibrated_jsd_lower_bound, jsd_lower_bound
from models.networks.build import Discriminator
from models.steps.batch import Moment
from models.steps.game import (
    DiscriminatorLosses,
    Penalties,
    discriminator_losses,
    generator_loss,
    logit_is_log_ratio,
)
from tests.models.steps.small import ROWS, STILL, batches, draws, gan, gan_settings, gradients

OBJECTIVES: list[Objective] = [
    MinimaxSettings(),
    NonSaturatingSettings(),
    LeastSquaresSettings(),
    HingeSettings(),
    WassersteinSettings(),
    RelativisticSettings(),
    ForwardKlSettings(),
    ReverseKlSettings(),
]
EVERY_OBJECTIVE = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)


def discriminator_formula(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    match kind:
        case "least-squares":
            return ((real - 1.0) ** 2).mean() / 2.0 + (fake**2).mean() / 2.0
        case "hinge":
            return (1.0 - real).clamp(min=0.0).mean() + (1.0 + fake).clamp(min=0.0).mean()
        case "wasserstein":
            return fake.mean() - real.mean()
        case "relativistic":
            return -torch.sigmoid(real - fake).log().mean()
        case _:
            return -torch.sigmoid(real).log().mean() - (1.0 - torch.sigmoid(fake)).log().mean()


def generator_formula(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    match kind:
        case "minimax":
            return (1.0 - torch.sigmoid(fake)).log().mean()
        case "non-saturating":
            return -torch.sigmoid(fake).log().mean()
        case "least-squares":
            return ((fake - 1.0) ** 2).mean() / 2.0
        case "relativistic":
            return -torch.sigmoid(fake - real).log().mean()
        case "forward-kl":
            return -fake.exp().mean()
        case _:
            return -fake.mean()


def slope(discriminator: nn.Module, samples: Tensor) -> Tensor:
    """∇D at every sample, one sample at a time, [N, ...]."""
    rows = []
    for row in samples.detach():
        at = row.unsqueeze(0).requires_grad_(True)
        rows.append(torch.autograd.grad(discriminator(at).sum(), at, create_graph=True)[0])
    return torch.cat(rows)


# -- the step's gradients -----------------------------------------------------------------------------


@EVERY_OBJECTIVE
def test_the_steps_gradients_are_those_of_the_formulas(objective: Objective) -> None:
    """Weights of all three penalties included; the formulas in float64, sides and samples apart."""
    step = gan(gan_settings(objective=objective, r1_weight=0.3, r2_weight=0.7, gradient_penalty_weight=2.0))
    (batch,) = batches()
    generator, discriminator = (copy.deepcopy(net).double() for net in (step.generator, step.discriminator))
    step.update([batch], draws(), STILL)
    real = batch.samples.double()

    mine = draws().named("discriminator-0")
    fake = generator(mine.normal("latent", ROWS, 3).double()).detach()
    at = mine.uniform("position", ROWS, 1).double()
    norms = slope(discriminator, at * real + (1.0 - at) * fake).norm(dim=1)
    loss = (
        discriminator_formula(objective.kind, discriminator(real), discriminator(fake))
        + 0.15 * slope(discriminator, real).square().sum(dim=1).mean()
        + 0.35 * slope(discriminator, fake).square().sum(dim=1).mean()
        + 2.0 * (norms - 1.0).square().mean()
    )
    loss.backward()
    torch.testing.assert_close(gradients(step.discriminator).double(), gradients(discriminator), rtol=1e-4, atol=1e-6)

    fake = generator(draws().named("generator").normal("latent", ROWS, 3).double())
    generator_formula(objective.kind, discriminator(real), discriminator(fake)).backward()
    torch.testing.assert_close(gradients(step.generator).double(), gradients(generator), rtol=1e-4, atol=1e-6)
    assert gradients(generator).abs().max() > 1e-3


# -- terms --------------------------------------------------------------------------------------------


class Quadratic(nn.Module):
    """D(x) = c ‖x‖² / 2, so ‖∇D(x)‖² = c² ‖x‖²."""

    def __init__(self, curvature: float = 0.7) -> None:
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor(curvature))

    def forward(self, sample: Tensor, label: Tensor | None = None) -> Tensor:
        return 0.5 * self.curvature * sample.square().flatten(1).sum(dim=1)


def sides(requires_grad: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(6, 2, generator=generator)
    fake = 2.0 * torch.randn(6, 2, generator=generator) + 1.0
    return real, fake.requires_grad_(requires_grad)


def losses_of(
    objective: Objective, penalties: Penalties, position: Tensor | None = None
) -> tuple[Quadratic, DiscriminatorLosses]:
    discriminator, (real, fake) = Quadratic(), sides()
    return discriminator, discriminator_losses(discriminator, real, fake, None, objective, penalties, position)


@EVERY_OBJECTIVE
def test_each_objective_is_its_pair_of_formulas(objective: Objective) -> None:
    discriminator, (real, fake) = Quadratic(0.1), sides()
    at_real, at_fake = discriminator(real).detach(), discriminator(fake).detach()
    losses = discriminator_losses(discriminator, real, fake, None, objective, Penalties())
    torch.testing.assert_close(losses.total.detach(), discriminator_formula(objective.kind, at_real, at_fake))
    torch.testing.assert_close(losses.real_logits, at_real)
    torch.testing.assert_close(losses.fake_logits, at_fake)
    torch.testing.assert_close(
        generator_loss(discriminator, real, fake, None, objective).detach(),
        generator_formula(objective.kind, at_real, at_fake),
    )


@EVERY_OBJECTIVE
def test_gradients_flow_to_the_player_who_moves(objective: Objective) -> None:
    discriminator, (real, fake) = Quadratic(0.1), sides(requires_grad=True)
    total = discriminator_losses(discriminator, real, fake, None, objective, Penalties(r1=1.0, r2=1.0)).total
    (leaked,) = torch.autograd.grad(total, fake, allow_unused=True)
    assert leaked is None
    (gradient,) = torch.autograd.grad(generator_loss(discriminator, real, fake, None, objective), fake)
    assert gradient.abs().min() > 0


@pytest.mark.parametrize(("r1", "r2"), [(0.0, 0.0), (2.0, 0.0), (0.0, 3.0), (2.0, 3.0)])
def test_penalties_are_half_gamma_times_the_mean_on_their_own_side(r1: float, r2: float) -> None:
    discriminator, losses = losses_of(RelativisticSettings(), Penalties(r1=r1, r2=r2))
    curvature = discriminator.curvature.item()
    at_real, at_fake = (curvature**2 * side.square().sum(dim=1).mean().item() for side in sides())
    assert losses.r1.item() == pytest.approx(0.5 * r1 * at_real)
    assert losses.r2.item() == pytest.approx(0.5 * r2 * at_fake)
    assert at_fake > 2.0 * at_real  # so that exchanging the sides would show
    torch.testing.assert_close(losses.total, losses.adversarial + losses.r1 + losses.r2)


def test_penalties_teach_the_discriminator() -> None:
    """d/dc of gamma/2 · c² E‖x‖² is gamma · c E‖x‖²."""
    discriminator, losses = losses_of(RelativisticSettings(), Penalties(r1=2.0))
    (gradient,) = torch.autograd.grad(losses.r1, discriminator.curvature)
    real, _ = sides()
    torch.testing.assert_close(gradient, 2.0 * discriminator.curvature.detach() * real.square().sum(dim=1).mean())


@pytest.mark.parametrize("weight", [0.5, 10.0])
def test_the_unit_gradient_penalty_is_its_formula_at_given_positions(weight: float) -> None:
    """E (c ‖u x + (1 - u) G(z)‖ - 1)², and its derivative by c."""
    position = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    discriminator, losses = losses_of(WassersteinSettings(), Penalties(unit_gradient=weight), position)
    real, fake = sides()
    lengths = (position[:, None] * real + (1.0 - position[:, None]) * fake).norm(dim=1)
    curvature = discriminator.curvature.item()
    torch.testing.assert_close(losses.unit_gradient.detach(), weight * (curvature * lengths - 1.0).square().mean())
    (gradient,) = torch.autograd.grad(losses.unit_gradient, discriminator.curvature)
    torch.testing.assert_close(gradient, weight * (2.0 * (curvature * lengths - 1.0) * lengths).mean())
    torch.testing.assert_close(losses.total, losses.adversarial + losses.unit_gradient)


@pytest.mark.parametrize("factor", [1.0, 2.0, 8.0])
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.2, 0.9])
def test_penalties_follow_the_moments_factor_and_the_schedule(factor: float, progress: float) -> None:
    """R1 and R2 fall to their final share; the unit gradient's weight is the factor's alone."""

    def terms(**changes: Any) -> dict[str, float]:
        moment = Moment(0, progress, learning_rate_share=0.0, penalty_factor=changes.pop("factor", 1.0))
        step = gan(gan_settings(r1_weight=0.3, r2_weight=0.7, gradient_penalty_weight=2.0, **changes))
        step.update(batches(), draws(), moment)
        return step.report()

    bare = terms()
    found = terms(factor=factor, penalty_final_share=0.01, penalty_decay_share=0.2)
    fallen = 0.01 ** min(1.0, progress / 0.2)
    assert found["r1"] == pytest.approx(factor * fallen * bare["r1"], rel=1e-5)
    assert found["r2"] == pytest.approx(factor * fallen * bare["r2"], rel=1e-5)
    assert found["unit_gradient"] == pytest.approx(factor * bare["unit_gradient"], rel=1e-5)
    assert found["discriminator_loss"] == bare["discriminator_loss"]
    assert bare["r1"] > 0


# -- what a trained discriminator knows ---------------------------------------------------------------


def trained_discriminator(p: Normal, q: Normal, objective: Objective, updates: int) -> Discriminator:
    """A small discriminator on unlimited samples of two densities in the plane that differ along its first axis."""
    torch.manual_seed(0)
    discriminator = Discriminator(MlpSettings(hidden_width=24, hidden_layers=2), (2,))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1.0 - update / updates)
        real, fake = plane(p, q, 512)
        losses = discriminator_losses(discriminator, real, fake, None, objective, Penalties())
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
    discriminator = trained_discriminator(p, q, NonSaturatingSettings(), 250)
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
    critic = trained_discriminator(p, q, RelativisticSettings(), 250)
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
    discriminator = trained_discriminator(p, p, NonSaturatingSettings(), 150)
    with torch.no_grad():
        real, fake = plane(p, p, 5000)
        assert (torch.sigmoid(discriminator(real)) - 0.5).abs().mean() < 0.03
        assert jsd_lower_bound(discriminator(real), discriminator(fake)) < 0.005


class Table(nn.Module):
    """D as a table over four places."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, places: Tensor, label: Tensor | None = None) -> Tensor:
        return self.logits[places.long()]


@EVERY_OBJECTIVE
def test_the_logit_is_the_log_ratio_where_that_is_ds_only_optimum(objective: Objective) -> None:
    """On four places with p and q known: cross-entropy is stationary at log p / q alone, pairs at any offset too."""
    q, ratio = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.2, 0.7, 1.55, 4.0])
    p = q * ratio
    assert p.sum().item() == pytest.approx(1.0)

    def is_stationary(logits: Tensor) -> bool:
        table = Table(logits)
        for x in range(4):
            for y in range(4):
                real, fake = torch.tensor([float(x)]), torch.tensor([float(y)])
                losses = discriminator_losses(table, real, fake, None, objective, Penalties())
                (p[x] * q[y] * losses.adversarial).backward()
        assert table.logits.grad is not None
        return bool(table.logits.grad.abs().max() < 1e-6)

    at_ratio, at_offset = is_stationary(ratio.log()), is_stationary(ratio.log() + 2.0)
    assert logit_is_log_ratio(objective) is (at_ratio and not at_offset)
    assert (at_ratio and at_offset) is (objective.kind == "relativistic")
