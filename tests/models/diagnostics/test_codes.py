"""What a code carries, against closed forms for Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from models.diagnostics import active_units, describe_code, kl_per_dimension
from models.diagnostics.codes import REPORTED_DIMENSIONS, aggregate_to_prior, mutual_information


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standardized(rows: int, dimensions: int, seed: int = 0) -> Tensor:
    """Rows whose mean is 0 and whose covariance (divided by N) is I, exactly."""
    values = normal(rows, dimensions, seed=seed)
    values = values - values.mean(dim=0)
    covariance = values.T @ values / rows
    whitened: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), values.T, upper=False).T
    return whitened


def test_active_units_counts_means_that_vary_over_data() -> None:
    torch.manual_seed(3)
    mean = torch.randn(5000, 6) * torch.tensor([1.0, 0.5, 0.11, 0.09, 0.01, 0.0]) + 10.0
    assert active_units(mean) == 3  # variances 1, .25, .0121 | .0081, .0001, 0
    assert active_units(mean, threshold=0.1) == 2
    assert active_units(torch.full((5, 4), 9.0)) == 0


def test_kl_per_dimension_is_the_mean_over_data() -> None:
    torch.manual_seed(4)
    mean, log_variance = torch.randn(300, 5), torch.randn(300, 5)
    posterior = Normal(mean.double(), torch.exp(0.5 * log_variance.double()))
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).mean(dim=0)
    found = kl_per_dimension(mean, log_variance)
    assert found.shape == (5,)
    torch.testing.assert_close(found, expected)


def test_kl_of_an_unused_dimension_is_zero() -> None:
    mean, log_variance = torch.zeros(10, 3), torch.zeros(10, 3)
    mean[:, 1] = 2.0
    assert kl_per_dimension(mean, log_variance).tolist() == [0.0, 2.0, 0.0]


def test_codes_with_the_priors_moments_are_at_the_prior() -> None:
    assert aggregate_to_prior(standardized(50, 4), None) == pytest.approx(0.0, abs=1e-12)


def test_noise_fills_what_the_means_lack() -> None:
    """Means of variance 1 - s² under noise of variance s²: the aggregate's moments are the prior's."""
    mean = math.sqrt(0.75) * standardized(50, 4)
    log_variance = torch.full_like(mean, math.log(0.25))
    assert aggregate_to_prior(mean, log_variance) == pytest.approx(0.0, abs=1e-12)
    assert aggregate_to_prior(mean, None) > 0.01  # negative control: without the noise they are too narrow


def test_the_distance_to_the_prior_is_the_kl_of_the_gaussian_with_the_codes_moments() -> None:
    factor, shift = normal(3, 3, seed=1), normal(3, seed=2)
    mean = standardized(60, 3) @ factor.T + shift
    log_variance = normal(60, 3, seed=3)
    covariance = factor @ factor.T + torch.diag(log_variance.exp().mean(dim=0))
    expected = kl_divergence(
        MultivariateNormal(shift, covariance), MultivariateNormal(shift * 0, torch.eye(3).double())
    )
    assert aggregate_to_prior(mean, log_variance) == pytest.approx(expected.item(), rel=1e-9)


def test_the_distance_to_the_prior_of_one_dimension() -> None:
    mean = 2.0 + 3.0 * standardized(40, 1)
    assert aggregate_to_prior(mean, None) == pytest.approx(0.5 * (4.0 + 9.0 - math.log(9.0) - 1.0))


def test_a_dimension_that_never_moves_is_far_but_finite() -> None:
    codes = torch.cat([standardized(40, 2), torch.zeros(40, 1)], dim=1)
    assert 5.0 < aggregate_to_prior(codes, None) < 50.0


def test_the_distance_to_the_prior_does_not_depend_on_the_codes_direction() -> None:
    codes = 0.3 * standardized(40, 3) + normal(3, seed=1)
    rotation = torch.linalg.qr(normal(3, 3, seed=2)).Q
    assert aggregate_to_prior(codes @ rotation, None) == pytest.approx(aggregate_to_prior(codes, None))


@pytest.mark.parametrize("variance", [0.1, 0.5, 2.0])
def test_the_information_of_a_linear_gaussian_code_is_its_closed_form(variance: float) -> None:
    """mu ~ N(0, 1), z = mu + N(0, s²): I = log(1 + 1/s²) / 2."""
    rows = 1500
    mean = standardized(rows, 1)
    log_variance = torch.full_like(mean, math.log(variance))
    found = mutual_information(mean, log_variance, normal(rows, 1, seed=1))
    assert found == pytest.approx(0.5 * math.log(1.0 + 1.0 / variance), abs=0.05)


def test_the_information_of_independent_dimensions_adds_up() -> None:
    rows = 1500
    mean, noise = standardized(rows, 2), normal(rows, 2, seed=1)
    log_variance = torch.tensor([0.5, 2.0], dtype=torch.float64).log().expand(rows, 2)
    expected = 0.5 * (math.log(1.0 + 2.0) + math.log(1.0 + 0.5))
    assert mutual_information(mean, log_variance, noise) == pytest.approx(expected, abs=0.08)


def test_a_code_that_ignores_the_data_carries_nothing() -> None:
    zeros = torch.zeros(30, 2, dtype=torch.float64)
    assert mutual_information(zeros, zeros, normal(30, 2)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 17, 200])
def test_codes_without_overlap_carry_log_n_and_none_carries_more(rows: int) -> None:
    apart = torch.arange(rows, dtype=torch.float64)[:, None] * 1e3
    noise = normal(rows, 1)
    assert mutual_information(apart, torch.zeros_like(apart), noise) == pytest.approx(math.log(rows), abs=1e-9)
    for spread in (0.1, 1.0, 10.0):
        near = spread * normal(rows, 1, seed=1)
        assert mutual_information(near, torch.zeros_like(near), noise) <= math.log(rows) + 1e-9


def test_the_mean_kl_is_the_information_and_the_aggregates_distance() -> None:
    """Hoffman and Johnson 2016, eq. 6, on a Gaussian aggregate, for which the distance is exact."""
    rows = 1500
    mean = 0.8 * standardized(rows, 1) + 0.3
    log_variance = torch.full_like(mean, math.log(0.5))
    kl = kl_per_dimension(mean, log_variance).sum().item()
    parts = mutual_information(mean, log_variance, normal(rows, 1, seed=1)) + aggregate_to_prior(mean, log_variance)
    assert parts == pytest.approx(kl, abs=0.05)


def test_the_description_of_a_code_has_every_dimensions_two_parts() -> None:
    mean, log_variance = normal(40, 3).float(), 0.3 * normal(40, 3, seed=1).float()
    numbers = describe_code(mean, log_variance)
    parts = [numbers[f"kl_from_{part}/{dimension:02d}"] for part in ("mean", "variance") for dimension in range(3)]
    assert sum(parts) == pytest.approx(kl_per_dimension(mean, log_variance).sum().item())
    assert numbers["active_units"] == 3.0
    assert numbers["aggregate_to_prior_nats"] == aggregate_to_prior(mean, log_variance)
    share = log_variance.exp().mean(dim=0) / mean.var(dim=0)
    assert numbers["noise_to_signal"] == pytest.approx(share.mean().item(), rel=1e-5)
    assert describe_code(mean, log_variance) == numbers


def test_all_codes_are_described_with_one_noise() -> None:
    """That of seed 0: so that the information of two models can be compared."""
    mean, log_variance = normal(40, 3).float(), 0.3 * normal(40, 3, seed=1).float()
    noise = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    expected = mutual_information(mean, log_variance, noise)
    assert describe_code(mean, log_variance)["mutual_information_nats"] == pytest.approx(expected, rel=1e-12)


def test_the_noise_is_compared_in_active_dimensions_alone() -> None:
    mean = torch.cat([normal(40, 1), torch.zeros(40, 1)], dim=1).float()
    numbers = describe_code(mean, torch.zeros(40, 2))
    assert numbers["noise_to_signal"] == pytest.approx(1.0 / mean[:, 0].var().item(), rel=1e-5)
    assert "noise_to_signal" not in describe_code(torch.zeros(40, 2), torch.zeros(40, 2))


def test_a_single_valued_code_has_no_information_and_no_noise() -> None:
    assert set(describe_code(normal(40, 3), None)) == {"active_units", "aggregate_to_prior_nats"}


def test_of_wide_codes_the_first_dimensions_are_reported() -> None:
    wide = REPORTED_DIMENSIONS + 6
    numbers = describe_code(normal(80, wide), torch.zeros(80, wide))
    assert sum(name.startswith("kl_from_mean/") for name in numbers) == REPORTED_DIMENSIONS
