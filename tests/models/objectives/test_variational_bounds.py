"""The importance-weighted bound on a model whose likelihood is known; and the KL's shapes: free bits, capacity."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from models.objectives.variational import (
    capacity_penalty,
    free_bits,
    importance_weighted_bound,
    normal_log_density,
    reparameterize,
)

SLOPE, NOISE_VARIANCE = 1.3, 0.5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def log_evidence(x: Tensor) -> Tensor:
    """log p(x) of z ~ N(0, 1), x | z ~ N(w z, s²): x ~ N(0, w² + s²)."""
    return Normal(0.0, math.sqrt(SLOPE**2 + NOISE_VARIANCE)).log_prob(x)


def posterior(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of p(z | x)."""
    variance = NOISE_VARIANCE / (SLOPE**2 + NOISE_VARIANCE)
    return x * SLOPE / (SLOPE**2 + NOISE_VARIANCE), torch.full_like(x, math.log(variance))


def log_weights(x: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """log p(x, z) - log q(z | x) at z drawn from q. x, mean, log_variance [N], noise [k, N] → [k, N]."""
    z = reparameterize(mean, log_variance, noise)[..., None]
    log_prior = normal_log_density(z, zeros(1), zeros(1))
    log_likelihood = normal_log_density(x[:, None], SLOPE * z, torch.full((1,), math.log(NOISE_VARIANCE)).double())
    return log_prior + log_likelihood - normal_log_density(z, mean[:, None], log_variance[:, None])


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_the_normal_log_density_is_the_one_of_torchs_distributions(shape: tuple[int, ...]) -> None:
    value, mean, log_variance = normal(*shape, seed=1), normal(*shape, seed=2), normal(*shape, seed=3)
    expected = Independent(Normal(mean, torch.exp(0.5 * log_variance)), 1).log_prob(value)
    torch.testing.assert_close(normal_log_density(value, mean, log_variance), expected)


def test_the_normal_log_density_broadcasts_over_draws() -> None:
    value, mean, log_variance = normal(5, 3, 4, seed=1), normal(3, 4, seed=2), normal(3, 4, seed=3)
    one_by_one = torch.stack([normal_log_density(draw, mean, log_variance) for draw in value])
    torch.testing.assert_close(normal_log_density(value, mean, log_variance), one_by_one)


def test_the_normal_log_densitys_gradients_match_central_differences() -> None:
    arguments = tuple(normal(2, 3, seed=seed).requires_grad_() for seed in (1, 2, 3))
    assert torch.autograd.gradcheck(normal_log_density, arguments)


def test_one_sample_gives_the_weight_itself() -> None:
    weights = normal(1, 6)
    torch.testing.assert_close(importance_weighted_bound(weights), weights[0])


def test_it_is_the_log_of_the_mean_weight() -> None:
    weights = normal(5, 6)
    found = importance_weighted_bound(weights)
    assert found.shape == (6,)
    torch.testing.assert_close(found, torch.log(torch.exp(weights).mean(dim=0)))
    torch.testing.assert_close(importance_weighted_bound(weights + 1e4), found + 1e4)  # weights too large for exp


def test_equal_weights_are_the_bound() -> None:
    torch.testing.assert_close(importance_weighted_bound(zeros(7, 3) - 2.5), zeros(3) - 2.5)


def test_the_order_of_samples_does_not_matter() -> None:
    weights = normal(5, 6)
    torch.testing.assert_close(importance_weighted_bound(weights.flip(0)), importance_weighted_bound(weights))


@pytest.mark.parametrize("fewer", [1, 2, 3, 4])
def test_more_samples_never_loosen_the_bound(fewer: int) -> None:
    """Burda et al. 2016, theorem 1: the mean over all subsets of k' < k weights stays below the bound of all k."""
    weights = 2.0 * normal(5, 6)
    subsets = itertools.combinations(range(5), fewer)
    of_subsets = torch.stack([importance_weighted_bound(weights[list(rows)]) for rows in subsets]).mean(dim=0)
    assert (of_subsets < importance_weighted_bound(weights)).all()


def test_the_true_posterior_gives_the_likelihood_from_any_sample() -> None:
    x = normal(6, seed=1)
    for draws in (1, 2, 7):
        bound = importance_weighted_bound(log_weights(x, *posterior(x), normal(draws, 6, seed=2)))
        torch.testing.assert_close(bound, log_evidence(x))


def test_a_wrong_posterior_stays_below_the_likelihood_and_comes_nearer_with_more_samples() -> None:
    draws = 40_000
    x = torch.tensor([1.5], dtype=torch.float64)
    mean, log_variance = posterior(x)
    wrong = mean + 0.5, log_variance + 0.4
    gaps = []
    for k in (1, 4, 16):
        weights = log_weights(x.expand(draws), wrong[0].expand(draws), wrong[1].expand(draws), normal(k, draws, seed=k))
        bound = importance_weighted_bound(weights)
        gap = log_evidence(x).item() - bound
        assert gap.mean() > 4.0 * gap.std() / math.sqrt(draws)
        gaps.append(gap.mean().item())
    assert gaps[0] > 2.0 * gaps[1] > 4.0 * gaps[2]
    # of one sample the gap is KL(q ‖ p(z | x)), in closed form
    ratio = math.exp(0.4)
    expected = 0.5 * (0.25 / math.exp(log_variance.item()) + ratio - 1.0 - 0.4)
    assert gaps[0] == pytest.approx(expected, abs=0.02)


def test_the_bounds_gradient_is_the_weights_share() -> None:
    """d L_k / d log w_i is the normalized weight of sample i."""
    weights = normal(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(importance_weighted_bound(weights).sum(), weights)
    torch.testing.assert_close(gradient, torch.softmax(weights.detach(), dim=0))


def test_without_free_bits_the_kl_is_itself() -> None:
    kl = normal(6, 4).abs()
    torch.testing.assert_close(free_bits(kl, 0.0), kl.sum(dim=1).mean())


def test_free_bits_are_taken_of_the_mean_over_data_of_each_dimension() -> None:
    kl = torch.tensor([[0.0, 2.0, 0.1], [1.0, 4.0, 0.1]], dtype=torch.float64)  # means .5, 3, .1
    assert free_bits(kl, 0.25).item() == pytest.approx(0.5 + 3.0 + 0.25)
    assert free_bits(kl, 1.0).item() == pytest.approx(1.0 + 3.0 + 1.0)
    assert free_bits(kl, 9.0).item() == pytest.approx(27.0)
    assert free_bits(kl, 0.25).shape == ()


def test_dimensions_within_their_free_bits_have_no_gradient() -> None:
    kl = torch.tensor([[0.0, 2.0, 0.1], [1.0, 4.0, 0.1]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(free_bits(kl, 0.25), kl)
    torch.testing.assert_close(gradient, torch.tensor([[0.5, 0.5, 0.0]] * 2, dtype=torch.float64))


@pytest.mark.parametrize(("kl", "capacity", "expected"), [(3.0, 5.0, 2.0), (8.0, 5.0, 3.0), (5.0, 5.0, 0.0)])
def test_the_capacity_penalty_is_the_distance_to_the_capacity(kl: float, capacity: float, expected: float) -> None:
    assert capacity_penalty(torch.tensor(kl), capacity).item() == expected


def test_the_capacity_penalty_pulls_the_kl_to_the_capacity_from_both_sides() -> None:
    for kl, slope in ((3.0, -1.0), (8.0, 1.0)):
        value = torch.tensor(kl, requires_grad=True)
        (gradient,) = torch.autograd.grad(capacity_penalty(value, 5.0), value)
        assert gradient.item() == slope


def test_equal_parts_pay_for_the_dimensions_that_the_whole_pays_for() -> None:
    """Value and gradient: the mean over the parts is the whole's, where each part's own maximum would be another's."""
    kl = torch.tensor([[0.1, 0.9], [0.3, 1.1], [1.0, 1.2], [2.0, 0.4]], dtype=torch.float64, requires_grad=True)
    whole = kl.mean(dim=0).detach()  # .85 and .9; of the halves .2 and 1, 1.5 and .8
    for nats in (0.5, 0.87, 0.95):
        expected = free_bits(kl, nats)
        parts = torch.stack([free_bits(part, nats, whole) for part in kl.split(2)]).mean()
        torch.testing.assert_close(parts, expected)
        found, wanted = (torch.autograd.grad(value, kl, allow_unused=True)[0] for value in (parts, expected))
        torch.testing.assert_close(found, wanted)
    alone = torch.stack([free_bits(part, 0.87) for part in kl.split(2)]).mean()
    assert alone > free_bits(kl, 0.87) + 0.1


@pytest.mark.parametrize("capacity", [0.4, 1.0, 1.8, 2.0])
def test_equal_parts_are_steered_to_where_the_whole_is(capacity: float) -> None:
    kl = torch.tensor([0.5, 1.5, 3.0], dtype=torch.float64, requires_grad=True)
    expected = capacity_penalty(kl.mean(), capacity)
    parts = torch.stack([capacity_penalty(part, capacity, kl.mean().detach()) for part in kl]).mean()
    torch.testing.assert_close(parts, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, kl)[0] for value in (parts, expected)))
    assert float(expected.detach()) == pytest.approx(abs(5.0 / 3.0 - capacity))


def test_what_is_not_finite_is_not_hidden_by_what_is_free() -> None:
    kl = torch.tensor([[math.nan, 0.1]])
    assert math.isnan(free_bits(kl, 0.5))
    assert math.isnan(capacity_penalty(kl.sum(), 0.5))
