"""Bounds in numpy are those that training descends in torch, and know closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.metrics import bounds
from models.objectives import variational

RANDOM = np.random.Generator(np.random.PCG64(0))


@pytest.mark.parametrize(("kind", "scale"), [("bernoulli", None), ("gaussian", -2.5), ("discretized-logistic", -3.0)])
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
