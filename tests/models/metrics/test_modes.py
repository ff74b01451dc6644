"""Histograms of modes, their divergence and its floor, and the quality of samples of a mixture."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.modes import (
    high_quality_share,
    kl_of_histograms,
    kl_sampling_floor,
    mode_counts,
    nearest_center,
    recovered_modes,
)
from models.mixtures import MIXTURES, grid, ring


def shares(*values: float) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def test_counts_are_of_the_argmax() -> None:
    logits = np.array([[0.1, 5.0, 0.0], [9.0, 1.0, 0.0], [-3.0, -2.0, -9.0]])
    assert mode_counts(logits).tolist() == [1, 2, 0]
    assert mode_counts(np.zeros((0, 4))).tolist() == [0, 0, 0, 0]


def test_kl_of_a_histogram_with_itself_is_zero() -> None:
    for histogram in (shares(0.25, 0.75), shares(1.0, 0.0), np.full(8, 0.125)):
        assert kl_of_histograms(histogram, histogram) == 0.0


def test_known_values() -> None:
    assert kl_of_histograms(shares(1.0, 0.0), shares(0.5, 0.5)) == pytest.approx(math.log(2.0))
    assert kl_of_histograms(shares(1, 0, 0, 0, 0, 0, 0, 0), np.full(8, 0.125)) == pytest.approx(math.log(8.0))
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert kl_of_histograms(shares(0.25, 0.75), shares(0.5, 0.5)) == pytest.approx(expected)


def test_the_direction_matters() -> None:
    """KL(data ‖ samples) is infinite where a mode is missing, KL(samples ‖ data) is not; and inversely."""
    data, collapsed, inventing = shares(0.5, 0.5, 0.0), shares(1.0, 0.0, 0.0), shares(0.4, 0.4, 0.2)
    assert kl_of_histograms(data, collapsed) == math.inf
    assert kl_of_histograms(collapsed, data) == pytest.approx(math.log(2.0))
    assert kl_of_histograms(inventing, data) == math.inf
    assert math.isfinite(kl_of_histograms(data, inventing))


def test_kl_is_never_negative() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    for _ in range(50):
        p, q = generator.dirichlet(np.ones(5), size=2)
        assert kl_of_histograms(p, q) > 0.0


@pytest.mark.parametrize(("modes", "samples"), [(8, 2500), (25, 2500), (100, 2600)])
def test_the_sampling_floor_is_what_simulation_finds(modes: int, samples: int) -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    uniform = np.full(modes, 1.0 / modes)
    found = [kl_of_histograms(row / samples, uniform) for row in generator.multinomial(samples, uniform, size=3000)]
    standard_error = np.std(found) / math.sqrt(len(found))
    # the next term of the expansion is of the order (K / N)²
    assert abs(np.mean(found) - kl_sampling_floor(modes, samples)) < 4.0 * standard_error + (modes / samples) ** 2
    assert 4.0 * standard_error < 0.1 * kl_sampling_floor(modes, samples)


def test_the_protocols_floors() -> None:
    assert kl_sampling_floor(8, 2500) == pytest.approx(0.0014)
    assert kl_sampling_floor(25, 2500) == pytest.approx(0.0048)
    assert kl_sampling_floor(1, 10) == 0.0


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_true_data_is_of_high_quality_as_often_as_chi_square_says(name: str) -> None:
    """P(chi² with 2 degrees of freedom <= 9) = 1 - exp(-9/2) = 0.98889."""
    mixture, rows = MIXTURES[name], 100_000
    samples, _ = mixture.sample(rows, seed=2)
    expected = 1.0 - math.exp(-4.5)
    tolerance = 4.0 * math.sqrt(expected * (1.0 - expected) / rows)
    assert high_quality_share(samples, mixture.centers, mixture.sigma) == pytest.approx(expected, abs=tolerance)
    assert recovered_modes(samples, mixture.centers, mixture.sigma) == len(mixture.centers)


def test_high_quality_ends_at_three_sigma() -> None:
    centers = shares(0.0, 0.0, 10.0, 0.0).reshape(2, 2)
    samples = np.array([[2.99, 0.0], [3.01, 0.0], [10.0, -2.99], [10.0, -3.01]])
    assert high_quality_share(samples, centers, 1.0) == 0.5
    assert high_quality_share(samples, centers, 2.0) == 1.0


def test_spread_and_shrunk_samples() -> None:
    """Negative controls: twice the spread is worse; none at all is better than the truth."""
    generator = np.random.Generator(np.random.PCG64(3))
    noise = ring().sigma * generator.standard_normal((20_000, 2))
    centers = ring().centers[generator.integers(8, size=20_000)]
    qualities = [high_quality_share(centers + factor * noise, ring().centers, ring().sigma) for factor in (2.0, 1.0, 0)]
    assert qualities[0] == pytest.approx(1.0 - math.exp(-9.0 / 8.0), abs=0.02)
    assert qualities[0] < qualities[1] < qualities[2] == 1.0


def test_recovered_modes_counts_only_modes_with_a_good_sample() -> None:
    mixture = grid()
    assert recovered_modes(mixture.centers[:7], mixture.centers, mixture.sigma) == 7
    assert recovered_modes(np.repeat(mixture.centers[:1], 9, axis=0), mixture.centers, mixture.sigma) == 1
    between = mixture.centers[:7] + 0.9  # nearest to seven centers, near none
    assert recovered_modes(between, mixture.centers, mixture.sigma) == 0
    assert high_quality_share(between, mixture.centers, mixture.sigma) == 0.0


def test_nearest_center_against_all_distances() -> None:
    generator = np.random.Generator(np.random.PCG64(4))
    samples, centers = generator.standard_normal((50, 3)), generator.standard_normal((9, 3))
    nearest, distance = nearest_center(samples, centers)
    table = np.array([[math.dist(sample, center) for center in centers] for sample in samples])
    np.testing.assert_array_equal(nearest, table.argmin(axis=1))
    np.testing.assert_allclose(distance, table.min(axis=1))


def test_distances_of_float32_samples_far_from_the_origin_keep_their_digits() -> None:
    centers = shares(4096.0, 4096.0).reshape(1, 2)
    samples = np.array([[4096.0, 4096.5]], dtype=np.float32)
    assert nearest_center(samples, centers)[1][0] == 0.5
