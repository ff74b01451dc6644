"""What codes carry: closed forms of Gaussians, and neighbours that are kept or lost."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.diagnostics import codes as diagnosed
from models.metrics.codes import ACTIVE_VARIANCE, active_units, mutual_information, neighbour_overlap

ROWS = 1_200
"""More than two blocks of draws."""


def normal(*shape: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def standardized(rows: int) -> npt.NDArray[np.float64]:
    values = normal(rows, 1)
    return np.asarray((values - values.mean()) / values.std())


def test_a_dimension_is_in_use_from_a_hundredth_of_the_priors_variance() -> None:
    step = np.array([[-1.0], [0.0], [1.0]])  # of variance 1, divided by N - 1
    below, above = (math.sqrt(ACTIVE_VARIANCE * factor) for factor in (0.99, 1.01))
    assert active_units(7.0 + step * np.array([below, above, 0.0])) == 1
    assert active_units(step * np.array([below, above, 0.0]), threshold=0.0) == 2


@pytest.mark.parametrize("variance", [0.1, 0.5, 2.0])
def test_the_information_of_a_linear_gaussian_code_is_its_closed_form(variance: float) -> None:
    """mu ~ N(0, 1), z = mu + N(0, s²): I = log(1 + 1/s²) / 2."""
    mean = standardized(ROWS)
    found = mutual_information(mean, np.full_like(mean, math.log(variance)), normal(ROWS, 1, seed=1))
    assert found == pytest.approx(0.5 * math.log(1.0 + 1.0 / variance), abs=0.05)


def test_the_information_is_its_definition() -> None:
    """The mean over draws of log q(z_i | x_i) - log 1/N sum_j q(z_i | x_j), density by density."""
    mean, log_variance, noise = normal(7, 2), normal(7, 2, seed=1), normal(7, 2, seed=2)
    latent = mean + noise * np.exp(0.5 * log_variance)
    density = np.exp(
        -0.5 * (np.square(latent[:, None] - mean) / np.exp(log_variance) + log_variance + math.log(2 * math.pi)).sum(2)
    )
    expected = np.mean(np.log(np.diagonal(density) / density.mean(axis=1)))
    assert mutual_information(mean, log_variance, noise) == pytest.approx(expected, rel=1e-12)
    tensors = (torch.from_numpy(value) for value in (mean, log_variance, noise))
    assert diagnosed.mutual_information(*tensors) == mutual_information(mean, log_variance, noise)


def test_a_code_that_tells_every_row_carries_log_n_and_one_that_tells_none_nothing() -> None:
    apart = 1e3 * np.arange(float(ROWS))[:, None]
    assert mutual_information(apart, np.zeros_like(apart), normal(ROWS, 1)) == pytest.approx(math.log(ROWS))
    silent = np.zeros((ROWS, 3))
    assert mutual_information(silent, silent, normal(ROWS, 3)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e9, -1e9])
def test_a_posterior_without_a_density_has_no_information(broken: float) -> None:
    zeros = np.zeros((4, 2))
    with np.errstate(over="ignore"):
        assert math.isnan(mutual_information(zeros, np.full((4, 2), broken), normal(4, 2)))


def test_a_code_that_is_the_row_keeps_every_neighbour() -> None:
    rows = normal(300, 5)
    rotation = np.linalg.qr(normal(5, 5, seed=1)).Q
    np.testing.assert_array_equal(neighbour_overlap(rows, rows, 10), np.ones(300))
    np.testing.assert_array_equal(neighbour_overlap(3.0 * rows @ rotation + 1.0, rows, 10), np.ones(300))


@pytest.mark.parametrize("neighbours", [1, 10, 60])
def test_a_code_that_knows_nothing_of_the_row_keeps_k_of_n(neighbours: int) -> None:
    found = neighbour_overlap(normal(600, 4), normal(600, 5, seed=1), neighbours)
    chance = neighbours / 599
    error = math.sqrt(chance * (1.0 - chance) / (neighbours * 600))
    assert found.mean() == pytest.approx(chance, abs=4.0 * error)


def test_shared_neighbours_are_counted_row_by_row() -> None:
    """On the line 0, 1, 3, 7 the two nearest others; the code has exchanged the last two."""
    rows, codes = np.array([[0.0], [1.0], [3.0], [7.0]]), np.array([[0.0], [1.0], [7.0], [3.0]])
    # by row: {1, 2}, {0, 2}, {0, 1}, {1, 2}; by code: {1, 3}, {0, 3}, {1, 3}, {0, 1}
    assert neighbour_overlap(codes, rows, 2).tolist() == [0.5, 0.5, 0.5, 0.5]


def test_noise_on_the_code_loses_neighbours_little_by_little() -> None:
    rows = normal(300, 3)
    found = [neighbour_overlap(rows + sigma * normal(300, 3, seed=1), rows, 10).mean() for sigma in (0.0, 0.1, 0.5, 5)]
    assert found == sorted(found, reverse=True)
    assert found[1] > 0.5 > found[3]
