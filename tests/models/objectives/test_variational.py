"""The terms of the evidence lower bound against integrals, sampling and torch's distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from models.objectives.variational import (
    bernoulli_negative_log_likelihood,
    gaussian_negative_log_likelihood,
    kl_mean_part,
    kl_to_standard_normal,
    kl_variance_part,
    reparameterize,
    squared_error,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MEAN, LOG_VARIANCE = normal(6, 4, seed=1), 1.5 * normal(6, 4, seed=2)


def test_kl_is_the_one_of_torchs_distributions() -> None:
    expected = kl_divergence(Normal(MEAN, torch.exp(0.5 * LOG_VARIANCE)), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(MEAN, LOG_VARIANCE), expected)


def test_kl_is_its_integral() -> None:
    z = torch.linspace(-80.0, 80.0, 160_001, dtype=torch.float64)
    prior = Normal(torch.zeros((), dtype=torch.float64), 1.0)
    for mean, log_variance in [(0.0, 0.0), (1.5, 0.0), (0.0, 1.7), (-2.0, -1.3), (0.7, 3.0)]:
        center, spread = (torch.tensor([[value]], dtype=torch.float64) for value in (mean, log_variance))
        posterior = Normal(center[0, 0], math.exp(0.5 * log_variance))
        log_q = posterior.log_prob(z)
        integral = torch.trapezoid(log_q.exp() * (log_q - prior.log_prob(z)), z)
        torch.testing.assert_close(kl_to_standard_normal(center, spread)[0, 0], integral, atol=1e-8, rtol=0)


def test_kl_is_what_sampling_finds() -> None:
    draws = 200_000
    z = reparameterize(MEAN[0], LOG_VARIANCE[0], normal(draws, 4, seed=3))
    log_ratio = Normal(MEAN[0], torch.exp(0.5 * LOG_VARIANCE[0])).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    standard_error = log_ratio.std(dim=0) / math.sqrt(draws)
    assert ((log_ratio.mean(dim=0) - kl_to_standard_normal(MEAN[0], LOG_VARIANCE[0])).abs() < 4 * standard_error).all()


def test_mean_part_and_variance_part_are_the_whole() -> None:
    parts = kl_mean_part(MEAN) + kl_variance_part(LOG_VARIANCE)
    torch.testing.assert_close(parts, kl_to_standard_normal(MEAN, LOG_VARIANCE))
    zeros = torch.zeros_like(MEAN)
    torch.testing.assert_close(kl_to_standard_normal(MEAN, zeros), 0.5 * MEAN.square())
    variance = LOG_VARIANCE.exp()
    torch.testing.assert_close(kl_to_standard_normal(zeros, LOG_VARIANCE), 0.5 * (variance - torch.log(variance) - 1.0))


def test_kl_is_zero_for_the_standard_normal_alone() -> None:
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert kl_to_standard_normal(zero, zero).item() == 0.0
    for move in (1e-3, -1e-3, 0.5, -0.5, 4.0, -4.0):
        assert kl_to_standard_normal(zero + move, zero).item() > 0.0
        assert kl_to_standard_normal(zero, zero + move).item() > 0.0
    assert (kl_mean_part(MEAN) > 0).all()
    assert (kl_variance_part(LOG_VARIANCE) > 0).all()


def test_variance_part_keeps_its_digits_near_one() -> None:
    """(e^v - v - 1) / 2 is v²/4 for small v; subtracting 1 from e^v in float32 would lose it."""
    tiny = torch.tensor([[1e-3]])
    torch.testing.assert_close(kl_variance_part(tiny), torch.tensor([[2.5e-7]]), rtol=1e-2, atol=0)


def test_reparameterization_has_the_posteriors_moments() -> None:
    draws = 200_000
    z = reparameterize(MEAN[0], LOG_VARIANCE[0], normal(draws, 4, seed=3))
    sigma = torch.exp(0.5 * LOG_VARIANCE[0])
    assert ((z.mean(dim=0) - MEAN[0]).abs() < 4.0 * sigma / math.sqrt(draws)).all()
    torch.testing.assert_close(z.std(dim=0), sigma, rtol=4.0 / math.sqrt(2 * draws), atol=0)
    torch.testing.assert_close(reparameterize(MEAN, LOG_VARIANCE, torch.zeros_like(MEAN)), MEAN)


def test_reparameterization_gradients_reach_mean_and_sigma() -> None:
    """dz/dmu = 1, dz/dsigma = eps, so dz/dlog sigma² = eps sigma / 2."""
    noise = normal(6, 4, seed=3)
    mean, log_variance = MEAN.clone().requires_grad_(), LOG_VARIANCE.clone().requires_grad_()
    at_mean, at_log_variance = torch.autograd.grad(
        reparameterize(mean, log_variance, noise).sum(), (mean, log_variance)
    )
    torch.testing.assert_close(at_mean, torch.ones_like(MEAN))
    torch.testing.assert_close(at_log_variance, 0.5 * noise * torch.exp(0.5 * LOG_VARIANCE))
    assert torch.autograd.gradcheck(lambda m, v: reparameterize(m, v, noise), (mean, log_variance))


def test_reparameterized_gradient_of_an_expectation() -> None:
    """E z² = mu² + sigma², whose derivatives are 2 mu and (by log sigma²) sigma²."""
    mean = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    log_variance = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    expectation = reparameterize(mean, log_variance, normal(400_000, seed=4)).square().mean()
    at_mean, at_log_variance = torch.autograd.grad(expectation, (mean, log_variance))
    assert at_mean.item() == pytest.approx(1.4, abs=0.01)
    assert at_log_variance.item() == pytest.approx(math.exp(-0.4), abs=0.01)


@pytest.mark.parametrize("shape", [(5, 7), (5, 2, 3, 4)])
def test_bernoulli_is_the_sum_over_pixels(shape: tuple[int, ...]) -> None:
    logits, target = normal(*shape, seed=5), (normal(*shape, seed=6) > 0).double()
    distribution = Independent(Bernoulli(logits=logits), len(shape) - 1)
    found = bernoulli_negative_log_likelihood(logits, target)
    assert found.shape == (5,)
    torch.testing.assert_close(found, -distribution.log_prob(target))


def test_bernoulli_of_grey_pixels_is_the_cross_entropy() -> None:
    logits, target = normal(5, 1, 3, 3, seed=5), torch.sigmoid(normal(5, 1, 3, 3, seed=6))
    probability = torch.sigmoid(logits)
    expected = -(target * probability.log() + (1.0 - target) * (1.0 - probability).log()).sum(dim=(1, 2, 3))
    torch.testing.assert_close(bernoulli_negative_log_likelihood(logits, target), expected)


@pytest.mark.parametrize("shape", [(5, 7), (5, 2, 3, 4)])
@pytest.mark.parametrize("log_variance", [0.0, -2.0, 1.3])
def test_gaussian_is_the_sum_over_pixels(shape: tuple[int, ...], log_variance: float) -> None:
    location, target = normal(*shape, seed=5), normal(*shape, seed=6)
    distribution = Independent(Normal(location, math.exp(0.5 * log_variance)), len(shape) - 1)
    found = gaussian_negative_log_likelihood(location, torch.tensor(log_variance, dtype=torch.float64), target)
    assert found.shape == (5,)
    torch.testing.assert_close(found, -distribution.log_prob(target))


def test_the_best_gaussian_variance_is_the_mean_squared_error() -> None:
    location, target = normal(50, 9, seed=5), normal(50, 9, seed=6)
    best = (target - location).square().mean().log().requires_grad_()
    (slope,) = torch.autograd.grad(gaussian_negative_log_likelihood(location, best, target).sum(), best)
    assert slope.item() == pytest.approx(0.0, abs=1e-9)


def test_squared_error_is_the_sum_over_pixels() -> None:
    location, target = normal(5, 2, 3, 4, seed=5), normal(5, 2, 3, 4, seed=6)
    expected = torch.stack([torch.dist(a, b) ** 2 for a, b in zip(location, target, strict=True)])
    torch.testing.assert_close(squared_error(location, target), expected)
    assert squared_error(target, target).abs().max() == 0.0


@pytest.mark.parametrize("function", [bernoulli_negative_log_likelihood, squared_error])
def test_gradients_match_central_differences(function: object) -> None:
    logits, target = normal(2, 3, seed=5).requires_grad_(), torch.sigmoid(normal(2, 3, seed=6))
    assert callable(function)
    assert torch.autograd.gradcheck(lambda at: function(at, target), (logits,))


def test_kl_and_gaussian_gradients_match_central_differences() -> None:
    mean, log_variance = MEAN.clone().requires_grad_(), LOG_VARIANCE.clone().requires_grad_()
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mean, log_variance))
    target, scale = normal(2, 3, seed=6), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    location = normal(2, 3, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda at, width: gaussian_negative_log_likelihood(at, width, target), (location, scale)
    )
