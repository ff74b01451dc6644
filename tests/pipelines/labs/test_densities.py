"""Mixtures on a line against closed forms of Gaussians."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.labs.densities import LineMixture, entropy, gaussian, jsd, kl, line

MIXTURE = LineMixture((0.3, 0.7), (-2.0, 1.0), (0.4, 0.9))


def test_a_density_integrates_to_one() -> None:
    x = line(MIXTURE)
    assert float(torch.trapezoid(MIXTURE.log_density(x).exp(), x)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (2.0, 0.5), (-1.0, 3.0)])
def test_kl_of_gaussians_is_the_closed_form(mean: float, sigma: float) -> None:
    closed = 0.5 * (sigma**2 + mean**2 - 1.0 - 2.0 * math.log(sigma))
    assert kl(gaussian(mean, sigma), gaussian(0.0, 1.0)) == pytest.approx(closed, abs=1e-9)


def test_jsd_is_zero_on_identity_symmetric_and_at_most_log_2() -> None:
    other = gaussian(0.5, 2.0)
    assert jsd(MIXTURE, MIXTURE) == pytest.approx(0.0, abs=1e-12)
    assert jsd(MIXTURE, other) == pytest.approx(jsd(other, MIXTURE), abs=1e-12)
    assert jsd(gaussian(-30.0, 1.0), gaussian(30.0, 1.0)) == pytest.approx(math.log(2.0), abs=1e-9)


def test_entropy_of_a_gaussian_is_the_closed_form() -> None:
    assert entropy(gaussian(1.0, 2.0)) == pytest.approx(0.5 * math.log(2.0 * math.pi * math.e * 4.0), abs=1e-9)


def test_samples_have_the_densitys_moments() -> None:
    samples = MIXTURE.sample(200_000, torch.Generator().manual_seed(0)).double()
    x = line(MIXTURE)
    density = MIXTURE.log_density(x).exp()
    mean = float(torch.trapezoid(density * x, x))
    variance = float(torch.trapezoid(density * (x - mean).square(), x))
    assert float(samples.mean()) == pytest.approx(mean, abs=4.0 * math.sqrt(variance / len(samples)))
    assert float(samples.var()) == pytest.approx(variance, rel=0.02)
