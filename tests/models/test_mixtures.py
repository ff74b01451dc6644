"""The toy densities are the ones of the protocol, and their samples follow them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from models.mixtures import MIXTURES, Mixture, grid, ring


def test_ring_is_a_regular_octagon() -> None:
    centers = ring().centers
    assert centers.shape == (8, 2)
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 1.0)
    np.testing.assert_allclose(centers.sum(axis=0), 0.0, atol=1e-12)
    sides = np.linalg.norm(centers - np.roll(centers, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, 2.0 * math.sin(math.pi / 8.0))
    assert ring().sigma == 0.01


def test_ring_scales_with_its_radius() -> None:
    np.testing.assert_allclose(ring(5, radius=3.0).centers, 3.0 * ring(5).centers)
    assert len(ring(5).centers) == 5


def test_grid_is_the_lattice_of_the_protocol() -> None:
    expected = {(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)}
    assert {tuple(center) for center in grid().centers.tolist()} == expected
    assert len(grid().centers) == 25
    assert grid().sigma == 0.05


def test_an_even_grid_is_centered_too() -> None:
    np.testing.assert_allclose(grid(4, spacing=1.0).centers.mean(axis=0), 0.0)
    assert sorted(set(grid(2, spacing=1.0).centers[:, 0].tolist())) == [-0.5, 0.5]


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_samples_follow_the_mixture(name: str) -> None:
    mixture, rows = MIXTURES[name], 50_000
    samples, modes = mixture.sample(rows, seed=1)
    assert samples.shape == (rows, 2)
    assert samples.dtype == np.float32
    assert modes.shape == (rows,)
    assert modes.dtype == np.int64
    shares = np.bincount(modes, minlength=len(mixture.centers)) / rows
    expected = 1.0 / len(mixture.centers)
    assert np.abs(shares - expected).max() < 5.0 * math.sqrt(expected / rows)
    residuals = (samples - mixture.centers[modes]) / mixture.sigma
    assert np.abs(residuals.mean(axis=0)).max() < 5.0 / math.sqrt(rows)
    np.testing.assert_allclose(np.cov(residuals, rowvar=False), np.eye(2), atol=5.0 * math.sqrt(2.0 / rows))


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_moments_of_the_whole(name: str) -> None:
    """Law of total variance: covariance of the centers plus sigma^2 I."""
    mixture = MIXTURES[name]
    samples, _ = mixture.sample(100_000, seed=2)
    expected = np.cov(mixture.centers, rowvar=False, bias=True) + mixture.sigma**2 * np.eye(2)
    np.testing.assert_allclose(np.cov(samples, rowvar=False), expected, atol=0.02 * expected[0, 0])
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=5.0 * math.sqrt(expected[0, 0] / 100_000))


def test_the_label_is_the_nearest_center() -> None:
    samples, modes = ring().sample(2000, seed=3)
    distances = np.linalg.norm(samples[:, None] - ring().centers, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), modes)


def test_the_seed_decides() -> None:
    first, again, other = (ring().sample(100, seed)[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_names_and_immutability() -> None:
    assert set(MIXTURES) == {"ring8", "grid25"}
    assert all(mixture.name == name for name, mixture in MIXTURES.items())
    with pytest.raises(dataclasses.FrozenInstanceError):
        ring().sigma = 1.0  # type: ignore[misc]
    assert Mixture("one", np.zeros((1, 2)), 0.0).sample(3, 0)[0].tolist() == [[0.0, 0.0]] * 3
