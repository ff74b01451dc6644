"""The losses of both players against the formulas written out, and the gradients that the theory is about."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.objectives import adversarial

PAIRS = {
    "discriminator_cross_entropy": adversarial.discriminator_cross_entropy,
    "discriminator_least_squares": adversarial.discriminator_least_squares,
    "discriminator_hinge": adversarial.discriminator_hinge,
    "critic_wasserstein": adversarial.critic_wasserstein,
    "discriminator_relativistic": adversarial.discriminator_relativistic,
    "generator_relativistic": adversarial.generator_relativistic,
}
SINGLES = {
    "generator_saturating": adversarial.generator_saturating,
    "generator_non_saturating": adversarial.generator_non_saturating,
    "generator_least_squares": adversarial.generator_least_squares,
    "generator_mean_score": adversarial.generator_mean_score,
    "generator_forward_kl": adversarial.generator_forward_kl,
}
GOODFELLOW = {name: SINGLES[name] for name in ("generator_saturating", "generator_non_saturating")}


def logits(rows: int = 7, *, requires_grad: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, fake = (2.0 * torch.randn(rows, generator=generator, dtype=torch.float64) for _ in range(2))
    return real.requires_grad_(requires_grad), fake.requires_grad_(requires_grad)


def central_differences(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    moves = step * torch.eye(len(at), dtype=at.dtype)
    return torch.stack([(function(at + move) - function(at - move)) / (2.0 * step) for move in moves])


def test_cross_entropy_is_minus_the_value_of_the_game() -> None:
    real, fake = logits()
    value = torch.log(torch.sigmoid(real)).mean() + torch.log(1.0 - torch.sigmoid(fake)).mean()
    torch.testing.assert_close(adversarial.discriminator_cross_entropy(real, fake), -value)


def test_saturating_is_the_generators_share_of_the_value() -> None:
    _, fake = logits()
    torch.testing.assert_close(adversarial.generator_saturating(fake), torch.log(1.0 - torch.sigmoid(fake)).mean())


def test_non_saturating_is_minus_log_d() -> None:
    _, fake = logits()
    torch.testing.assert_close(adversarial.generator_non_saturating(fake), -torch.log(torch.sigmoid(fake)).mean())


def test_least_squares_is_half_the_mean_squared_miss_of_the_targets() -> None:
    real, fake = logits()
    assert float(adversarial.discriminator_least_squares(real, fake)) == pytest.approx(
        sum((value - 1.0) ** 2 for value in real.tolist()) / 14.0 + sum(value**2 for value in fake.tolist()) / 14.0
    )
    assert float(adversarial.generator_least_squares(fake)) == pytest.approx(
        sum((value - 1.0) ** 2 for value in fake.tolist()) / 14.0
    )


def test_hinge_is_the_mean_shortfall_of_the_margin() -> None:
    real, fake = logits()
    expected = sum(max(0.0, 1.0 - value) for value in real.tolist()) / 7.0
    expected += sum(max(0.0, 1.0 + value) for value in fake.tolist()) / 7.0
    assert float(adversarial.discriminator_hinge(real, fake)) == pytest.approx(expected)


def test_wasserstein_is_the_difference_of_the_means() -> None:
    real, fake = logits()
    expected = sum(fake.tolist()) / 7.0 - sum(real.tolist()) / 7.0
    assert float(adversarial.critic_wasserstein(real, fake)) == pytest.approx(expected)
    assert float(adversarial.generator_mean_score(fake)) == pytest.approx(-sum(fake.tolist()) / 7.0)


def test_forward_kl_is_minus_the_mean_density_ratio() -> None:
    _, fake = logits()
    expected = -sum(math.exp(value) for value in fake.tolist()) / 7.0
    assert float(adversarial.generator_forward_kl(fake)) == pytest.approx(expected)


def test_relativistic_is_the_cross_entropy_of_the_differences() -> None:
    real, fake = logits()
    torch.testing.assert_close(
        adversarial.discriminator_relativistic(real, fake), -torch.log(torch.sigmoid(real - fake)).mean()
    )
    torch.testing.assert_close(
        adversarial.generator_relativistic(real, fake), -torch.log(torch.sigmoid(fake - real)).mean()
    )


@pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)
def test_gradients_of_pairs_match_central_differences(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    real, fake = logits(requires_grad=True)
    at_real, at_fake = torch.autograd.grad(loss(real, fake), (real, fake))
    real, fake = real.detach(), fake.detach()
    torch.testing.assert_close(at_real, central_differences(lambda moved: loss(moved, fake), real), atol=1e-8, rtol=0)
    torch.testing.assert_close(at_fake, central_differences(lambda moved: loss(real, moved), fake), atol=1e-8, rtol=0)


@pytest.mark.parametrize("loss", SINGLES.values(), ids=SINGLES)
def test_gradients_of_singles_match_central_differences(loss: Callable[[Tensor], Tensor]) -> None:
    _, fake = logits(requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(fake), fake)
    torch.testing.assert_close(gradient, central_differences(loss, fake.detach()), atol=1e-7, rtol=0)


@pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)
def test_losses_are_means(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Showing every sample twice changes nothing."""
    real, fake = logits()
    torch.testing.assert_close(loss(real.repeat(2), fake.repeat(2)), loss(real, fake))
    assert loss(real, fake).shape == ()


@pytest.mark.parametrize("loss", SINGLES.values(), ids=SINGLES)
def test_generator_losses_are_means(loss: Callable[[Tensor], Tensor]) -> None:
    _, fake = logits()
    torch.testing.assert_close(loss(fake.repeat(2)), loss(fake))
    assert loss(fake).shape == ()


@pytest.mark.parametrize(
    "loss",
    [
        adversarial.discriminator_cross_entropy,
        adversarial.discriminator_least_squares,
        adversarial.discriminator_hinge,
        adversarial.critic_wasserstein,
    ],
)
def test_sides_of_different_length_weigh_the_same(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    real, fake = logits()
    torch.testing.assert_close(loss(real.repeat(3), fake), loss(real, fake))


def mean_gradient_per_sample(loss: Callable[[Tensor], Tensor], logit: float) -> float:
    """Mean over samples of each one's own d loss / d logit."""
    fake = torch.full((16,), logit, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(fake), fake)
    return float((gradient * len(fake)).mean())


def test_where_an_early_generator_lives_only_one_loss_teaches() -> None:
    """D(G(z)) near 0: log(1 - D) is flat there, -log D is steep."""
    assert mean_gradient_per_sample(adversarial.generator_saturating, -15.0) == pytest.approx(0.0, abs=1e-6)
    assert mean_gradient_per_sample(adversarial.generator_non_saturating, -15.0) == pytest.approx(-1.0, abs=1e-6)


def test_forward_kl_too_is_flat_where_an_early_generator_lives_and_reverse_kl_is_not() -> None:
    assert mean_gradient_per_sample(adversarial.generator_forward_kl, -15.0) == pytest.approx(0.0, abs=1e-6)
    assert mean_gradient_per_sample(adversarial.generator_mean_score, -15.0) == -1.0


def test_at_the_fixed_point_both_generator_losses_agree() -> None:
    saturating, non_saturating = (mean_gradient_per_sample(loss, 0.0) for loss in GOODFELLOW.values())
    assert saturating == pytest.approx(-0.5)
    assert non_saturating == pytest.approx(-0.5)


def test_at_the_fixed_point_both_directions_of_the_kl_agree() -> None:
    assert mean_gradient_per_sample(adversarial.generator_forward_kl, 0.0) == -1.0
    assert mean_gradient_per_sample(adversarial.generator_mean_score, 0.0) == -1.0


@pytest.mark.parametrize("name", sorted(set(SINGLES) - {"generator_least_squares"}))
def test_generator_losses_push_towards_real_everywhere(name: str) -> None:
    for logit in torch.linspace(-12.0, 12.0, 25).tolist():
        assert mean_gradient_per_sample(SINGLES[name], logit) < 0.0


def test_least_squares_pulls_the_generator_to_the_target_from_both_sides() -> None:
    for logit in (-3.0, 0.0, 0.9, 1.0, 1.1, 4.0):
        assert mean_gradient_per_sample(adversarial.generator_least_squares, logit) == pytest.approx(logit - 1.0)


@pytest.mark.parametrize(("real_count", "fake_count"), [(1, 3), (4, 4), (7, 2)])
def test_least_squares_is_best_at_the_share_of_real(real_count: int, fake_count: int) -> None:
    """At one point that real samples visit with density a and generated ones with b, D* = a / (a + b)."""
    rows = 8
    value = torch.tensor(real_count / (real_count + fake_count), dtype=torch.float64, requires_grad=True)
    real = torch.cat([value.expand(real_count), torch.ones(rows - real_count, dtype=torch.float64)])
    fake = torch.cat([value.expand(fake_count), torch.zeros(rows - fake_count, dtype=torch.float64)])
    (slope,) = torch.autograd.grad(adversarial.discriminator_least_squares(real, fake), value)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)


def test_hinge_stops_caring_beyond_its_margin() -> None:
    real = torch.tensor([1.5, 0.5, -3.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([-1.5, -0.5, 3.0], dtype=torch.float64, requires_grad=True)
    at_real, at_fake = torch.autograd.grad(adversarial.discriminator_hinge(real, fake), (real, fake))
    third = 1.0 / 3.0
    torch.testing.assert_close(at_real, torch.tensor([0.0, -third, -third], dtype=torch.float64))
    torch.testing.assert_close(at_fake, torch.tensor([0.0, third, third], dtype=torch.float64))
    assert adversarial.discriminator_hinge(torch.tensor([1.0, 9.0]), torch.tensor([-1.0, -9.0])) == 0.0


def test_wasserstein_exchanges_its_sign_with_its_sides_and_ignores_an_offset() -> None:
    real, fake = logits()
    forward = adversarial.critic_wasserstein(real, fake)
    torch.testing.assert_close(adversarial.critic_wasserstein(fake, real), -forward)
    torch.testing.assert_close(adversarial.critic_wasserstein(real + 3.0, fake + 3.0), forward)
    torch.testing.assert_close(adversarial.critic_wasserstein(5.0 * real, 5.0 * fake), 5.0 * forward)


def test_wasserstein_of_the_best_critic_is_minus_the_distance() -> None:
    """Two laws on a line a shift apart: the best 1-Lipschitz critic is x itself, the distance is the shift."""
    fake, _ = logits()
    torch.testing.assert_close(
        adversarial.critic_wasserstein(fake + 2.5, fake), torch.tensor(-2.5, dtype=torch.float64)
    )


@pytest.mark.parametrize(
    ("discriminator", "generator"),
    [
        (adversarial.discriminator_cross_entropy, adversarial.generator_saturating),
        (adversarial.critic_wasserstein, adversarial.generator_mean_score),
    ],
)
def test_minimax_is_a_zero_sum_game(
    discriminator: Callable[[Tensor, Tensor], Tensor], generator: Callable[[Tensor], Tensor]
) -> None:
    real, fake = logits(requires_grad=True)
    (discriminators,) = torch.autograd.grad(discriminator(real, fake), fake)
    (generators,) = torch.autograd.grad(generator(fake), fake)
    torch.testing.assert_close(discriminators, -generators)


def test_cross_entropy_at_the_equilibrium() -> None:
    """D = 1/2 everywhere: V = -2 log 2."""
    zeros = torch.zeros(5, dtype=torch.float64)
    torch.testing.assert_close(adversarial.discriminator_cross_entropy(zeros, zeros), 2.0 * torch.log(zeros[0] + 2.0))


def test_relativistic_players_are_each_others_mirror() -> None:
    real, fake = logits()
    torch.testing.assert_close(
        adversarial.generator_relativistic(real, fake), adversarial.discriminator_relativistic(fake, real)
    )
    difference = adversarial.generator_relativistic(real, fake) - adversarial.discriminator_relativistic(real, fake)
    torch.testing.assert_close(difference, (real - fake).mean())  # softplus(x) - softplus(-x) = x


def test_relativistic_gradients_are_opposite_on_each_pair() -> None:
    real, fake = logits(requires_grad=True)
    for loss in (adversarial.discriminator_relativistic, adversarial.generator_relativistic):
        at_real, at_fake = torch.autograd.grad(loss(real, fake), (real, fake))
        torch.testing.assert_close(at_real, -at_fake)
    assert (torch.autograd.grad(adversarial.discriminator_relativistic(real, fake), real)[0] < 0).all()


def test_a_relativistic_critics_offset_is_free() -> None:
    real, fake = logits()
    for loss in (adversarial.discriminator_relativistic, adversarial.generator_relativistic):
        torch.testing.assert_close(loss(real + 3.0, fake + 3.0), loss(real, fake))
    moved = adversarial.discriminator_cross_entropy(real + 3.0, fake + 3.0)  # negative control
    assert abs(float(moved - adversarial.discriminator_cross_entropy(real, fake))) > 0.1


def test_relativistic_compares_pairs_and_not_means() -> None:
    real, fake = logits()
    assert not torch.isclose(
        adversarial.discriminator_relativistic(real, fake), adversarial.discriminator_relativistic(real, fake.flip(0))
    )


def test_extreme_logits_stay_finite() -> None:
    real, fake = torch.tensor([1e4, -1e4]), torch.tensor([-1e4, 1e4])
    for pair in PAIRS.values():
        assert torch.isfinite(pair(real, fake))
    for name, single in SINGLES.items():
        assert torch.isfinite(single(fake)) == (name != "generator_forward_kl")  # a ratio of e^10000 is no number
