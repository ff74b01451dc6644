"""The discretized logistic against its integral: 256 levels that share one probability."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.config import LikelihoodKind
from models.objectives.variational import (
    bernoulli_negative_log_likelihood,
    bits_per_dimension,
    discretized_logistic_negative_log_likelihood,
    gaussian_negative_log_likelihood,
    negative_log_likelihood,
    standard_deviation,
)

LEVELS = torch.arange(256, dtype=torch.float64) / 255.0
LOCATIONS = [-0.7, 0.0, 0.001, 0.25, 0.5, 100.5 / 255.0, 0.999, 1.0, 1.6]
LOG_SCALES = [-7.0, -5.0, -3.0, -1.0, 0.0, 2.0]


def log_probabilities(location: float, log_scale: float) -> Tensor:
    """Of the 256 levels, [256]."""
    at = torch.full((256, 1), location, dtype=torch.float64)
    scale = torch.tensor(log_scale, dtype=torch.float64)
    return -discretized_logistic_negative_log_likelihood(at, scale, LEVELS[:, None])


@pytest.mark.parametrize("log_scale", LOG_SCALES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_the_256_probabilities_sum_to_one(location: float, log_scale: float) -> None:
    assert log_probabilities(location, log_scale).exp().sum().item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("log_scale", LOG_SCALES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_each_probability_is_the_difference_of_the_distribution_function_at_its_bins_ends(
    location: float, log_scale: float
) -> None:
    scale = math.exp(log_scale)
    upper = torch.sigmoid((LEVELS + 0.5 / 255.0 - location) / scale)
    lower = torch.sigmoid((LEVELS - 0.5 / 255.0 - location) / scale)
    upper[-1], lower[0] = 1.0, 0.0
    torch.testing.assert_close(log_probabilities(location, log_scale).exp(), upper - lower, rtol=1e-7, atol=1e-14)


def test_where_the_difference_cancels_the_logarithm_keeps_its_digits() -> None:
    """Far in the tail P = width e^-|x| / s in closed form; sigmoid differences are 0 there."""
    location, log_scale = -1.0, -5.0
    scale, level = math.exp(log_scale), LEVELS[200].item()
    expected = -(level - location) / scale + math.log(2.0 * math.sinh(0.5 / 255.0 / scale))
    assert log_probabilities(location, log_scale)[200].item() == pytest.approx(expected, rel=1e-12)


def test_a_narrow_scale_puts_all_on_the_level_at_the_location() -> None:
    assert log_probabilities(LEVELS[77].item(), -12.0)[77].item() == pytest.approx(0.0, abs=1e-12)
    assert log_probabilities(-3.0, -5.0)[0].item() == pytest.approx(0.0, abs=1e-12)  # below black is black
    assert log_probabilities(4.0, -5.0)[255].item() == pytest.approx(0.0, abs=1e-12)


def test_it_is_symmetric_in_black_and_white() -> None:
    mirrored = log_probabilities(1.0 - 0.3, -2.0).flip(0)
    torch.testing.assert_close(log_probabilities(0.3, -2.0), mirrored)


def test_it_is_summed_over_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    location = torch.rand(3, 2, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(256, (3, 2, 4, 5), generator=generator) / 255.0
    scale = torch.tensor(-2.0, dtype=torch.float64)
    found = discretized_logistic_negative_log_likelihood(location, scale, target.double())
    assert found.shape == (3,)
    alone = discretized_logistic_negative_log_likelihood(location.view(-1, 1), scale, target.double().view(-1, 1))
    torch.testing.assert_close(found, alone.view(3, -1).sum(dim=1))


def test_its_gradients_match_central_differences() -> None:
    target = torch.tensor([[0.0, 3.0, 128.0, 255.0]], dtype=torch.float64) / 255.0
    location = torch.tensor([[0.1, 0.0, 0.7, 0.8]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(-2.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda at, width: discretized_logistic_negative_log_likelihood(at, width, target), (location, scale)
    )


@pytest.mark.parametrize("log_scale", [-20.0, -7.0, 0.0, 20.0])
@pytest.mark.parametrize("location", [-1e3, 0.0, 0.5, 1.0, 1e3])
def test_at_extremes_values_and_gradients_stay_finite_in_float32(location: float, log_scale: float) -> None:
    at = torch.full((256, 1), location, requires_grad=True)
    scale = torch.tensor(log_scale, requires_grad=True)
    loss = discretized_logistic_negative_log_likelihood(at, scale, LEVELS[:, None].float())
    assert torch.isfinite(loss).all()
    for gradient in torch.autograd.grad(loss.sum(), (at, scale)):
        assert torch.isfinite(gradient).all()


def test_float32_agrees_with_float64() -> None:
    for log_scale in (-6.0, -3.0, 0.0):
        exact = log_probabilities(0.4, log_scale)
        at, scale = torch.full((256, 1), 0.4), torch.tensor(log_scale)
        found = -discretized_logistic_negative_log_likelihood(at, scale, LEVELS[:, None].float())
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-4)


def test_a_uniform_guess_costs_eight_bits_a_pixel() -> None:
    nats = torch.full((3,), 28 * 28 * math.log(256.0), dtype=torch.float64)
    torch.testing.assert_close(bits_per_dimension(nats, 28 * 28), torch.full((3,), 8.0, dtype=torch.float64))


def test_bits_are_nats_by_log_two_and_dimensions() -> None:
    nats = torch.tensor([0.0, math.log(2.0), 10.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 1.0 / 5.0, 10.0 / math.log(2.0) / 5.0], dtype=torch.float64)
    torch.testing.assert_close(bits_per_dimension(nats, 5), expected)


def test_every_kind_has_its_formula() -> None:
    location, target = torch.rand(3, 5, dtype=torch.float64), torch.ones(3, 5, dtype=torch.float64)
    scale = torch.tensor(-1.2, dtype=torch.float64)
    for kind, expected in (
        ("bernoulli", bernoulli_negative_log_likelihood(location, target)),
        ("gaussian", gaussian_negative_log_likelihood(location, scale, target)),
        ("discretized-logistic", discretized_logistic_negative_log_likelihood(location, scale, target)),
    ):
        assert torch.equal(negative_log_likelihood(kind, location, scale, target), expected)


@pytest.mark.parametrize("kind", ["gaussian", "discretized-logistic"])
def test_the_standard_deviation_is_that_of_the_likelihood(kind: LikelihoodKind) -> None:
    """By the moments of the probabilities of fine levels; the bins of the 256 are narrow beside this scale."""
    scale = torch.tensor(-2.2 if kind == "gaussian" else -2.7, dtype=torch.float64)
    level = torch.arange(-255 * 8, 255 * 8 + 1, dtype=torch.float64)[:, None] / 255.0
    if kind == "gaussian":
        nats = negative_log_likelihood(kind, torch.zeros_like(level), scale, level)
    else:  # the middle of three levels, moved over the line: the outermost bins are never reached
        nats = negative_log_likelihood(kind, 0.5 - level, scale, torch.full_like(level, 0.5))
    weight = torch.exp(-nats)
    variance = (weight * level[:, 0].square()).sum() / weight.sum()
    sigma = standard_deviation(kind, scale)
    assert sigma is not None
    assert float(sigma) == pytest.approx(float(variance.sqrt()), rel=1e-3)
    assert standard_deviation("bernoulli", scale) is None
