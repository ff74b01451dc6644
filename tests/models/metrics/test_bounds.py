"""Bounds in numpy are those that training descends in torch, and know closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.diagnostics.codes import aggregate_to_prior
from models.metrics import bounds
from models.objectives import variational

RANDOM = np.random.Generator(np.random.PCG64(0))


@pytest.mark.parametrize(
    ("kind", "scale"),
    [
        ("bernoulli", None),
        ("gaussian", -2.5),
        ("gaussian", 0.0),
        ("discretized-logistic", -3.0),
        ("discretized-logistic", 0.0),
    ],
)
def test_likelihoods_are_those_of_training(kind: Any, scale: float | None) -> None:
    location = RANDOM.normal(0.5, 1.0, (7, 3, 4, 4))
    target = RANDOM.integers(0, 256, (7, 3, 4, 4)) / 255.0
    tensors = (torch.from_numpy(location), torch.from_numpy(target))
    if kind == "bernoulli":
        expected = variational.bernoulli_negative_log_likelihood(*tensors)
    else:
        function = getattr(variational, f"{kind.replace('-', '_')}_negative_log_likelihood")
        expected = function(tensors[0], torch.tensor(scale, dtype=torch.float64), tensors[1])
    found = bounds.negative_log_likelihood(kind, location, target, scale)
    assert found == pytest.approx(expected.numpy(), rel=1e-12)


def test_a_missing_scale_is_no_scale_of_one() -> None:
    with pytest.raises(ValueError, match="scale"):
        bounds.negative_log_likelihood("gaussian", np.zeros((1, 2)), np.zeros((1, 2)))


def test_the_parts_of_the_kl_add_up_to_torchs() -> None:
    mean, log_variance = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(5, 3))
    first, second = bounds.kl_parts(mean, log_variance)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(np.exp(0.5 * log_variance))),
        torch.distributions.Normal(0.0, 1.0),
    )
    assert first + second == pytest.approx(expected.numpy(), rel=1e-12)
    tensors = torch.from_numpy(mean), torch.from_numpy(log_variance)
    assert first == pytest.approx(variational.kl_mean_part(tensors[0]).numpy(), rel=1e-12)
    assert second == pytest.approx(variational.kl_variance_part(tensors[1]).numpy(), rel=1e-9, abs=1e-12)
    assert bounds.kl_parts(np.zeros((1, 1)), np.zeros((1, 1)))[1] == 0.0


def test_importance_sampling_finds_the_likelihood_of_a_linear_gaussian() -> None:
    """x = z + noise: p(x) = N(0, 1 + s^2), and with the true posterior every weight is the likelihood itself."""
    variance = 0.3
    x = np.array([[0.4], [-1.2]])
    mean, log_variance = x / (1 + variance), np.full((2, 1), math.log(variance / (1 + variance)))
    latent = mean + np.exp(0.5 * log_variance) * RANDOM.normal(size=(50, 2, 1))
    likelihood = np.stack([-bounds.negative_log_likelihood("gaussian", z, x, math.log(variance)) for z in latent])
    weights = likelihood + bounds.log_weights(latent, mean, log_variance)
    expected = -0.5 * (np.square(x[:, 0]) / (1 + variance) + math.log(2 * math.pi * (1 + variance)))
    assert weights == pytest.approx(np.broadcast_to(expected, weights.shape), rel=1e-9)
    assert bounds.log_mean_exp(weights) == pytest.approx(expected, rel=1e-9)


def test_weights_are_the_two_densities_over_all_dimensions() -> None:
    latent, mean, log_variance = (RANDOM.normal(size=shape) for shape in ((4, 5, 3), (5, 3), (5, 3)))
    z, center, spread = (torch.from_numpy(value) for value in (latent, mean, log_variance))
    zeros = torch.zeros_like(center)
    expected = variational.normal_log_density(z, zeros, zeros) - variational.normal_log_density(z, center, spread)
    assert bounds.log_weights(latent, mean, log_variance) == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-12)


def test_the_log_of_a_mean_does_not_overflow() -> None:
    assert bounds.log_mean_exp(np.array([[-5000.0], [-5000.0]])) == pytest.approx([-5000.0])
    assert bounds.log_mean_exp(np.array([[0.0], [math.log(3.0)]])) == pytest.approx([math.log(2.0)])


def test_the_aggregate_posterior_of_the_prior_costs_nothing() -> None:
    rows = RANDOM.normal(size=(200_000, 3))
    assert bounds.aggregate_posterior_kl(rows) == pytest.approx(0.0, abs=1e-3)
    # Half of the variance in the means, half in the posteriors: together the prior again.
    half = rows * math.sqrt(0.5)
    assert bounds.aggregate_posterior_kl(half, np.full_like(half, math.log(0.5))) == pytest.approx(0.0, abs=1e-3)
    assert bounds.aggregate_posterior_kl(rows + np.array([1.0, 0.0, 0.0])) == pytest.approx(0.5, abs=0.02)


def test_the_aggregate_is_that_of_the_rows_at_hand() -> None:
    """Two posteriors N(±1, 1/4): their mixture has mean 0 and variance 1 + 1/4, of which no row is missing."""
    mean, log_variance = np.array([[1.0], [-1.0]]), np.full((2, 1), math.log(0.25))
    expected = 0.5 * (1.25 - math.log(1.25) - 1.0)
    assert bounds.aggregate_posterior_kl(mean, log_variance) == pytest.approx(expected, rel=1e-12)
    grid = np.linspace(-12.0, 12.0, 200_001)
    density = np.mean([np.exp(-2.0 * (grid - at) ** 2) for at in (-1.0, 1.0)], axis=0) * math.sqrt(2.0 / math.pi)
    log_ratio = np.log(np.maximum(density, 1e-300)) + 0.5 * (grid**2 + math.log(2.0 * math.pi))
    exact = float(np.sum(density * log_ratio) * (grid[1] - grid[0]))
    assert expected < exact  # of these moments the Gaussian is nearest to the prior


def test_one_number_for_the_aggregate_in_training_and_in_the_report() -> None:
    mean, log_variance = RANDOM.normal(1.0, 2.0, (30, 4)), RANDOM.normal(-1.0, 1.0, (30, 4))
    for spread in (None, log_variance):
        tensor = None if spread is None else torch.from_numpy(spread)
        assert aggregate_to_prior(torch.from_numpy(mean), tensor) == bounds.aggregate_posterior_kl(mean, spread)


def test_a_direction_in_which_no_code_moves_is_far_and_yet_a_number() -> None:
    mean = np.column_stack([RANDOM.normal(size=500), np.zeros(500)])
    expected = 0.5 * (bounds.SMALLEST_VARIANCE - math.log(bounds.SMALLEST_VARIANCE) - 1.0)
    found = bounds.aggregate_posterior_kl(mean) - bounds.aggregate_posterior_kl(mean[:, :1])
    assert found == pytest.approx(expected, rel=1e-6)
    assert math.isnan(bounds.aggregate_posterior_kl(np.array([[math.nan], [0.0]])))
